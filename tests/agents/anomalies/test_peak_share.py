"""A works that moves its load into dear hours."""

from datetime import date, timedelta

import numpy as np
import pytest
from watched import MONDAY, REFERENCE, Load, a_works, at_ms, clock, days_of, later, learnt, told, usual_kw

from agents.pricing.pricing import Pricing

BEGINS = MONDAY + timedelta(98)  # 2026-08-17


def of(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [row for row in rows if row["kind"] == "peak_share"]


def share_of(first: date, days: int, load: Load) -> float:
    """Sharp and peak energy of the grid meter by its total, counted quarter hour by quarter hour."""
    pricing = Pricing(REFERENCE)
    pricing.learn([a_works()])
    dear = total = 0.0
    for number in range(days):
        day = first + timedelta(number)
        powers = load("main", day)
        assert powers is not None
        for quarter, kw in enumerate(powers.tolist()):
            period = pricing.terms({"mill": at_ms(day) + quarter * 900_000})["mill"].period
            total += kw / 4
            dear += kw / 4 if period in {"sharp", "peak"} else 0.0
    return dear / total


def test_a_shift_that_moves_into_the_evening_is_found_with_its_share_and_what_it_costs():
    agent = learnt(a_works(), days=98)
    rows = of(told(agent, days_of(a_works(), BEGINS, 12, later(BEGINS))))

    first, last = rows[0], rows[-1]
    assert first["status"] == "opened"
    assert (first["meter_id"], first["observed_kw"], first["expected_high_kw"]) == ("main", None, None)
    assert clock(first["opened_at"]) < "2026-08-22"
    assert clock(last["ts"]) == "2026-08-28 00:00"
    newest = share_of(BEGINS + timedelta(4), 7, later(BEGINS))
    before = share_of(BEGINS - timedelta(24), 28, later(BEGINS))
    assert last["observed_share"] == pytest.approx(newest, rel=1e-5)
    assert last["expected_share"] == pytest.approx(before, rel=1e-5)
    assert float(str(last["wasted_cny"])) > 0
    assert last["wasted_kg"] == 0
    assert "of the energy of mill in seven days fell into sharp and peak hours" in str(last["message_en"])


def test_a_tariff_that_changes_its_hours_with_the_season_raises_nothing():
    known = 60
    days = (date(2026, 12, 20) - MONDAY).days - known

    assert of(told(learnt(a_works(), days=known), days_of(a_works(), MONDAY + timedelta(known), days, usual_kw))) == []


def test_it_ends_when_the_load_moves_back():
    agent = learnt(a_works(), days=98)
    moved = later(BEGINS)

    def for_a_week(meter: str, day: date) -> "np.ndarray[tuple[int], np.dtype[np.float64]] | None":
        return moved(meter, day) if day < BEGINS + timedelta(7) else usual_kw(meter, day)

    rows = of(told(agent, days_of(a_works(), BEGINS, 30, for_a_week)))

    assert [row["status"] for row in rows if row["status"] != "updated"] == ["opened", "closed"]
    assert rows[-1]["end_reason"] == "normal_again"
