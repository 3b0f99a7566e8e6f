"""Today's and the month's totals, and the live figures of a site."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from builders import NOON, ZHEJIANG, a_meter, a_site, fed, ms, rows_at, sent, site_at, tick_at, windows
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.emissions.step import Emissions
from agents.pricing.pricing import Reference
from schemas.contract import Tariff
from schemas.emission import LIVE_RECORD
from schemas.flow import Kind, Message, Outcome
from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_tariffs
from schemas.topics import EMISSIONS, SITE_LIVE
from schemas.window import LIVE_ROWS

REFERENCE = Reference(load_factors(), load_tariffs(), REFERENCE_VERSION)


@pytest.fixture
def agent() -> Emissions:
    return Emissions(REFERENCE)


def live(outcomes: list[Outcome]) -> list[dict[str, object]]:
    return sent(outcomes, None, SITE_LIVE.name)


def day_of(record: dict[str, object]) -> tuple[object, object, object]:
    return record["day"], record["today_kwh"], record["month_kwh"]


def closed(*starts: int, s: float = 0, **given: object) -> Message:
    return rows_at(Kind.WINDOWS, s, windows(*({"window_start": start} | given for start in starts)))


def moved(s: float, power_kw: float | None, open_kwh: float | None = 0.0, meter: str = "main") -> Message:
    row = {
        "tenant_id": "acme",
        "site_id": "mill",
        "meter_id": meter,
        "meter_kind": "grid",
        "ts": NOON + round(s * 1000),
        "power_kw": power_kw,
        "open_import_kwh": open_kwh,
    }
    return rows_at(Kind.LIVE, s, pl.DataFrame([row], schema=LIVE_ROWS, orient="row"))


def test_a_new_day_begins_at_midnight_of_the_site(agent: Emissions):
    before, after = ms(2026, 7, 15, 15, 59), ms(2026, 7, 15, 16, 0)  # 23:59 and 00:00 in Zhejiang

    outcomes = fed(agent, [site_at(a_site()), closed(before), tick_at(0), closed(after, s=1), tick_at(1)])

    assert [day_of(one) for one in live(outcomes)] == [("2026-07-15", 2.5, 2.5), ("2026-07-16", 2.5, 5.0)]


def test_a_new_month_begins_at_midnight_of_the_site(agent: Emissions):
    before, after = ms(2026, 6, 30, 15, 59), ms(2026, 6, 30, 16, 0)

    outcomes = fed(agent, [site_at(a_site()), closed(before, after), tick_at(0)])

    assert [day_of(one) for one in live(outcomes)] == [("2026-07-01", 2.5, 2.5)]


def test_a_day_of_a_zone_with_summer_time_has_its_own_length(agent: Emissions):
    berlin = a_site(time_zone="Europe/Berlin")
    day = [ms(2026, 3, 28, 23) + hour * 3_600_000 for hour in range(24)]  # the 29th has 23 hours there

    outcomes = fed(agent, [site_at(berlin), closed(*day[:23]), tick_at(0), closed(day[23], s=1), tick_at(1)])

    assert [day_of(one) for one in live(outcomes)] == [("2026-03-29", 57.5, 57.5), ("2026-03-30", 2.5, 60.0)]


def test_a_late_window_counts_for_its_month_and_not_for_today(agent: Emissions):
    today, yesterday, last_month = ms(2026, 7, 15), ms(2026, 7, 14), ms(2026, 6, 30)

    outcomes = fed(
        agent, [site_at(a_site()), closed(today), tick_at(0), closed(yesterday, last_month, s=1), tick_at(1)]
    )

    assert day_of(live(outcomes)[-1]) == ("2026-07-15", 2.5, 5.0)
    assert live(outcomes)[-1]["settled_until"] == today + 60_000


def test_an_unknown_price_makes_the_money_of_the_day_unknown_and_nothing_else(agent: Emissions):
    unpriced = a_site(tariff=Tariff(plan=ZHEJIANG))

    (record,) = live(fed(agent, [site_at(unpriced), closed(NOON), tick_at(0)]))

    assert (record["today_cny"], record["month_cny"]) == (None, None)
    assert record["today_kg"] == pytest.approx(2.5 * 0.5153)


def test_totals_stay_unknown_until_the_next_day(agent: Emissions):
    outcomes = fed(
        agent,
        [
            site_at(a_site(tariff=Tariff(plan=ZHEJIANG))),
            closed(NOON),
            tick_at(0),
            site_at(a_site(), revision=2),
            closed(NOON + 60_000, s=1),
            tick_at(1),
            closed(NOON + 86_400_000, s=2),
            tick_at(2),
        ],
    )

    assert [one["today_cny"] is None for one in live(outcomes)] == [True, True, False]
    assert [one["month_cny"] is None for one in live(outcomes)] == [True, True, True]


def test_power_is_priced_by_the_hour(agent: Emissions):
    outcomes = fed(agent, [site_at(a_site()), moved(s=6.5 * 3600, power_kw=100.0), tick_at(0)])  # 18:30 there

    (record,) = live(outcomes)
    assert (record["power_kw"], record["period"]) == (100.0, "sharp")
    assert record["kg_per_h"] == pytest.approx(51.53)
    assert record["cny_per_h"] == pytest.approx(123.176)
    assert record["day"] is None


def test_live_figures_of_grid_meters_are_added_up(agent: Emissions):
    site = a_site("mill", a_meter("main"), a_meter("second"))

    (record,) = live(fed(agent, [site_at(site), moved(1, 10.0, 0.5), moved(2, 20.0, 0.25, "second"), tick_at(2)]))

    assert (record["power_kw"], record["open_kwh"], record["ts"]) == (30.0, 0.75, NOON + 2000)


def test_what_a_site_delivers_is_no_negative_carbon(agent: Emissions):
    site = a_site("mill", a_meter("main"), a_meter("second"))

    (record,) = live(fed(agent, [site_at(site), moved(1, 40.0), moved(1, -100.0, meter="second"), tick_at(1)]))

    assert record["power_kw"] == -60.0
    assert record["kg_per_h"] == pytest.approx(40 * 0.5153)


def test_a_window_that_closed_by_waiting_says_nothing_about_power(agent: Emissions):
    outcomes = fed(agent, [site_at(a_site()), moved(1, 40.0, 0.5), tick_at(1), moved(1, None, 0.0), tick_at(100)])

    assert [(one["power_kw"], one["open_kwh"]) for one in live(outcomes)] == [(40.0, 0.5), (40.0, 0.0)]


def test_a_meter_that_left_the_grid_connection_counts_no_more(agent: Emissions):
    site = a_site("mill", a_meter("main"), a_meter("second"))
    fed(agent, [site_at(site), moved(1, 40.0), moved(1, 100.0, meter="second"), tick_at(1)])

    outcomes = fed(agent, [site_at(a_site(), revision=2), moved(2, 41.0), tick_at(2)])

    assert [one["power_kw"] for one in live(outcomes)] == [41.0]


def test_a_site_is_sent_at_most_once_a_tick_and_only_when_it_moved(agent: Emissions):
    outcomes = fed(agent, [site_at(a_site()), moved(1, 1.0), moved(1.5, 2.0), closed(NOON), tick_at(2), tick_at(3)])

    assert [one["power_kw"] for one in live(outcomes)] == [2.0]


def test_a_live_record_has_every_column_of_its_contract(agent: Emissions):
    outcomes = fed(agent, [site_at(a_site()), moved(1, 1.0), tick_at(2)])

    (output,) = [one for outcome in outcomes for one in outcome.outputs if one.topic is SITE_LIVE]
    assert dict(output.rows.schema) == LIVE_RECORD
    assert output.rows["id"].to_list() == [f"site.live/mill/{NOON + 2000}"]


@settings(max_examples=15, deadline=None)
@given(
    starts=st.lists(st.integers(0, 4 * 1440 - 1), unique=True, min_size=1, max_size=30),
    kwh=st.floats(0, 500, allow_subnormal=False),
    ticks=st.sets(st.integers(0, 29)),
    zone=st.sampled_from(["Asia/Shanghai", "Asia/Kolkata", "America/St_Johns"]),
)
def test_records_add_up_to_the_totals_of_the_day_and_the_month(
    starts: list[int], kwh: float, ticks: set[int], zone: str
) -> None:
    agent = Emissions(REFERENCE)
    first = ms(2026, 6, 29)
    messages = [site_at(a_site(time_zone=zone))]
    for place, minute in enumerate(starts):
        messages.append(closed(first + minute * 60_000, s=place, import_kwh=kwh + place))
        if place in ticks:
            messages.append(tick_at(place))

    outcomes = fed(agent, [*messages, tick_at(100)])

    newest = live(outcomes)[-1]
    month = str(newest["day"])[:7]
    for period, days in (("today", newest["day"]), ("month", month)):
        records = [one for one in sent(outcomes, None, EMISSIONS.name) if local_day(one, zone).startswith(str(days))]
        assert newest[f"{period}_kwh"] == pytest.approx(sum(one["import_kwh"] for one in records))
        assert newest[f"{period}_kg"] == pytest.approx(sum(one["emitted_kg"] for one in records))
        assert newest[f"{period}_cny"] == pytest.approx(sum(one["cost_cny"] for one in records))


def local_day(record: dict[str, object], zone: str) -> str:
    moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(str(record["ts"])))
    return moment.astimezone(ZoneInfo(zone)).date().isoformat()
