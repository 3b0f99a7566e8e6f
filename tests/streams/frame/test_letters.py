"""Dead letters of agents."""

import json

import polars as pl
from builders import NOON, readings

from schemas.rejection import Reason
from schemas.topics import DEAD_LETTERS
from streams.frame.codec import Origin
from streams.frame.letters import EXPECTED, LETTER_ROWS, letters_of

ORIGIN = Origin("telemetry.v1", 2, 77)


def rejected(*reasons: Reason) -> pl.DataFrame:
    rows = readings(*({"s": place, "import_kwh": 1.0, "raw_offset": place} for place in range(len(reasons))))
    return rows.with_columns(reason=pl.Series([reason.value for reason in reasons]))


def test_every_reason_says_what_was_expected():
    assert EXPECTED.keys() == set(Reason)


def test_rows_of_one_reason_are_one_letter_with_the_raw_place_of_each():
    late, unknown = letters_of(
        rejected(Reason.LATE, Reason.UNKNOWN_METER, Reason.LATE), "metering", ORIGIN, arrived_at=NOON
    )

    assert (late.reason, late.rows, unknown.reason, unknown.rows) == ("late", 2, "unknown_meter", 1)
    rows = [json.loads(line) for line in late.envelope.value.splitlines()]
    assert [row["raw_offset"] for row in rows] == [0, 2]
    assert [row["ts"] for row in rows] == [NOON, NOON + 2000]
    assert "reason" not in rows[0]


def test_a_letter_says_where_its_rows_were_refused():
    (letter,) = letters_of(rejected(Reason.LATE), "metering", ORIGIN, arrived_at=NOON)

    assert letter.envelope.topic == DEAD_LETTERS.name
    assert dict(letter.envelope.headers) == {
        "dlq_reason": b"late",
        "dlq_detail": b"expected before its window closed (allowed_lateness_s)",
        "dlq_stage": b"metering",
        "dlq_topic": b"telemetry.v1",
        "dlq_partition": b"2",
        "dlq_offset": b"77",
        "dlq_index": b"0",
        "dlq_timestamp": str(NOON).encode(),
        "content-type": b"application/x-ndjson",
    }


def test_many_rows_are_several_letters_each_small_enough_for_the_broker():
    many = rejected(*[Reason.LATE] * (2 * LETTER_ROWS + 1)).with_columns(
        site_id=pl.lit("s" * 64), meter_id=pl.lit("m" * 64), tenant_id=pl.lit("t" * 64), import_kwh=1 / 3 * 1e-9
    )

    letters = list(letters_of(many, "metering", ORIGIN, arrived_at=NOON))

    assert [letter.rows for letter in letters] == [LETTER_ROWS, LETTER_ROWS, 1]
    assert [dict(letter.envelope.headers)["dlq_index"] for letter in letters] == [b"0", b"1", b"2"]
    assert max(len(letter.envelope.value) for letter in letters) < DEAD_LETTERS.max_message_bytes / 2
