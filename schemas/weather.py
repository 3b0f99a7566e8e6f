"""Weather at a site, as it or a weather service measured it.

On `weather.v1` the field sends JSON objects (or NDJSON, or Arrow IPC batches) with the columns of `WEATHER_FIELD`; as
batches of `WEATHER_ROWS` they go through telemetry.v1 and energy.v1 to the agents, and as flat records of
`WEATHER_RECORD` on site.weather.v1 to people and to the history.
"""

import polars as pl

from schemas.reading import TIMESTAMP

# What the field may send. `site_id` may be left to the message key.
WEATHER_FIELD: dict[str, pl.DataType] = {
    "site_id": pl.String(),
    "ts": pl.Int64(),  # moment of the measurement, ms since 1970 UTC
    "outdoor_c": pl.Float64(),  # air temperature in the shade
    "rh": pl.Float64(),  # relative humidity outdoors, 0 to 100 %
    "solar_w_m2": pl.Float64(),  # global horizontal irradiance
}

# What is measured, each with the range that is physically possible: at least one of them must be there.
WEATHER_RANGES: dict[str, tuple[float, float]] = {
    "outdoor_c": (-90.0, 60.0),
    "rh": (0.0, 100.0),
    "solar_w_m2": (0.0, 2000.0),
}

WEATHER_ROWS: dict[str, pl.DataType] = {
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "ts": TIMESTAMP,
    "local_day": pl.Date(),  # at the site
    "outdoor_c": pl.Float64(),
    "rh": pl.Float64(),
    "solar_w_m2": pl.Float64(),
    "raw_partition": pl.Int32(),
    "raw_offset": pl.Int64(),
    "raw_index": pl.Int64(),  # place within that message
}

# One record per measurement on site.weather.v1.
WEATHER_RECORD: dict[str, pl.DataType] = {
    "id": pl.String(),  # deterministic: weather/<site>/<ts>/<raw partition>-<raw offset>-<index within it>
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "ts": pl.Int64(),
    "local_day": pl.String(),  # ISO 8601
    "outdoor_c": pl.Float64(),
    "rh": pl.Float64(),
    "solar_w_m2": pl.Float64(),
    "raw_partition": pl.Int32(),
    "raw_offset": pl.Int64(),
}
