"""Weather, production, feedback and zones: what ingest takes, what it refuses and why, and what it makes of a row."""

import json
from collections.abc import Callable, Mapping
from datetime import date

import polars as pl
import pytest
from builders import NOON, a_site

from schemas.flow import SiteRecord
from schemas.registry import Equipment, Shift, Zone
from schemas.rejection import Reason
from streams.ingest.context import known_sites
from streams.ingest.decode import decode
from streams.ingest.field import FEEDBACK, HISTORY, PRODUCTION, WEATHER, ZONES, FieldTopic
from streams.ingest.poll import Poll, RawMessage
from streams.ingest.records import records_of
from streams.ingest.validate import Bounds, Validated

ARRIVED = NOON + 86_400_000
BOUNDS = Bounds(future_ms=300_000, past_ms=400 * 86_400_000)
MILL = a_site(
    production_unit="t",
    equipment=(Equipment(id="line-1", name="Line 1", kind="loom"),),
    zones=(Zone(id="hall", name="Hall", area_m2=400.0),),
    shifts=(Shift(name="early", weekdays=(1, 2, 3, 4, 5), start="06:00", end="14:00"),),
)
SITES = known_sites([SiteRecord(MILL, 1), SiteRecord(a_site("far", time_zone="America/New_York"), 1)], 4)

Row = Mapping[str, object]


def some_weather(**changed: object) -> Row:
    return {"site_id": "mill", "ts": NOON, "outdoor_c": 31.5, "rh": 70.0, "solar_w_m2": 800.0} | changed


def some_production(**changed: object) -> Row:
    about = {"site_id": "mill", "line_id": "line-1", "ts": NOON, "interval_s": 3600, "units_made": 12.5}
    return about | {"shift": "early"} | changed


def judged(field: FieldTopic, *values: bytes | Row, key: bytes | None = None) -> Validated:
    """What becomes of messages that arrive a day after NOON."""
    messages = [
        RawMessage(2, 40 + number, ARRIVED, key, one if isinstance(one, bytes) else json.dumps(one).encode())
        for number, one in enumerate(values)
    ]
    poll = Poll.of(messages)
    decoded = decode(poll, field.sends)
    assert not decoded.refused
    return field.validate(decoded, poll, SITES, BOUNDS)


def test_weather_is_taken_with_tenant_place_and_local_day() -> None:
    evening = NOON + 12 * 3_600_000 + 30 * 60_000  # 00:30 of the next day in Zhejiang, 12:30 in New York
    taken = judged(WEATHER, some_weather(ts=evening), some_weather(ts=evening, site_id="far")).accepted

    assert taken.select("tenant_id", "site_id", "local_day", "outdoor_c", "raw_partition", "raw_offset").rows() == [
        ("acme", "mill", date(2026, 7, 16), 31.5, 2, 40),
        ("acme", "far", date(2026, 7, 15), 31.5, 2, 41),
    ]


def test_one_measure_is_enough_and_the_site_may_be_the_key() -> None:
    taken = judged(WEATHER, {"ts": NOON, "rh": 55}, key=b"mill").accepted

    assert taken.select("site_id", "outdoor_c", "rh").rows() == [("mill", None, 55.0)]


@pytest.mark.parametrize(
    ("reason", "changed"),
    [
        (Reason.MISSING_FIELD, {"ts": None}),
        (Reason.MISSING_FIELD, {"outdoor_c": None, "rh": None, "solar_w_m2": None}),
        (Reason.UNKNOWN_SITE, {"site_id": "atlantis"}),
        (Reason.OUT_OF_RANGE, {"outdoor_c": 311.0}),
        (Reason.OUT_OF_RANGE, {"rh": -1.0}),
        (Reason.OUT_OF_RANGE, {"solar_w_m2": 5000.0}),
        (Reason.FUTURE_TIMESTAMP, {"ts": ARRIVED + 300_001}),
        (Reason.TOO_OLD, {"ts": 0}),
    ],
)
def test_weather_that_cannot_be_is_refused(reason: Reason, changed: Row) -> None:
    found = judged(WEATHER, some_weather(), some_weather(**changed))

    assert found.accepted.height == 1
    assert found.refused.rows() == [(1, 0, reason.value)]


@pytest.mark.parametrize(
    ("reason", "changed"),
    [
        (Reason.MISSING_FIELD, {"units_made": None}),
        (Reason.MISSING_FIELD, {"interval_s": None}),
        (Reason.UNKNOWN_SITE, {"site_id": "atlantis"}),
        (Reason.UNKNOWN_LINE, {"line_id": "line-9"}),
        (Reason.UNKNOWN_SHIFT, {"shift": "night"}),
        (Reason.OUT_OF_RANGE, {"units_made": -1.0}),
        (Reason.OUT_OF_RANGE, {"interval_s": 0}),
        (Reason.OUT_OF_RANGE, {"interval_s": 90_001}),
        (Reason.FUTURE_TIMESTAMP, {"ts": ARRIVED}),
        (Reason.TOO_OLD, {"ts": 0}),
    ],
)
def test_production_that_cannot_be_is_refused(reason: Reason, changed: Row) -> None:
    found = judged(PRODUCTION, some_production(), some_production(**changed))

    assert found.accepted.height == 1
    assert found.refused.rows() == [(1, 0, reason.value)]


@pytest.mark.parametrize("field", [WEATHER, PRODUCTION])
def test_a_number_that_is_none_is_refused(field: FieldTopic) -> None:
    name = "outdoor_c" if field is WEATHER else "units_made"
    made: Callable[..., Row] = some_weather if field is WEATHER else some_production
    body = pl.DataFrame([made(**{name: float("inf")})])
    message = RawMessage(2, 40, ARRIVED, None, _arrow(body), "application/vnd.apache.arrow.stream")
    poll = Poll.of([message])

    found = field.validate(decode(poll, field.sends), poll, SITES, BOUNDS)

    assert found.refused["reason"].to_list() == [Reason.NOT_FINITE.value]


def test_production_of_the_whole_site_needs_neither_line_nor_shift() -> None:
    taken = judged(PRODUCTION, some_production(line_id=None, shift=None), some_production(site_id="far", line_id=None))

    assert taken.accepted.select("line_id", "units_made", "unit", "shift").rows() == [(None, 12.5, "t", None)]
    assert taken.refused["reason"].to_list() == [Reason.UNKNOWN_SHIFT.value]  # the other site has none


def test_rows_of_one_message_are_records_of_one_origin_with_ids_of_their_own() -> None:
    lines = b"\n".join(json.dumps(some_weather(ts=NOON + minute * 60_000)).encode() for minute in range(2))
    taken = judged(WEATHER, lines, some_weather(ts=NOON + 120_000)).accepted

    sent = list(records_of(taken, WEATHER, ARRIVED))

    assert [dict(one.headers)["origin"] for one in sent] == [b"2:40:0", b"2:40:1", b"2:41:0"]
    assert [json.loads(one.value)["id"] for one in sent] == [
        f"weather/mill/{NOON}/2-40-0",
        f"weather/mill/{NOON + 60_000}/2-40-1",
        f"weather/mill/{NOON + 120_000}/2-41-0",
    ]
    assert (sent[0].topic, sent[0].key, sent[0].timestamp_ms) == ("site.weather.v1", b"mill", NOON)
    assert json.loads(sent[0].value) == {
        "id": f"weather/mill/{NOON}/2-40-0",
        "tenant_id": "acme",
        "site_id": "mill",
        "ts": NOON,
        "local_day": "2026-07-15",
        "outdoor_c": 31.5,
        "rh": 70.0,
        "solar_w_m2": 800.0,
        "raw_partition": 2,
        "raw_offset": 40,
    }


def _arrow(rows: pl.DataFrame) -> bytes:
    body = rows.write_ipc_stream(None)
    return body.getvalue()


ABOUT = f"anomalies/left_on/mill/main/{NOON}"


def some_feedback(**changed: object) -> Row:
    return {"site_id": "mill", "ts": NOON, "verdict": "normal", "anomaly_id": ABOUT, "said_by": "zhang"} | changed


def test_feedback_is_taken_and_is_a_record_of_its_own() -> None:
    mute = {"site_id": "mill", "ts": NOON, "verdict": "muted", "until": NOON + 3_600_000}
    taken = judged(FEEDBACK, some_feedback(), mute).accepted
    records = [json.loads(one.value) for one in records_of(taken, FEEDBACK, ARRIVED)]

    assert taken.select("tenant_id", "verdict", "anomaly_id", "until").rows() == [
        ("acme", "normal", ABOUT, None),
        ("acme", "muted", None, NOON + 3_600_000),
    ]
    assert records[0]["id"] == f"feedback/mill/{NOON}/2-40-0"
    assert records[0]["said_by"] == "zhang"


@pytest.mark.parametrize("verdict", ["accepted", "declined", "done"])
def test_what_people_say_of_advice_is_taken(verdict: str) -> None:
    about = f"advice/shut_down/mill/main/{NOON}"
    taken = judged(FEEDBACK, some_feedback(verdict=verdict, anomaly_id=None, advice_id=about)).accepted

    assert taken.select("verdict", "advice_id").rows() == [(verdict, about)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (some_feedback(verdict=None), Reason.MISSING_FIELD),
        (some_feedback(anomaly_id=None), Reason.MISSING_FIELD),
        (some_feedback(verdict="muted", anomaly_id=None), Reason.MISSING_FIELD),
        (some_feedback(verdict="done"), Reason.MISSING_FIELD),
        (some_feedback(verdict="done", advice_id="advice/left_on/mill/press/1"), Reason.INVALID_FEEDBACK),
        (some_feedback(site_id="nowhere"), Reason.UNKNOWN_SITE),
        (some_feedback(meter_id="nobody"), Reason.UNKNOWN_METER),
        (some_feedback(verdict="perhaps"), Reason.INVALID_FEEDBACK),
        (some_feedback(anomaly_id="42"), Reason.INVALID_FEEDBACK),
        (some_feedback(verdict="muted", until=NOON - 1), Reason.INVALID_FEEDBACK),
        (some_feedback(verdict="muted", until=NOON + 400 * 86_400_000), Reason.INVALID_FEEDBACK),
        (some_feedback(verdict="muted", until=NOON + 1, kind="noise"), Reason.INVALID_FEEDBACK),
        (some_feedback(ts=ARRIVED + 600_000), Reason.FUTURE_TIMESTAMP),
    ],
)
def test_feedback_that_cannot_be_is_refused_with_its_reason(row: Row, reason: Reason) -> None:
    found = judged(FEEDBACK, row)

    assert found.accepted.is_empty()
    assert found.refused["reason"].to_list() == [reason.value]


QUARTER = NOON // 900_000 * 900_000


def some_history(**changed: object) -> Row:
    return {
        "site_id": "mill",
        "meter_id": "main",
        "ts": QUARTER,
        "power_kw": 12.5,
        "until": QUARTER + 900_000,
    } | changed


def test_quarter_hours_of_before_and_their_end_are_taken() -> None:
    end = some_history(meter_id=None, ts=QUARTER + 900_000, power_kw=None)
    taken = judged(HISTORY, some_history(), some_history(power_kw=None), end).accepted

    assert taken["power_kw"].to_list() == [12.5, None, None]
    assert taken["meter_id"].to_list() == ["main", "main", None]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (some_history(until=None), Reason.MISSING_FIELD),
        (some_history(site_id="nowhere"), Reason.UNKNOWN_SITE),
        (some_history(meter_id="nobody"), Reason.UNKNOWN_METER),
        (some_history(ts=QUARTER + 1), Reason.OUT_OF_RANGE),
        (some_history(ts=QUARTER + 900_000), Reason.OUT_OF_RANGE),
        (some_history(meter_id=None), Reason.OUT_OF_RANGE),
        (some_history(until=ARRIVED // 900_000 * 900_000 + 900_000), Reason.FUTURE_TIMESTAMP),
    ],
)
def test_history_that_cannot_be_is_refused_with_its_reason(row: Row, reason: Reason) -> None:
    assert judged(HISTORY, row).refused["reason"].to_list() == [reason.value]


def some_zone(**changed: object) -> Row:
    return {"site_id": "mill", "zone_id": "hall", "ts": NOON, "air_c": 24.5, "occupied": True} | changed


def test_readings_of_zones_are_taken_and_are_records_of_their_own() -> None:
    taken = judged(ZONES, some_zone(), some_zone(air_c=None, occupied=False, own_cooling_c=26)).accepted
    records = [json.loads(one.value) for one in records_of(taken, ZONES, ARRIVED)]

    assert taken.select("tenant_id", "zone_id", "air_c", "occupied", "own_cooling_c").rows() == [
        ("acme", "hall", 24.5, True, None),
        ("acme", "hall", None, False, 26.0),
    ]
    assert records[0]["id"] == f"zones/mill/{NOON}/2-40-0"
    assert records[0]["local_day"] == "2026-07-15"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (some_zone(zone_id=None), Reason.MISSING_FIELD),
        (some_zone(air_c=None, occupied=None), Reason.MISSING_FIELD),
        (some_zone(site_id="nowhere"), Reason.UNKNOWN_SITE),
        (some_zone(zone_id="attic"), Reason.UNKNOWN_ZONE),
        (some_zone(air_c=451.0), Reason.OUT_OF_RANGE),
        (some_zone(power_kw=-1.0), Reason.OUT_OF_RANGE),
        (some_zone(humidity_percent=101), Reason.OUT_OF_RANGE),
        (some_zone(ts=ARRIVED + 600_000), Reason.FUTURE_TIMESTAMP),
    ],
)
def test_a_reading_of_a_zone_that_cannot_be_is_refused_with_its_reason(row: Row, reason: Reason) -> None:
    found = judged(ZONES, row)

    assert found.accepted.is_empty()
    assert found.refused["reason"].to_list() == [reason.value]
