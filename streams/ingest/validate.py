"""Validation: which readings are taken, and the reason of every one that is not."""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from schemas.flow import SiteRecord
from schemas.reading import INTERVAL_MEASURES, MEASURES, REGISTERS, TELEMETRY_ROWS, TIMESTAMP
from schemas.registry import Meter, Sends
from schemas.rejection import Reason
from streams.broker import partition_for
from streams.ingest.decode import Decoded
from streams.ingest.poll import Poll

# Energy of an interval beyond this many times what the rated power gives in it cannot be.
_BEYOND_RATED = 2.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far event time may be from arrival."""

    future_ms: int
    past_ms: int


@dataclass(frozen=True, slots=True)
class Validated:
    """Accepted rows (TELEMETRY_ROWS and the target `partition`), refused ones by message, index and reason, and places.

    `places` has a row per message: `message`, `raw_partition`, `raw_offset`, `arrived_at` and `key`.
    """

    accepted: pl.DataFrame
    refused: pl.DataFrame  # message, index, reason
    places: pl.DataFrame


def known_meters(records: Iterable[SiteRecord], partitions: int) -> pl.DataFrame:
    """Return every meter of the registry with its tenant, the partition of its site, and what it may send."""
    return pl.DataFrame(
        [
            (
                record.site.id,
                meter.id,
                record.site.tenant,
                partition_for(record.site.id, partitions),
                meter.sends is Sends.INTERVALS,
                _most_kwh(meter),
            )
            for record in records
            for meter in record.site.meters
        ],
        schema={
            "site_id": pl.String,
            "meter_id": pl.String,
            "tenant_id": pl.String,
            "partition": pl.Int32,
            "sends_intervals": pl.Boolean,
            "most_kwh": pl.Float64,
        },
        orient="row",
    )


def _most_kwh(meter: Meter) -> float | None:
    """Return what an interval of a meter cannot exceed, as the meter shows it; None where nothing is rated. [kWh]"""
    if meter.rated_kw is None:
        return None
    return _BEYOND_RATED * meter.rated_kw * meter.interval_s / 3600 / meter.multiplier


def validate(decoded: Decoded, poll: Poll, meters: pl.DataFrame, bounds: Bounds) -> Validated:
    """Judge every decoded reading.

    Parameters
    ----------
    decoded
        Readings of a poll.
    poll
        Where they come from.
    meters
        As `known_meters` returns them.
    bounds
        Allowances around the arrival of each message.

    Returns
    -------
    Validated
        Accepted and refused readings, in the order of the poll.
    """
    places = poll.places()
    measures, intervals = pl.col(MEASURES), pl.col(INTERVAL_MEASURES)
    by_interval = pl.col("sends_intervals")
    reason = (
        pl.when(
            pl.any_horizontal(pl.col("site_id", "meter_id", "ts").is_null()) | pl.all_horizontal(measures.is_null())
        )
        .then(pl.lit(Reason.MISSING_FIELD.value))
        .when(pl.any_horizontal(measures.is_finite().not_().fill_null(False)))
        .then(pl.lit(Reason.NOT_FINITE.value))
        .when(pl.col("tenant_id").is_null())
        .then(pl.lit(Reason.UNKNOWN_METER.value))
        .when(pl.col("ts") > pl.col("arrived_at") + bounds.future_ms)
        .then(pl.lit(Reason.FUTURE_TIMESTAMP.value))
        .when(pl.col("ts") < pl.col("arrived_at") - bounds.past_ms)
        .then(pl.lit(Reason.TOO_OLD.value))
        .when(
            pl.when(by_interval)
            .then(pl.col("interval_kwh").is_null() | pl.any_horizontal(pl.col(REGISTERS).is_not_null()))
            .otherwise(pl.any_horizontal(intervals.is_not_null()))
        )
        .then(pl.lit(Reason.NOT_DECLARED.value))
        .when(pl.any_horizontal((intervals < 0) | (intervals > pl.col("most_kwh"))))
        .then(pl.lit(Reason.OUT_OF_RANGE.value))
    )
    judged = (
        decoded.rows.join(places, on="message", how="left", maintain_order="left")
        .with_columns(pl.coalesce("site_id", "key").alias("site_id"))
        .join(meters, on=["site_id", "meter_id"], how="left", maintain_order="left")
        .with_columns(reason=reason)
    )
    accepted = judged.filter(pl.col("reason").is_null()).with_columns(pl.col("ts").cast(TIMESTAMP))
    return Validated(
        accepted.select(*TELEMETRY_ROWS, "partition", "message"),
        judged.filter(pl.col("reason").is_not_null()).select("message", "index", "reason"),
        places,
    )
