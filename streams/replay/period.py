"""The period of a replay, and whether what is held covers it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from agents.metering.step import REVISION_HORIZON_S
from schemas.window import WINDOW_MS
from sinks.parquet.reader import LogReader

# Readings are taken from this much before the period, so that the windows at its beginning have both ends. Of a meter
# that sent nothing meanwhile, its last reading before is looked up.
LEAD_MS = 3_600_000
# How far from the edges of the period the neighbouring readings of a silent meter are looked for.
SILENCE_MS = 35 * 86_400_000


class NotCovered(Exception):
    """The period, or a part of it, is not held; the text says what is."""


@dataclass(frozen=True, slots=True)
class Period:
    """A range of event time, in whole minutes.

    Parameters
    ----------
    first_ms, end_ms
        Its first moment, and the first one after it. [ms UTC]

    Raises
    ------
    ValueError
        When it is empty or not in whole minutes.

    Examples
    --------
    >>> str(Period(1784008800000, 1784012400000))
    '2026-07-14T06:00Z to 2026-07-14T07:00Z'
    """

    first_ms: int
    end_ms: int

    def __post_init__(self) -> None:
        """Check it."""
        if self.first_ms % WINDOW_MS or self.end_ms % WINDOW_MS:
            raise ValueError("a period begins and ends at a whole minute, because windows do")
        if self.end_ms <= self.first_ms:
            raise ValueError("a period ends after it begins")

    def __str__(self) -> str:
        """Return it for people."""
        return f"{shown(self.first_ms)} to {shown(self.end_ms)}"


@dataclass(frozen=True, slots=True)
class Allowances:
    """The settings of the pipeline that decide when a reading can arrive, and until when it counts.

    Parameters
    ----------
    lateness_ms
        `allowed_lateness_s`. [ms]
    future_ms
        `future_allowance_s`. [ms]
    horizon_ms
        `revision_horizon_s`. [ms]
    """

    lateness_ms: int
    future_ms: int
    horizon_ms: int = REVISION_HORIZON_S * 1000


def check_covered(lanes: dict[int, list[LogReader]], period: Period, allowances: Allowances) -> None:
    """Make sure that every reading of the period that arrived in time is held.

    Parameters
    ----------
    lanes
        The logs of each partition.
    period
        What is wanted.
    allowances
        Settings of the pipeline.

    Raises
    ------
    NotCovered
        With what is missing, and what is held.
    """
    if not lanes:
        raise NotCovered("it holds nothing")
    missing = [text for partition, logs in lanes.items() for text in _missing(partition, logs, period, allowances)]
    if missing:
        rest = f"; and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise NotCovered("; ".join(missing[:3]) + rest)


def _missing(partition: int, logs: Sequence[LogReader], period: Period, allowances: Allowances) -> Iterator[str]:
    wanted_from = period.first_ms - LEAD_MS - allowances.future_ms
    wanted_to = period.end_ms + allowances.lateness_ms
    held_to: int | None = None
    for log in logs:
        newest = log.held.newest
        if newest is None:
            continue
        # Offset 0 is where a log began to exist: nothing came before.
        if newest.began_offset > 0 and newest.began_at > wanted_from and (held_to is None or held_to < wanted_to):
            before = "" if held_to is None else f" between {shown(held_to)} and then"
            yield (
                f"partition {partition} holds what arrived since {shown(newest.began_at)} and not what came before"
                f"{before}; wanted is what arrived since {shown(wanted_from)}"
            )
        for gap in newest.gaps:
            if gap.arrived_until > wanted_from and gap.arrived_after < wanted_to:
                yield (
                    f"partition {partition} lacks offsets {gap.after_offset + 1} to {gap.next_offset - 1}, "
                    f"which arrived between {shown(gap.arrived_after)} and {shown(gap.arrived_until)}"
                )
        held_to = newest.arrived_last
    if held_to is None or held_to < wanted_to:
        until = "nothing" if held_to is None else f"what arrived until {shown(held_to)}"
        yield f"partition {partition} holds {until}; wanted is what arrived until {shown(wanted_to)}"


def shown(ms: int) -> str:
    """Return a moment for people.

    Examples
    --------
    >>> shown(1784008800000), shown(1784008801500)
    ('2026-07-14T06:00Z', '2026-07-14T06:00:01.500Z')
    """
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    precision = "minutes" if ms % WINDOW_MS == 0 else "milliseconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")
