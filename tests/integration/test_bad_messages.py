"""Bad messages among good ones: every good row is stored, every bad one is a dead letter with its own bytes."""

import json
import time

import polars as pl
import pytest
from hops import wait_until_stored_to_the_end
from pipeline import Pipeline, Raw, as_json

from schemas.rejection import Reason
from streams.demo import DEMO_REGISTRY
from streams.demo.recorded import month_readings

pytestmark = pytest.mark.integration

DAY_MS = 86_400_000


def a_reading(**changed: object) -> dict[str, object]:
    ts = int(time.time() * 1000) - DAY_MS
    return {"site_id": "zj-steel", "meter_id": "main", "ts": ts, "import_kwh": 1.0} | changed


def bad(reason: Reason, text: bytes) -> tuple[Reason, Raw]:
    return reason, Raw("zj-steel", text)


def bad_json(reason: Reason, **changed: object) -> tuple[Reason, Raw]:
    found = {name: value for name, value in a_reading(**changed).items() if value is not ...}
    return bad(reason, json.dumps(found).encode())


def twenty_bad_messages() -> list[tuple[Reason, Raw]]:
    now = int(time.time() * 1000)
    return [
        bad(Reason.UNDECODABLE, b"not json at all"),
        bad(Reason.UNDECODABLE, b"\xff\xfe\x00broken"),
        bad(Reason.UNDECODABLE, b'{"site_id": "zj-steel"'),
        bad(Reason.UNDECODABLE, b"[1, 2, 3]"),
        bad_json(Reason.UNKNOWN_METER, meter_id="nobody"),
        bad_json(Reason.UNKNOWN_METER, site_id="atlantis"),
        bad_json(Reason.UNKNOWN_METER, meter_id=""),
        bad_json(Reason.NOT_FINITE, import_kwh=float("nan")),
        bad_json(Reason.NOT_FINITE, power_kw=float("inf")),
        bad(Reason.NOT_FINITE, b'{"site_id":"zj-steel","meter_id":"main","ts":%d,"import_kwh":1e999}' % now),
        bad_json(Reason.MISSING_FIELD, meter_id=...),
        bad_json(Reason.MISSING_FIELD, ts=...),
        bad_json(Reason.MISSING_FIELD, import_kwh=...),
        bad_json(Reason.FUTURE_TIMESTAMP, ts=now + DAY_MS),
        bad_json(Reason.FUTURE_TIMESTAMP, ts=now + 3_600_000),
        bad_json(Reason.TOO_OLD, ts=now - 500 * DAY_MS),
        bad_json(Reason.TOO_OLD, ts=0),
        bad_json(Reason.WRONG_TYPE, ts="yesterday"),
        bad_json(Reason.WRONG_TYPE, import_kwh={"value": 1}),
        bad_json(Reason.WRONG_TYPE, ts=1.5),
    ]


def test_twenty_bad_messages_among_a_thousand_good_ones(pipeline: Pipeline) -> None:
    pipeline.command("registry", "apply", str(DEMO_REGISTRY))
    good = as_json(month_readings(2026, 7).head(1000))
    wrong = twenty_bad_messages()
    mixed = list(good)
    for place, (_, raw) in enumerate(wrong):
        mixed.insert(place * 51, raw)
    pipeline.start()
    pipeline.send(mixed)
    wait_until_stored_to_the_end(pipeline)
    pipeline.stop()

    stored = pipeline.query("SELECT count() AS rows FROM v_readings")
    letters = pipeline.query("SELECT reason, hex(value) AS bytes_hex FROM v_dead_letters")
    assert stored["rows"].item() == len(good)
    found = sorted((reason, bytes.fromhex(value)) for reason, value in letters.iter_rows())
    assert found == sorted((reason.value, raw.value) for reason, raw in wrong)


def test_readings_are_taken_in_every_compression_a_producer_may_choose(pipeline: Pipeline) -> None:
    pipeline.command("registry", "apply", str(DEMO_REGISTRY))
    messages = as_json(month_readings(2026, 7).head(100))
    pipeline.start()
    for number, compression in enumerate(("gzip", "lz4", "snappy", "zstd")):
        pipeline.send(messages[number * 25 : number * 25 + 25], compression)
    wait_until_stored_to_the_end(pipeline)
    pipeline.stop()

    assert pipeline.query("SELECT count() AS rows FROM v_readings")["rows"].item() == len(messages)


def test_a_reading_that_comes_after_its_window_was_closed_is_a_dead_letter(pipeline: Pipeline) -> None:
    pipeline.command("registry", "apply", str(DEMO_REGISTRY))
    readings = month_readings(2026, 7).filter(pl.col("site_id") == "zj-steel").head(200)
    late = as_json(readings[10].with_columns(pl.col("ts") + 60_000))
    pipeline.start()
    pipeline.send(as_json(readings))
    wait_until_stored_to_the_end(pipeline)
    pipeline.send(late)
    wait_until_stored_to_the_end(pipeline)
    pipeline.stop()

    letters = pipeline.query("SELECT reason, stage FROM v_dead_letters")
    assert letters.rows() == [("late", "metering")]
