"""What billing remembers of one site: its record, its days, its demands, and how it runs now."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from agents.billing.forecast import Spread
from agents.billing.peaks import Peaks
from agents.billing.spans import QUARTER_MS, Booked, Rate, Span, day_of, month_of
from schemas.flow import SiteRecord


@dataclass(slots=True)
class LiveMeter:
    """The newest figures of a grid meter, and its energy when the running quarter hour began."""

    ts: int  # [ms UTC]
    power_kw: float | None
    open_kwh: float | None
    seen_ts: int = 0  # the figures before
    seen_pico: int | None = None
    quarter: int = -1
    start_pico: int | None = None  # all it ever had when the quarter hour began; None when that is not known

    def follow(self, pico_kwh: int | None) -> None:
        """Take all energy it ever had until `ts`.

        Where a quarter hour begins between two figures, its start lies on the line between them.
        """
        quarter = self.ts // QUARTER_MS
        if quarter > self.quarter:
            begins = quarter * QUARTER_MS
            self.quarter, self.start_pico = quarter, None
            if pico_kwh is not None and self.ts == begins:
                self.start_pico = pico_kwh
            elif pico_kwh is not None and self.seen_pico is not None and begins - self.seen_ts <= QUARTER_MS:
                done = begins - self.seen_ts
                drawn = pico_kwh - self.seen_pico
                self.start_pico = self.seen_pico + drawn * done // (self.ts - self.seen_ts)
        self.seen_ts, self.seen_pico = self.ts, pico_kwh


@dataclass(slots=True)
class Said:
    """The newest record of a span on ledger.v1."""

    revision: int
    is_final: bool


@dataclass(slots=True)
class SiteBill:
    """The state of one site."""

    record: SiteRecord
    peaks: Peaks
    days: dict[date, Booked] = field(default_factory=dict)
    kept_from: date = date.min  # what is older was forgotten
    said: dict[tuple[str, date], Said] = field(default_factory=dict)  # by kind and first day
    dirty: set[date] = field(default_factory=set)  # days booked since they were last said
    live: dict[str, LiveMeter] = field(default_factory=dict)
    spread: Spread = field(default_factory=Spread)
    packed_record: bytes = field(default=b"", compare=False)  # kept, because records hardly ever change

    @property
    def zone(self) -> str:
        """Time zone of the site."""
        return self.record.site.time_zone

    def configure(self, record: SiteRecord) -> None:
        """Take over a newer record; a meter that is no longer at the grid connection counts no more."""
        self.record, self.packed_record = record, b""
        self.peaks.move_to(record.site.time_zone)
        grid = {meter.id for meter in record.site.grid_meters}
        self.live = {meter: one for meter, one in self.live.items() if meter in grid}

    def book(self, day: date, rate: Rate, counts: Iterable[int]) -> None:
        """Add a change to a local day. A day that was forgotten takes no more: its other parts are gone."""
        if day < self.kept_from:
            *_, windows, _, _, uncorrected = counts
            self._day(self.kept_from).uncorrected += abs(windows) + uncorrected
            self.dirty.add(self.kept_from)
            return
        self._day(day).book(rate, counts)
        self.dirty.add(day)

    def due_spans(self, settled_until: int) -> list[Span]:
        """Return the spans whose record changed or became final, oldest first; nothing is due afterwards."""
        zone = self.zone
        due = {("day", day): day_of(zone, day) for day in self.dirty}
        due |= {("month", month.first): month for day in self.dirty for month in [month_of(zone, day)]}
        for (kind, first), said in self.said.items():
            span = day_of(zone, first) if kind == "day" else month_of(zone, first)
            if not said.is_final and settled_until >= span.ends_at:
                due[kind, first] = span
        self.dirty.clear()
        return sorted(due.values(), key=lambda span: (span.first, span.kind))

    def revision(self, span: Span, *, is_final: bool) -> int:
        """Return the revision of the next record of a span."""
        held = self.said.setdefault((span.kind, span.first), Said(-1, is_final=False))
        held.revision += 1
        held.is_final = is_final
        return held.revision

    def booked(self, span: Span) -> list[Booked]:
        """Return the days of a span."""
        return [booked for day, booked in self.days.items() if span.first <= day <= span.last]

    def forget(self) -> None:
        """Keep the newest month and the one before."""
        newest = max(self.days, default=None)
        if newest is None:
            return
        before = date.fromordinal(newest.replace(day=1).toordinal() - 1).replace(day=1)
        if before > self.kept_from:
            self.kept_from = before
            self.days = {day: booked for day, booked in self.days.items() if day >= before}
            self.said = {key: said for key, said in self.said.items() if key[1] >= before}
            self.peaks.forget_before(before)

    def _day(self, day: date) -> Booked:
        return self.days.setdefault(day, Booked())
