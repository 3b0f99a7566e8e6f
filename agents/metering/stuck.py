"""Registers that stand still while the meter's own power says they should have counted.

A machine that is off draws nothing, and a meter without power cannot say it: neither is stuck by this. A register that
shows whole kilowatt-hours behind a transformer stands still for a while too, so what it may owe grows with the
multiplier, and with the largest step the register was seen to make.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agents.metering.by_meter import ByMeter
from agents.metering.closing import Segments
from agents.metering.energy import drawn_kwh, register_at
from agents.metering.meters import Meters
from agents.metering.points import UNKNOWN
from agents.metering.ragged import Flags, Floats, Ints, Rows
from agents.metering.standing import Course, course
from agents.metering.turning import NOTHING, REGISTERS

STANDS_MS = 30 * 60_000
# The energy a register may owe: this many of its last digits, taken as whole kilowatt-hours of the meter's display.
OWED_STEPS = 2.0
# A register that catches up with this share of what power said was coarse and not stuck.
_CAUGHT_UP = 0.5

STANDING = np.dtype(
    [
        ("since", "<i8"),  # reading after which the register did not follow power; UNKNOWN while it does [ms UTC]
        ("kwh", "<f8"),  # energy since then by power
        ("step_kwh", "<f8"),  # largest step after standing still
        ("told", "<i8"),  # 1: it was said to be stuck
    ]
)
NO_STANDING = np.array([(UNKNOWN, 0.0, 0.0, 0)], STANDING)


@dataclass(frozen=True, slots=True)
class Stood:
    """Registers found to be stuck, or to move again.

    Parameters
    ----------
    meters
        The meters.
    moves
        Whether it moves again.
    since
        The reading after which it did not follow power. [ms UTC]
    by_power_kwh
        Energy since then by power.
    step_kwh
        What the import register counted since then; 0 while it stands still. [kWh]
    b
        The reading at which this was seen.
    """

    meters: Ints
    moves: Flags
    since: Ints
    by_power_kwh: Floats
    step_kwh: Floats
    b: Rows


class Stuck:
    """What is known of the registers of a partition."""

    def __init__(self) -> None:
        self.known = ByMeter(NO_STANDING)

    def look(self, due: Segments, meters: Ints, config: Meters) -> Stood | None:
        """Look at pairs of points whose windows close.

        Parameters
        ----------
        due
            Pairs of points, by meter and in order of time.
        meters
            The meters `due.place` refers to.
        config
            Descriptions of the meters.
        """
        owner = meters[due.place]
        involved = self.known.rows["since"][owner] > UNKNOWN
        still = np.flatnonzero(_stands_still(due))
        drawn = np.zeros(len(owner))
        drawn[still] = _drawn_kwh(due, still)
        involved |= drawn > 0
        involved &= config.config(owner)["by_interval"] == 0
        if not involved.any():
            return None
        looked_at = np.zeros(len(meters), np.bool_)
        looked_at[due.place[involved]] = True
        at = np.flatnonzero(looked_at[due.place])
        # A pair whose end lies behind what closes is there again, in part, when the next window closes.
        final = due.b["ts"][at] <= due.close_to[at]
        return self._follow(_Pairs(due, at, owner[at], drawn[at], final, _moves(due, at) & final), config)

    def _follow(self, pairs: "_Pairs", config: Meters) -> Stood | None:
        due, at, owner, drawn, final, moved = pairs
        found = course(owner, drawn, due.since[at], moved, self.known.rows)
        largest_kwh = np.maximum(config.config(owner)["multiplier"], self.known.rows["step_kwh"][owner])
        noticed = final & ~moved & (found.kwh >= OWED_STEPS * largest_kwh)
        notices = found.notices(noticed & (due.b["ts"][at] - found.since[found.run] >= STANDS_MS))
        ends = np.flatnonzero(moved & (found.kwh > 0))
        told = found.told[found.run]
        self._learn(pairs, ends, found.kwh[ends], told[ends])
        self._keep(owner, found, ~moved[found.last] & (found.kwh[found.last] > 0))
        said = np.sort(np.concatenate((notices, ends[told[ends]])))
        if not len(said):
            return None
        moves = moved[said]
        steps = np.where(moves, _steps_kwh(due, at[said]), 0.0)
        return Stood(owner[said], moves, found.since[found.run[said]], found.kwh[said], steps, due.b.take(at[said]))

    def _learn(self, pairs: "_Pairs", ends: Ints, owed: Floats, told: Flags) -> None:
        """Remember how far registers move after standing still; of a pause that says nothing."""
        at = pairs.at[ends]
        steps = _steps_kwh(pairs.due, at)
        coarse = np.isfinite(steps) & ~pairs.due.gap[at] & ~(told & (steps < _CAUGHT_UP * owed))
        np.maximum.at(self.known.rows["step_kwh"], pairs.owner[ends[coarse]], steps[coarse])

    def _keep(self, owner: Ints, found: Course, stands: Flags) -> None:
        rows, meters, last = self.known.rows, owner[found.last], found.last
        rows["since"][meters] = found.since_of_last(stands)
        rows["kwh"][meters] = np.where(stands, found.kwh[last], 0.0)
        rows["told"][meters] = stands & found.told[found.run[last]]


class _Pairs(NamedTuple):
    """Pairs of points of meters whose register stands still, or did."""

    due: Segments
    at: Ints  # which of the pairs
    owner: Ints  # the meter of each
    drawn: Floats  # energy by power where the register stands still [kWh]
    final: Flags  # its end is a reading that closes with it
    moved: Flags


def _stands_still(due: Segments) -> Flags:
    still: Flags = ~due.by_power & (due.how == NOTHING)
    for name in REGISTERS:
        a, b = due.a[name], due.b[name]
        still &= (a == b) | (np.isnan(a) & np.isnan(b))
    return still


def _moves(due: Segments, at: Ints) -> Flags:
    moves: Flags = due.how[at] != NOTHING
    for name in REGISTERS:
        step = due.b[name][at] - due.a[name][at]
        moves |= np.isfinite(step) & (step != 0)
    return moves


def _drawn_kwh(due: Segments, at: Ints) -> Floats:
    """Energy by power of pairs, up to where windows close; 0 where power is not known."""
    a_ts = due.a["ts"][at]
    part_ms = (np.minimum(due.b["ts"], due.close_to)[at] - a_ts).astype(np.float64)
    a_kw, b_kw = due.a["power_kw"][at], due.b["power_kw"][at]
    drawn = drawn_kwh(a_kw, register_at(a_kw, b_kw, part_ms / due.dt[at]), part_ms)
    return np.where(due.gap[at] | np.isnan(drawn), 0.0, drawn)


def _steps_kwh(due: Segments, at: Ints) -> Floats:
    """How far the import register moves in pairs, from reading to reading; NaN where it did not simply go on."""
    a, b = due.a.take(at), due.b.take(at)
    # `a` may lie on the line between the reading before it and `b`.
    whole = (b["ts"] - due.since[at]) / (b["ts"] - a["ts"])
    return np.where(due.how[at] == NOTHING, (b["import_kwh"] - a["import_kwh"]) * whole, np.nan)
