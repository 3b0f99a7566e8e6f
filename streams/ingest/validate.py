"""Validation: which readings are taken, and the reason of every one that is not."""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from schemas.flow import SiteRecord
from schemas.reading import MEASURES, TELEMETRY_ROWS, TIMESTAMP
from schemas.rejection import Reason
from streams.broker import partition_for
from streams.ingest.decode import Decoded
from streams.ingest.poll import Poll


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
    """Return every meter of the registry with its tenant and the partition of its site."""
    return pl.DataFrame(
        [
            (record.site.id, meter.id, record.site.tenant, partition_for(record.site.id, partitions))
            for record in records
            for meter in record.site.meters
        ],
        schema={"site_id": pl.String, "meter_id": pl.String, "tenant_id": pl.String, "partition": pl.Int32},
        orient="row",
    )


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
    measures = pl.col(MEASURES)
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
