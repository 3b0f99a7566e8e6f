"""Production of a site: what was made in an interval, by line and shift.

On `production.v1` the field sends JSON objects (or NDJSON, or Arrow IPC batches) with the columns of
`PRODUCTION_FIELD`; as batches of `PRODUCTION_ROWS` they go through telemetry.v1 and energy.v1 to the agents, and as
flat records of `PRODUCTION_RECORD` on site.production.v1 to people and to the history.
"""

import polars as pl

from schemas.reading import TIMESTAMP

# What the field may send. `site_id` may be left to the message key.
PRODUCTION_FIELD: dict[str, pl.DataType] = {
    "site_id": pl.String(),
    "line_id": pl.String(),  # an equipment of the site; left out for the whole site
    "ts": pl.Int64(),  # start of the interval, ms since 1970 UTC
    "interval_s": pl.Int64(),  # its length, at most a day
    "units_made": pl.Float64(),  # good output, in the site's unit; 0 where nothing was made
    "shift": pl.String(),  # name of a shift of the site, if it is of one
}

LONGEST_INTERVAL_S = 90_000  # a day of 25 hours

PRODUCTION_ROWS: dict[str, pl.DataType] = {
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "line_id": pl.String(),
    "ts": TIMESTAMP,
    "local_day": pl.Date(),  # at the site, of the start
    "interval_s": pl.Int64(),
    "units_made": pl.Float64(),
    "unit": pl.String(),  # the site's, when it was sent
    "shift": pl.String(),
    "raw_partition": pl.Int32(),
    "raw_offset": pl.Int64(),
    "raw_index": pl.Int64(),  # place within that message
}

# One record per interval on site.production.v1.
PRODUCTION_RECORD: dict[str, pl.DataType] = {
    "id": pl.String(),  # deterministic: production/<site>/<ts>/<raw partition>-<raw offset>-<index within it>
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "line_id": pl.String(),  # null for the whole site
    "ts": pl.Int64(),
    "local_day": pl.String(),  # ISO 8601
    "interval_s": pl.Int64(),
    "units_made": pl.Float64(),
    "unit": pl.String(),
    "shift": pl.String(),
    "raw_partition": pl.Int32(),
    "raw_offset": pl.Int64(),
}
