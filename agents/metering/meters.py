"""The meters of a partition by number: what the registry says about them, and the way from a name to the number.

The meters of a site have consecutive numbers, in the order of their ids. So state is arrays, and looking up the names
of a batch costs what the batch is long, not how many meters there are.
"""

from collections.abc import Sequence
from typing import NamedTuple, NotRequired, TypedDict

import numpy as np
import polars as pl

from agents.metering.ragged import Floats, Ints, Rows
from agents.pricing.by_name import ByName
from schemas.registry import MeterKind, Sends, Swap

# A pause longer than this many usual intervals is a gap: its energy is known in total but not in time.
GAP_INTERVALS = 3
# Of a meter that sends intervals one is missing where the next one comes this many later.
MISSING_INTERVALS = 1.5

_KINDS = [kind.value for kind in MeterKind]
_KIND_NAMES = pl.Series(_KINDS, dtype=pl.String)
_NO_METERS = np.zeros(0, np.int64)
_CONFIG = np.dtype(
    [
        ("site", "<i8"),
        ("kind", "<i8"),
        ("multiplier", "<f8"),
        ("max_gap_ms", "<i8"),
        ("interval_ms", "<i8"),
        ("register_max_kwh", "<f8"),  # multiplier applied; NaN where none is known
        ("rated_kw", "<f8"),  # in primary units; NaN where none is known
        ("by_interval", "<i8"),  # 1: sends the energy of intervals, and no registers
        ("draws_only", "<i8"),  # 1: nothing behind it feeds in
    ]
)


class Swapped(NamedTuple):
    """A declared swap; registers as the meters show them, NaN where not said. [ms UTC, kWh]"""

    at_ms: int
    final_kwh: float
    initial_kwh: float
    final_export_kwh: float
    initial_export_kwh: float


class Described(NamedTuple):
    """What metering needs to know of a meter."""

    id: str
    kind: str
    multiplier: float
    interval_s: int
    register_max_kwh: float = np.nan
    swaps: tuple[Swapped, ...] = ()
    by_interval: bool = False
    rated_kw: float = np.nan
    draws_only: bool = False


class PlainMeter(TypedDict):
    """What is read of a meter in a site record as plain data."""

    id: str
    kind: str
    parent: NotRequired[str | None]
    multiplier: float
    interval_s: int
    register_max_kwh: NotRequired[float | None]
    rated_kw: NotRequired[float | None]
    swaps: NotRequired[list[dict[str, object]]]
    sends: NotRequired[str]


class Move(NamedTuple):
    """What a site's new record does to the numbers of its meters."""

    before: Ints  # all numbers the site had
    after: Ints  # all numbers it has
    kept_from: Ints  # numbers of the meters that stay, as they were ...
    kept_to: Ints  # ... and as they are
    ratio: Floats  # new multiplier / old multiplier of each meter that stays


class _Place(NamedTuple):
    number: int  # of the site
    first: int  # number of its first meter
    ids: tuple[str, ...]


def described(meters: Sequence[PlainMeter]) -> list[Described]:
    """Return meters, given as plain data of a site record, in the order of their ids.

    Whole sites would be checked anew, which takes a restart of many too long.
    """
    feeding = _may_feed_in(meters)
    return sorted(
        Described(
            one["id"],
            one["kind"],
            one["multiplier"],
            one["interval_s"],
            _number(one.get("register_max_kwh")),
            tuple(_swapped(Swap.model_validate(swap)) for swap in one.get("swaps", ())),
            one.get("sends") == Sends.INTERVALS.value,
            _number(one.get("rated_kw")),
            one["id"] not in feeding,
        )
        for one in meters
    )


def _may_feed_in(meters: Sequence[PlainMeter]) -> set[str]:
    """Return the grid connections, generation, and the meters above generation."""
    parents = {one["id"]: one.get("parent") for one in meters}
    found = {one["id"] for one in meters if one["kind"] == MeterKind.GRID.value}
    for one in meters:
        above = one["id"] if one["kind"] == MeterKind.GENERATION.value else None
        while above is not None and above not in found:
            found.add(above)
            above = parents.get(above)
    return found


def _swapped(swap: Swap) -> Swapped:
    ends = _number(swap.final_export_kwh)
    return Swapped(swap.at_ms, swap.final_kwh, swap.initial_kwh, ends, swap.initial_export_kwh)


def _number(found: float | None) -> float:
    return np.nan if found is None else found


class Meters:
    """Numbers and descriptions of meters."""

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}
        self._sites: list[str] = []
        self._tenants: list[str] = []
        self._names: list[str] = []
        self._config = np.zeros(0, _CONFIG)
        self.swaps: dict[int, tuple[Swapped, ...]] = {}  # by number, of the meters that have any
        self._free: dict[int, list[int]] = {}
        self._index: _Index | None = None

    def configure(self, site_id: str, tenant_id: str, meters: Sequence[Described]) -> Move:
        """Take over the record of a site.

        Parameters
        ----------
        site_id, tenant_id
            The site, and who owns it.
        meters
            Its meters, sorted by id.
        """
        ids = tuple(meter.id for meter in meters)
        old = self._places.get(site_id)
        before = self.of_site(site_id)
        old_multipliers = self._config["multiplier"][before]
        if old is None:
            place = _Place(len(self._sites), self._range(len(ids)), ids)
            self._sites.append(site_id)
            self._tenants.append(tenant_id)
        elif old.ids == ids:
            place = old
        else:
            # The new range before the old one is free: what is at the old numbers has yet to be moved.
            place = _Place(old.number, self._range(len(ids)), ids)
            self._free.setdefault(len(old.ids), []).append(old.first)
            self._config["site"][before] = -1
        self._places[site_id] = place
        self._tenants[place.number] = tenant_id
        after = np.arange(place.first, place.first + len(ids), dtype=np.int64)
        self._names[place.first : place.first + len(ids)] = ids
        rows = [
            (
                place.number,
                _KINDS.index(m.kind),
                m.multiplier,
                round((MISSING_INTERVALS if m.by_interval else GAP_INTERVALS) * m.interval_s * 1000),
                m.interval_s * 1000,
                m.register_max_kwh * m.multiplier,
                m.rated_kw,
                m.by_interval,
                m.draws_only,
            )
            for m in meters
        ]
        for number in before.tolist():
            self.swaps.pop(number, None)
        self.swaps |= {number: m.swaps for number, m in zip(after.tolist(), meters, strict=True) if m.swaps}
        self._config[place.first : place.first + len(ids)] = np.array(rows, _CONFIG)
        self._index = None
        if old is None:
            return Move(before, after, _NO_METERS, _NO_METERS, np.zeros(0))
        stays = [(a, b) for a, name in enumerate(old.ids) for b in _where(ids, name)]
        kept = np.array(stays, np.int64).reshape(-1, 2)
        ratio = self._config["multiplier"][after[kept[:, 1]]] / old_multipliers[kept[:, 0]]
        return Move(before, after, before[kept[:, 0]], after[kept[:, 1]], ratio)

    def of_site(self, site_id: str) -> Ints:
        """Return the numbers of a site's meters, in the order of their ids."""
        place = self._places.get(site_id)
        if place is None:
            return _NO_METERS
        return np.arange(place.first, place.first + len(place.ids), dtype=np.int64)

    def config(self, meters: Ints) -> Rows:
        """Return `multiplier`, `max_gap_ms`, `interval_ms` and more of these meters."""
        return self._config.take(meters)

    def sites_of(self, meters: Ints) -> list[str]:
        """Return the distinct sites these meters are at."""
        there = np.zeros(len(self._sites), np.bool_)
        there[self._config["site"][meters]] = True
        return [self._sites[number] for number in np.flatnonzero(there).tolist()]

    def find(self, site_ids: pl.Series, meter_ids: pl.Series) -> Ints:
        """Return the number of each meter; -1 where there is none of this name."""
        return self._indexed().by_name.find(site_ids, meter_ids)

    def order(self, meters: Ints) -> Ints:
        """Return numbers that sort these meters by site and meter id."""
        order: Ints = (self._indexed().site_rank[self._config["site"][meters]] << 32) | meters
        return order

    def named(self, meters: Ints) -> dict[str, pl.Series]:
        """Return `tenant_id`, `site_id`, `meter_id` and `meter_kind` of these meters."""
        index, config = self._indexed(), self._config.take(meters)
        site = config["site"]
        return {
            "tenant_id": index.tenants[site],
            "site_id": index.sites[site],
            "meter_id": index.names[meters],
            "meter_kind": _KIND_NAMES[config["kind"]],
        }

    def _range(self, size: int) -> int:
        """Return the first of this many consecutive numbers."""
        if self._free.get(size):
            return self._free[size].pop()
        first = len(self._names)
        self._names.extend([""] * size)
        if len(self._names) > len(self._config):
            larger = np.zeros(2 * len(self._names), _CONFIG)
            larger["site"] = -1
            larger[: len(self._config)] = self._config
            self._config = larger
        return first

    def _indexed(self) -> "_Index":
        if self._index is None:
            used = np.flatnonzero(self._config["site"][: len(self._names)] >= 0)
            self._index = _Index(self._sites, self._tenants, self._names, self._config["site"], used)
        return self._index


class _Index:
    """Names as columns, and the way from names to numbers."""

    def __init__(self, sites: list[str], tenants: list[str], names: list[str], site_of: Ints, used: Ints) -> None:
        self.sites = pl.Series("site_id", sites, dtype=pl.String)
        self.tenants = pl.Series(tenants, dtype=pl.String)
        self.names = pl.Series("meter_id", names, dtype=pl.String)
        self.site_rank = np.empty(len(sites), np.int64)
        self.site_rank[self.sites.arg_sort().to_numpy()] = np.arange(len(sites))
        own = self.sites[site_of[used]], self.names[used]
        self.by_name = ByName(*own, used)


def _where(ids: tuple[str, ...], name: str) -> list[int]:
    return [ids.index(name)] if name in ids else []
