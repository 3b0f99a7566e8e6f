"""Minutes are held in cells: it makes no difference how windows came, and what is free is used again."""

import polars as pl
from builders import a_meter, a_site
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.balance.held import Held, Windows
from agents.balance.minutes import HELD
from agents.balance.tree import Layout, SitePlan
from schemas.registry import Meter, MeterKind

MINUTE_MS = 60_000
METERS: list[Meter] = [a_meter("main"), a_meter("press", kind="sub_meter"), a_meter("pump", kind="sub_meter")]
LAYOUT = Layout.of(
    {
        "mill": ("acme", SitePlan.of(a_site("mill", *METERS))),
        "inn": ("acme", SitePlan.of(a_site("inn", a_meter("main")))),
    }
)
PLACES = [("mill", meter.id) for meter in METERS] + [("inn", "main")]


def a_row(place: tuple[str, str], minute: int, kwh: float, revision: int = 0, since: int = 7) -> dict[str, object]:
    return {
        "tenant_id": "acme",
        "site_id": place[0],
        "meter_id": place[1],
        "meter_kind": MeterKind.GRID.value,
        "window_start": minute * MINUTE_MS,
        "import_kwh": kwh,
        "export_kwh": None,
        "worst": 0,
        "window_revision": revision,
        "corrects": revision > 0,
        "since": since,
        "revision": revision,
        "fresh": True,
    }


def holding(*batches: list[dict[str, object]]) -> Held:
    held = Held(LAYOUT)
    for batch in batches:
        put(held, batch)
    return held


def put(held: Held, batch: list[dict[str, object]]) -> None:
    rows = pl.DataFrame(batch, schema=HELD, orient="row")
    held.put(Windows.of(rows, LAYOUT.find(rows["site_id"], rows["meter_id"])))


def all_of(held: Held) -> list[tuple[object, ...]]:
    return held.rows(held.pending()).rows()


WINDOW = st.builds(
    a_row,
    st.sampled_from(PLACES),
    st.integers(0, 3),
    st.sampled_from([0.0, 1.5, 40.0]),
    st.sampled_from([0, 0, 1, 2]),
    st.integers(1, 9),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(WINDOW, min_size=1, max_size=30), st.data())
def test_windows_may_come_at_once_or_one_after_the_other(rows: list[dict[str, object]], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(rows)))

    assert all_of(holding(rows)) == all_of(holding(rows[:cut], rows[cut:])) == all_of(holding(*([row] for row in rows)))


def test_a_revision_takes_the_place_of_what_it_revises_and_an_older_one_does_not():
    held = holding([a_row(PLACES[0], 0, 2.0, revision=1)], [a_row(PLACES[0], 0, 9.0, revision=0)])

    (found,) = held.rows(held.pending()).to_dicts()

    assert (found["import_kwh"], found["window_revision"], found["corrects"]) == (2.0, 1, True)


def test_a_minute_that_was_sent_and_gets_something_new_waits_from_then_on():
    held = holding([a_row(PLACES[0], 0, 2.0, since=3)])
    held.sent(held.pending())
    assert not len(held.pending())

    put(held, [a_row(PLACES[1], 0, 1.0, since=50)])

    assert [(row["since"], row["revision"]) for row in held.rows(held.pending()).to_dicts()] == [(50, 1)] * 2


def test_what_was_dropped_leaves_room_for_other_minutes_and_nothing_behind():
    held = holding([a_row(place, minute, 1.0) for place in PLACES for minute in range(40)])
    size = held.nbytes
    for begin in range(40, 400, 40):
        held.drop(held.pending())
        put(held, [a_row(PLACES[0], minute, 5.0) for minute in range(begin, begin + 40)])

    assert held.nbytes == size
    assert [(row["meter_id"], row["import_kwh"]) for row in held.rows(held.pending()).to_dicts()] == [
        ("main", 5.0)
    ] * 40
