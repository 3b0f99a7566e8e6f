"""Meters nothing is heard of any more: arrivals against how often a meter usually reports.

Absence has no reading to be found in, so ticks are what is looked at. A gateway that keeps what it measured and sends
it twice a day is silent for half a day as a rule: the longest pause between two arrivals is learnt, slowly forgotten.
"""

from dataclasses import dataclass

import numpy as np

from agents.metering.by_meter import ByMeter
from agents.metering.meters import Meters
from agents.metering.ragged import Flags, Ints, Rows

# Silent: nothing arrived for this long, for this many intervals, and for twice its longest pause.
LEAST_SILENCE_MS = 15 * 60_000
SILENT_INTERVALS = 4
SILENT_PAUSES = 2
LOOK_EVERY_MS = 60_000
_FARTHEST = 4  # times the limit a pause counts at most
_EASE = 64  # a 64th of the longest pause is forgotten with each arrival that came sooner

HEARD = np.dtype(
    [
        ("at", "<i8"),  # arrival of the newest reading; -1 before the first [ms UTC]
        ("pause_ms", "<i8"),  # the longest one lately
        ("told", "<i8"),  # 1: it was said to be silent
        ("raw_partition", "<i8"),  # where the newest reading is
        ("raw_offset", "<i8"),
    ]
)
NOT_HEARD = np.array([(-1, 0, 0, -1, -1)], HEARD)


@dataclass(frozen=True, slots=True)
class Silent:
    """Meters found to be silent, or to speak again.

    Parameters
    ----------
    meters
        The meters.
    speaks
        Whether it speaks again.
    since, until
        Arrival of the last reading before the silence, and minute or reading by which this was known. [ms UTC]
    rows
        The last reading before the silence, or the newest one that ended it: `raw_partition` and `raw_offset`.
    """

    meters: Ints
    speaks: Flags
    since: Ints
    until: Ints
    rows: Rows


class Silence:
    """When the meters of a partition were heard of."""

    def __init__(self) -> None:
        self.known = ByMeter(NOT_HEARD)
        self._looked_at = 0

    def hear(self, meters: Ints, rows: Rows, config: Meters) -> Silent:
        """Take in what arrived.

        Parameters
        ----------
        meters, rows
            Readings, and the meter of each.
        config
            Descriptions of the meters.
        """
        # Readings of a meter come in the order they arrived, and of repeated places the last one is kept.
        heard, place = np.zeros(len(self.known.rows), np.bool_), np.empty(len(self.known.rows), np.int64)
        heard[meters], place[meters] = True, np.arange(len(meters))
        who = np.flatnonzero(heard)
        last = rows.take(place[who])
        newest = last["arrived_at"]
        held = self.known.rows[who]
        pause_ms = np.where(held["at"] < 0, 0, np.maximum(newest - held["at"], 0))
        spoke = np.flatnonzero((held["told"] == 1) & (pause_ms > 0))
        spoke = spoke[np.argsort(config.order(who[spoke]))]  # by name: numbers are others after a restart
        # One long silence is no habit, several are.
        capped = np.minimum(pause_ms, _FARTHEST * self._limit_ms(who, held, config))
        now = held.copy()
        now["pause_ms"] = np.maximum(capped, held["pause_ms"] - held["pause_ms"] // _EASE)
        now["at"] = np.maximum(newest, held["at"])
        now["told"] = np.where(pause_ms > 0, 0, held["told"])
        is_newer = newest >= held["at"]
        for name in ("raw_partition", "raw_offset"):
            now[name] = np.where(is_newer, last[name], held[name])
        self.known.rows[who] = now
        said = np.ones(len(spoke), np.bool_)
        return Silent(who[spoke], said, held["at"][spoke], newest[spoke], last.take(spoke))

    def look(self, now: int, config: Meters) -> Silent | None:
        """Look for meters that have gone silent; once a minute, else None. [ms UTC]"""
        # By whole minutes: what a restart forgot to have looked at is found again as it was.
        at = now // LOOK_EVERY_MS * LOOK_EVERY_MS
        if at == self._looked_at:
            return None
        self._looked_at = at
        rows = self.known.rows
        overdue = np.flatnonzero((rows["at"] >= 0) & (rows["told"] == 0) & (at - rows["at"] > LEAST_SILENCE_MS))
        silent = overdue[at - rows["at"][overdue] > self._limit_ms(overdue, rows[overdue], config)]
        silent = silent[np.argsort(config.order(silent))]
        rows["told"][silent] = 1
        said = np.zeros(len(silent), np.bool_)
        return Silent(silent, said, rows["at"][silent], np.full(len(silent), at), rows.take(silent))

    @staticmethod
    def _limit_ms(meters: Ints, held: Rows, config: Meters) -> Ints:
        by_interval = SILENT_INTERVALS * config.config(meters)["interval_ms"]
        limit: Ints = np.maximum(np.maximum(LEAST_SILENCE_MS, by_interval), SILENT_PAUSES * held["pause_ms"])
        return limit
