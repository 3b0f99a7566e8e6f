"""Carbon of fuels and purchased heat (Scope 1, and heat of Scope 2), and emissions avoided by on-site generation."""

from collections.abc import Mapping
from datetime import datetime, time

import polars as pl

from agents.pricing.carbon import MIN_CHECKED, Quantity
from schemas.activity import HEAT, UNITS, Activity
from schemas.registry import Site

# Whose factors are used where an activity names none: those an inspector of the country expects.
BASIS_BY_COUNTRY: Mapping[str, str] = {"CN": "CN_guideline", "GB": "DESNZ2024"}
OTHER_BASIS = "IPCC2006"


class NoFactor(ValueError):
    """There is no checked factor for an activity."""


def record_of(activity: Activity, site: Site, fuels: pl.DataFrame, version: str) -> dict[str, object]:
    """Return the record of an activity (`schemas.activity.ACTIVITY_RECORD`).

    Parameters
    ----------
    activity
        What was burned or bought.
    site
        Where.
    fuels
        Rows of `schemas.reference.catalogue.load_fuels`.
    version
        Version of the reference data.

    Raises
    ------
    NoFactor
        If the fuel has no checked factor for this unit; it says which units there are.

    Examples
    --------
    >>> from schemas.reference.catalogue import load_fuels
    >>> load_fuels().filter(fuel="natural_gas", basis="CN_guideline")["kg_per_unit"].round(5).to_list()  # kg/Nm3
    [2.16219]
    """
    unit, many = UNITS[activity.unit]
    basis = activity.basis or BASIS_BY_COUNTRY.get(site.country, OTHER_BASIS)
    usable = fuels.filter(pl.col("fuel") == activity.fuel, pl.col("basis") == basis, pl.col("checked") >= MIN_CHECKED)
    fitting = usable.filter(pl.col("unit") == unit)
    if fitting.is_empty():
        units = ", ".join(sorted(usable["unit"].unique())) or "another basis"
        raise NoFactor(f"there is no checked factor of {activity.fuel} per {unit} by {basis}; expected {units}")
    factor = fitting.row(0, named=True)
    midnight = datetime.combine(activity.first_day, time(), tzinfo=site.zone_info)
    return {
        "id": f"activity/{site.id}/{activity.id}",
        "tenant_id": site.tenant,
        "site_id": site.id,
        "ts": int(midnight.timestamp() * 1000),
        "activity_id": activity.id,
        "scope": "2-heat" if activity.fuel == HEAT else "1",
        "fuel": activity.fuel,
        "quantity": activity.quantity,
        "unit": activity.unit,
        "first_day": activity.first_day.isoformat(),
        "last_day": activity.last_day.isoformat(),
        "emitted_kg": activity.quantity * many * factor["kg_per_unit"],
        "factor_kg_per_unit": factor["kg_per_unit"],
        "factor_unit": unit,
        "factor_basis": basis,
        "factor_source": factor["source"],
        "factor_checked": factor["checked"],
        "gas": factor["gas"],
        "reference_version": version,
    }


def avoided_kg(generated_kwh: Quantity, baseline_kg_per_kwh: Quantity, lifecycle_kg_per_kwh: float = 0.0) -> Quantity:
    """Emissions that on-site generation avoided elsewhere: outside the inventory, never netted against Scope 1 to 3.

    Parameters
    ----------
    generated_kwh
        Generation. [kWh]
    baseline_kg_per_kwh
        What the same energy would have caused: here the grid average of the province, the conservative choice of
        Chinese statements. Whoever shows the result states the baseline. [kg/kWh]
    lifecycle_kg_per_kwh
        Life-cycle emissions of the generation itself, for a net claim. [kg/kWh]

    Returns
    -------
    Quantity
        Avoided emissions. [kg]

    Examples
    --------
    >>> round(avoided_kg(2_210_000.0, 0.5153)), round(avoided_kg(2_210_000.0, 0.5153, 0.0545))
    (1138813, 1018368)
    """
    return generated_kwh * (baseline_kg_per_kwh - lifecycle_kg_per_kwh)
