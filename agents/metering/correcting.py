"""What is said about corrections: `schemas.correction.CORRECTION_RECORD`."""

import numpy as np
import polars as pl

from agents.metering.clocks import Slipped
from agents.metering.closing import Turned
from agents.metering.meters import Meters
from agents.metering.ragged import Rows
from agents.metering.reversed import Backwards
from agents.metering.revising import Revised
from agents.metering.silence import Silent
from agents.metering.stuck import Stood
from agents.metering.turning import FAULT, JUMP, RESET, ROLLOVER, SWAP
from schemas.correction import CORRECTION_RECORD, CorrectionKind
from schemas.window import WINDOW_MS

_NUMBERS = [name for name, kind in CORRECTION_RECORD.items() if kind == pl.Float64()]
_ENERGIES = ("import_before_kwh", "import_after_kwh", "export_before_kwh", "export_after_kwh")
_KINDS = {
    SWAP: CorrectionKind.METER_SWAP,
    ROLLOVER: CorrectionKind.ROLLOVER,
    RESET: CorrectionKind.RESET,
    FAULT: CorrectionKind.REGISTER_FAULT,
    JUMP: CorrectionKind.IMPOSSIBLE_JUMP,
}


def of_turns(turned: Turned, known: Meters) -> pl.DataFrame:
    """Return a record for each interval in which a register did not simply go on.

    Parameters
    ----------
    turned
        These intervals.
    known
        Descriptions of the meters.
    """
    if not len(turned.meters):
        return pl.DataFrame(schema=CORRECTION_RECORD)
    a, b = turned.a, turned.b
    first = np.minimum(a["raw_offset"], b["raw_offset"])
    numbers: dict[str, pl.Series] = {
        "window_from": pl.Series(a["ts"] // WINDOW_MS * WINDOW_MS),
        "window_until": pl.Series(-(-b["ts"] // WINDOW_MS) * WINDOW_MS),
        "import_after_kwh": pl.Series(turned.import_kwh, nan_to_null=True),
        "export_after_kwh": pl.Series(turned.export_kwh, nan_to_null=True),
        "register_from_kwh": pl.Series(a["import_kwh"].copy(), nan_to_null=True),
        "register_to_kwh": pl.Series(b["import_kwh"].copy(), nan_to_null=True),
        "raw_partition": pl.Series(b["raw_partition"].astype(np.int32)),
        "raw_offset_first": pl.Series(first),
        "raw_offset_last": pl.Series(np.maximum(a["raw_offset"], b["raw_offset"])),
    }
    kinds = pl.Series([_KINDS[how].value for how in turned.how.tolist()])
    return _recorded(
        known.named(turned.meters)
        | numbers
        | {"kind": kinds, "revision": pl.repeat(0, len(first), dtype=pl.Int32, eager=True)},
        pl.Series(b["ts"].copy()),
    )


def of_revision(revised: Revised, known: Meters, kind: CorrectionKind) -> pl.DataFrame:
    """Return a record for each range of windows that were revised.

    Parameters
    ----------
    revised
        The windows, and what they were.
    known
        Descriptions of the meters.
    kind
        Why they were.
    """
    if not len(revised.ranges):
        return pl.DataFrame(schema=CORRECTION_RECORD)
    sums = (
        pl.DataFrame(
            {
                "span": revised.spans,
                "revision": revised.windows["revision"],
                "import_after_kwh": revised.windows["import_kwh"],
                "export_after_kwh": revised.windows["export_kwh"],
                "import_before_kwh": revised.before["import_kwh"],
                "export_before_kwh": revised.before["export_kwh"],
            }
        )
        .group_by("span")
        .agg(pl.col("revision").max(), *(_sum_or_null(name) for name in _ENERGIES))
    )
    places = pl.DataFrame(
        {
            "span": revised.range_of,
            "partition": revised.rows["raw_partition"].copy(),
            "offset": revised.rows["raw_offset"].copy(),
        }
    )
    raw = places.group_by("span").agg(
        raw_partition=pl.col("partition").last().cast(pl.Int32),
        raw_offset_first=pl.col("offset").min(),
        raw_offset_last=pl.col("offset").max(),
    )
    spans = pl.DataFrame({"span": np.arange(len(revised.ranges))})
    found = spans.join(sums, on="span", how="left", maintain_order="left").join(
        raw, on="span", how="left", maintain_order="left"
    )
    columns = known.named(revised.meters) | {name: found[name] for name in found.columns if name != "span"}
    columns |= {name: pl.Series(revised.ranges[name].copy()) for name in ("window_from", "window_until")}
    columns["kind"] = pl.repeat(kind.value, len(spans), eager=True)
    return _recorded(columns, found["revision"])


def of_stood(stood: Stood, known: Meters) -> pl.DataFrame:
    """Return a record for each register that was found to be stuck, or to move again.

    Parameters
    ----------
    stood
        These registers.
    known
        Descriptions of the meters.
    """
    b, moves = stood.b, pl.Series(stood.moves)
    until_kwh = pl.Series(b["import_kwh"].copy(), nan_to_null=True)
    step = pl.Series(stood.step_kwh, nan_to_null=True)
    size = len(moves)
    columns: dict[str, pl.Series] = {
        **known.named(stood.meters),
        **_of_one_reading(b),
        "kind": _either(moves, CorrectionKind.REGISTER_MOVES, CorrectionKind.REGISTER_STUCK),
        "window_from": pl.Series(stood.since // WINDOW_MS * WINDOW_MS),
        "window_until": pl.Series(-(-b["ts"] // WINDOW_MS) * WINDOW_MS),
        # What a stuck register says is no energy; one that moves again counted what it shows, and nobody knows more.
        "import_before_kwh": pl.select(pl.when(~moves).then(pl.lit(0.0))).to_series(),
        "import_after_kwh": pl.select(pl.when(moves).then(step)).to_series(),
        "register_from_kwh": until_kwh - step,
        "register_to_kwh": until_kwh,
        "by_power_kwh": pl.Series(stood.by_power_kwh),
        "revision": pl.repeat(0, size, dtype=pl.Int32, eager=True),
    }
    return _recorded(columns, pl.Series(b["ts"].copy()))


def of_slipped(slipped: Slipped, known: Meters) -> pl.DataFrame:
    """Return a record for each clock that was found to have slipped, or to be right again.

    Parameters
    ----------
    slipped
        These clocks.
    known
        Descriptions of the meters.
    """
    columns: dict[str, pl.Series] = {
        **known.named(slipped.meters),
        **_of_one_reading(slipped.after),
        "kind": _either(pl.Series(slipped.right), CorrectionKind.CLOCK_RIGHT, CorrectionKind.CLOCK_SLIP),
        "window_from": pl.Series(slipped.window_from // WINDOW_MS * WINDOW_MS),
        "window_until": pl.Series(-(-slipped.window_until // WINDOW_MS) * WINDOW_MS),
        "clock_slip_s": pl.Series(slipped.slip_s),
        "revision": pl.repeat(0, len(slipped.meters), dtype=pl.Int32, eager=True),
    }
    return _recorded(columns, pl.Series(slipped.after["ts"].copy()))


def of_reversed(backwards: Backwards, known: Meters) -> pl.DataFrame:
    """Return a record for each meter that was found to be the wrong way round, or to draw again.

    Parameters
    ----------
    backwards
        These meters.
    known
        Descriptions of the meters.
    """
    b = backwards.b
    columns: dict[str, pl.Series] = {
        **known.named(backwards.meters),
        **_of_one_reading(b),
        "kind": _either(pl.Series(backwards.draws), CorrectionKind.DRAWS, CorrectionKind.REVERSED),
        "window_from": pl.Series(backwards.since // WINDOW_MS * WINDOW_MS),
        "window_until": pl.Series(-(-b["ts"] // WINDOW_MS) * WINDOW_MS),
        # As it was sent, and as it stays: nobody turns the sign of a meter but who looks at it.
        "export_before_kwh": pl.Series(backwards.kwh),
        "export_after_kwh": pl.Series(backwards.kwh),
        "revision": pl.repeat(0, len(b), dtype=pl.Int32, eager=True),
    }
    return _recorded(columns, pl.Series(b["ts"].copy()))


def of_silent(silent: Silent, known: Meters) -> pl.DataFrame:
    """Return a record for each meter that has gone silent, or speaks again.

    Parameters
    ----------
    silent
        These meters.
    known
        Descriptions of the meters.
    """
    columns: dict[str, pl.Series] = {
        **known.named(silent.meters),
        **_of_one_reading(silent.rows),
        "kind": _either(pl.Series(silent.speaks), CorrectionKind.SPEAKS, CorrectionKind.SILENT),
        "window_from": pl.Series(silent.since // WINDOW_MS * WINDOW_MS),
        "window_until": pl.Series(-(-silent.until // WINDOW_MS) * WINDOW_MS),
        "revision": pl.repeat(0, len(silent.meters), dtype=pl.Int32, eager=True),
    }
    return _recorded(columns, pl.Series(silent.until.copy()))


def _of_one_reading(rows: Rows) -> dict[str, pl.Series]:
    offset = pl.Series(rows["raw_offset"].copy())
    return {
        "raw_partition": pl.Series(rows["raw_partition"].astype(np.int32)),
        "raw_offset_first": offset,
        "raw_offset_last": offset,
    }


def _either(first: pl.Series, one: CorrectionKind, other: CorrectionKind) -> pl.Series:
    return pl.select(pl.when(first).then(pl.lit(one.value)).otherwise(pl.lit(other.value))).to_series()


def _sum_or_null(name: str) -> pl.Expr:
    """Sum of a group, null (not 0) where nothing is known."""
    return pl.when(pl.col(name).is_not_null().any()).then(pl.col(name).sum()).otherwise(None).alias(name)


def _recorded(columns: dict[str, pl.Series], mark: pl.Series) -> pl.DataFrame:
    """Complete records; `mark` tells those of a kind, meter and first window apart. Numbers nobody said are null."""
    return (
        pl.DataFrame(columns)
        .with_columns(
            *(pl.lit(None, pl.Float64).alias(name) for name in _NUMBERS if name not in columns),
            ts=pl.col("window_from"),
            id=pl.format("corrections/{}/{}/{}/{}/{}", "kind", "site_id", "meter_id", "window_from", mark),
        )
        .select(*CORRECTION_RECORD)
    )
