"""Meters wired the wrong way round: what only draws seems to feed in.

A current transformer that was clamped on backwards turns the sign: the meter counts consumption on its export register,
or shows it as negative power. The grid connection and generation may feed in, and so may a meter with generation behind
it. One phase of three that is turned round shows as a third of the load: that is not seen without readings by phase.
"""

from dataclasses import dataclass

import numpy as np

from agents.metering.by_meter import ByMeter
from agents.metering.closing import Segments
from agents.metering.energy import trapezoid_kwh
from agents.metering.meters import Meters
from agents.metering.points import UNKNOWN
from agents.metering.ragged import Flags, Floats, Ints, Rows
from agents.metering.standing import course

# Drives that brake give energy back for seconds; this long, and nothing drawn in between, none does.
BACK_MS = 30 * 60_000
# Digits that flicker are no energy: this many of the display's whole kilowatt-hours.
BACK_STEPS = 2.0

BACKWARDS = np.dtype(
    [
        ("since", "<i8"),  # reading after which it only fed in; UNKNOWN while it does not [ms UTC]
        ("kwh", "<f8"),  # fed in since then
        ("told", "<i8"),  # 1: it was said to be the wrong way round
    ]
)
NOT_BACKWARDS = np.array([(UNKNOWN, 0.0, 0)], BACKWARDS)


@dataclass(frozen=True, slots=True)
class Backwards:
    """Meters found to be the wrong way round, or to draw again.

    Parameters
    ----------
    meters
        The meters.
    draws
        Whether it draws again.
    since
        The reading after which it only fed in. [ms UTC]
    kwh
        What it seemed to feed in since then.
    b
        The reading at which this was seen.
    """

    meters: Ints
    draws: Flags
    since: Ints
    kwh: Floats
    b: Rows


class Reversed:
    """What is known of the direction of the meters of a partition."""

    def __init__(self) -> None:
        self.known = ByMeter(NOT_BACKWARDS)

    def look(self, due: Segments, meters: Ints, config: Meters) -> Backwards | None:
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
        # A pair whose end lies behind what closes is there again, when the windows it ends in close.
        looked_at = (due.b["ts"] <= due.close_to) & (config.config(meters)["draws_only"] == 1)[due.place]
        owner = meters[due.place]
        hinted = (due.export_e > 0) | (due.b["power_kw"] < 0) | (self.known.rows["since"][owner] > UNKNOWN)
        hinted &= looked_at
        if not hinted.any():
            return None
        places = np.zeros(len(meters), np.bool_)
        places[due.place[hinted]] = True
        at = np.flatnonzero(looked_at & places[due.place])
        return self._follow(due, at, owner[at], config)

    def _follow(self, due: Segments, at: Ints, owner: Ints, config: Meters) -> Backwards | None:
        net_kwh = _net_kwh(due, at)
        draws = net_kwh > 0
        back_kwh = np.where(net_kwh < 0, -net_kwh, 0.0)
        found = course(owner, back_kwh, due.since[at], draws, self.known.rows)
        long_enough = due.b["ts"][at] - found.since[found.run] >= BACK_MS
        enough = found.kwh >= BACK_STEPS * config.config(owner)["multiplier"]
        notices = found.notices(~draws & (back_kwh > 0) & long_enough & enough)
        ends = np.flatnonzero(draws & found.told[found.run])
        last = found.last
        goes_on = ~draws[last] & (found.kwh[last] > 0)
        rows, held = self.known.rows, owner[last]
        rows["since"][held] = found.since_of_last(goes_on)
        rows["kwh"][held] = np.where(goes_on, found.kwh[last], 0.0)
        rows["told"][held] = goes_on & found.told[found.run[last]]
        said = np.sort(np.concatenate((notices, ends)))
        if not len(said):
            return None
        return Backwards(owner[said], draws[said], found.since[found.run[said]], found.kwh[said], due.b.take(at[said]))


def _net_kwh(due: Segments, at: Ints) -> Floats:
    """What pairs drew, from reading to reading: by registers, or by power where these stand still; 0 = unknown."""
    a, b = due.a.take(at), due.b.take(at)
    span_ms = (b["ts"] - a["ts"]).astype(np.float64)
    counted = np.nan_to_num(due.import_e[at]) - np.nan_to_num(due.export_e[at])
    # `a` may lie on the line between the reading before it and `b`.
    counted *= (b["ts"] - due.since[at]) / span_ms
    by_power = np.nan_to_num(trapezoid_kwh(a["power_kw"], b["power_kw"], span_ms))
    return np.where((counted != 0) | due.gap[at], counted, by_power)
