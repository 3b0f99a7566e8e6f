"""Weather and production go through metering as they are, and sites say what they are compared by."""

import polars as pl
import pytest
from builders import NOON, a_site, fed, rows_at, sent, site_at

from agents.metering.beside import passed_on
from agents.metering.step import Metering
from schemas.flow import Kind
from schemas.production import PRODUCTION_ROWS
from schemas.topics import SITE_PROFILE
from schemas.weather import WEATHER_ROWS


@pytest.mark.parametrize(
    ("kind", "columns", "measure"),
    [(Kind.WEATHER, WEATHER_ROWS, "outdoor_c"), (Kind.PRODUCTION, PRODUCTION_ROWS, "units_made")],
)
def test_they_are_passed_on_as_they_are_and_change_nothing(
    kind: Kind, columns: dict[str, pl.DataType], measure: str
) -> None:
    rows = pl.DataFrame([dict.fromkeys(columns) | {"site_id": "mill", "ts": NOON, measure: 3.5}], columns)
    agent = Metering(300)

    (outcome,) = fed(agent, [rows_at(kind, 1, rows)])

    (output,) = outcome.outputs
    assert (output.topic.name, output.kind) == ("energy.v1", kind)
    assert output.rows is not None
    assert output.rows.equals(rows)
    assert list(agent.changed()) == []


def test_nothing_else_is_passed_on() -> None:
    with pytest.raises(ValueError, match="only weather, production, feedback, zones and history"):
        passed_on(site_at(a_site()))


def test_a_site_says_once_per_revision_what_it_is_compared_by() -> None:
    mill = a_site(sector="textiles", floor_area_m2=1200.0, production_unit="t")

    outcomes = fed(Metering(300), [site_at(mill, 7, s=3), site_at(mill, 7, s=4), site_at(a_site(), 8, s=5)])

    about = {"tenant_id": "acme", "site_id": "mill"}
    assert sent(outcomes, None, SITE_PROFILE.name) == [
        about
        | {"id": "profile/mill/7", "ts": NOON + 3000, "sector": "textiles", "floor_area_m2": 1200.0}
        | {"production_unit": "t", "revision": 7},
        about
        | {"id": "profile/mill/8", "ts": NOON + 5000, "sector": None, "floor_area_m2": None}
        | {"production_unit": None, "revision": 8},
    ]
