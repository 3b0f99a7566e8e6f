"""How far a detector is with a meter, as one record on anomaly.learning.v1: learning, N of M days; or watching."""

from enum import StrEnum

import polars as pl


class LearningState(StrEnum):
    """How far it is; a downstream contract, so the words never change their meaning."""

    LEARNING = "learning"  # nothing can be found yet
    WATCHING = "watching"  # what is unusual is told
    NOT_APPLICABLE = "not_applicable"  # the meter is never off, so nothing can be left on


# `ts` is the local midnight at which it was said, in ms UTC.
LEARNING_RECORD: dict[str, pl.DataType] = {
    "id": pl.String(),  # deterministic: learning/<site>/<meter>/<kind>/<ts>
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "meter_id": pl.String(),  # of peak_share: a grid meter of the site
    "ts": pl.Int64(),
    "kind": pl.String(),  # `schemas.anomaly.AnomalyKind`
    "state": pl.String(),  # learning | watching | not_applicable
    "learnt_days": pl.Int32(),  # N: days (nights, working days) that were learnt from, at most M
    "needed_days": pl.Int32(),  # M
    "message_en": pl.String(),
    "message_zh": pl.String(),
}
