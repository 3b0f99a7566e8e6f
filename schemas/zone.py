"""What is measured in a zone of a building: its air, whether people are there, and the set-points in force.

On `zone.readings.v1` the field sends JSON objects (or NDJSON, or Arrow IPC batches) with the columns of `ZONE_FIELD`;
as batches of `ZONE_ROWS` they go through telemetry.v1 and energy.v1 to the agent, and as flat records of `ZONE_RECORD`
on site.zones.v1 to people and to the history.
"""

import polars as pl

from schemas.reading import TIMESTAMP

# What the field may send. `site_id` may be left to the message key.
ZONE_FIELD: dict[str, pl.DataType] = {
    "site_id": pl.String(),
    "zone_id": pl.String(),  # of the registry
    "ts": pl.Int64(),  # moment of the measurement, ms since 1970 UTC
    "air_c": pl.Float64(),  # air temperature
    "humidity_percent": pl.Float64(),  # relative, 0 to 100 %
    "occupied": pl.Boolean(),  # whether people are there
    "cooling_c": pl.Float64(),  # set-points in force, whoever set them
    "heating_c": pl.Float64(),
    "own_cooling_c": pl.Float64(),  # what the building's own schedule asks for now
    "own_heating_c": pl.Float64(),
    "power_kw": pl.Float64(),  # of its heating, cooling and fans
}

# What is measured, each with the range that is physically possible: at least one of them, or `occupied`, must be there.
ZONE_RANGES: dict[str, tuple[float, float]] = {
    "air_c": (-40.0, 80.0),
    "humidity_percent": (0.0, 100.0),
    "cooling_c": (-30.0, 60.0),
    "heating_c": (-30.0, 60.0),
    "own_cooling_c": (-30.0, 60.0),
    "own_heating_c": (-30.0, 60.0),
    "power_kw": (0.0, 100_000.0),
}
ZONE_MEASURES = (*ZONE_RANGES, "occupied")

ZONE_ROWS: dict[str, pl.DataType] = {
    "tenant_id": pl.String(),
    **ZONE_FIELD,
    "ts": TIMESTAMP,
    "local_day": pl.Date(),  # at the site
    "raw_partition": pl.Int32(),
    "raw_offset": pl.Int64(),
    "raw_index": pl.Int64(),  # place within that message
}

# One record per measurement on site.zones.v1.
ZONE_RECORD: dict[str, pl.DataType] = {
    "id": pl.String(),  # deterministic: zones/<site>/<ts>/<raw partition>-<raw offset>-<index within it>
    "tenant_id": pl.String(),
    **ZONE_FIELD,
    "local_day": pl.String(),  # ISO 8601
    "raw_partition": pl.Int32(),
    "raw_offset": pl.Int64(),
}
