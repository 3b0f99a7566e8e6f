"""Activities: fuel that was burned and heat that was bought, as a site reports them, and the carbon they caused."""

from datetime import date
from typing import Annotated, Literal, Self

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.entry import Id
from schemas.reference.fuels import Basis

HEAT = "heat"

# Units an activity may be given in: the unit of the factors, and how many of them one is.
UNITS: dict[str, tuple[str, float]] = {
    "t": ("t", 1.0),
    "kg": ("t", 0.001),
    "Nm3": ("Nm3", 1.0),
    "10^4 Nm3": ("Nm3", 10_000.0),
    "GJ": ("GJ", 1.0),
    "kWh": ("kWh", 1.0),
    "MWh": ("kWh", 1000.0),
    "l": ("l", 1.0),
}


class Activity(BaseModel):
    """One activity of a site; the same id again replaces it.

    Parameters
    ----------
    id
        Unique within the site, e.g. the number of the invoice.
    fuel
        A fuel of the reference data, or `heat`.
    first_day, last_day
        Local days it is for, both included.
    basis
        Whose factor to use; empty for that of the site's country.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Id
    site_id: Id
    fuel: Annotated[str, Field(min_length=1)]
    quantity: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    unit: Literal["t", "kg", "Nm3", "10^4 Nm3", "GJ", "kWh", "MWh", "l"]
    first_day: date
    last_day: date
    basis: Basis | Literal[""] = ""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last_day < self.first_day:
            raise PydanticCustomError("days", "expected last_day not before first_day")
        return self


# One record per activity on activity.v1; `ts` is the local midnight of its first day, in ms UTC.
ACTIVITY_RECORD: dict[str, pl.DataType] = {
    "id": pl.String(),  # activity/<site>/<activity>
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "ts": pl.Int64(),
    "activity_id": pl.String(),
    "scope": pl.String(),  # 1, or 2-heat: never added to electricity without saying so
    "fuel": pl.String(),
    "quantity": pl.Float64(),
    "unit": pl.String(),
    "first_day": pl.String(),  # ISO 8601
    "last_day": pl.String(),
    "emitted_kg": pl.Float64(),
    "factor_kg_per_unit": pl.Float64(),
    "factor_unit": pl.String(),
    "factor_basis": pl.String(),
    "factor_source": pl.String(),
    "factor_checked": pl.Int32(),
    "gas": pl.String(),  # CO2 or CO2e
    "reference_version": pl.String(),
}
