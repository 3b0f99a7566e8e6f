"""What would have come out with other reference data."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from agents.pricing.pricing import Reference
from schemas.reference.catalogue import load_regions
from schemas.reference.factors import parse_factors
from schemas.reference.tariffs import parse_tariffs

FACTORS, TARIFFS = "factors", "tariffs"
BY = ("total", "month", "day")

_KEPT = ["tenant_id", "site_id", "ts", "revision", "import_kwh", "emitted_kg", "cost_cny"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A site's period with both.

    Parameters
    ----------
    period
        First local day or month, ISO 8601; `total` for all of it.
    kg, cny
        With the reference data in force; None where not all of it is known. [kg], [CNY]
    other_kg, other_cny
        With the other. [kg], [CNY]
    """

    tenant_id: str
    site_id: str
    period: str
    import_kwh: float
    kg: float | None
    other_kg: float | None
    cny: float | None
    other_cny: float | None

    @property
    def difference_kg(self) -> float | None:
        """What would be added. [kg]"""
        return None if self.kg is None or self.other_kg is None else self.other_kg - self.kg

    @property
    def difference_cny(self) -> float | None:
        """What would be added. [CNY]"""
        return None if self.cny is None or self.other_cny is None else self.other_cny - self.cny


def with_files(reference: Reference, files: Mapping[str, Path], named: str = "what-if") -> Reference:
    """Return reference data with parts of it from files.

    Parameters
    ----------
    reference
        What is in force.
    files
        `factors`: CSV as schemas/reference/emission_factors.csv; its rows replace those of the same region, year and
        kind, and add what is new. `tariffs`: JSON as schemas/reference/tariffs.json; its plans replace those of the
        same id.
    named
        First part of its version; the second is a hash of the files.

    Raises
    ------
    ReferenceDataError
        With every problem of the files.
    """
    texts = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
    digest = hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()
    version = f"{named}+{digest[:12]}"
    factors, plans = reference.factors, dict(reference.plans)
    if FACTORS in texts:
        given = parse_factors(texts[FACTORS], files[FACTORS].name, load_regions(), version)
        stated = given.filter(pl.col("year").is_not_null())
        key = ["region_code", "year", "kind"]
        factors = pl.concat([factors.join(stated, on=key, how="anti", maintain_order="left"), stated])
    if TARIFFS in texts:
        regions = frozenset(load_regions()["region_code"])
        plans |= parse_tariffs(texts[TARIFFS], files[TARIFFS].name, regions)
    return Reference(factors, plans, version)


def differences(
    emissions: Iterable[tuple[pl.DataFrame, pl.DataFrame]], zones: Mapping[str, str], by: str
) -> list[Difference]:
    """Add up what came out with both.

    Parameters
    ----------
    emissions
        `EMISSION_RECORD` with the reference data in force, and with the other; of a minute the highest revision counts.
    zones
        Time zone of each site.
    by
        `total`, `month` or `day`, local time.
    """
    both = [[part.select(_KEPT) for part in pair] for pair in emissions]
    if not both:
        return []
    mine, other = (_summed(pl.concat(parts), zones, by) for parts in zip(*both, strict=True))
    key = ["tenant_id", "site_id", "period"]
    joined = mine.join(other.drop("import_kwh").rename({"kg": "other_kg", "cny": "other_cny"}), on=key, how="left")
    columns = [*key, "import_kwh", "kg", "other_kg", "cny", "other_cny"]
    return [Difference(*row) for row in joined.sort(key).select(columns).iter_rows()]


def _summed(rows: pl.DataFrame, zones: Mapping[str, str], by: str) -> pl.DataFrame:
    minutes = rows.sort("revision").unique(["site_id", "ts"], keep="last")
    moment = pl.from_epoch("ts", "ms").dt.replace_time_zone("UTC")
    period = pl.lit("total")
    if by != "total":
        day = pl.lit(None, pl.Date())
        for zone in sorted(set(zones.values())):
            mine = [site for site, where in zones.items() if where == zone]
            local = moment.dt.convert_time_zone(zone).dt.date()
            day = pl.when(pl.col("site_id").is_in(mine)).then(local).otherwise(day)
        period = day.dt.strftime("%Y-%m" if by == "month" else "%Y-%m-%d")
    return (
        minutes.with_columns(period=period)
        .group_by("tenant_id", "site_id", "period")
        .agg(pl.col("import_kwh").sum(), kg=_whole("emitted_kg"), cny=_whole("cost_cny"))
    )


def _whole(name: str) -> pl.Expr:
    """Sum of a column, null where energy was drawn and a part of it has no value."""
    unknown = (pl.col(name).is_null() & pl.col("import_kwh").is_not_null()).any()
    return pl.when(~unknown).then(pl.col(name).sum())


@dataclass(frozen=True, slots=True)
class BillDifference:
    """A site's bill of a day or month with both, as it stood where the period ended.

    Parameters
    ----------
    span, first_day
        `day` or `month`, and its first local day.
    parts
        Name of each part, its amount with the reference data in force, and with the other; None where not all of it is
        known. [CNY]
    """

    tenant_id: str
    site_id: str
    span: str
    first_day: str
    energy_kwh: float
    parts: tuple[tuple[str, float | None, float | None], ...]


# What a bill consists of, and the column of each part.
BILL_PARTS: Mapping[str, str] = {
    "energy": "energy_cny",
    "network": "network_cny",
    "funds": "funds_cny",
    "demand": "basic_fee_cny",
    "adjustment": "power_factor_cny",
    "total": "total_cny",
}


def bill_differences(ledgers: Iterable[tuple[pl.DataFrame, ...]], by: str) -> list[BillDifference]:
    """Put the bills that came out with both side by side.

    Parameters
    ----------
    ledgers
        `LEDGER_RECORD` with the reference data in force, and with the other; of a span the highest revision counts.
    by
        `day` for days; else months.
    """
    both = list(ledgers)
    if not both:
        return []
    key = ["tenant_id", "site_id", "first_day"]
    mine, other = (
        pl.concat(parts)
        .filter(pl.col("span") == ("day" if by == "day" else "month"))
        .sort("revision")
        .unique(key, keep="last")
        .select(*key, "span", "energy_kwh", *BILL_PARTS.values())
        for parts in zip(*both, strict=True)
    )
    joined = mine.join(other, on=key, how="left", suffix="_other").sort(key)
    return [
        BillDifference(
            row["tenant_id"],
            row["site_id"],
            row["span"],
            row["first_day"],
            row["energy_kwh"],
            tuple((name, row[column], row[f"{column}_other"]) for name, column in BILL_PARTS.items()),
        )
        for row in joined.iter_rows(named=True)
    ]
