"""What people say of anomalies and of advice.

Of an anomaly: that it was normal, right or fixed, or that a meter is to be left alone for a while. Of a measure on
advice.v1: that it is accepted, declined or done.

On `anomaly.feedback.v1` come JSON objects (or NDJSON, or Arrow IPC batches) with the columns of `FEEDBACK_FIELD`; as
batches of `FEEDBACK_ROWS` they go through telemetry.v1 and energy.v1 to the agent, and as flat records of
`FEEDBACK_RECORD` on site.feedback.v1 to people and to the history.
"""

from enum import StrEnum

import polars as pl

from schemas.reading import TIMESTAMP


class FeedbackVerdict(StrEnum):
    """What was said; a downstream contract, so the words never change their meaning."""

    NORMAL = "normal"  # it is meant to be so: ends the anomaly, and the same is not told again
    RIGHT = "right"  # it was an anomaly
    FIXED = "fixed"  # it was one, and what caused it is mended: ends the anomaly
    MUTED = "muted"  # tell nothing of the meter and kind until then
    ACCEPTED = "accepted"  # of a measure: it will be done
    DECLINED = "declined"  # it will not; `note` says why
    DONE = "done"  # it was done, at `ts`: meters are asked whether it shows


OF_ADVICE = frozenset({FeedbackVerdict.ACCEPTED, FeedbackVerdict.DECLINED, FeedbackVerdict.DONE})


LONGEST_MUTE_MS = 366 * 86_400_000

# What may be sent. `site_id` may be left to the message key.
FEEDBACK_FIELD: dict[str, pl.DataType] = {
    "site_id": pl.String(),
    "ts": pl.Int64(),  # when it was said, ms since 1970 UTC
    "verdict": pl.String(),  # normal | right | fixed | muted | accepted | declined | done
    "anomaly_id": pl.String(),  # of the record on anomalies.v1; needed of normal, right and fixed
    "advice_id": pl.String(),  # of the record on advice.v1; needed of accepted, declined and done
    "meter_id": pl.String(),  # of muted: left out for the whole site
    "kind": pl.String(),  # of muted: left out for every kind
    "until": pl.Int64(),  # of muted: its end, ms since 1970 UTC, at most 366 days after `ts`
    "said_by": pl.String(),  # who, in whatever words the sender uses
    "note": pl.String(),  # why
}

FEEDBACK_ROWS: dict[str, pl.DataType] = {
    "tenant_id": pl.String(),
    **FEEDBACK_FIELD,
    "ts": TIMESTAMP,
    "local_day": pl.Date(),  # at the site
    "raw_partition": pl.Int32(),
    "raw_offset": pl.Int64(),
    "raw_index": pl.Int64(),  # place within that message
}

# One record per saying on site.feedback.v1.
FEEDBACK_RECORD: dict[str, pl.DataType] = {
    "id": pl.String(),  # deterministic: feedback/<site>/<ts>/<raw partition>-<raw offset>-<index within it>
    "tenant_id": pl.String(),
    **FEEDBACK_FIELD,
    "local_day": pl.String(),  # ISO 8601
    "raw_partition": pl.Int32(),
    "raw_offset": pl.Int64(),
}
