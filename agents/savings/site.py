"""What is known of the energy of one site: days that are over, and quarter hours of those that are not."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from agents.savings.baseline import Floats
from agents.savings.closed_days import ClosedDays, Figure, day_figures, samples_of
from agents.savings.judging import (
    YEAR_DAYS,
    Learnt,
    Verdict,
    by_baseline,
    by_experiment,
    days_before,
    days_without,
    foretold,
    learnt,
    measure_to_come,
)
from agents.savings.local import QUARTERS_PER_UTC_DAY, day_of, kind_of, quarters_of
from agents.savings.open_days import OpenDays, Whole
from agents.savings.scopes import Scope, is_acting, scopes_of
from agents.savings.words import record as in_words
from agents.switching.blocks import Blocks
from schemas.flow import SiteRecord

# A day is worked out when windows are so far past its end, and anew as long as corrections of it are taken.
SETTLED_QUARTERS = 8
CORRECTED_DAYS = 3
_UNITS = 1_000_000  # production is counted in millionths, so that it adds up to the same in any order
_NEVER = -1
_UNTOUCHED = 1 << 62
_WATCHED_DAYS = YEAR_DAYS  # kept where no measure is asked about
_MEASURED_DAYS = 2 * YEAR_DAYS


class Due(NamedTuple):
    """A local day that is to be worked out, and its quarter hours."""

    day: int
    first: int
    end: int


@dataclass(slots=True)
class WatchedSite:
    """One site.

    Parameters
    ----------
    record
        Its record.
    scopes
        Whose energy is watched; the site itself first.
    open, closed
        Days that are not over, or may still be corrected, and days that are over.
    produced
        What was made by open local day. [1e-6 units]
    acting_since
        Local day on which each zone was first seen in mode `act`.
    newest
        Newest quarter hour with energy.
    closed_until
        Newest local day that is over; 0 before there is one.
    touched
        Earliest quarter hour of a day that is over for which something came since.
    kept_from
        What is before this quarter hour is not taken any more.
    """

    record: SiteRecord
    scopes: tuple[Scope, ...]
    open: OpenDays
    closed: ClosedDays
    produced: dict[int, int] = field(default_factory=dict)
    acting_since: dict[str, int] = field(default_factory=dict)
    newest: int = _NEVER
    closed_until: int = 0
    touched: int = _UNTOUCHED
    kept_from: int = _NEVER
    packed_record: bytes = b""
    packed_closed: bytes = b""
    _due_at: int | None = None
    _models: dict[int, tuple[bytes, Learnt | None]] = field(default_factory=dict)

    @classmethod
    def new(cls, record: SiteRecord, arrived_at: int) -> Self:
        """Return a site of which nothing is known; its record arrived then. [ms UTC]"""
        scopes = scopes_of(record.site)
        site = cls(record, scopes, OpenDays(len(scopes)), ClosedDays.none(len(scopes)))
        site._note_acting(arrived_at)
        return site

    def configure(self, record: SiteRecord, arrived_at: int) -> None:
        """Take over a newer record, which arrived then. [ms UTC]"""
        scopes = scopes_of(record.site)
        if scopes != self.scopes:
            places = {scope.zone_id: place for place, scope in enumerate(self.scopes)}
            before = {now: places[one.zone_id] for now, one in enumerate(scopes) if one.zone_id in places}
            self.open = self.open.with_scopes(before, len(scopes))
            self.closed = self.closed.with_scopes(before, len(scopes))
            self.scopes, self.packed_closed = scopes, b""
        self._models.clear()  # of another method, or of days that are of another kind now
        self.record, self.packed_record, self._due_at = record, b"", None
        self._note_acting(arrived_at)

    def _note_acting(self, arrived_at: int) -> None:
        today = day_of(self.record.site.time_zone, arrived_at // 900_000)
        acting = [zone.id for zone in self.record.site.zones if is_acting(zone)]
        self.acting_since = {zone: self.acting_since.get(zone, today) for zone in acting}

    def add_energy(self, scope: Whole, quarter: Whole, counts: Whole, seconds: Whole) -> None:
        """Take in energy of scopes by quarter hour; shapes (n,). [1e-6 kWh, s]"""
        taken = quarter >= self.kept_from
        if not taken.any():
            return
        self.open.add_energy(scope[taken], quarter[taken], counts[taken], seconds[taken])
        self._touch(quarter[taken])
        self.newest = max(self.newest, int(quarter[taken].max()))
        if not self.closed_until:
            self._due_at = None  # an earlier beginning than was known

    def add_outdoor(self, quarter: Whole, sums: Whole, number: Whole) -> None:
        """Take in outdoor temperatures by quarter hour; shapes (n,). [0.01 °C]"""
        taken = quarter >= self.kept_from
        if taken.any():
            self.open.add_outdoor(quarter[taken], sums[taken], number[taken])
            self._touch(quarter[taken])

    def add_produced(self, day: int, units: float) -> None:
        """Take in what was made on a local day."""
        first, _ = quarters_of(self.record.site.time_zone, day)
        if first >= self.kept_from:
            self.produced[day] = self.produced.get(day, 0) + round(units * _UNITS)
            self.touched = min(self.touched, first) if day <= self.closed_until else self.touched

    def _touch(self, quarter: Whole) -> None:
        if self.closed_until:
            _, end = quarters_of(self.record.site.time_zone, self.closed_until)
            earliest = int(quarter.min())
            if earliest < end:
                self.touched = min(self.touched, earliest)

    @property
    def is_due(self) -> bool:
        """Whether a day is over that was not."""
        if self.newest < 0:
            return False
        if self._due_at is None:
            zone = self.record.site.time_zone
            day = self.closed_until + 1 if self.closed_until else day_of(zone, self._earliest())
            self._due_at = quarters_of(zone, day)[1] + SETTLED_QUARTERS - 1
        return self.newest >= self._due_at

    def _earliest(self) -> int:
        first = min(self.open.days)
        seconds = self.open.days[first][self.open.scopes : 2 * self.open.scopes].sum(axis=0)
        return first * QUARTERS_PER_UTC_DAY + (int(np.flatnonzero(seconds)[0]) if seconds.any() else 0)

    @property
    def is_measured(self) -> bool:
        """Whether a measure is asked about."""
        return any(self._measured(scope) for scope in self.scopes)

    def due(self) -> list[Due]:
        """Return the days to work out, ascending: those that were corrected, and those that are over now."""
        zone = self.record.site.time_zone
        last = self._last_over
        days = {
            day_of(zone, quarter)
            for utc_day in self.open.days
            for quarter in (utc_day * QUARTERS_PER_UTC_DAY, (utc_day + 1) * QUARTERS_PER_UTC_DAY - 1)
        }
        spans = (Due(day, *quarters_of(zone, day)) for day in sorted(days) if day <= last)
        return [one for one in spans if self._is_due(one) and self.open.between(one.first, one.end).any()]

    def _is_due(self, one: Due) -> bool:
        return one.day > self.closed_until or (one.end > self.touched and one.first >= self.kept_from)

    @property
    def _last_over(self) -> int:
        return day_of(self.record.site.time_zone, self.newest + 1 - SETTLED_QUARTERS) - 1

    def close(self, due: list[Due], rates: list[Floats]) -> Iterator[dict[str, object]]:
        """Work out days, and yield what is said of each that was not over before: rows of `SAVING_RECORD`.

        Parameters
        ----------
        due
            Of `due`.
        rates
            Price and factors of each by quarter hour; shape (3, quarters) each. [CNY/kWh, kg/kWh, kg/kWh]
        """
        site = self.record.site
        blocks = Blocks.of(site)
        for one, known in zip(due, rates, strict=True):
            is_new = one.day > self.closed_until
            self._work_out(one, known, blocks)
            if is_new:
                for place, scope in enumerate(self.scopes):
                    if self._measured(scope):
                        yield in_words(site, scope, one.day, self._judge(place, scope, one.day, blocks))
        self.closed_until = last = self._last_over
        self.kept_from = max(self.kept_from, quarters_of(site.time_zone, last + 1 - CORRECTED_DAYS)[0])
        self.open.forget_before(self.kept_from)
        self.produced = {day: made for day, made in self.produced.items() if day > last - CORRECTED_DAYS}
        self.touched, self._due_at, self.packed_closed = _UNTOUCHED, None, b""
        self._forget(last)

    def _work_out(self, one: Due, rates: Floats, blocks: Blocks | None) -> None:
        counts = self.open.between(one.first, one.end)
        meters = np.array([len(scope.meters) for scope in self.scopes])
        asked = self.record.site.experiment
        begins = blocks is not None and one.day >= blocks.first_day
        begins = begins and blocks is not None and (one.day - blocks.first_day) % blocks.block_days == 0
        carry_over = 4 * asked.carry_over_hours if asked is not None and begins else 0
        figures = day_figures(counts[:-2], meters, carry_over, rates)
        self.closed.put(one.day, samples_of(*counts[-2:]), self.produced.get(one.day, 0) / _UNITS, figures)
        if blocks is None or one.day < blocks.first_day:
            return
        kinds, place = self._kinds(), int(np.searchsorted(self.closed.day, one.day))
        for scope in range(len(self.scopes)):
            mine = days_without(self.closed, scope, one.day, blocks)
            without = self._learnt(scope, kinds, mine, for_intervals=False)
            self.closed.figures[scope, Figure.EXPECTED_KWH, place] = foretold(self.closed, kinds, one.day, without)

    def _judge(self, place: int, scope: Scope, today: int, blocks: Blocks | None) -> Verdict:
        if blocks is not None:
            return by_experiment(self.closed, place, today, blocks)
        first_day, kinds = self._begins(scope), self._kinds()
        if today < first_day:
            return measure_to_come(self.closed, place, today, first_day)
        mine = days_before(self.closed, place, first_day)
        before = self._learnt(place, kinds, mine, for_intervals=True)
        return by_baseline(self.closed, kinds, place, first_day, before)

    def _learnt(self, scope: int, kinds: Whole, mine: npt.NDArray[np.bool_], *, for_intervals: bool) -> Learnt | None:
        """Return what these days teach; it is worked out anew only when they are other days, or were corrected."""
        energy = self.closed.figures[scope, Figure.WHOLE_KWH, mine]
        of = b"".join(part.tobytes() for part in (energy, self.closed.outdoor_c[mine], self.closed.produced[mine]))
        held = self._models.get(scope)
        if held is None or held[0] != of:
            found = learnt(self.closed, kinds, scope, mine, for_intervals=for_intervals)
            held = self._models[scope] = of, found
        return held[1]

    def _measured(self, scope: Scope) -> bool:
        """Return whether something is to be said of a scope."""
        site = self.record.site
        acts = bool(self.acting_since) if scope.zone_id is None else scope.zone_id in self.acting_since
        return acts or (site.measure_started_on is not None and site.experiment is None)

    def _begins(self, scope: Scope) -> int:
        """Return the first local day of a measure that is not switched."""
        started = self.record.site.measure_started_on
        if started is not None:
            return started.toordinal()
        return min(self.acting_since.values()) if scope.zone_id is None else self.acting_since[scope.zone_id]

    def _kinds(self) -> Whole:
        return np.array([kind_of(self.record.site, day) for day in self.closed.day.tolist()], dtype=np.int64)

    def _forget(self, last: int) -> None:
        days = self.closed.day
        if not self.is_measured:
            self.closed.keep(days > last - _WATCHED_DAYS)
            return
        blocks = Blocks.of(self.record.site)
        first = blocks.first_day if blocks is not None else min(map(self._begins, filter(self._measured, self.scopes)))
        before = (days >= first - YEAR_DAYS) & (days < first)
        self.closed.keep(before | (days > last - _MEASURED_DAYS))
