"""What a site's minute costs and emits: factor, tariff period and price joined to minutes of many sites at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from agents.emissions.carbon import factor_table, location_based_kg
from agents.emissions.tariff import EnergyPrice, energy_cost_cny, price_windows, tariff_calendar
from schemas.reference.tariffs import TariffPlan
from schemas.registry import MeterKind, Site

_SITES = {
    "site_id": pl.String(),
    "region_code": pl.String(),
    "zone": pl.String(),
    "contract": pl.String(),
    "grid_meters": pl.Int32(),
}


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference data emissions are computed with; a part of the input, never fetched."""

    factors: pl.DataFrame  # rows of schemas.reference.catalogue.load_factors
    plans: Mapping[str, TariffPlan]
    version: str


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
    _calendars: dict[tuple[str, int, int], pl.DataFrame] = field(default_factory=dict)

    def learn(self, sites: Iterable[Site]) -> None:
        """Take over the sites whose minutes will be priced."""
        rows = []
        self._contracts.clear()
        for site in sites:
            contract = (
                f"{site.tariff.plan}|{site.time_zone}|{[price.model_dump_json() for price in site.tariff.prices]}"
            )
            self._contracts[contract] = site
            grid = sum(meter.kind is MeterKind.GRID for meter in site.meters)
            rows.append((site.id, site.region, site.time_zone, contract, grid))
        self._sites = pl.DataFrame(rows, schema=_SITES, orient="row")
        self._calendars = {key: known for key, known in self._calendars.items() if key[0] in self._contracts}

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
            The minutes in their order with `local_day` (Date), the columns of `carbon.FACTOR_CHOICE` and
            of `tariff.PRICED`, `emitted_kg` and `cost_cny`; null where no factor or price is known.
        """
        sites = self._sites.drop("grid_meters")
        placed = self._with_local_day(minutes.join(sites, on="site_id", how="left", maintain_order="left"))
        years = placed.select("region_code", year=pl.col("local_day").dt.year()).unique()
        factors = factor_table(self.reference.factors, years).rename({"year": "reporting_year"})
        with_factor = placed.with_columns(reporting_year=pl.col("local_day").dt.year().cast(pl.Int32)).join(
            factors, on=["region_code", "reporting_year"], how="left", maintain_order="left"
        )
        calendar = self._calendar(placed)
        by_contract = with_factor.rename({"site_id": "_site", "contract": "site_id"})
        with_price = price_windows(by_contract, calendar).rename({"site_id": "contract", "_site": "site_id"})
        return with_price.with_columns(
            emitted_kg=location_based_kg(pl.col("import_kwh"), pl.col("factor_kg_per_kwh")),
            cost_cny=energy_cost_cny(pl.col("import_kwh"), pl.col("price_cny_per_kwh")),
        )

    def _with_local_day(self, minutes: pl.DataFrame) -> pl.DataFrame:
        moment = pl.from_epoch("window_start", "ms").dt.replace_time_zone("UTC")
        local = pl.lit(None, pl.Date)
        for zone in minutes["zone"].unique(maintain_order=True).drop_nulls():
            here = moment.dt.convert_time_zone(zone).dt.date()
            local = pl.when(pl.col("zone") == zone).then(here).otherwise(local)
        return minutes.with_columns(local_day=local)

    def _calendar(self, placed: pl.DataFrame) -> pl.DataFrame:
        wanted = placed.select(
            "contract", year=pl.col("local_day").dt.year(), month=pl.col("local_day").dt.month()
        ).unique(maintain_order=True)
        parts = [self._month(str(contract), int(year), int(month)) for contract, year, month in wanted.iter_rows()]
        return pl.concat(parts)

    def _month(self, contract: str, year: int, month: int) -> pl.DataFrame:
        known = self._calendars.get((contract, year, month))
        if known is not None:
            return known
        site = self._contracts[contract]
        first = date(year, month, 1)
        last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        prices = [
            EnergyPrice(price.valid_from, price.floating_base_cny_per_kwh, price.fixed_part_cny_per_kwh)
            for price in site.tariff.prices
        ]
        plan = self.reference.plans[site.tariff.plan]
        built = tariff_calendar(plan, prices, ZoneInfo(site.time_zone), first, last)
        self._calendars[contract, year, month] = built.with_columns(site_id=pl.lit(contract))
        return self._calendars[contract, year, month]
