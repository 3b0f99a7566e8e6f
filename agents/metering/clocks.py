"""Clocks of meters that slip: the stamps of readings against when they arrive.

How long a reading takes is a matter of its gateway and stays about the same, so a lag that is steady and longer than it
ever was is a clock that lost time, and stamps later than their arrival are one that gained it. What comes in bursts or
faster than time passes, such as the store of a gateway after an outage, says nothing about a clock. Arrivals are those
at the broker, so this program's own delays do not count.
"""

from dataclasses import dataclass

import numpy as np

from agents.metering.by_meter import ByMeter
from agents.metering.closing import Segments
from agents.metering.meters import Meters
from agents.metering.past import keyed
from agents.metering.points import UNKNOWN
from agents.metering.ragged import Flags, Floats, Ints, Rows

# Readings are judged by blocks of arrival: this long, or this many usual intervals if that is longer.
BLOCK_MS = 15 * 60_000
BLOCK_INTERVALS = 8
LEAST_ARRIVALS = 5
# A clock is behind by more than this, beyond its usual lag, or ahead by more than that.
BEHIND_MS, AHEAD_MS = 120_000, 60_000
# The lags of a block are steady when they differ by less than this and one interval.
STEADY_MS = 60_000
_EASE = 8  # the usual lag takes over an eighth of each block

CLOCK = np.dtype(
    [
        ("block", "<i8"),  # begin of the one readings arrive in; -1 before the first reading [ms UTC]
        ("arrivals", "<i8"),  # in this block
        ("least_ms", "<i8"),  # lag: arrival minus stamp
        ("most_ms", "<i8"),
        ("usual_ms", "<i8"),  # UNKNOWN before the first steady block
        ("told", "<i8"),  # 1: it was said to have slipped
    ]
)
NO_CLOCK = np.array([(-1, 0, 0, 0, UNKNOWN, 0)], CLOCK)


@dataclass(frozen=True, slots=True)
class Slipped:
    """Clocks found to have slipped, or to be right again.

    Parameters
    ----------
    meters
        The meters.
    right
        Whether it is right again.
    window_from, window_until
        Stamps of the readings this was seen in, about. [ms UTC]
    slip_s
        How far it is behind; negative: ahead. [s]
    after
        The first reading behind these.
    """

    meters: Ints
    right: Flags
    window_from: Ints
    window_until: Ints
    slip_s: Floats
    after: Rows


class Clocks:
    """What is known of the clocks of a partition."""

    def __init__(self) -> None:
        self.known = ByMeter(NO_CLOCK)

    def look(self, due: Segments, meters: Ints, config: Meters) -> list[Slipped]:
        """Look at the readings whose windows close.

        Parameters
        ----------
        due
            Pairs of points, by meter and in order of time.
        meters
            The meters `due.place` refers to.
        config
            Descriptions of the meters.
        """
        final = np.flatnonzero(due.b["ts"] <= due.close_to)
        if not len(final):
            return []
        place, b = due.place[final], due.b.take(final)
        interval_ms = config.config(meters)["interval_ms"]
        length_ms = np.maximum(BLOCK_MS, BLOCK_INTERVALS * interval_ms)
        lag = b["arrived_at"] - b["ts"]
        # What arrives out of order counts with what came before it.
        length = length_ms[place]
        block = np.maximum(b["arrived_at"] // length * length, self.known.rows["block"][meters[place]])
        block = np.maximum.accumulate(keyed(place, block)) - keyed(place, np.zeros_like(place))
        firsts = np.flatnonzero(np.append(True, (place[1:] != place[:-1]) | (block[1:] != block[:-1])))
        arrivals = np.diff(firsts, append=len(place))
        least, most = np.minimum.reduceat(lag, firsts), np.maximum.reduceat(lag, firsts)
        owner = place[firsts]
        first_of_meter = np.flatnonzero(np.append(True, owner[1:] != owner[:-1]))
        rank = np.arange(len(owner)) - np.repeat(first_of_meter, np.diff(first_of_meter, append=len(owner)))
        found = []
        for number in range(int(rank.max()) + 1):
            at = np.flatnonzero(rank == number)
            mine, now = meters[owner[at]], block[firsts[at]]
            held = self.known.rows[mine]
            over = np.flatnonzero(held["block"] != now)
            if len(over):
                who = owner[at[over]]
                found.append(self._judge(mine[over], length_ms[who], interval_ms[who], b.take(firsts[at[over]])))
                held = self.known.rows[mine]
            fresh = held["block"] != now
            held["arrivals"] = np.where(fresh, 0, held["arrivals"]) + arrivals[at]
            held["least_ms"] = np.where(fresh, least[at], np.minimum(held["least_ms"], least[at]))
            held["most_ms"] = np.where(fresh, most[at], np.maximum(held["most_ms"], most[at]))
            held["block"] = now
            self.known.rows[mine] = held
        return [one for one in found if len(one.meters)]

    def _judge(self, meters: Ints, length_ms: Ints, interval_ms: Ints, after: Rows) -> Slipped:
        """Judge the block of each meter that is over, and learn from it."""
        held = self.known.rows[meters]
        least, most, usual = held["least_ms"], held["most_ms"], held["usual_ms"]
        judged = (held["arrivals"] >= LEAST_ARRIVALS) & (most - least < STEADY_MS + interval_ms)
        is_known, was_told = usual > UNKNOWN, held["told"] == 1
        usual = np.where(is_known, usual, least)
        ahead = most < -AHEAD_MS
        slipped = ahead | (least - usual > BEHIND_MS)
        new, right = judged & slipped & ~was_told, judged & ~slipped & was_told
        easing = judged & ~slipped
        eased = usual + (least - usual) // _EASE
        rows = self.known.rows
        rows["usual_ms"][meters] = np.where(easing, eased, held["usual_ms"])
        rows["told"][meters] = (was_told | new) & ~right
        said = np.flatnonzero(new | right)
        slip_ms = np.where(ahead, most, least - usual)[said]
        begin, end = held["block"][said], held["block"][said] + length_ms[said]
        return Slipped(
            meters[said], right[said], begin - most[said], end - least[said], slip_ms / 1000.0, after.take(said)
        )
