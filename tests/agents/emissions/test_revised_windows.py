"""Revised windows replace what was said of their minute, and are never added to it."""

import pytest
from builders import NOON, a_meter, a_site, fed, rows_at, sent, site_at, tick_at, windows

from agents.emissions.step import HOLD_MS, Emissions
from agents.pricing.pricing import Reference
from schemas.flow import Kind, Message, Outcome
from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_tariffs
from schemas.topics import EMISSIONS, SITE_LIVE

HOLD_S = HOLD_MS / 1000
TWO_METERS = a_site("mill", a_meter("main"), a_meter("second"))


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference(load_factors(), load_tariffs(), REFERENCE_VERSION)


@pytest.fixture
def agent(reference: Reference) -> Emissions:
    return Emissions(reference)


def closed(*rows: dict[str, object], s: float = 0) -> Message:
    return rows_at(Kind.WINDOWS, s, windows(*rows))


def revised(kwh: float, before: float | None, **given: object) -> dict[str, object]:
    return {"import_kwh": kwh, "previous_import_kwh": before, "revision": 1} | given


def records(outcomes: list[Outcome]) -> list[tuple[object, ...]]:
    return [
        (row["revision"], row["import_kwh"], row["quality"], row["meters"], row["meters_missing"])
        for row in sent(outcomes, None, EMISSIONS.name)
    ]


def totals(outcomes: list[Outcome]) -> tuple[object, object, object]:
    newest = sent(outcomes, None, SITE_LIVE.name)[-1]
    return newest["today_kwh"], newest["month_kwh"], newest["today_kg"]


def test_a_revised_window_makes_a_revised_minute(agent: Emissions):
    first = closed({"import_kwh": 2.0, "quality": "estimated"})

    outcomes = fed(agent, [site_at(a_site()), first, tick_at(0), closed(revised(3.0, 2.0), s=1), tick_at(1)])

    assert records(outcomes) == [(0, 2.0, "estimated", 1, 0), (1, 3.0, "measured", 1, 0)]
    assert [row["id"] for row in sent(outcomes, None, EMISSIONS.name)][1] == f"emissions/mill/{NOON}/1"


def test_totals_take_the_difference_of_a_revision(agent: Emissions):
    first = closed({"import_kwh": 2.0}, {"import_kwh": 4.0, "minute": 1})

    outcomes = fed(agent, [site_at(a_site()), first, tick_at(0), closed(revised(3.0, 2.0), s=1), tick_at(1)])

    assert totals(outcomes) == (pytest.approx(7.0), pytest.approx(7.0), pytest.approx(7.0 * 0.5153))


def test_a_window_that_was_never_sent_before_is_added_whole(agent: Emissions):
    outcomes = fed(agent, [site_at(a_site()), closed(revised(3.0, None)), tick_at(0)])

    assert totals(outcomes)[0] == 3.0
    assert records(outcomes) == [(1, 3.0, "measured", 1, 0)]


def test_of_several_meters_the_others_are_kept_while_one_is_estimated(agent: Emissions):
    first = closed({"import_kwh": 2.0, "quality": "estimated"}, {"meter_id": "second", "import_kwh": 5.0})

    outcomes = fed(agent, [site_at(TWO_METERS), first, tick_at(0), closed(revised(3.0, 2.0), s=1), tick_at(1)])

    assert records(outcomes) == [(0, 7.0, "estimated", 2, 0), (1, 8.0, "measured", 2, 0)]
    assert totals(outcomes)[0] == pytest.approx(8.0)


def test_a_minute_without_one_meter_is_revised_by_both(agent: Emissions):
    first = closed({"import_kwh": 2.0, "quality": "estimated"})
    later = closed({"meter_id": "second", "import_kwh": 5.0}, s=HOLD_S + 2)

    outcomes = fed(
        agent,
        [
            site_at(TWO_METERS),
            first,
            tick_at(HOLD_S + 1),
            closed(revised(3.0, 2.0), s=HOLD_S + 1),
            tick_at(HOLD_S + 2),
            later,
            tick_at(HOLD_S + 3),
        ],
    )

    assert [row[:2] for row in records(outcomes)] == [(0, 2.0), (1, 3.0), (2, 8.0)]
    assert [row[4] for row in records(outcomes)] == [1, 1, 0]


def test_a_revision_in_the_tick_of_its_window_counts_once(agent: Emissions):
    first = closed({"import_kwh": 2.0, "quality": "estimated"})

    outcomes = fed(agent, [site_at(a_site()), first, closed(revised(3.0, 2.0), s=1), tick_at(1)])

    assert records(outcomes) == [(1, 3.0, "measured", 1, 0)]
    assert totals(outcomes)[0] == pytest.approx(3.0)


def test_a_revision_survives_a_restart_in_front_of_it(agent: Emissions, reference: Reference):
    first = closed({"import_kwh": 2.0, "quality": "estimated"}, {"meter_id": "second", "import_kwh": 5.0})
    fed(agent, [site_at(TWO_METERS), first, tick_at(0)])
    again = Emissions(reference)
    again.restore(agent.snapshot())

    assert records(fed(again, [closed(revised(3.0, 2.0), s=1), tick_at(1)])) == [(1, 8.0, "measured", 2, 0)]


def test_a_revision_of_a_minute_that_is_no_longer_held_does_not_stand_for_all_meters(agent: Emissions):
    outcomes = fed(agent, [site_at(TWO_METERS), closed(revised(3.0, 2.0)), tick_at(0), tick_at(HOLD_S + 1)])

    assert records(outcomes) == []
