"""What a site's minute costs and emits: factor, tariff period and price joined to minutes of many sites at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from agents.pricing.carbon import location_based_kg, market_based_kg
from agents.pricing.carbon_shelf import CarbonShelf
from agents.pricing.price_shelf import PriceShelf
from agents.pricing.tariff import PRICED, energy_cost_cny, energy_price, tariff_calendar
from schemas.reference.edition import SiteEdition, factors_of
from schemas.reference.tariffs import TariffPlan
from schemas.registry import MeterKind, Site

_SITES = {
    "site_id": pl.String(),
    "carbon_terms": pl.Int32(),
    "zone": pl.String(),
    "contract": pl.String(),
    "grid_meters": pl.Int32(),
}

_PRICING = {"plan", "prices", "contracts", "hot_days"}  # what of a tariff decides period and price


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference data emissions are computed with; a part of the input, never fetched."""

    factors: pl.DataFrame  # rows of schemas.reference.catalogue.load_factors
    plans: Mapping[str, TariffPlan]
    version: str

    @classmethod
    def of(cls, editions: Iterable[SiteEdition]) -> "Reference":
        """Put together the parts of one edition that sites carry.

        Parameters
        ----------
        editions
            At least one part, all of the same version.
        """
        parts = list(editions)
        regions = {region.id: region for part in parts for region in part.regions}
        (version,) = {part.version for part in parts}
        factors = factors_of([regions[name] for name in sorted(regions)], version)
        return cls(factors, {part.plan.id: part.plan for part in parts}, version)


@dataclass(frozen=True, slots=True)
class Terms:
    """What energy costs and causes at a site during one interval of its tariff.

    An interval lies within one local day, so its factors are the same all along.
    """

    starts_at: int  # [ms UTC]
    ends_at: int  # [ms UTC], exclusive
    period: str | None
    factor_kg_per_kwh: float | None
    market_factor_kg_per_kwh: float | None
    price_cny_per_kwh: float | None

    def emitted_kg(self, energy_kwh: float | None) -> float | None:
        """Carbon of an energy by location, if both are known. [kg]."""
        if energy_kwh is None or self.factor_kg_per_kwh is None:
            return None
        return location_based_kg(energy_kwh, self.factor_kg_per_kwh)

    def market_emitted_kg(self, energy_kwh: float | None) -> float | None:
        """Carbon of an energy by market, before certificates, if both are known. [kg]."""
        if energy_kwh is None or self.market_factor_kg_per_kwh is None:
            return None
        return market_based_kg(energy_kwh, self.market_factor_kg_per_kwh)

    def cost_cny(self, energy_kwh: float | None) -> float | None:
        """Cost of an energy, if both are known. [CNY]."""
        if energy_kwh is None or self.price_cny_per_kwh is None:
            return None
        return energy_cost_cny(energy_kwh, self.price_cny_per_kwh)


@dataclass(slots=True)
class Pricing:
    """Prices minutes; calendars are built once per contract and month and kept.

    Parameters
    ----------
    reference
        Factors and tariff plans.
    """

    reference: Reference
    _sites: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_SITES))
    _contracts: dict[str, Site] = field(default_factory=dict)
    _calendars: dict[tuple[str, date], pl.DataFrame] = field(default_factory=dict)  # by contract and local month
    _shelf: PriceShelf | None = None
    _terms: dict[str, Terms] = field(default_factory=dict)
    _carbon: CarbonShelf = field(init=False)

    def __post_init__(self) -> None:
        """Begin without sites."""
        self._carbon = CarbonShelf(self.reference.factors)

    def learn(self, sites: Iterable[Site]) -> None:
        """Take over the sites whose minutes will be priced."""
        rows = []
        self._contracts.clear()
        known = list(sites)
        carbon = self._carbon.learn({site.id: (site.region, site.market_based) for site in known})
        for site in known:
            contract = f"{site.time_zone}|{site.tariff.model_dump_json(include=_PRICING)}"
            self._contracts[contract] = site
            grid = sum(meter.kind is MeterKind.GRID for meter in site.meters)
            rows.append((site.id, carbon[site.id], site.time_zone, contract, grid))
        self._sites = pl.DataFrame(rows, schema=_SITES, orient="row")
        self._calendars = {key: known for key, known in self._calendars.items() if key[0] in self._contracts}
        self._shelf = None
        self._terms.clear()

    def with_grid_meters(self, minutes: pl.DataFrame) -> pl.DataFrame:
        """Add `grid_meters`, the number of grid meters each minute's site has."""
        counts = self._sites.select("site_id", "grid_meters")
        return minutes.join(counts, on="site_id", how="left", maintain_order="left")

    def priced(self, minutes: pl.DataFrame) -> pl.DataFrame:
        """Add factor, period, price, emissions and cost to minutes of sites.

        Parameters
        ----------
        minutes
            `site_id`, `window_start` (Int64, ms UTC, whole minutes) and `import_kwh`, with any other columns.

        Returns
        -------
        pl.DataFrame
            The minutes in their order with `local_day` (Date), the columns of `carbon_shelf.CARBON` and of
            `tariff.PRICED` with their interval, `emitted_kg`, `market_emitted_kg` and `cost_cny`; null where no
            factor or price is known.
        """
        sites = self._sites.drop("grid_meters")
        placed = self._with_local_day(minutes.join(sites, on="site_id", how="left", maintain_order="left"))
        carbon = self._carbon.at(placed["carbon_terms"], placed["local_day"])
        return (
            placed.hstack(carbon)
            .hstack(self._prices_of(placed))
            .with_columns(
                emitted_kg=location_based_kg(pl.col("import_kwh"), pl.col("factor_kg_per_kwh")),
                market_emitted_kg=market_based_kg(pl.col("import_kwh"), pl.col("market_factor_kg_per_kwh")),
                cost_cny=energy_cost_cny(pl.col("import_kwh"), pl.col("price_cny_per_kwh")),
            )
        )

    def tariffed(self, minutes: pl.DataFrame) -> pl.DataFrame:
        """Add the local day and what the tariff says to minutes of sites, without factors.

        Parameters
        ----------
        minutes
            `site_id` and `window_start` (Int64, ms UTC, whole minutes), with any other columns.

        Returns
        -------
        pl.DataFrame
            The minutes in their order with `local_day` (Date) and the columns of `tariff.PRICED`.
        """
        sites = self._sites.drop("grid_meters")
        placed = self._with_local_day(minutes.join(sites, on="site_id", how="left", maintain_order="left"))
        return placed.hstack(self._prices_of(placed)).select(*minutes.columns, "local_day", *PRICED)

    def terms(self, moments: Mapping[str, int]) -> Mapping[str, "Terms"]:
        """Return what holds for sites at a minute each; it is worked out once per interval of the tariff.

        Parameters
        ----------
        moments
            Site and start of a minute. [ms UTC]
        """
        new = {
            site: at
            for site, at in moments.items()
            if (held := self._terms.get(site)) is None or not held.starts_at <= at < held.ends_at
        }
        if new:
            frame = pl.DataFrame({"site_id": list(new), "window_start": list(new.values())}).with_columns(
                import_kwh=0.0
            )
            factors = ("factor_kg_per_kwh", "market_factor_kg_per_kwh", "price_cny_per_kwh")
            columns = ("site_id", "local_day", "zone", "starts_at", "ends_at", "period", *factors)
            for site, day, zone, starts_at, ends_at, *found in self.priced(frame).select(columns).iter_rows():
                midnight, next_midnight = _local_day_ms(day, zone)
                self._terms[site] = Terms(
                    midnight if starts_at is None else max(starts_at, midnight),
                    next_midnight if ends_at is None else min(ends_at, next_midnight),
                    *found,
                )
        return self._terms

    def terms_of(self, site: str, at: int) -> "Terms":
        """Return what holds for one site at a minute, as `terms`. [ms UTC]"""
        held = self._terms.get(site)
        return held if held is not None and held.starts_at <= at < held.ends_at else self.terms({site: at})[site]

    def _prices_of(self, placed: pl.DataFrame) -> pl.DataFrame:
        """Return period and price of each minute."""
        months = placed.select("contract", month=pl.col("local_day").dt.month_start()).unique(maintain_order=True)
        for contract, first in months.iter_rows():
            if (contract, first) not in self._calendars:
                self._calendars[contract, first] = self._month(contract, first)
                self._shelf = None
        if self._shelf is None:
            self._shelf = PriceShelf.of(self._calendars)
        return self._shelf.at(placed["contract"], placed["window_start"])

    def _with_local_day(self, minutes: pl.DataFrame) -> pl.DataFrame:
        moment = pl.from_epoch("window_start", "ms").dt.replace_time_zone("UTC")
        local = pl.lit(None, pl.Date)
        for zone in minutes["zone"].unique(maintain_order=True).drop_nulls():
            here = moment.dt.convert_time_zone(zone).dt.date()
            local = pl.when(pl.col("zone") == zone).then(here).otherwise(local)
        return minutes.with_columns(local_day=local)

    def _month(self, contract: str, first: date) -> pl.DataFrame:
        site = self._contracts[contract]
        last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        prices = [energy_price(price) for price in site.tariff.prices]
        plan = self.reference.plans[site.tariff.plan]
        return tariff_calendar(
            plan,
            prices,
            ZoneInfo(site.time_zone),
            first,
            last,
            hot_days=frozenset(site.tariff.hot_days),
            contracts=site.tariff.contracts,
        )


def _local_day_ms(day: date, zone: str) -> tuple[int, int]:
    """Return where a local day begins and ends. [ms UTC]."""
    begin, end = (
        int(datetime.combine(one, time(), tzinfo=ZoneInfo(zone)).timestamp() * 1000)
        for one in (day, day + timedelta(days=1))
    )
    return begin, end
