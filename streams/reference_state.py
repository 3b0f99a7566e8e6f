"""What the records of `factors.v1` and `tariffs.v1` amount to, and which edition is in force.

An edition is many records on two topics, so it cannot appear at once. Its rows are written first, and last the record
`edition` with a digest of them all: it is in force as soon as what is held has this digest, until then the former one.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.reference.edition import RegionFactors, SiteEdition, factors_of
from schemas.reference.tariffs import TariffPlan
from schemas.topics import FACTORS, TARIFFS

log = logging.getLogger(__name__)

EDITION_KEY = "edition"
INTENSITY_PREFIX = "intensity/"


class Stamp(BaseModel):
    """The record `edition` on factors.v1: which edition the rows are, once they are all there.

    Parameters
    ----------
    version
        Its name: a date and the first digits of the digest, or the name of the release's edition.
    digest
        Of all rows, as `digest_of` computes it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Annotated[str, Field(min_length=1)]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True)
class Published:
    """An edition that is complete.

    Parameters
    ----------
    version
        Its name.
    factors
        `FACTOR_ROWS`.
    plans
        Tariff plans by id.
    revision
        Its place in time, comparable with revisions of registry.v1.
    """

    version: str
    factors: pl.DataFrame
    plans: Mapping[str, TariffPlan]
    revision: int

    def of_site(self, region_code: str, plan: str) -> SiteEdition | None:
        """Return the part that concerns a site; None where its plan is not in the edition."""
        return SiteEdition.of(self.version, self.factors, self.plans.get(plan), region_code)


class ReferenceState:
    """What the records of both topics amount to.

    Attributes
    ----------
    regions, plans
        Rows, by id.
    in_force
        The newest edition that was complete; None before the first.
    version
        Increases whenever another edition comes into force.
    """

    def __init__(self) -> None:
        self.regions: dict[str, RegionFactors] = {}
        self.plans: dict[str, TariffPlan] = {}
        self.in_force: Published | None = None
        self.version = 0
        self._stamp: tuple[Stamp, int] | None = None

    @property
    def keys(self) -> dict[str, frozenset[str]]:
        """Keys of the rows by topic."""
        return {FACTORS.name: frozenset(self.regions), TARIFFS.name: frozenset(self.plans)}

    @property
    def is_complete(self) -> bool:
        """Whether what is held is the edition in force, and no other one is being written."""
        stamp = None if self._stamp is None else self._stamp[0]
        return stamp is None or stamp.digest == digest_of(self.regions, self.plans)

    def take(self, topic: str, key: bytes | None, value: bytes | None, revision: int) -> bool:
        """Take one record; one that makes no sense is logged and skipped.

        Parameters
        ----------
        topic
            Name in the catalogue.
        key, value
            The record; no value deletes.
        revision
            Its place in time, as `streams.registry_state.revision_of` says.

        Returns
        -------
        bool
            Whether another edition came into force.
        """
        name = (key or b"").decode(errors="replace")
        try:
            self._put(topic, name, value, revision)
        except (ValidationError, ValueError) as invalid:
            log.warning(
                "reference_record_skipped", extra={"of": topic, "key": name, "why": str(invalid).splitlines()[0]}
            )
            return False
        return self._judge()

    def _put(self, topic: str, name: str, value: bytes | None, revision: int) -> None:
        if topic == TARIFFS.name:
            if value is None:
                self.plans.pop(name, None)
                return
            plan = TariffPlan.model_validate_json(value)
            _same_id(plan.id, name)
            self.plans[name] = plan
        elif name == EDITION_KEY:
            self._stamp = None if value is None else (Stamp.model_validate_json(value), revision)
        elif not name.startswith(INTENSITY_PREFIX):
            if value is None:
                self.regions.pop(name, None)
                return
            region = RegionFactors.model_validate_json(value)
            _same_id(region.id, name)
            self.regions[name] = region

    def _judge(self) -> bool:
        if self._stamp is None:
            return False
        stamp, revision = self._stamp
        if self.in_force is not None and self.in_force.revision == revision:
            return False
        if digest_of(self.regions, self.plans) != stamp.digest:
            return False
        regions = [self.regions[name] for name in sorted(self.regions)]
        self.in_force = Published(stamp.version, factors_of(regions, stamp.version), dict(self.plans), revision)
        self.version += 1
        log.info("edition_in_force", extra={"reference_version": stamp.version, "revision": revision})
        return True


def digest_of(regions: Mapping[str, RegionFactors], plans: Mapping[str, TariffPlan]) -> str:
    """Return a digest of all rows of an edition, whatever their order.

    Examples
    --------
    >>> zj = RegionFactors(id="CN-ZJ", grid_code="CN-GRID-EC")
    >>> digest_of({"CN-ZJ": zj}, {}) == digest_of({"CN-ZJ": zj.model_copy()}, {}) != digest_of({}, {})
    True
    """
    rows: Sequence[tuple[str, Mapping[str, BaseModel]]] = ((FACTORS.name, regions), (TARIFFS.name, plans))
    content = {topic: {name: entry.model_dump(mode="json") for name, entry in of.items()} for topic, of in rows}
    return hashlib.sha256(json.dumps(_sorted_sets(content), sort_keys=True).encode()).hexdigest()


def _sorted_sets(content: object) -> object:
    """Months and weekdays are sets: their order in a record means nothing."""
    if isinstance(content, dict):
        return {
            name: sorted(inner) if name in {"months", "weekdays"} and inner else _sorted_sets(inner)
            for name, inner in content.items()
        }
    if isinstance(content, list):
        return [_sorted_sets(inner) for inner in content]
    return content


def _same_id(inside: str, key: str) -> None:
    if inside != key:
        raise ValueError(f"the record is of '{inside}'")
