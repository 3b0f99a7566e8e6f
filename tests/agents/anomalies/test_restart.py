"""A restart at any place neither reopens nor loses an anomaly, and changes no figure."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from watched import LEARNT, MONDAY, REFERENCE, a_works, but, days_of, from_to, learnt, site_at, told, usual_kw

from agents.anomalies.idling import NIGHT, Idling
from agents.anomalies.limits import Limit
from agents.anomalies.meter import MeterWatch
from agents.anomalies.site import SiteWatch
from agents.anomalies.state import from_bytes, to_bytes
from agents.anomalies.step import Anomalies
from schemas.flow import Message
from schemas.topics import ANOMALY_LEARNING

TODAY = MONDAY + timedelta(LEARNT)


def split(message: Message, at: int) -> list[Message]:
    """The same windows in two messages."""
    assert message.rows is not None
    parts: list[pl.DataFrame] = [message.rows[:at], message.rows[at:]]
    return [Message(message.kind, message.arrived_at, part) for part in parts]


@pytest.fixture(scope="module")
def a_week() -> list[Message]:
    """A week with a night left on and a surge, in messages of a third of a day."""
    load = but(TODAY, "press", from_to("18:00", "24:00"), 50.0)
    load = but(TODAY + timedelta(2), "press", from_to("14:00", "17:00"), 95.0, load)
    messages = []
    for message in days_of(a_works(), TODAY, 5, load):
        first, rest = split(message, 1449)  # in the middle of a quarter hour, and of a minute
        messages += [first, *split(rest, 1441)]
    return messages


def test_every_restart_gives_the_same_records(a_week: list[Message]):
    whole = learnt(a_works())
    expected = told(whole, a_week)
    agent = learnt(a_works())
    rows = []
    for message in a_week:
        rows += told(agent, [message])
        packed = agent.snapshot(["mill"])
        agent = Anomalies(REFERENCE)
        agent.restore(packed)

    assert {row["kind"] for row in expected} >= {"left_on", "peak_surge"}
    assert rows == expected
    assert agent.snapshot(["mill"]) == whole.snapshot(["mill"])


def test_each_anomaly_has_one_beginning_one_end_and_records_in_order(a_week: list[Message]):
    rows = told(learnt(a_works()), a_week)

    assert len({row["id"] for row in rows}) == len(rows)
    for anomaly in {row["anomaly_id"] for row in rows}:
        mine = [row for row in rows if row["anomaly_id"] == anomaly]
        assert [row["sequence"] for row in mine] == list(range(len(mine)))
        assert [row["status"] for row in mine].count("opened") == 1
        assert mine[0]["status"] == "opened"
        assert all(row["ended_at"] is None for row in mine[:-1])
        if mine[0]["kind"] != "peak_share":  # which goes on for the days it is made of
            assert mine[-1]["status"] == "closed"
            assert mine[-1]["ended_at"] == mine[-1]["ts"]


def test_a_snapshot_with_one_limit_for_the_whole_night_is_taken_up_by_each_part_of_it():
    whole_night = Limit()
    for _ in range(40):
        whole_night.note(2.0, NIGHT)
    before = {"night": whole_night, "working": Limit(), "free": Limit(), "whole": Limit()}
    record = site_at(a_works()).record
    assert record is not None
    packed = to_bytes(SiteWatch(record, {"press": MeterWatch(idling=Idling(before, "night", counted=True))}), {})
    idling = from_bytes(packed)[0].meters["press"].idling

    assert [idling.limits[part].of(NIGHT) for part in ("night16", "night20", "night00", "night04")] == [3.0] * 4
    assert (idling.span, idling.counted) == ("", False)


def test_a_meter_that_leaves_the_registry_is_forgotten_and_learnt_anew_when_it_returns():
    agent = learnt(a_works())
    without = a_works(meters=a_works().meters[:1])
    agent.step(site_at(without, 1))
    told(agent, days_of(without, TODAY, 1, usual_kw))
    agent.step(site_at(a_works(), 2))
    night = but(TODAY + timedelta(1), "press", from_to("18:00", "24:00"), 50.0)

    assert [
        row for row in told(agent, days_of(a_works(), TODAY + timedelta(1), 1, night)) if row["meter_id"] == "press"
    ] == []


def test_data_before_the_record_of_its_site_is_a_bug():
    with pytest.raises(ValueError, match="no site record came before the data of mill"):
        told(Anomalies(REFERENCE), days_of(a_works(), TODAY, 1, usual_kw))


def test_what_a_release_before_whole_days_left_behind_is_taken_up():
    kept = Path(__file__).with_name("layout_1.bin").read_bytes()  # of `learnt(a_works(), days=45)`
    agent = Anomalies(REFERENCE)
    agent.restore({"mill": kept})
    later = MONDAY + timedelta(45)
    expected = told(learnt(a_works(), days=45), days_of(a_works(), later, 10, usual_kw), ANOMALY_LEARNING)
    found = told(agent, days_of(a_works(), later, 10, usual_kw), ANOMALY_LEARNING)

    def of(records: list[dict[str, object]], kind: str) -> list[dict[str, object]]:
        return [one for one in records if one["kind"] == kind]

    assert of(found, "standby_creep") == of(expected, "standby_creep") != []
    assert [one["learnt_days"] for one in of(found, "day_surge") if one["meter_id"] == "press"] == list(range(1, 11))
