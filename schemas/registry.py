"""The registry: who is measured, where, by which meters, and what electricity costs there.

The models say what one entry looks like; `schemas.registry_checks` says how entries must fit together, and
`schemas.registry_files` reads them from YAML. Everything is immutable, so a site can be shared and hashed.
"""

import re
from datetime import UTC, date
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from schemas.contract import Tariff
from schemas.entry import Entry, Id, Name, Positive, Weekday
from schemas.experiment import Experiment
from schemas.hvac import Hvac
from schemas.instruments import MarketBased, SharedCertificate
from schemas.registry_checks import site_faults

INCONSISTENT_SITE = "inconsistent_site"
# Context for a site that was checked before, when it was taken from registry.v1: its parts are not compared again.
AS_CHECKED = "as checked"

_REGION = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,8})*")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


def _a_region(text: str) -> str:
    if not _REGION.fullmatch(text):
        raise PydanticCustomError("region", "expected a region code such as CN-ZJ (ISO 3166-2)")
    return text


def _a_time_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise PydanticCustomError("time_zone", "expected an IANA time zone such as Asia/Shanghai") from None
    return text


def _a_start(text: str) -> str:
    if not _CLOCK.fullmatch(text):
        raise PydanticCustomError("clock", "expected a time of day from '00:00' to '23:59'")
    return text


def _an_end(text: str) -> str:
    if text != "24:00" and not _CLOCK.fullmatch(text):
        raise PydanticCustomError("clock", "expected a time of day from '00:00' to '24:00'")
    return text


def _distinct_weekdays(weekdays: tuple[int, ...]) -> tuple[int, ...]:
    if not weekdays or len(set(weekdays)) != len(weekdays):
        raise PydanticCustomError("weekdays", "expected at least one weekday from 1 (Monday) to 7, none twice")
    return weekdays


def _in_order(swaps: "tuple[Swap, ...]") -> "tuple[Swap, ...]":
    for earlier, later in pairwise(swaps):
        if later.at <= earlier.at:
            raise PydanticCustomError(
                "in_order",
                "{later} follows {earlier}; expected the times of swaps to ascend",
                {"later": later.at.isoformat(), "earlier": earlier.at.isoformat()},
            )
    return swaps


Register = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]


class Tenant(Entry):
    """An organisation; nobody sees the data of another one."""

    id: Id
    name: Name
    name_zh: str = ""
    certificates: tuple[SharedCertificate, ...] = ()


class MeterKind(StrEnum):
    """What a meter stands for in the site's balance: load = import + generation - export."""

    GRID = "grid"
    GENERATION = "generation"
    SUB_METER = "sub_meter"
    HVAC = "hvac"


class Sends(StrEnum):
    """How a meter says energy."""

    REGISTERS = "registers"  # cumulative registers: what they show now
    INTERVALS = "intervals"  # the energy of each interval, which ends at the reading's `ts`


class Swap(Entry):
    """A meter was taken out and another one put in its place: where the old register ended and the new one began.

    Registers are as the meters show them, before the multiplier. One that is not given is 0 for the new meter, and what
    the old one showed last.

    Examples
    --------
    >>> Swap(at="2026-07-15T10:00:00+08:00", final_kwh=90210.5, initial_kwh=2.0).at_ms
    1784080800000
    """

    at: AwareDatetime
    final_kwh: Register
    initial_kwh: Register = 0.0
    final_export_kwh: Register | None = None
    initial_export_kwh: Register = 0.0

    @property
    def at_ms(self) -> int:
        """When. [ms UTC]"""
        return int(self.at.astimezone(UTC).timestamp() * 1000)


class Meter(Entry):
    """One electricity meter.

    Parameters
    ----------
    id
        Unique within the site.
    kind
        What it stands for in the site's balance.
    parent
        The meter above it; its consumption is part of the parent's.
    rated_kw
        Largest power the circuit can carry, in primary units. [kW]
    multiplier
        CT ratio times PT ratio, applied to registers and power.
    interval_s
        Usual time between two readings; of a meter that sends intervals, the length of each. [s]
    sends
        Whether its readings say registers or the energy of intervals.
    equipment
        The machine it feeds.
    register_max_kwh
        Where its registers begin again at 0, as the meter shows them, e.g. 1,000,000 for six digits. [kWh]
    swaps
        Meters that were put in its place, in ascending order.
    """

    id: Id
    kind: MeterKind
    name: str = ""
    parent: Id | None = None
    rated_kw: Positive | None = None
    multiplier: Positive = 1.0
    interval_s: Annotated[int, Field(ge=1, le=86_400, strict=True)] = 60
    sends: Sends = Sends.REGISTERS
    equipment: Id | None = None
    register_max_kwh: Positive | None = None
    swaps: Annotated[tuple[Swap, ...], AfterValidator(_in_order)] = ()


class VirtualMeter(Entry):
    """A sum and difference of other meters: what flows through `plus`, less what flows through `minus`.

    Parameters
    ----------
    id
        Unique among the meters and virtual meters of the site.
    plus, minus
        Meters and virtual meters of the site. What a meter exports counts against it; generation counts as generated.
    equipment
        The machine it stands for.
    """

    id: Id
    name: str = ""
    plus: tuple[Id, ...]
    minus: tuple[Id, ...] = ()
    equipment: Id | None = None


class Equipment(Entry):
    """A machine or a group of machines, e.g. kind `furnace`, `loom` or `compressor`."""

    id: Id
    name: Name
    kind: Name


class Zone(Entry):
    """A part of a building with its own climate; `meter` measures its heating, ventilation and cooling.

    Without `hvac` nobody knows how it is heated and cooled, and no set-points are worked out for it.
    """

    id: Id
    name: Name
    area_m2: Positive
    meter: Id | None = None
    hvac: Hvac | None = None


class Shift(Entry):
    """A working shift in the site's local time.

    Examples
    --------
    >>> night = Shift(name="night", weekdays=(1, 2, 3, 4, 5), start="22:00", end="06:00")
    >>> night.start_min, night.end_min, night.over_midnight
    (1320, 360, True)
    """

    name: Name
    weekdays: Annotated[tuple[Weekday, ...], AfterValidator(_distinct_weekdays)]  # of its start, ISO 1 = Monday
    start: Annotated[str, AfterValidator(_a_start)]
    end: Annotated[str, AfterValidator(_an_end)]  # before the start means the next day

    @property
    def start_min(self) -> int:
        """Start, in minutes after local midnight."""
        return int(self.start[:2]) * 60 + int(self.start[3:])

    @property
    def end_min(self) -> int:
        """End, in minutes after the local midnight of the day it ends on (1440 for 24:00)."""
        return int(self.end[:2]) * 60 + int(self.end[3:])

    @property
    def over_midnight(self) -> bool:
        """Whether it ends on the day after it started."""
        return self.end_min < self.start_min

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.start == self.end:
            raise PydanticCustomError(
                "empty_shift",
                "starts and ends at {at}; a whole day is '00:00' to '24:00'",
                {"at": self.start},
            )
        return self


class Site(Entry):
    """A factory or building, with everything that is measured in it.

    Parameters
    ----------
    sector
        What it is compared with, e.g. `textiles`; empty for no comparison with peers.
    floor_area_m2
        Floor area of all buildings. [m²]
    production_unit
        What `units_made` on production.v1 counts, e.g. `t` or `m2`.
    works_on_holidays
        Whether its shifts are worked on public holidays too.
    experiment
        Blocks of days with and without the controller in zones of mode `act`, to prove what it saves.
    measure_started_on
        Local day a measure began that is not switched on and off; its saving is counted against the days before.

    Examples
    --------
    >>> mill = Site(
    ...     id="mill", tenant="demo", name="Mill", region="CN-ZJ", time_zone="Asia/Shanghai",
    ...     tariff=Tariff(plan="cn-zj-large-industry"),
    ...     meters=(Meter(id="main", kind=MeterKind.GRID),
    ...             Meter(id="press", kind=MeterKind.SUB_METER, parent="main")),
    ... )
    >>> mill.meter("press").parent, [meter.id for meter in mill.grid_meters], mill.children("main")[0].id
    ('main', ['main'], 'press')
    """

    id: Id
    tenant: Id
    name: Name
    name_zh: str = ""
    region: Annotated[str, AfterValidator(_a_region)]
    time_zone: Annotated[str, AfterValidator(_a_time_zone)]
    tariff: Tariff
    shifts: tuple[Shift, ...] = ()
    meters: tuple[Meter, ...]
    virtual_meters: tuple[VirtualMeter, ...] = ()
    equipment: tuple[Equipment, ...] = ()
    zones: tuple[Zone, ...] = ()
    market_based: MarketBased = MarketBased()
    sector: Annotated[str, Field(max_length=64)] = ""
    floor_area_m2: Positive | None = None
    production_unit: Annotated[str, Field(max_length=32)] = ""
    works_on_holidays: bool = False
    experiment: Experiment | None = None
    measure_started_on: date | None = None

    @property
    def country(self) -> str:
        """The country of its region, which is its market for certificates too (ISO 3166-1)."""
        return self.region.partition("-")[0]

    @property
    def zone_info(self) -> ZoneInfo:
        """The site's time zone."""
        return ZoneInfo(self.time_zone)

    @cached_property
    def grid_meters(self) -> tuple[Meter, ...]:
        """The meters at the connection to the grid: what is paid for and what emits."""
        return tuple(meter for meter in self.meters if meter.kind is MeterKind.GRID)

    def meter(self, meter_id: str) -> Meter:
        """Return the meter with this id.

        Raises
        ------
        KeyError
            If the site has no such meter.
        """
        for meter in self.meters:
            if meter.id == meter_id:
                return meter
        raise KeyError(meter_id)

    def zone(self, zone_id: str) -> Zone | None:
        """Return the zone with this id; None if the site has no such zone."""
        return next((zone for zone in self.zones if zone.id == zone_id), None)

    def children(self, meter_id: str) -> tuple[Meter, ...]:
        """Return the meters directly below this one."""
        return tuple(meter for meter in self.meters if meter.parent == meter_id)

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Self:
        if info.context == AS_CHECKED:
            return self
        faults = [fault.text for fault in site_faults(self.model_dump(mode="json"))]
        if faults:
            raise PydanticCustomError(INCONSISTENT_SITE, "{faults}", {"faults": "; ".join(faults)})
        return self


class Registry(Entry):
    """All tenants and sites of a deployment."""

    tenants: tuple[Tenant, ...] = ()
    sites: tuple[Site, ...] = ()

    def site(self, site_id: str) -> Site:
        """Return the site with this id.

        Raises
        ------
        KeyError
            If there is no such site.
        """
        for site in self.sites:
            if site.id == site_id:
                return site
        raise KeyError(site_id)

    def tenant(self, tenant_id: str) -> Tenant:
        """Return the tenant with this id.

        Raises
        ------
        KeyError
            If there is no such tenant.
        """
        for tenant in self.tenants:
            if tenant.id == tenant_id:
                return tenant
        raise KeyError(tenant_id)

    def sites_of(self, tenant_id: str) -> tuple[Site, ...]:
        """Return the sites of one tenant."""
        return tuple(site for site in self.sites if site.tenant == tenant_id)
