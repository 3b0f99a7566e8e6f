"""What a site's minute costs and emits: factor, tariff period and price joined to minutes of many sites at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agents.pricing.carbon import location_based_kg, market_based_kg
from agents.pricing.carbon_shelf import CarbonShelf
from agents.pricing.price_shelf import PriceShelf
from agents.pricing.tariff import PRICED, energy_cost_cny, energy_price, tariff_calendar
from schemas.reference.edition import SiteEdition, factors_of
from schemas.reference.tariffs import TariffPlan
from schemas.registry import MeterKind, Site

_SITE = np.dtype(
    [
        ("carbon", "<i8"),  # number of its carbon terms
        ("zone", "<i8"),
        ("contract", "<i8"),
        ("grid_meters", "<i4"),
    ]
)
_ROOM_DAYS = 1 << 20  # local days of one contract; the next one's come after them
_MOST_DAYS = 20_000  # minutes of a zone whose local day is remembered

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
    _numbers: dict[str, int] = field(default_factory=dict)  # of sites
    _sites: NDArray[np.void] = field(default_factory=lambda: np.empty(0, _SITE))
    _zones: list[str] = field(default_factory=list)
    _days: dict[str, dict[int, int]] = field(default_factory=dict)  # local day of minutes, by zone
    _contracts: dict[str, Site] = field(default_factory=dict)
    _calendars: dict[tuple[str, date], pl.DataFrame] = field(default_factory=dict)  # by contract and local month
    _shelf: PriceShelf | None = None
    _on_shelf: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))  # numbers there, by contract
    _reached: set[tuple[int, int]] = field(default_factory=set)  # contracts and local days that are on the shelf
    _terms: dict[str, Terms] = field(default_factory=dict)
    _carbon: CarbonShelf = field(init=False)

    def __post_init__(self) -> None:
        """Begin without sites."""
        self._carbon = CarbonShelf(self.reference.factors)

    def learn(self, sites: Iterable[Site]) -> None:
        """Take over the sites whose minutes will be priced."""
        self._contracts.clear()
        known = list(sites)
        carbon = self._carbon.learn({site.id: (site.region, site.market_based) for site in known})
        self._numbers = {site.id: number for number, site in enumerate(known)}
        zones: dict[str, int] = {}
        contracts: dict[str, int] = {}
        rows = []
        for site in known:
            contract = f"{site.time_zone}|{site.tariff.model_dump_json(include=_PRICING)}"
            self._contracts[contract] = site
            grid = sum(meter.kind is MeterKind.GRID for meter in site.meters)
            zone, terms = zones.setdefault(site.time_zone, len(zones)), contracts.setdefault(contract, len(contracts))
            rows.append((carbon[site.id], zone, terms, grid))
        self._sites = np.array(rows, _SITE)
        self._zones = list(zones)
        self._calendars = {key: known for key, known in self._calendars.items() if key[0] in self._contracts}
        self._shelf = None
        self._reached.clear()
        self._terms.clear()

    def with_grid_meters(self, minutes: pl.DataFrame) -> pl.DataFrame:
        """Add `grid_meters`, the number of grid meters each minute's site has."""
        return minutes.hstack([pl.Series("grid_meters", self._sites["grid_meters"][self._numbers_of(minutes)])])

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
        sites, moments, days = self._placed(minutes)
        return (
            minutes.hstack([_dates(days)])
            .hstack(self._carbon.of_numbers(sites["carbon"], days))
            .hstack(self._prices_of(sites["contract"], moments, days))
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
        sites, moments, days = self._placed(minutes)
        return minutes.hstack([_dates(days)]).hstack(
            self._prices_of(sites["contract"], moments, days)[:, : len(PRICED)]
        )

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
            columns = ("site_id", "local_day", "starts_at", "ends_at", "period", *factors)
            for site, day, starts_at, ends_at, *found in self.priced(frame).select(columns).iter_rows():
                zone = self._zones[self._sites["zone"][self._numbers[site]]]
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

    def _numbers_of(self, minutes: pl.DataFrame) -> NDArray[np.int64]:
        numbers = self._numbers
        return np.fromiter((numbers[site] for site in minutes["site_id"]), np.int64, minutes.height)

    def _placed(self, minutes: pl.DataFrame) -> tuple[NDArray[np.void], NDArray[np.int64], NDArray[np.int64]]:
        """Return what is known of the site of each minute, the minute [ms UTC], and its local day since 1970."""
        sites, moments = self._sites[self._numbers_of(minutes)], minutes["window_start"].to_numpy()
        days = np.empty(len(moments), np.int64)
        for number in np.unique(sites["zone"]).tolist():
            here = sites["zone"] == number
            each, which = np.unique(moments[here], return_inverse=True)
            days[here] = self._days_of(self._zones[number], each.tolist())[which]
        return sites, moments, days

    def _days_of(self, zone: str, moments: list[int]) -> NDArray[np.int64]:
        """Return the local day of minutes; minutes come again and again, with other sites."""
        known = self._days.setdefault(zone, {})
        new = [moment for moment in moments if moment not in known]
        if new:
            if len(known) > _MOST_DAYS:
                known.clear()
                new = moments
            local = pl.from_epoch(pl.Series(new, dtype=pl.Int64), "ms").dt.replace_time_zone("UTC")
            known.update(zip(new, local.dt.convert_time_zone(zone).dt.date().to_physical(), strict=True))
        return np.array([known[moment] for moment in moments], np.int64)

    def _prices_of(
        self, contracts: NDArray[np.int64], moments: NDArray[np.int64], days: NDArray[np.int64]
    ) -> pl.DataFrame:
        """Return period and price of each minute, and the interval they hold for."""
        names = list(self._contracts)
        for place in np.unique(contracts * _ROOM_DAYS + days).tolist():
            number, day = divmod(place, _ROOM_DAYS)
            if (number, day) not in self._reached:
                first = date(1970, 1, 1) + timedelta(days=day)
                key = names[number], first.replace(day=1)
                if key not in self._calendars:
                    self._calendars[key] = self._month(*key)
                    self._shelf = None
                self._reached.add((number, day))
        if self._shelf is None:
            self._shelf = PriceShelf.of(self._calendars)
            self._on_shelf = np.array([self._shelf.contracts.get(name, -1) for name in names], np.int64)
        return self._shelf.of_numbers(self._on_shelf[contracts], moments)

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


def _dates(days: NDArray[np.int64]) -> pl.Series:
    return pl.Series("local_day", days.astype(np.int32)).cast(pl.Date)


def _local_day_ms(day: date, zone: str) -> tuple[int, int]:
    """Return where a local day begins and ends. [ms UTC]."""
    begin, end = (
        int(datetime.combine(one, time(), tzinfo=ZoneInfo(zone)).timestamp() * 1000)
        for one in (day, day + timedelta(days=1))
    )
    return begin, end
