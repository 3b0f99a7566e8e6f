"""Dead letters: what was refused, why, and the bytes it came as."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl
from polars import selectors

from schemas.rejection import (
    HEADER_CONTENT_TYPE,
    HEADER_DETAIL,
    HEADER_INDEX,
    HEADER_OFFSET,
    HEADER_PARTITION,
    HEADER_REASON,
    HEADER_STAGE,
    HEADER_TIMESTAMP,
    HEADER_TOPIC,
    Reason,
)
from schemas.topics import DEAD_LETTERS
from streams.frame.codec import Envelope, Headers, Origin

LETTER_ROWS = 2_000  # keeps a letter well below a broker's limit for one message

# What a dead letter says was expected; `wattloop dlq` and the runbooks use the same sentences.
EXPECTED: dict[Reason, str] = {
    Reason.UNDECODABLE: "expected a JSON object, NDJSON lines of objects, or an Arrow IPC stream",
    Reason.MISSING_FIELD: "expected site_id (or the message key), meter_id, ts and one of import_kwh, export_kwh, "
    "power_kw, import_kvarh, interval_kwh; of weather one of outdoor_c, rh, solar_w_m2; "
    "of production interval_s and units_made",
    Reason.WRONG_TYPE: "expected text for ids and names, whole milliseconds for ts, whole seconds for interval_s, "
    "numbers for the measures",
    Reason.NOT_FINITE: "expected finite numbers",
    Reason.UNKNOWN_METER: "expected a meter of this site in the registry",
    Reason.FUTURE_TIMESTAMP: "expected ts not later than arrival plus the allowance (future_allowance_s)",
    Reason.TOO_OLD: "expected ts not older than arrival minus the allowance (too_old_s)",
    Reason.LATE: "expected before its window closed (allowed_lateness_s)",
    Reason.OUT_OF_RANGE: "expected weather that can be, units_made of 0 or more in an interval_s of 1 to 90000, and "
    "energy of an interval that is not negative and not more than twice what rated_kw allows",
    Reason.NOT_DECLARED: "expected interval_kwh of a meter whose registry entry says `sends: intervals`, and registers "
    "of others",
    Reason.UNKNOWN_SITE: "expected a site of the registry",
    Reason.UNKNOWN_LINE: "expected line_id to be an equipment of this site in the registry",
    Reason.UNKNOWN_SHIFT: "expected shift to be the name of a shift of this site in the registry",
    Reason.UNKNOWN_ZONE: "expected zone_id to be a zone of this site in the registry",
    Reason.INVALID_FEEDBACK: "expected verdict normal, right, fixed or muted with an anomaly_id and kind as on "
    "anomalies.v1, accepted, declined or done with an advice_id as on advice.v1, and until after ts and at most 366 "
    "days later",
    Reason.UNKNOWN_ANOMALY: "expected the anomaly_id of an anomaly that is open, or among the newest of its site that "
    "ended; nothing has changed",
    Reason.UNKNOWN_ADVICE: "expected the advice_id of a measure of this site that has not ended; nothing has changed",
    Reason.REGISTER_DECREASED: "expected a register that never goes back",
    Reason.NO_FACTOR: "expected a fuel of the reference data, in a unit it has a checked factor for",
    Reason.INVALID_ACTIVITY: "expected the fields of an activity, as docs/contracts.md has them",
}


@dataclass(frozen=True, slots=True)
class Letter:
    """One message for dead-letters.v1, and how many rows it holds."""

    reason: str
    rows: int
    envelope: Envelope


def headers_of(
    reason: Reason, stage: str, origin: Origin, *, index: int, arrived_at: int, content_type: str
) -> Headers:
    """Return the headers every dead letter carries."""
    return [
        (HEADER_REASON, reason.value.encode()),
        (HEADER_DETAIL, EXPECTED[reason].encode()),
        (HEADER_STAGE, stage.encode()),
        (HEADER_TOPIC, origin.topic.encode()),
        (HEADER_PARTITION, str(origin.partition).encode()),
        (HEADER_OFFSET, str(origin.offset).encode()),
        (HEADER_INDEX, str(index).encode()),
        (HEADER_TIMESTAMP, str(arrived_at).encode()),
        (HEADER_CONTENT_TYPE, content_type.encode()),
    ]


def letters_of(rejected: pl.DataFrame, stage: str, origin: Origin, arrived_at: int) -> Iterator[Letter]:
    """Turn rows an agent refused into letters by reason, as NDJSON with the raw place of every row.

    An agent no longer has the original bytes; `raw_partition` and `raw_offset` of each row say where they are.
    """
    in_ms = rejected.with_columns(selectors.datetime().dt.epoch("ms"))
    parts = (
        (Reason(str(reason)), part)
        for (reason,), rows in in_ms.group_by(["reason"], maintain_order=True)
        for part in rows.iter_slices(LETTER_ROWS)
    )
    for index, (found, rows) in enumerate(parts):
        value = rows.drop("reason").write_ndjson().encode()
        headers = headers_of(
            found, stage, origin, index=index, arrived_at=arrived_at, content_type="application/x-ndjson"
        )
        yield Letter(found.value, rows.height, Envelope(DEAD_LETTERS.name, None, value, arrived_at, headers))
