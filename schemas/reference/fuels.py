"""Factors of Scope 1 fuels and purchased heat, and life-cycle factors of generation, as they are published."""

import csv
from collections.abc import Mapping
from io import StringIO
from typing import Annotated, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.reference.problems import Problem, ReferenceDataError, shape_problems

Text = Annotated[str, Field(min_length=1)]
Basis = Literal["CN_guideline", "IPCC2006", "DESNZ2024"]
Unit = Literal["t", "Nm3", "GJ", "kWh", "l"]

# What a published unit means: the unit of the quantity, kg per one of it, and the gas.
EF_UNITS: Mapping[str, tuple[Unit, float, str]] = {
    "tCO2/t": ("t", 1000.0, "CO2"),
    "tCO2/10^4 Nm3": ("Nm3", 0.1, "CO2"),
    "tCO2/GJ": ("GJ", 1000.0, "CO2"),
    "kgCO2/GJ (NCV)": ("GJ", 1.0, "CO2"),
    "kgCO2e/kWh (GCV)": ("kWh", 1.0, "CO2e"),
    "kgCO2e/litre": ("l", 1.0, "CO2e"),
}

FUEL_ROWS: dict[str, pl.DataType] = {
    "fuel": pl.String(),
    "basis": pl.String(),  # CN_guideline | IPCC2006 | DESNZ2024
    "unit": pl.String(),  # t | Nm3 | GJ (net calorific value) | kWh (gross) | l
    "kg_per_unit": pl.Float64(),
    "gas": pl.String(),  # CO2 or CO2e
    "source": pl.String(),
    "checked": pl.Int32(),  # 0 = never a default
}

LIFECYCLE_ROWS: dict[str, pl.DataType] = {
    "region_code": pl.String(),
    "technology": pl.String(),
    "year": pl.Int32(),
    "kg_co2e_per_kwh": pl.Float64(),
    "source": pl.String(),
    "checked": pl.Int32(),
}


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Fuel(_Row):
    fuel_code: Text
    name_en: Text
    name_zh: Text
    basis: Basis
    ncv: str
    ncv_unit: str
    carbon_tc_per_tj: str
    oxidation: str
    ef: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    ef_unit: Literal["tCO2/t", "tCO2/10^4 Nm3", "tCO2/GJ", "kgCO2/GJ (NCV)", "kgCO2e/kWh (GCV)", "kgCO2e/litre"]
    source: Text
    checked: Annotated[int, Field(ge=0)]
    seen_in: str
    note: str


class _Lifecycle(_Row):
    region_code: Text
    technology: Text
    technology_zh: Text
    year: Annotated[int, Field(ge=1990, le=2100)]
    kg_co2e_per_kwh: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
    source: Text
    checked: Annotated[int, Field(ge=0)]
    seen_in: str
    note: str


def parse_fuels(text: str, file: str) -> pl.DataFrame:
    """Read the fuel factors file (`FUEL_ROWS`).

    Raises
    ------
    ReferenceDataError
        With every problem found.
    """
    rows: list[tuple[str, str, str, float, str, str, int]] = []
    problems: list[Problem] = []
    for line, raw in _lines(text):
        try:
            row = _Fuel.model_validate(raw)
        except ValidationError as error:
            problems += shape_problems(file, f"line {line} ({raw.get('fuel_code')})", error)
            continue
        unit, kg, gas = EF_UNITS[row.ef_unit]
        rows.append((row.fuel_code, row.basis, unit, row.ef * kg, gas, row.source, row.checked))
    if problems:
        raise ReferenceDataError(problems)
    return pl.DataFrame(rows, schema=FUEL_ROWS, orient="row")


def parse_lifecycle(text: str, file: str) -> pl.DataFrame:
    """Read the life-cycle factors file (`LIFECYCLE_ROWS`).

    Raises
    ------
    ReferenceDataError
        With every problem found.
    """
    rows: list[dict[str, object]] = []
    problems: list[Problem] = []
    for line, raw in _lines(text):
        try:
            rows.append(_Lifecycle.model_validate(raw).model_dump(include=set(LIFECYCLE_ROWS)))
        except ValidationError as error:
            problems += shape_problems(file, f"line {line} ({raw.get('technology')})", error)
    if problems:
        raise ReferenceDataError(problems)
    return pl.DataFrame(rows, schema=LIFECYCLE_ROWS)


def _lines(text: str) -> list[tuple[int, dict[str, object]]]:
    reader = csv.DictReader(StringIO(text, newline=""), restkey="(extra)")
    return [(reader.line_num, dict(raw)) for raw in reader]
