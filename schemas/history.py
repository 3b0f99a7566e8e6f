"""What a meter drew before somebody looked: quarter hours of the history, from which detectors and advice learn.

On `meter.history.v1` come JSON objects (or NDJSON, or Arrow IPC batches) with the columns of `HISTORY_FIELD`, sent by
`wattloop learn`; as batches of `HISTORY_ROWS` they go through telemetry.v1 and energy.v1 to the agents that learn from
them. All rows of a site come in the order of their time, and then one without a meter, which ends them.
"""

import polars as pl

from schemas.reading import TIMESTAMP

# What may be sent. `site_id` may be left to the message key.
HISTORY_FIELD: dict[str, pl.DataType] = {
    "site_id": pl.String(),
    "meter_id": pl.String(),  # null: the history of the site ends here, and `ts` is `until`
    "ts": pl.Int64(),  # start of the quarter hour, ms since 1970 UTC
    "power_kw": pl.Float64(),  # mean of what was measured; null where that is too little
    "until": pl.Int64(),  # end of the whole history, the same in all of its rows, ms since 1970 UTC
}

HISTORY_ROWS: dict[str, pl.DataType] = {
    "tenant_id": pl.String(),
    **HISTORY_FIELD,
    "ts": TIMESTAMP,
    "local_day": pl.Date(),  # at the site
    "raw_partition": pl.Int32(),
    "raw_offset": pl.Int64(),
    "raw_index": pl.Int64(),  # place within that message
}
