"""Weather, production, feedback and zones from the field to the history: each good row once, each bad one a letter."""

import json
import time

import pytest
from pipeline import Pipeline, Raw, as_json, wait_for

from schemas.rejection import Reason
from schemas.topics import (
    ANOMALY_FEEDBACK,
    DEAD_LETTERS,
    HVAC_SETPOINTS,
    METER_READINGS,
    PRODUCTION,
    SITE_FEEDBACK,
    SITE_PRODUCTION,
    SITE_PROFILE,
    SITE_WEATHER,
    SITE_ZONES,
    WEATHER,
    ZONE_READINGS,
)
from streams.demo import DEMO_REGISTRY
from streams.demo.recorded import month_readings

pytestmark = pytest.mark.integration

HOUR_MS = 3_600_000
SITES = ("zj-steel", "gd-panels", "js-textiles")


def some_weather(begin: int, hours: int) -> list[Raw]:
    """Weather of every site, an hour each; every tenth message holds the lines of two hours."""
    found = []
    for hour in range(0, hours, 2):
        for site in SITES:
            rows = [
                {"site_id": site, "ts": begin + (hour + step) * HOUR_MS, "outdoor_c": 20.0 + step, "rh": 60.0}
                for step in range(2)
            ]
            lines = [json.dumps(row).encode() for row in rows]
            together = hour % 20 == 0
            found += [Raw(site, one, topic=WEATHER.name) for one in ([b"\n".join(lines)] if together else lines)]
    return found


def some_production(begin: int, hours: int) -> list[Raw]:
    return [
        Raw(
            site,
            json.dumps({"ts": begin + hour * HOUR_MS, "interval_s": 3600, "units_made": 2.5}).encode(),
            topic=PRODUCTION.name,
        )
        for hour in range(hours)
        for site in SITES
    ]


def unread(pipeline: Pipeline, *topics: str) -> int:
    """How much of these topics has been read by nobody; what nothing was committed of counts."""
    found = json.loads(pipeline.command("lag", "--json"))["topics"]
    return sum(one["records"] for one in found if one["topic"].removeprefix(pipeline.prefix) in topics)


def test_weather_and_production_are_stored_once_through_a_kill(pipeline: Pipeline) -> None:
    pipeline.command("registry", "apply", str(DEMO_REGISTRY))
    begin = int(time.time() * 1000) // HOUR_MS * HOUR_MS - 400 * HOUR_MS
    weather, production = some_weather(begin, 300), some_production(begin, 200)
    bad = [
        Raw("zj-steel", b"rain", topic=WEATHER.name),
        Raw("zj-steel", json.dumps({"ts": begin, "outdoor_c": 300}).encode(), topic=WEATHER.name),
        Raw("zj-steel", json.dumps({"ts": begin, "interval_s": 60}).encode(), topic=PRODUCTION.name),
        Raw(
            "zj-steel",
            json.dumps({"ts": begin, "interval_s": 60, "units_made": 1, "line_id": "nobody"}).encode(),
            topic=PRODUCTION.name,
        ),
    ]
    mute = {"verdict": "muted", "meter_id": "main", "until": begin + HOUR_MS, "ts": begin}
    sayings = [
        Raw("zj-steel", json.dumps(mute).encode(), topic=ANOMALY_FEEDBACK.name),
        Raw("zj-steel", json.dumps(mute | {"verdict": "perhaps"}).encode(), topic=ANOMALY_FEEDBACK.name),
    ]
    now = int(time.time() * 1000)
    air = {
        "zone_id": "office",
        "ts": now,
        "air_c": 24.5,
        "occupied": True,
        "own_cooling_c": 26.0,
        "own_heating_c": 20.0,
    }
    zones = [
        Raw("sim-building", json.dumps(air).encode(), topic=ZONE_READINGS.name),
        Raw("sim-building", json.dumps(air | {"zone_id": "attic"}).encode(), topic=ZONE_READINGS.name),
    ]
    readings = as_json(month_readings(2026, 7).head(300))
    pipeline.start()
    half = len(weather) // 2
    pipeline.send([*weather[:half], *bad[:2], *production[:100], *sayings, *zones, *readings[:150]])
    wait_for(lambda: pipeline.metric("wattloop_ingest_messages_total", topic=WEATHER.name) > 0)
    pipeline.kill()
    pipeline.send([*weather[half:], *bad[2:], *production[100:], *readings[150:]])
    pipeline.start()
    fields = (METER_READINGS.name, WEATHER.name, PRODUCTION.name, ANOMALY_FEEDBACK.name, ZONE_READINGS.name)
    # What ingest has committed, the history can read.
    wait_for(lambda: not unread(pipeline, *fields), what="ingest")
    wait_for(lambda: pipeline.metric("wattloop_agent_outputs_total", agent="comfort", topic=HVAC_SETPOINTS.name) > 0)
    stored = (
        SITE_ZONES.name,
        HVAC_SETPOINTS.name,
        SITE_FEEDBACK.name,
        SITE_WEATHER.name,
        SITE_PRODUCTION.name,
        SITE_PROFILE.name,
        DEAD_LETTERS.name,
    )
    wait_for(lambda: not unread(pipeline, *stored), what="history")
    for kind in ("weather", "production", "feedback", "zones"):  # they get through to the end of the flow
        wait_for(lambda kind=kind: pipeline.metric("wattloop_agent_events_total", agent="emissions", kind=kind) > 0)
    pipeline.stop()

    counted = "SELECT site_id, count() AS stored, uniqExact(ts) AS hours FROM {} GROUP BY site_id ORDER BY site_id"
    assert pipeline.query(counted.format("weather")).rows() == [(site, 300, 300) for site in sorted(SITES)]
    assert pipeline.query(counted.format("production")).rows() == [(site, 200, 200) for site in sorted(SITES)]
    letters = pipeline.query("SELECT source_topic, reason FROM v_dead_letters ORDER BY source_topic, reason")
    assert pipeline.query("SELECT site_id, verdict, meter_id FROM feedback").rows() == [("zj-steel", "muted", "main")]
    assert pipeline.query("SELECT zone_id, air_c, occupied FROM zones").rows() == [("office", 24.5, True)]
    # Nothing is known of the building yet: what is said is its own, and not to be held.
    told = "SELECT zone_id, mode, reason, cooling_c, heating_c, state FROM v_setpoints"
    assert pipeline.query(told).rows() == [("office", "advise", "own_learning", 26.0, 20.0, "")]
    assert letters.rows() == [
        (ANOMALY_FEEDBACK.name, Reason.MISSING_FIELD.value),
        (PRODUCTION.name, Reason.MISSING_FIELD.value),
        (PRODUCTION.name, Reason.UNKNOWN_LINE.value),
        (WEATHER.name, Reason.OUT_OF_RANGE.value),
        (WEATHER.name, Reason.UNDECODABLE.value),
        (ZONE_READINGS.name, Reason.UNKNOWN_ZONE.value),
    ]
    assert (
        pipeline.query("SELECT count() AS sites FROM v_site_profiles")["sites"].item() == len(SITES) + 1
    )  # and the building
    assert pipeline.imbalances() == []
