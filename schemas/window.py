"""A window: the energy of one meter in a fixed interval of 60 s; longer intervals are sums of it."""

from enum import StrEnum

import polars as pl

from schemas.reading import TIMESTAMP

WINDOW_S = 60
WINDOW_MS = WINDOW_S * 1000


class Quality(StrEnum):
    """How well the energy of a window is known."""

    MEASURED = "measured"  # from readings no further apart than the meter's usual interval allows
    ESTIMATED = "estimated"  # a share of a known total, spread over a gap: never a demand peak
    PARTIAL = "partial"  # part of the window is not covered by readings


# One row per meter and closed window (messages of kind `windows` on energy.v1).
WINDOW_ROWS: dict[str, pl.DataType] = {
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "meter_id": pl.String(),
    "meter_kind": pl.String(),  # grid | generation | sub_meter | hvac
    "window_start": TIMESTAMP,
    "window_s": pl.Int32(),
    "import_kwh": pl.Float64(),  # null when the meter has no import measure
    "export_kwh": pl.Float64(),
    "import_kvarh": pl.Float64(),  # null when reactive energy is not measured, or not known
    "covered_s": pl.Float64(),  # seconds of the window between readings
    "quality": pl.String(),
    "revision": pl.Int32(),  # 0; of a meter and window_start the highest one replaces the others
    "previous_import_kwh": pl.Float64(),  # what it replaces; null for revision 0 and where nothing was sent before
    "raw_partition": pl.Int32(),  # the readings it was made from: partition and offset range of the raw topic
    "raw_offset_first": pl.Int64(),
    "raw_offset_last": pl.Int64(),
}

# One row per meter that moved since the last tick (messages of kind `live` on energy.v1). Provisional by nature.
LIVE_ROWS: dict[str, pl.DataType] = {
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "meter_id": pl.String(),
    "meter_kind": pl.String(),
    "ts": TIMESTAMP,  # of the newest reading
    "power_kw": pl.Float64(),
    "open_import_kwh": pl.Float64(),  # energy after the last closed window
}
