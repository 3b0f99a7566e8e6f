"""A reading: one sample of a meter's cumulative registers and power.

On `meter.readings.v1` the field sends JSON objects (or NDJSON, or Arrow IPC batches) with the columns of `FIELD`;
on `telemetry.v1` they travel as Arrow IPC batches of `TELEMETRY_ROWS`, with the place in the raw topic they came from.
"""

import polars as pl

TIMESTAMP = pl.Datetime("ms", "UTC")

# What the field may send. `site_id` may be left to the message key.
FIELD: dict[str, pl.DataType] = {
    "site_id": pl.String(),
    "meter_id": pl.String(),
    "ts": pl.Int64(),  # event time, ms since 1970 UTC
    "import_kwh": pl.Float64(),  # cumulative register, as the meter shows it
    "export_kwh": pl.Float64(),  # cumulative register, as the meter shows it
    "power_kw": pl.Float64(),  # momentary power
    "import_kvarh": pl.Float64(),  # cumulative reactive register, as the meter shows it
    "interval_kwh": pl.Float64(),  # energy drawn in the interval that ends at `ts`, of meters declared to send this
    "interval_export_kwh": pl.Float64(),  # energy delivered in it
}

# What a meter sends that is declared to send intervals; other meters must not, and it must not send registers.
INTERVAL_MEASURES = ("interval_kwh", "interval_export_kwh")
REGISTERS = ("import_kwh", "export_kwh")

# At least one of these must be there, else there is nothing to measure.
MEASURES = ("import_kwh", "export_kwh", "power_kw", "import_kvarh", *INTERVAL_MEASURES)

TELEMETRY_ROWS: dict[str, pl.DataType] = {
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "meter_id": pl.String(),
    "ts": TIMESTAMP,
    "import_kwh": pl.Float64(),
    "export_kwh": pl.Float64(),
    "power_kw": pl.Float64(),
    "import_kvarh": pl.Float64(),  # not in batches written before it was introduced
    "interval_kwh": pl.Float64(),  # neither is this one
    "interval_export_kwh": pl.Float64(),
    "raw_partition": pl.Int32(),
    "raw_offset": pl.Int64(),
}
