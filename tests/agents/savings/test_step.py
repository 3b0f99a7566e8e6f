"""The agent: registry entries, windows and weather in; once a day what is shown, or how long until it is."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from agents.savings.closed_days import Figure
from agents.savings.local import quarters_of
from agents.savings.state import from_bytes
from agents.savings.step import Savings
from agents.switching.blocks import Blocks
from bench.savings import SHANGHAI, a_site, an_agent, messages
from schemas.flow import Kind, Message, SiteRecord
from schemas.production import PRODUCTION_ROWS
from schemas.registry import Site
from schemas.saving import SAVING_RECORD

FIRST = date(2026, 2, 2)  # a Monday
STARTS = date(2026, 3, 2)
QUARTER_MS = 900_000
Records = list[dict[str, object]]
Power = Callable[[str, date], float]  # mean power of a meter on a local day [kW]


def outdoor_c(day: date) -> float:
    return 22.0 + 8.0 * float(np.sin(day.toordinal() * 0.9)) + day.toordinal() % 3


def usual_kw(meter: str, day: date) -> float:
    """Cooling by the weather, with some per cent that nobody can foretell; the grid meter has 5 kW more."""
    noise = float(np.random.default_rng(day.toordinal()).uniform(0.97, 1.03))
    hvac = (10.0 + 1.5 * max(0.0, outdoor_c(day) - 18.0)) * noise
    return hvac + (5.0 if meter == "main" else 0.0)


def saving(share: float, on: Callable[[date], bool]) -> Power:
    """The zone takes so much less on some days, and the grid meter with it."""

    def power(meter: str, day: date) -> float:
        less = share * usual_kw("hvac", day) if on(day) else 0.0
        return usual_kw(meter, day) - less

    return power


def days_of(
    site: Site, first: date, count: int, power: Power = usual_kw, meters: Sequence[str] = ("main", "hvac")
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Windows of a quarter hour and hourly weather, a local day at a time; the shape is flat from 06:00 to 18:00."""
    kinds = {meter.id: meter.kind.value for meter in site.meters}
    for day in (first + timedelta(number) for number in range(count)):
        begin, end = quarters_of(site.time_zone, day.toordinal())
        quarters = np.arange(begin, end)
        shape = np.where((quarters - begin >= 24) & (quarters - begin < 72), 2.0, 0.0)
        windows = [
            pl.DataFrame({"window_start": quarters * QUARTER_MS, "import_kwh": shape * power(meter, day) / 4})
            .with_columns(site_id=pl.lit(site.id), meter_id=pl.lit(meter), meter_kind=pl.lit(kinds[meter]))
            .with_columns(window_s=900)
            for meter in meters
        ]
        weather = pl.DataFrame({"ts": quarters[::4] * QUARTER_MS}).with_columns(
            site_id=pl.lit(site.id), outdoor_c=outdoor_c(day)
        )
        yield pl.concat(windows), weather


def said(agent: Savings, given: Iterable[Message]) -> Records:
    rows: Records = []
    for message in given:
        for output in agent.step(message).outputs:
            assert output.rows is not None
            assert output.rows.schema == pl.Schema(SAVING_RECORD)
            rows += output.rows.to_dicts()
    return rows


def of(rows: Records, zone: str | None) -> Records:
    return [row for row in rows if row["zone_id"] == zone]


def an_experiment(**given: object) -> Site:
    return a_site("mill", **({"experiment": {"starts_on": STARTS.isoformat()}} | given))


def blocks_of(site: Site) -> Blocks:
    found = Blocks.of(site)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def switched() -> Records:
    """Four weeks, and sixty days in which the controller saves a tenth of a zone's energy on the days that have it."""
    site = an_experiment()
    power = saving(0.10, lambda day: blocks_of(site).has_measure(day.toordinal()))
    return said(an_agent(), messages([site], days_of(site, FIRST, 28 + 60, power)))


def test_the_first_day_says_how_many_are_to_come_at_least(switched: Records):
    before, first = of(switched, "office")[27:29]

    assert before["reason"] == "experiment_to_come"
    assert before["more_days"] == 14
    assert before["message_en"] == "Office: not shown yet: 14 more days (the experiment has not begun)."
    ts = quarters_of(SHANGHAI, STARTS.toordinal())[1] * QUARTER_MS
    assert first == dict.fromkeys(SAVING_RECORD) | {
        "id": f"savings/zone/mill/office/{ts}",
        "tenant_id": "bench",
        "site_id": "mill",
        "zone_id": "office",
        "ts": ts,
        "method": "switchback",
        "state": "not_shown_yet",
        "reason": "too_few_pairs",
        "more_days": 13,  # seven pairs of days, of which one is over
        "from_day": "2026-03-02",
        "to_day": "2026-03-02",
        "used_kwh": 0.0,
        "experiment": "mill/2026-03-02",
        "pairs": 0,
        "blocks_on": 0,
        "blocks_off": 0,
        "message_en": "Office: not shown yet: 13 more days (0 of at least 7 pairs of blocks are over).",
        "message_zh": "Office：节能量尚未证实：还需 13 天（至少需要 7 对对照时段，已完成 0 对）。",
        "model_version": "savings/1",
    }


def test_a_tenth_is_shown_with_an_interval_around_it_and_energy_only_then(switched: Records):
    rows = of(switched, "office")
    shown = [row for row in rows if row["state"] == "shown"]

    assert 28 + 14 <= rows.index(shown[0]) + 1 < 28 + 50
    for row in rows:
        assert (row["saved_kwh"] is None) == (row["state"] != "shown")
        assert (row["more_days"] == 0) == (row["state"] == "shown")
    last = shown[-1]
    assert float(str(last["share_low"])) < 0.10 < float(str(last["share_high"]))
    assert last["share"] == pytest.approx(0.10, abs=0.01)
    assert "saved (between" in str(last["message_en"])
    assert "节能" in str(last["message_zh"])
    assert last["to_day"] == "2026-04-29"


def test_what_is_saved_is_of_the_days_with_the_controller_in_energy_money_and_both_lines_of_carbon(switched: Records):
    last = of(switched, "office")[-1]
    site = an_experiment()
    # All of its energy falls after the three hours that do not count.
    days = (STARTS + timedelta(number) for number in range(58))
    on = [usual_kw("hvac", day) * 24 for day in days if blocks_of(site).has_measure(day.toordinal())]
    assert last["pairs"] == last["blocks_on"] == last["blocks_off"] == 29
    assert last["used_kwh"] == pytest.approx(0.9 * sum(on))
    saved_kwh = float(str(last["saved_kwh"]))
    assert saved_kwh == pytest.approx(0.1 * sum(on), rel=0.1)
    assert float(str(last["saved_kwh_low"])) < saved_kwh < float(str(last["saved_kwh_high"]))
    assert float(str(last["saved_kg"])) == pytest.approx(0.5153 * saved_kwh, rel=0.01)  # average factor of Zhejiang
    assert float(str(last["market_saved_kg"])) > 0
    assert 0.3 < float(str(last["saved_cny"])) / saved_kwh < 1.5


def test_the_share_of_the_whole_site_is_smaller_than_that_of_its_zone(switched: Records):
    zone, whole = of(switched, "office")[-1], of(switched, None)[-1]

    assert whole["id"] == f"savings/site/mill/{whole['ts']}"
    assert 0.05 < float(str(whole["share"])) < float(str(zone["share"]))


def test_where_nothing_is_saved_nothing_is_claimed():
    site = an_experiment()
    rows = said(an_agent(), messages([site], days_of(site, FIRST, 28 + 61)))

    assert {row["state"] for row in rows} == {"not_shown_yet"}
    assert all(row["saved_kwh"] is None for row in rows)
    last = of(rows, "office")[-1]
    assert float(str(last["share_low"])) < 0 < float(str(last["share_high"]))


def test_the_first_hours_of_a_block_do_not_count():
    """What the controller of the day before left behind, until 03:00, is not held against anyone."""
    site = an_experiment()
    day = list(days_of(site, STARTS, 3))
    windows, weather = day[0]
    begin = quarters_of(SHANGHAI, STARTS.toordinal())[0] * QUARTER_MS
    at_night = pl.col("window_start") < begin + 3 * 3_600_000
    windows = windows.with_columns(import_kwh=pl.when(at_night).then(100.0).otherwise("import_kwh"))
    agent = an_agent()
    said(agent, messages([site], [(windows, weather), *day[1:]]))
    closed = from_bytes(agent.snapshot(["mill"])["mill"]).closed

    usual = usual_kw("hvac", STARTS) * 24
    assert closed.figures[1, Figure.COUNTED_KWH, 0] == pytest.approx(usual, rel=1e-6)
    assert closed.figures[1, Figure.WHOLE_KWH, 0] == pytest.approx(usual + 1200, rel=1e-6)


def test_a_day_without_its_windows_leaves_out_its_pair_and_nothing_else():
    site = an_experiment()
    whole = list(days_of(site, FIRST, 28 + 21))
    gap = [
        (windows.filter(pl.col("meter_id") == "main"), weather) if number == 28 + 11 else (windows, weather)
        for number, (windows, weather) in enumerate(whole)
    ]
    rows = said(an_agent(), messages([site], gap))

    assert of(rows, "office")[-1]["pairs"] == 9
    assert of(rows, None)[-1]["pairs"] == 10


def test_a_correction_within_three_days_counts():
    site = an_experiment()
    whole = list(days_of(site, FIRST, 8))
    agent, corrected = an_agent(), an_agent()
    given = list(messages([site], whole))
    for message in given[:-3]:
        agent.step(message)
        corrected.step(message)
    late = quarters_of(SHANGHAI, FIRST.toordinal() + 5)[0] * QUARTER_MS + 10 * 3_600_000
    (windows,) = [message.rows for message in given[2:3]]
    assert windows is not None
    one = windows.filter(pl.col("meter_id") == "hvac").head(1)
    one = one.with_columns(
        pl.lit(late).cast(pl.Datetime("ms", "UTC")).alias("window_start"),
        import_kwh=pl.lit(50.0),
        previous_import_kwh=pl.lit(20.0),
        revision=pl.lit(1, pl.Int32),
    )
    corrected.step(Message(Kind.WINDOWS, 0, one))
    for message in given[-3:]:
        agent.step(message)
        corrected.step(message)

    before, after = (from_bytes(one.snapshot(["mill"])["mill"]).closed for one in (agent, corrected))
    moved = after.figures[1, Figure.WHOLE_KWH] - before.figures[1, Figure.WHOLE_KWH]
    assert moved.round(6).tolist() == [0, 0, 0, 0, 0, 30.0, 0]


def test_a_measure_that_began_on_a_day_is_held_against_the_days_before_it():
    begins = FIRST + timedelta(70)
    site = a_site("mill", measure_started_on=begins.isoformat())
    rows = said(an_agent(), messages([site], days_of(site, FIRST, 111, saving(0.10, lambda day: day >= begins))))

    zone = of(rows, "office")
    before = zone[9]
    assert (before["method"], before["reason"], before["baseline_days"]) == ("baseline", "measure_to_come", 10)
    assert before["more_days"] == 60 + 14
    assert zone[75]["reason"] == "too_few_days_since"
    assert zone[75]["more_days"] == 8
    last = zone[-1]
    assert (last["state"], last["reason"], last["more_days"]) == ("shown", "interval_above_zero", 0)
    assert float(str(last["share_low"])) < 0.10 < float(str(last["share_high"]))
    assert (last["baseline_days"], last["measured_days"], last["from_day"]) == (70, 40, begins.isoformat())
    assert 0 < float(str(last["cv_rmse"])) < 0.05
    assert abs(float(str(last["nmbe"]))) < 0.005
    assert 0 < float(str(last["fractional_uncertainty"])) < 0.5
    used = sum(0.9 * usual_kw("hvac", begins + timedelta(number)) * 24 for number in range(40))
    assert last["used_kwh"] == pytest.approx(used)
    assert float(str(last["saved_kg"])) == pytest.approx(0.5153 * float(str(last["saved_kwh"])), rel=0.01)
    assert last["experiment"] is last["pairs"] is None


def test_a_zone_that_was_let_act_has_its_day_before_which_nothing_was_saved():
    def record(mode: str, revision: int) -> Message:
        office = {"id": "office", "name": "Office", "area_m2": 400.0, "meter": "hvac"}
        office |= {"hvac": {"equipment_kind": "dx", "mode": mode}}
        at = quarters_of(SHANGHAI, FIRST.toordinal() + 50)[0] * QUARTER_MS
        return Message(Kind.SITE, at, record=SiteRecord(a_site("mill", zones=(office,)), revision))

    begins = FIRST + timedelta(50)
    site = a_site("mill")
    power = saving(0.10, lambda day: day >= begins)
    first = list(messages([site], days_of(site, FIRST, 50, power)))[1:]
    rest = list(messages([site], days_of(site, begins, 41, power)))[1:]
    agent = an_agent()

    silent = said(agent, [record("advise", 1), *first])
    rows = said(agent, [record("act", 2), *rest])

    assert silent == []  # nothing is done, so nothing is saved
    last = of(rows, "office")[-1]
    assert (last["from_day"], last["baseline_days"], last["state"]) == (begins.isoformat(), 50, "shown")
    assert last["share"] == pytest.approx(0.10, abs=0.02)


def test_a_zone_that_acts_from_the_first_day_cannot_be_compared_with_days_before():
    site = a_site("mill")
    last = of(said(an_agent(), messages([site], days_of(site, FIRST, 40))), "office")[-1]

    assert (last["reason"], last["more_days"], last["baseline_days"]) == ("too_few_days_before", None, 0)
    assert "not shown yet" in str(last["message_en"])


def test_production_is_part_of_the_baseline():
    begins = FIRST + timedelta(60)
    site = a_site("mill", measure_started_on=begins.isoformat())

    def made(day: date) -> float:
        return 50.0 + 40.0 * float(np.cos(day.toordinal() * 1.7)) + (30.0 if day >= begins else 0.0)

    def power(meter: str, day: date) -> float:
        return usual_kw(meter, day) + 0.2 * made(day)

    agent = an_agent()
    rows: Records = []
    for message in messages([site], days_of(site, FIRST, 101, power)):
        if message.kind is Kind.WEATHER and message.rows is not None:
            (at,) = message.rows["ts"].head(1)
            day = FIRST + timedelta(round((at.timestamp() * 1000 / QUARTER_MS - _quarter(FIRST)) / 96))
            rows += said(agent, [_production(day, made(day))])
        rows += said(agent, [message])

    last = of(rows, "office")[-1]
    assert last["state"] == "not_shown_yet"  # it makes more, and takes as much more as that takes
    assert last["share"] == pytest.approx(0.0, abs=0.02)


def _quarter(day: date) -> int:
    return quarters_of(SHANGHAI, day.toordinal())[0]


def _production(day: date, units: float) -> Message:
    row = {"tenant_id": "bench", "site_id": "mill", "ts": _quarter(day) * QUARTER_MS, "local_day": day}
    row |= {"interval_s": 86_400, "units_made": units}
    rows = pl.DataFrame([row], schema=PRODUCTION_ROWS | {"ts": pl.Int64()})
    return Message(Kind.PRODUCTION, 0, rows.with_columns(pl.from_epoch("ts", "ms").dt.replace_time_zone("UTC")))


@pytest.mark.parametrize("given", [{"experiment": {"starts_on": "2026-02-12"}}, {"measure_started_on": "2026-03-09"}])
def test_a_restart_at_any_time_says_the_same_and_keeps_the_same(given: dict[str, object]):
    site = a_site("mill", **given)
    all_of_it = list(messages([site], days_of(site, FIRST, 60, saving(0.1, lambda day: day.day % 2 == 0))))
    whole = an_agent()
    expected = said(whole, all_of_it)
    assert len(expected) > 100

    agent, found = an_agent(), list[dict[str, object]]()
    for number, message in enumerate(all_of_it):
        found += said(agent, [message])
        if number % 4 == 3:
            kept = agent.snapshot(["mill"])
            agent = an_agent()
            agent.restore(kept)

    assert found == expected
    assert repr(from_bytes(agent.snapshot(["mill"])["mill"])) == repr(from_bytes(whole.snapshot(["mill"])["mill"]))


def test_a_month_that_arrives_at_once_says_the_same_as_day_by_day():
    site = an_experiment()
    by_day = list(messages([site], days_of(site, FIRST, 45)))
    at_once = [message for message in by_day if message.kind is not Kind.TICK] + by_day[-1:]

    assert said(an_agent(), at_once) == said(an_agent(), by_day)
