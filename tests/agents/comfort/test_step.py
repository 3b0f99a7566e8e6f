"""The stage: what zones are told when, and that what may not be done is not."""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from builders import a_site, tick_at

from agents.comfort.building import LEASE_S, SteeredSite
from agents.comfort.step import Comfort
from agents.switching.blocks import Blocks
from schemas.experiment import Experiment
from schemas.flow import Kind, Message, SiteRecord
from schemas.registry import Site
from schemas.setpoint import SETPOINT_RECORD, Setpoint
from schemas.weather import WEATHER_ROWS
from schemas.zone import ZONE_ROWS
from streams.demo.building import STEP_MS, ZONES, Building, Hold
from streams.demo.recorded import ANCHOR_MS

START = ANCHOR_MS + 190 * 86_400_000  # a Monday in July
DAY = 96  # steps
Commands = list[dict[str, object]]
Change = Callable[[pl.DataFrame], pl.DataFrame]


def a_record(revision: int = 1, name: str = "sim-building", **modes: str) -> SiteRecord:
    """The simulated building, in its own words."""
    zones = [
        {"id": zone.id, "name": zone.id, "area_m2": 400.0, "hvac": {"equipment_kind": "dx", "mode": mode}}
        for zone in ZONES
        for mode in [modes.get(zone.id, "act")]
    ]
    return SiteRecord(a_site(name, zones=tuple(zones)), revision)


def columns(rows: pl.DataFrame, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    """What the field sends, as it comes through metering."""
    missing = [pl.lit(None, kind).alias(name) for name, kind in schema.items() if name not in rows.columns]
    ts = pl.from_epoch("ts", "ms").dt.replace_time_zone("UTC")
    return rows.with_columns(*missing).with_columns(ts).select(pl.col(name).cast(kind) for name, kind in schema.items())


def steps(
    count: int, building: Building, change: Callable[[pl.DataFrame], pl.DataFrame] = lambda rows: rows
) -> Iterator[list[Message]]:
    """What comes in each step of a building: weather, its zones, and fifteen ticks."""
    for _ in range(count):
        shown = building.advance(building.at_ms + STEP_MS)
        at, zones = building.at_ms, change(shown.zones)
        messages = [Message(Kind.WEATHER, at, columns(shown.weather, WEATHER_ROWS))]
        if not zones.is_empty():
            messages.append(Message(Kind.ZONES, at, columns(zones, ZONE_ROWS)))
        yield [*messages, *(Message(Kind.TICK, at + minute * 60_000) for minute in range(15))]


def said(agent: Comfort, messages: Sequence[Message]) -> Commands:
    rows: Commands = []
    for message in messages:
        for output in agent.step(message).outputs:
            assert output.rows is not None
            assert output.rows.schema == pl.Schema(SETPOINT_RECORD)
            rows += output.rows.to_dicts()
    return rows


def an_agent(record: SiteRecord | None = None) -> Comfort:
    agent = Comfort()
    agent.step(Message(Kind.SITE, START, record=record or a_record()))
    return agent


def run(agent: Comfort, count: int, building: Building | None = None, **given: object) -> Commands:
    """All that is said over some steps in which nobody obeys."""
    building = building or Building.new(START)
    return [row for messages in steps(count, building, **given) for row in said(agent, messages)]


def obeying(agent: Comfort, building: Building, count: int) -> Commands:
    """All that is said over some steps of a building that does what it is told."""
    told: Commands = []
    for messages in steps(count, building):
        for row in said(agent, messages):
            told.append(row)
            building.holds.pop(str(row["zone_id"]), None)
            if row["mode"] == "act":
                command = Setpoint.model_validate_json(json.dumps(row))
                hold = Hold(command.cooling_c, command.heating_c, 10, command.issued_at, command.ends_at)
                building.holds[command.zone_id] = hold
    return told


def test_what_is_said_first_is_the_buildings_own_and_nothing_is_held():
    first = run(an_agent(), 4)

    assert {row["zone_id"] for row in first} == {"office", "workshop"}
    assert {(row["mode"], row["reason"]) for row in first} == {("advise", "own_learning")}
    one = next(row for row in first if row["zone_id"] == "office")
    assert one["command_id"] == one["id"] == f"setpoints/sim-building/office/{one['ts']}"
    assert (one["cooling_c"], one["heating_c"]) == (one["fallback_cooling_c"], one["fallback_heating_c"])
    assert one["tenant_id"] == "acme"
    assert one["supersedes"] is None
    assert "this time of the week has not been seen yet" in str(one["message_en"])
    assert "尚未学习" in str(one["message_zh"])


def test_a_command_is_one_its_consumers_can_read_and_is_renewed_before_its_lease_ends():
    found = [row for row in run(an_agent(), 3 * DAY) if row["zone_id"] == "office"]

    for row, next_row in pairwise(found):
        command = Setpoint.model_validate_json(json.dumps(row))
        assert command.ends_at - command.issued_at == LEASE_S * 1000
        assert int(str(next_row["ts"])) < command.ends_at
        assert next_row["supersedes"] == row["id"]
    assert len({row["id"] for row in found}) == len(found)
    assert len(found) < 3 * DAY  # what changes nothing is not said each time


def test_after_two_weeks_a_building_that_obeys_takes_less_and_people_do_not_freeze_or_sweat():
    agent, building, own = an_agent(), Building.new(START), Building.new(START)
    obeying(agent, building, 14 * DAY)
    own.advance(building.at_ms)
    before = {name: dict(one.counts) for name, one in (("steered", building), ("own", own))}
    worst_k = 0.0
    told: Commands = []
    for _ in range(5 * DAY):
        told += obeying(agent, building, 1)
        shown = own.advance(building.at_ms)
        for zone, is_used in shown.zones.select("zone_id", "occupied").iter_rows():
            air_c = building.air_c[zone]
            worst_k = max(worst_k, *((20.0 - air_c, air_c - 26.0) if is_used else (0.0,)))
    used = {
        name: sum(one.counts[meter] - before[name][meter] for meter in ("hvac-workshop", "hvac-office"))
        for name, one in (("steered", building), ("own", own))
    }

    assert used["steered"] < 0.98 * used["own"]  # mild days: most of what it takes is fans and the people in it
    assert worst_k < 1.0
    reasons = {row["reason"] for row in told if row["mode"] == "act"}
    assert {"comfort", "empty"} <= reasons
    for row in told:
        assert 15.0 <= float(str(row["heating_c"])) + 1.0 <= float(str(row["cooling_c"])) <= 30.0


def test_a_zone_in_mode_advise_is_never_told_to_act_and_one_that_is_off_is_told_nothing():
    agent = an_agent(a_record(workshop="advise", office="off"))
    found = run(agent, 9 * DAY)

    assert {(row["zone_id"], row["mode"]) for row in found} == {("workshop", "advise")}
    assert "empty" in {row["reason"] for row in found}


def test_a_site_without_zones_that_are_steered_has_no_state():
    agent = Comfort()
    agent.step(Message(Kind.SITE, START, record=SiteRecord(a_site(), 1)))

    assert run(agent, 2) == []
    assert not set(agent.changed())


def test_a_zone_nothing_was_ever_heard_of_is_told_nothing():
    found = run(an_agent(), DAY, change=lambda rows: rows.filter(pl.col("zone_id") == "office"))

    assert {row["zone_id"] for row in found} == {"office"}


def test_silent_sensors_give_the_zone_back_and_a_silent_site_is_left_alone():
    agent, building = an_agent(), Building.new(START)
    obeying(agent, building, 9 * DAY)
    deaf = [said(agent, messages) for messages in steps(16, building, lambda rows: rows.clear())]

    within_an_hour = [row for step in deaf[:5] for row in step]
    assert {(row["mode"], row["reason"]) for row in within_an_hour[-2:]} == {("advise", "own_stale")}
    assert "no plausible temperature" in str(within_an_hour[-1]["message_en"])
    assert [row for step in deaf[10:] for row in step] == []


def test_who_sets_a_zone_by_hand_is_obeyed_and_nothing_is_held_against_it():
    agent, building = an_agent(), Building.new(START)
    obeying(agent, building, 9 * DAY + 40)
    by_hand = {"cooling_c": 23.0, "heating_c": 21.0}

    def hand(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(pl.lit(value).alias(name) for name, value in by_hand.items())

    found = [row for messages in steps(4, building, hand) for row in said(agent, messages)]

    assert {(row["mode"], row["reason"]) for row in found} == {("advise", "overridden")}
    assert "obeyed, nothing is learnt" in str(found[0]["message_en"])


def test_a_newer_record_changes_what_it_names_and_keeps_what_was_learnt():
    whole, changed = an_agent(), an_agent()
    one, other = Building.new(START), Building.new(START)
    assert run(whole, 9 * DAY, one) == run(changed, 9 * DAY, other)
    narrower = a_record(2).site.model_dump(mode="json")
    narrower["zones"][1]["hvac"]["setpoint_max_c"] = 27.0
    changed.step(Message(Kind.SITE, START, record=SiteRecord(Site.model_validate(narrower), 2)))
    expected, found = run(whole, DAY, one), run(changed, DAY, other)

    def of(zone: str, rows: Commands) -> Commands:
        return [row for row in rows if row["zone_id"] == zone]

    assert of("workshop", found) == of("workshop", expected)
    assert max(float(str(row["cooling_c"])) for row in of("office", expected)) > 27.0
    assert max(float(str(row["cooling_c"])) for row in of("office", found)) <= 27.0
    assert "own_learning" not in {row["reason"] for row in of("office", found)}


@pytest.mark.parametrize("every", [1, 7, 97])
def test_a_restart_at_any_place_says_the_same(every: int):
    days = 8
    expected = run(an_agent(), days * DAY)
    agent, found = an_agent(), []
    kept: dict[str, bytes] = dict(agent.snapshot())
    for number, messages in enumerate(steps(days * DAY, Building.new(START))):
        for place, message in enumerate(messages):
            found += said(agent, [message])
            if number > 7 * DAY and (number * len(messages) + place) % (every * 5) == 0:
                kept |= agent.snapshot()
                agent = Comfort()
                agent.restore(kept)

    assert found == expected


def test_sites_take_their_turns_spread_over_the_step():
    phases = {SteeredSite.new(a_record(name=f"mill-{number}")).phase_s for number in range(200)}

    assert len(phases) > 150
    assert max(phases) < 900


def test_what_no_agent_may_be_given_is_refused():
    with pytest.raises(ValueError, match="comfort takes zones, weather, site records and ticks"):
        Comfort().step(Message(Kind.READINGS, START, pl.DataFrame()))
    assert Comfort().step(tick_at(0)).outputs == ()


def an_experiment(after_days: int, **modes: str) -> tuple[SiteRecord, Blocks]:
    record = a_record(**modes)
    starts_on = datetime.fromtimestamp(START / 1000, ZoneInfo("Asia/Shanghai")).date() + timedelta(after_days)
    site = record.site.model_copy(update={"experiment": Experiment(starts_on=starts_on)})
    blocks = Blocks.of(site)
    assert blocks is not None
    return SiteRecord(site, 1), blocks


def day_of(row: dict[str, object]) -> int:
    at = datetime.fromtimestamp(int(str(row["ts"])) / 1000, UTC)
    return at.astimezone(ZoneInfo("Asia/Shanghai")).toordinal()


def test_on_comparison_days_zones_have_their_own_schedule_and_commands_say_which_block_they_belong_to():
    record, blocks = an_experiment(14)  # when the controller has learnt
    told = obeying(an_agent(record), Building.new(START), 20 * DAY)

    before = [row for row in told if day_of(row) < blocks.first_day]
    assert {row["experiment"] for row in before} == {row["block"] for row in before} == {None}
    during = [row for row in told if day_of(row) >= blocks.first_day]
    assert {(row["block"], row["block_has_measure"]) for row in during} == {
        (number, blocks.has_measure(blocks.first_day + number)) for number in range(7)
    }
    assert {row["experiment"] for row in during} == {blocks.name}
    for row in during:
        if not blocks.has_measure(day_of(row)):
            assert (row["mode"], row["reason"]) == ("advise", "comparison_day")
            assert "comparison day" in str(row["message_en"])
            assert "对照日" in str(row["message_zh"])
    assert any(row["mode"] == "act" for row in during)


def test_a_zone_that_is_only_advised_takes_no_part_in_an_experiment():
    record, _ = an_experiment(0, office="advise")
    told = run(an_agent(record), 2 * DAY)

    assert {row["experiment"] for row in told if row["zone_id"] == "office"} == {None}
    assert {row["reason"] for row in told if row["zone_id"] == "office"} == {"own_learning"}
    assert {row["block"] for row in told if row["zone_id"] == "workshop"} == {0, 1, 2}


def test_what_is_seen_on_comparison_days_is_learnt_all_the_same():
    """After two weeks every other day of which was one, the controller acts on the others."""
    record, blocks = an_experiment(0)
    told = obeying(an_agent(record), Building.new(START), 21 * DAY)

    acts = {day_of(row) for row in told if row["mode"] == "act"}
    third_week = range(blocks.first_day + 14, blocks.first_day + 20)
    assert acts & set(third_week) == {day for day in third_week if blocks.has_measure(day)}
