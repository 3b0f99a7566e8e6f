"""Pricing by the edition each site's record carries: sites of one partition may for a moment have different ones."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from agents.pricing.pricing import Pricing, Reference, Terms
from schemas.flow import SiteRecord
from schemas.reference.edition import SiteEdition
from schemas.registry import Site

Part = tuple[str, tuple[str, ...]]  # plan and regions: with the version they say what is in it

_ROW = "edition_row"
_VERSION = "reference_version"


@dataclass(slots=True)
class EditionPricing:
    """Prices minutes of sites, each by its edition.

    Parameters
    ----------
    release
        What holds for sites whose record carries no edition.
    """

    release: Reference
    _by_version: dict[str, Pricing] = field(default_factory=dict)
    _parts: dict[str, frozenset[Part]] = field(default_factory=dict)  # what each was put together from
    _versions: dict[str, str] = field(default_factory=dict)  # by site

    def has_plan(self, record: SiteRecord) -> bool:
        """Return whether the tariff plan of a site is in its edition."""
        plan = record.site.tariff.plan
        return plan in self.release.plans if record.edition is None else plan == record.edition.plan.id

    def learn(self, records: Iterable[SiteRecord]) -> None:
        """Take over the sites whose minutes will be priced."""
        sites: dict[str, list[Site]] = {}
        parts: dict[str, dict[Part, SiteEdition]] = {}
        self._versions.clear()
        for record in records:
            # What a release is called may one day be the name of a published edition with other parts.
            version = record.edition_version or ""
            self._versions[record.site.id] = version
            sites.setdefault(version, []).append(record.site)
            if record.edition is not None:
                part = record.edition.plan.id, tuple(region.id for region in record.edition.regions)
                parts.setdefault(version, {})[part] = record.edition
        held, self._by_version = self._by_version, {}
        for version, of_version in sites.items():
            own = parts.get(version, {})
            known = frozenset(own)
            # Its calendars are worth keeping while nothing else is known of the edition.
            pricing = held.get(version) if self._parts.get(version) == known else None
            if pricing is None:
                pricing = Pricing(Reference.of(own.values()) if own else self.release)
            pricing.learn(of_version)
            self._by_version[version] = pricing
            self._parts[version] = known

    def version_of(self, site: str) -> str:
        """Return the name of the edition a site is priced with."""
        return self._by_version[self._versions[site]].reference.version

    def with_grid_meters(self, minutes: pl.DataFrame) -> pl.DataFrame:
        """Add `grid_meters`, the number of grid meters each minute's site has."""
        return self._each(minutes, Pricing.with_grid_meters)

    def priced(self, minutes: pl.DataFrame) -> pl.DataFrame:
        """Price minutes as `Pricing.priced`, with `reference_version`."""
        return self._each(
            minutes,
            lambda pricing, rows: pricing.priced(rows).with_columns(pl.lit(pricing.reference.version).alias(_VERSION)),
        )

    def tariffed(self, minutes: pl.DataFrame) -> pl.DataFrame:
        """Add the local day and what the tariff says, as `Pricing.tariffed`."""
        return self._each(minutes, Pricing.tariffed)

    def terms(self, moments: Mapping[str, int]) -> Mapping[str, Terms]:
        """Return what holds for sites at a minute each, as `Pricing.terms`."""
        found: dict[str, Terms] = {}
        for version, pricing in self._by_version.items():
            mine = {site: at for site, at in moments.items() if self._versions[site] == version}
            known = pricing.terms(mine)
            found |= {site: known[site] for site in mine}
        return found

    def terms_of(self, site: str, at: int) -> Terms:
        """Return what holds for a site at a minute [ms UTC], as `Pricing.terms_of`."""
        return self._by_version[self._versions[site]].terms_of(site, at)

    def _each(self, minutes: pl.DataFrame, price: Callable[[Pricing, pl.DataFrame], pl.DataFrame]) -> pl.DataFrame:
        """Price the rows of each edition by themselves, and give them back in their order."""
        if len(self._by_version) == 1:
            (pricing,) = self._by_version.values()
            return price(pricing, minutes)
        version = minutes["site_id"].replace_strict(self._versions, return_dtype=pl.String)
        numbered = minutes.with_row_index(_ROW)
        parts = [price(pricing, numbered.filter(version == name)) for name, pricing in self._by_version.items()]
        return pl.concat(parts).sort(_ROW).drop(_ROW)
