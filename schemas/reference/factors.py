"""Emission factors and the regions they are for."""

import csv
import re
from collections.abc import Callable, Iterable
from io import StringIO
from typing import Annotated, Literal, TypeVar

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.reference.problems import Problem, ReferenceDataError, shape_problems

Text = Annotated[str, Field(min_length=1)]
RegionCode = Annotated[str, Field(pattern=r"^[A-Z]{2}(-[A-Z0-9]+)*$")]
Kind = Literal["average", "residual", "fossil", "reporting"]

KNOWN_REGION = "a country, or a region or grid of regions.csv"
COUNTRY = re.compile(r"^[A-Z]{2}$")

REGION_ROWS: dict[str, pl.DataType] = {
    "region_code": pl.String(),  # ISO 3166-2 province
    "region_name_en": pl.String(),
    "region_name_zh": pl.String(),
    "grid_code": pl.String(),  # regional grid it belongs to; our own code, not ISO
    "note": pl.String(),
}

FACTOR_ROWS: dict[str, pl.DataType] = {
    "region_code": pl.String(),
    "grid_code": pl.String(),  # null for countries and for the regional grids themselves
    "year": pl.Int32(),  # null in the one row of a region that has no factor of its own
    "kind": pl.String(),  # average | residual | fossil | reporting: never mixed in one total
    "kg_co2_per_kwh": pl.Float64(),
    "source": pl.String(),
    "checked": pl.Int32(),  # independent sources seen to agree; 0 = never a default
    "gas": pl.String(),  # CO2 or CO2e
    "reference_version": pl.String(),
}


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Region(_Row):
    region_code: RegionCode
    region_name_en: Text
    region_name_zh: Text
    grid_code: RegionCode
    note: str


class _Factor(_Row):
    region_code: RegionCode
    region_name_en: Text
    region_name_zh: Text
    year: Annotated[int, Field(ge=1990, le=2100)]
    kind: Kind
    kg_co2_per_kwh: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
    source: Text
    checked: Annotated[int, Field(ge=0)]
    seen_in: str
    gas: Literal["CO2", "CO2e"]
    note: str


RowModel = TypeVar("RowModel", bound=_Row)


def parse_regions(text: str, file: str) -> pl.DataFrame:
    """Read the regions file.

    Parameters
    ----------
    text
        CSV with the columns of `REGION_ROWS`.
    file
        Name of the file, for messages.

    Returns
    -------
    polars.DataFrame
        `REGION_ROWS`.

    Raises
    ------
    ReferenceDataError
        With every problem found.
    """
    rows, problems = _rows(text, file, _Region, lambda raw: str(raw.get("region_code") or "?"))
    problems += _repeated(file, ((row.region_code, "region_code", row.region_code) for row in rows))
    if problems:
        raise ReferenceDataError(problems)
    return pl.DataFrame([row.model_dump() for row in rows], schema=REGION_ROWS)


def parse_factors(text: str, file: str, regions: pl.DataFrame, reference_version: str) -> pl.DataFrame:
    """Read the emission factors file.

    Parameters
    ----------
    text
        CSV, one row per region, year and kind.
    file
        Name of the file, for messages.
    regions
        `REGION_ROWS`.
    reference_version
        Version that every row will carry.

    Returns
    -------
    polars.DataFrame
        `FACTOR_ROWS`. A region without any factor of its own has one row without year and factor, so that its
        grid is known.

    Raises
    ------
    ReferenceDataError
        With every problem found.
    """
    rows, problems = _rows(text, file, _Factor, _factor_entry)
    known = {*regions["region_code"], *regions["grid_code"]}
    problems += [
        Problem(file, _factor_entry(row.model_dump()), "region_code", KNOWN_REGION)
        for row in rows
        if row.region_code not in known and not COUNTRY.match(row.region_code)
    ]
    entries = ((_factor_entry(row.model_dump()), "year", f"{row.region_code} {row.year} {row.kind}") for row in rows)
    problems += _repeated(file, entries)
    if problems:
        raise ReferenceDataError(problems)
    columns = {name: dtype for name, dtype in FACTOR_ROWS.items() if name in _Factor.model_fields}
    own = pl.DataFrame([row.model_dump(include=set(columns)) for row in rows], schema=columns)
    without_own = regions.select("region_code").join(own, on="region_code", how="anti")
    return (
        pl.concat([own, without_own], how="diagonal")
        .join(regions.select("region_code", "grid_code"), on="region_code", how="left", maintain_order="left")
        .with_columns(reference_version=pl.lit(reference_version))
        .select(*FACTOR_ROWS)
    )


def _factor_entry(raw: dict[str, object]) -> str:
    return " ".join(str(raw.get(name) or "?") for name in ("region_code", "year", "kind"))


def _rows(
    text: str, file: str, model: type[RowModel], name_of: Callable[[dict[str, object]], str]
) -> tuple[list[RowModel], list[Problem]]:
    reader = csv.DictReader(StringIO(text, newline=""), restkey="(extra)")
    expected = list(model.model_fields)
    if list(reader.fieldnames or ()) != expected:
        found = ", ".join(reader.fieldnames or ())
        return [], [Problem(file, "line 1", "(header)", f"the columns {', '.join(expected)}, found {found}")]
    rows: list[RowModel] = []
    problems: list[Problem] = []
    for raw in reader:
        entry = f"line {reader.line_num} ({name_of(dict(raw))})"
        try:
            rows.append(model.model_validate(raw))
        except ValidationError as error:
            problems += shape_problems(file, entry, error)
    return rows, problems


def _repeated(file: str, entries: Iterable[tuple[str, str, str]]) -> list[Problem]:
    seen: set[str] = set()
    problems = []
    for entry, field, key in entries:
        if key in seen:
            problems.append(Problem(file, entry, field, "one row per key, found it twice"))
        seen.add(key)
    return problems
