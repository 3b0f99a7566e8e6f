"""A correction: why the energy of a meter is not simply what its registers say, or not what was said before.

Stuck registers, slipped clocks, silent and reversed meters are only flagged: nobody knows what the register should have
shown, or since when the clock is wrong, so no reading and no energy is altered.
"""

from enum import StrEnum

import polars as pl


class CorrectionKind(StrEnum):
    """What was corrected; a downstream contract, so the words never change their meaning."""

    LATE_DATA = "late_data"  # readings came for a pause that was spread: its windows were sent again
    METER_SWAP = "meter_swap"  # a declared swap: energy goes on across it
    ROLLOVER = "rollover"  # the register passed its maximum: energy goes on across it
    RESET = "reset"  # the register fell to about zero: what it counted since then is known, what was before is not
    REGISTER_FAULT = "register_fault"  # the register went back, nobody knows why: no energy between the two readings
    IMPOSSIBLE_JUMP = (
        "impossible_jump"  # it rose by more than its circuit can carry: no energy between the two readings
    )
    REGISTER_STUCK = "register_stuck"  # the register stands still while the meter's own power says it should count
    REGISTER_MOVES = "register_moves"  # one that was stuck moves again
    CLOCK_SLIP = "clock_slip"  # stamps no longer fit the time readings arrive
    CLOCK_RIGHT = "clock_right"  # they fit again
    SILENT = "silent"  # nothing arrives of a meter for much longer than is usual for it
    SPEAKS = "speaks"  # one that was silent is heard of again
    REVERSED = "reversed"  # a meter that can only draw seems to feed in: it is wired the wrong way round
    DRAWS = "draws"  # one that was reversed draws again


# One record per correction on corrections.v1; `ts` is `window_from`, in ms UTC.
CORRECTION_RECORD: dict[str, pl.DataType] = {
    "id": pl.String(),  # deterministic: corrections/<kind>/<site>/<meter>/<ts>/<revision, or time of the reading>
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "meter_id": pl.String(),
    "ts": pl.Int64(),
    "kind": pl.String(),
    "window_from": pl.Int64(),  # the windows it touches, ms UTC
    "window_until": pl.Int64(),  # end of the last one, ms UTC
    "import_before_kwh": pl.Float64(),  # energy of these windows as sent before; null where nothing was said
    "import_after_kwh": pl.Float64(),  # revised: of these windows; otherwise between the two readings; null = unknown
    "export_before_kwh": pl.Float64(),
    "export_after_kwh": pl.Float64(),
    "register_from_kwh": pl.Float64(),  # the import register before and after, multiplier applied; null with a revision
    "register_to_kwh": pl.Float64(),
    "revision": pl.Int32(),  # highest revision of the windows; 0 where none was sent before
    "by_power_kwh": pl.Float64(),  # energy of these windows by the meter's own power; null but of stuck registers
    "clock_slip_s": pl.Float64(),  # how far the clock is behind, negative: ahead; null but of clocks
    "raw_partition": pl.Int32(),  # the readings that caused it: partition and offset range of the raw topic
    "raw_offset_first": pl.Int64(),
    "raw_offset_last": pl.Int64(),
}
