"""The days and months of a site: their bounds, and what has been booked in them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

MINUTE_MS = 60_000
QUARTER_MS = 15 * MINUTE_MS


class Rate(NamedTuple):
    """What a kilowatt-hour costs at a time: booked energy keeps the rate it was booked with. [CNY/kWh]."""

    tariff_id: str | None
    period: str | None
    price: float | None
    network: float | None  # to be added: 0 where the price contains it, None when it is not known
    funds: float | None
    network_within: float | None  # contained in the price; 0 where it is not, None when it is not known
    funds_within: float | None


@dataclass(slots=True)
class Booked:
    """What a local day holds: whole pico-kWh by rate, and counts of minutes."""

    cells: dict[Rate, int] = field(default_factory=dict)
    kvarh: int = 0  # pico-kvarh
    kwh_with_kvarh: int = 0
    windows: int = 0
    not_measured: int = 0
    without_energy: int = 0
    uncorrected: int = 0

    def book(self, rate: Rate, counts: Iterable[int]) -> None:
        """Add a change of `minutes.COUNTS`."""
        energy, kvarh, with_kvarh, windows, not_measured, without_energy, uncorrected = counts
        if energy or windows:
            self.cells[rate] = self.cells.get(rate, 0) + energy
        self.kvarh += kvarh
        self.kwh_with_kvarh += with_kvarh
        self.windows += windows
        self.not_measured += not_measured
        self.without_energy += without_energy
        self.uncorrected += uncorrected

    def counts(self) -> tuple[int, ...]:
        """Return all but the cells, in the order of the fields."""
        return (
            self.kvarh,
            self.kwh_with_kvarh,
            self.windows,
            self.not_measured,
            self.without_energy,
            self.uncorrected,
        )


@dataclass(frozen=True, slots=True)
class Span:
    """A local day or a billing month of a site."""

    kind: str  # day | month
    first: date
    last: date
    starts_at: int  # [ms UTC]
    ends_at: int  # [ms UTC], exclusive

    @property
    def name(self) -> str:
        """Kind and first day."""
        return f"{self.kind}/{self.first.isoformat()}"


@lru_cache(maxsize=4096)
def day_of(zone: str, day: date) -> Span:
    """Return a local day.

    Examples
    --------
    >>> span = day_of("Europe/Berlin", date(2026, 3, 29))
    >>> (span.ends_at - span.starts_at) / 3_600_000
    23.0
    """
    return Span("day", day, day, _midnight(zone, day), _midnight(zone, day + timedelta(days=1)))


@lru_cache(maxsize=4096)
def month_of(zone: str, day: date) -> Span:
    """Return the billing month a local day is in: the calendar month.

    Examples
    --------
    >>> month_of("Asia/Shanghai", date(2028, 2, 10)).last
    datetime.date(2028, 2, 29)
    """
    first = day.replace(day=1)
    after = (first + timedelta(days=31)).replace(day=1)
    return Span("month", first, after - timedelta(days=1), _midnight(zone, first), _midnight(zone, after))


@lru_cache(maxsize=65_536)
def local_day(zone: str, quarter: int) -> date:
    """Return the local day of a quarter hour.

    Every zone is a multiple of 15 minutes from UTC, so quarter hours since 1970 UTC are those of the local clock.

    Examples
    --------
    >>> local_day("Asia/Kathmandu", 0), local_day("America/St_Johns", 13)
    (datetime.date(1970, 1, 1), datetime.date(1969, 12, 31))
    """
    return datetime.fromtimestamp(quarter * QUARTER_MS / 1000, ZoneInfo(zone)).date()


def _midnight(zone: str, day: date) -> int:
    return round(datetime.combine(day, time(), ZoneInfo(zone)).timestamp() * 1000)
