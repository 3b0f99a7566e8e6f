"""What is known of one site: its record, what was made there, and its meters."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from agents.anomalies.conditions import Conditions
from agents.anomalies.hearing import Hearing
from agents.anomalies.meter import MeterWatch
from agents.anomalies.profile import DayClass
from agents.anomalies.sharing import Sharing
from agents.pricing.rest_days import is_public_holiday, is_working_weekend
from agents.pricing.shift_calendar import shifts_of
from schemas.anomaly import AnomalyKind
from schemas.flow import SiteRecord
from schemas.registry import Equipment, Meter, MeterKind, Site

# Kinds of equipment that run day and night by purpose.
ALWAYS_ON = frozenset({"server", "server_room", "data_center", "cold_store", "freezer", "refrigeration"})
_KEPT_MS = 2 * 86_400_000
_SATURDAY, _SUNDAY = 6, 7


@dataclass(frozen=True, slots=True)
class Made:
    """An interval in which something was made. [ms UTC]."""

    starts_at: int
    ends_at: int
    line: str | None  # equipment; None = the whole site


@dataclass(slots=True)
class SiteWatch:
    """The state of one site."""

    record: SiteRecord
    meters: dict[str, MeterWatch] = field(default_factory=dict)
    made: list[Made] = field(default_factory=list)
    sharing: Sharing = field(default_factory=Sharing)
    hearing: Hearing = field(default_factory=Hearing)
    conditions: Conditions = field(default_factory=Conditions)
    past: "SiteWatch | None" = None  # what it learns from the history, until that is complete
    until: int = 0  # of a past: where its history ends [ms UTC]
    packed_record: bytes = field(default=b"", compare=False)  # kept, because records hardly ever change

    @property
    def site(self) -> Site:
        """Its registry entry."""
        return self.record.site

    def configure(self, record: SiteRecord) -> None:
        """Take over a newer record; what was learnt of meters that are gone goes with them."""
        self.record, self.packed_record = record, b""
        known = watched(record.site)
        self.meters = {name: watch for name, watch in self.meters.items() if name in known}
        self.hearing.keep(known)
        if self.past is not None:
            self.past.configure(record)

    def make(self, intervals: Iterable[Made]) -> None:
        """Take in what was made."""
        self.made += intervals
        newest = max((one.ends_at for one in self.made), default=0)
        self.made = [one for one in self.made if one.ends_at > newest - _KEPT_MS]

    def is_making(self, meter: Meter, at: int) -> bool:
        """Return whether something was made at a moment, by the meter's equipment or by the whole site."""
        return any(one.starts_at <= at < one.ends_at and one.line in (None, meter.equipment) for one in self.made)

    def allowed(
        self, meter: Meter, at: int, day: int, hour: int, power_kw: float | None
    ) -> tuple[str, frozenset[AnomalyKind]]:
        """Return why a meter may draw what it likes in a quarter hour, and what is not opened then.

        Parameters
        ----------
        meter
            The meter.
        at, day, hour
            The quarter hour [ms UTC], its local date as an ordinal, and its local hour.
        power_kw
            Its mean power; None = not known.
        """
        quiet = self.hearing.muted(meter.id, at)
        if self.is_making(meter, at):
            return "production", quiet
        if power_kw is None or not self.hearing.usual:
            return "", quiet
        hour_of_week = (day - 1) % 7 * 24 + hour  # the first day of all is a Monday
        if self.hearing.allows(meter.id, AnomalyKind.PEAK_SURGE, hour_of_week, power_kw):
            quiet |= {AnomalyKind.PEAK_SURGE}
        is_usual = self.hearing.allows(meter.id, AnomalyKind.LEFT_ON, hour_of_week, power_kw)
        return "said_normal" if is_usual else "", quiet

    def may_idle(self, meter: Meter) -> bool:
        """Return whether a meter may be off: not where it feeds what runs day and night by purpose."""
        return self._equipment(meter) is None or self._equipment_kind(meter) not in ALWAYS_ON

    def _equipment(self, meter: Meter) -> Equipment | None:
        return next((one for one in self.site.equipment if one.id == meter.equipment), None)

    def _equipment_kind(self, meter: Meter) -> str:
        found = self._equipment(meter)
        return "" if found is None else found.kind


def watched(site: Site) -> dict[str, Meter]:
    """Return the meters that are watched, by id: all that stand for consumption."""
    return {meter.id: meter for meter in site.meters if meter.kind is not MeterKind.GENERATION}


def class_of(site: Site, day: date) -> DayClass:
    """Return which days a local day is like.

    Examples
    --------
    >>> from schemas.contract import Tariff
    >>> mill = Site(id="mill", tenant="demo", name="Mill", region="CN-ZJ", time_zone="Asia/Shanghai",
    ...             tariff=Tariff(plan="cn-zj-large-industry"), meters=(Meter(id="main", kind=MeterKind.GRID),))
    >>> [class_of(mill, date(2026, 10, day)).name for day in (1, 9, 10, 11, 17)]  # National Day; 10th worked in return
    ['OFF', 'WORKING', 'WORKING', 'OFF', 'SATURDAY']
    """
    if site.shifts and not shifts_of(site, day):
        return DayClass.OFF
    if not site.works_on_holidays and is_public_holiday(site.country, day):
        return DayClass.OFF
    weekday = day.isoweekday()
    if weekday < _SATURDAY or (not site.works_on_holidays and is_working_weekend(site.country, day)):
        return DayClass.WORKING
    return DayClass.SATURDAY if weekday < _SUNDAY else DayClass.OFF


@lru_cache(maxsize=4096)
def local_place(zone: str, at_ms: int) -> tuple[int, int]:
    """Return the local date, as an ordinal, and the local hour of a moment.

    Examples
    --------
    >>> local_place("Asia/Shanghai", 1_784_080_800_000)  # 2026-07-15 02:00 UTC
    (739812, 10)
    """
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(zone))
    return local.toordinal(), local.hour
