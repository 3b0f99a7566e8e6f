"""Both Scope 2 factors of a site's local day: worked out once per terms and day, then looked up for many minutes.

The market-based factor here rests on what holds for every minute alike: contracts by share, then the supplier's rate,
then the residual mix, then (disclosed) the grid average. Certificates and contracts of so many kWh a year cannot be
given to single minutes without knowing the year; `agents.pricing.settlement` settles them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agents.pricing.carbon import DEFAULT_KIND, RESIDUAL_KIND, factor_table
from schemas.instruments import MarketBased

SUPPLIER_KIND = "supplier"
CONTRACT_KIND = "contract"

# What is known of a local day; null where nothing is.
CARBON: dict[str, pl.DataType] = {
    "factor_kg_per_kwh": pl.Float64(),  # location-based: the grid average
    "factor_region": pl.String(),
    "factor_kind": pl.String(),
    "factor_year": pl.Int32(),
    "factor_source": pl.String(),
    "market_factor_kg_per_kwh": pl.Float64(),  # market-based, contracts and the rest together
    "market_contract_share": pl.Float64(),  # of the energy, under contracts by share
    "market_rest_kg_per_kwh": pl.Float64(),  # factor of what is under no contract
    "market_rest_kind": pl.String(),  # supplier | residual | average; contract when nothing is left over
    "market_rest_region": pl.String(),
    "market_rest_year": pl.Int32(),
    "market_rest_source": pl.String(),  # for a supplier its id in the registry and the document
}

_INSTRUMENTS: dict[str, pl.DataType] = {
    "number": pl.Int64(),
    "local_day": pl.Date(),
    "market_contract_share": pl.Float64(),
    "contract_kg_per_kwh": pl.Float64(),  # of a kWh drawn: share times rate, summed
    "supplier_kg_per_kwh": pl.Float64(),
    "supplier_source": pl.String(),
}

_ROOM_DAYS = 1 << 20  # days since 1970 of one site's terms; the next one's come after them


@dataclass(slots=True)
class CarbonShelf:
    """Factors by carbon terms (region and instruments) and local day.

    Parameters
    ----------
    factors
        Rows of `schemas.reference.catalogue.load_factors`.
    """

    factors: pl.DataFrame
    _terms: list[tuple[str, MarketBased]] = field(default_factory=list)
    _places: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))  # sorted
    _rows: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CARBON))

    def learn(self, terms: Mapping[str, tuple[str, MarketBased]]) -> dict[str, int]:
        """Take over the terms of sites and number them; sites with equal terms have one number.

        Parameters
        ----------
        terms
            Region and instruments by site.
        """
        numbers: dict[str, int] = {}
        keys: dict[tuple[object, ...], int] = {}
        self._terms = []
        for site, (region, market) in terms.items():
            key = (region, market.contracts, market.suppliers)
            if key not in keys:
                keys[key] = len(self._terms)
                self._terms.append((region, market))
            numbers[site] = keys[key]
        self._places = np.empty(0, np.int64)
        self._rows = pl.DataFrame(schema=CARBON)
        return numbers

    def at(self, numbers: pl.Series, days: pl.Series) -> pl.DataFrame:
        """Return `CARBON` for rows of terms and local days.

        Parameters
        ----------
        numbers
            Number of the terms, as `learn` gave it.
        days
            Local day (Date).
        """
        return self.of_numbers(numbers.cast(pl.Int64).to_numpy(), days.to_physical().cast(pl.Int64).to_numpy())

    def of_numbers(self, numbers: NDArray[np.int64], days: NDArray[np.int64]) -> pl.DataFrame:
        """Return the same for arrays; days since 1970."""
        wanted = numbers * _ROOM_DAYS + days
        found = np.searchsorted(self._places, wanted)
        inside = np.minimum(found, max(self._places.size - 1, 0))
        if not self._places.size or not (self._places[inside] == wanted).all():
            self._add(np.setdiff1d(wanted, self._places))
            found = np.searchsorted(self._places, wanted)
        rows: pl.DataFrame = self._rows[found]
        return rows

    def _add(self, places: NDArray[np.int64]) -> None:
        new = pl.DataFrame({"place": places}).select(
            "place",
            number=pl.col("place") // _ROOM_DAYS,
            local_day=(pl.col("place") % _ROOM_DAYS).cast(pl.Int32).cast(pl.Date),
        )
        rows = self._of(new)
        every = np.concatenate([self._places, new["place"].to_numpy()])
        order = np.argsort(every)
        self._places, self._rows = every[order], pl.concat([self._rows, rows])[order]

    def _of(self, new: pl.DataFrame) -> pl.DataFrame:
        """Return `CARBON` for terms and days, in their order."""
        regions = pl.Series([region for region, _ in self._terms], dtype=pl.String)
        placed = new.with_columns(
            region_code=regions.gather(new["number"]), year=pl.col("local_day").dt.year().cast(pl.Int32)
        )
        pair = ["region_code", "year"]
        average = factor_table(self.factors, placed.select(pair), DEFAULT_KIND)
        residual = factor_table(self.factors, placed.select(pair), RESIDUAL_KIND).rename(
            lambda name: name if name in pair else f"residual_{name}"
        )
        known = (
            placed.join(average, on=pair, how="left", maintain_order="left")
            .join(residual, on=pair, how="left", maintain_order="left")
            .join(self._instruments(new), on=["number", "local_day"], how="left", maintain_order="left")
            .with_columns(pl.col("market_contract_share", "contract_kg_per_kwh").fill_null(0.0))
        )
        return (
            known.with_columns(_rest())
            .with_columns(_market_factor())
            .select(pl.col(name).cast(dtype) for name, dtype in CARBON.items())
        )

    def _instruments(self, new: pl.DataFrame) -> pl.DataFrame:
        """Return what contracts and suppliers say about days, for terms that have any."""
        having = [number for number, (_, market) in enumerate(self._terms) if market.contracts or market.suppliers]
        rows = [
            (number, day, *on_day(self._terms[number][1], day))
            for number, day in new.filter(pl.col("number").is_in(having)).select("number", "local_day").iter_rows()
        ]
        return pl.DataFrame(rows, schema=_INSTRUMENTS, orient="row")


def on_day(market: MarketBased, day: date) -> tuple[float, float, float | None, str | None]:
    """Return what a site's contracts and supplier say about a local day.

    Returns
    -------
    tuple
        Share under contracts; their emissions per kWh drawn (share times rate, summed); the supplier's rate and
        its source, None without one. [1], [kg/kWh], [kg/kWh]

    Raises
    ------
    ValueError
        If the contracts cover more than everything.

    Examples
    --------
    >>> from schemas.instruments import PowerContract
    >>> wind = PowerContract(id="wind", market="CN", valid_from=date(2026, 1, 1), kg_per_kwh=0.0, share=0.4)
    >>> on_day(MarketBased(contracts=(wind,)), date(2026, 7, 1))
    (0.4, 0.0, None, None)
    """
    valid = [one for one in market.contracts if one.share is not None and one.holds_on(day)]
    share = sum(one.share or 0.0 for one in valid)
    if share > 1 + 1e-9:
        raise ValueError(f"contracts {', '.join(one.id for one in valid)} cover {share:g} of what is drawn on {day}")
    supplier = next((one for one in market.suppliers if one.holds_on(day)), None)
    return (
        min(share, 1.0),
        sum((one.share or 0.0) * one.kg_per_kwh for one in valid),
        supplier.kg_per_kwh if supplier else None,
        f"{supplier.id}: {supplier.source}" if supplier else None,
    )


def _rest() -> list[pl.Expr]:
    """Factor and provenance of what is under no contract: supplier, else residual mix, else grid average."""
    supplier = pl.col("supplier_kg_per_kwh").is_not_null()
    residual = pl.col("residual_factor_kg_per_kwh").is_not_null()
    average = pl.col("factor_kg_per_kwh").is_not_null()
    none = pl.lit(None)

    def first(of_supplier: pl.Expr, name: str) -> pl.Expr:
        chosen = pl.when(supplier).then(of_supplier).when(residual).then(pl.col(f"residual_{name}"))
        return chosen.when(average).then(pl.col(name)).otherwise(none)

    whole = pl.col("market_contract_share") >= 1
    unless_whole = {
        "market_rest_kg_per_kwh": first(pl.col("supplier_kg_per_kwh"), "factor_kg_per_kwh"),
        "market_rest_region": first(none, "factor_region"),
        "market_rest_year": first(none, "factor_year"),
        "market_rest_source": first(pl.col("supplier_source"), "factor_source"),
    }
    kind = first(pl.lit(SUPPLIER_KIND), "factor_kind")
    return [
        *(pl.when(~whole).then(value).alias(name) for name, value in unless_whole.items()),
        pl.when(whole).then(pl.lit(CONTRACT_KIND)).otherwise(kind).alias("market_rest_kind"),
    ]


def _market_factor() -> pl.Expr:
    share, contracts = pl.col("market_contract_share"), pl.col("contract_kg_per_kwh")
    mixed = contracts + (1 - share) * pl.col("market_rest_kg_per_kwh")
    return pl.when(share >= 1).then(contracts).otherwise(mixed).alias("market_factor_kg_per_kwh")
