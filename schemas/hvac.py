"""How a zone is heated and cooled: whether set-points may be sent to it, within which limits, and where they go."""

import re
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from schemas.entry import Entry

# What holds where a zone says nothing else; `schemas.registry_checks` compares with it too.
COMFORT_MIN_C = 20.0
COMFORT_MAX_C = 26.0
SETPOINT_MIN_C = 15.0
SETPOINT_MAX_C = 30.0
DEAD_BAND_K = 1.0

_OBJECT = re.compile(r"(analog-value|analog-output),(\d{1,7})")
_ADDRESS = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?::(\d{1,5}))?")
_LAST_INSTANCE = 4_194_302  # of a BACnet object: 22 bits, and the one after it stands for "any"


class Mode(StrEnum):
    """What may be done with a zone; `act` is opted into."""

    OFF = "off"  # no set-points are worked out
    ADVISE = "advise"  # set-points are worked out and shown, nothing is written
    ACT = "act"  # set-points are written to the plant


class EquipmentKind(StrEnum):
    """What must not be switched on and off too often."""

    DX = "dx"  # direct expansion: split units, roof-top units, heat pumps
    CHILLER = "chiller"
    NO_COMPRESSOR = "no_compressor"  # boilers, district heating and cooling


# Least time on, least time off and starts per hour, where the maker says nothing else. [s, s, 1/h]
_PROTECTED: dict[EquipmentKind, tuple[int, int, int | None]] = {
    EquipmentKind.DX: (180, 300, 6),
    EquipmentKind.CHILLER: (600, 600, 2),
    EquipmentKind.NO_COMPRESSOR: (0, 0, None),
}


def _an_object(text: str) -> str:
    found = _OBJECT.fullmatch(text)
    if found is None or int(found[2]) > _LAST_INSTANCE:
        raise PydanticCustomError(
            "bacnet_object", "expected a BACnet object such as analog-value,12 or analog-output,3"
        )
    return text


def _an_address(text: str) -> str:
    found = _ADDRESS.fullmatch(text)
    if found is None or any(int(part) > 255 for part in found.groups()[:4]) or not 0 < int(found[5] or 1) < 65_536:
        raise PydanticCustomError(
            "bacnet_address", "expected an IPv4 address, with a port or without: 192.0.2.10:47808"
        )
    return text


def _a_device(instance: int) -> int:
    if not 0 <= instance <= _LAST_INSTANCE:
        raise PydanticCustomError(
            "bacnet_device", "expected a device instance from 0 to {last}", {"last": _LAST_INSTANCE}
        )
    return instance


BacnetObject = Annotated[str, AfterValidator(_an_object)]
Degrees = Annotated[float, Field(ge=-30, le=60, strict=True, allow_inf_nan=False)]
Seconds = Annotated[int, Field(ge=0, le=86_400, strict=True)]


class BacnetPoints(Entry):
    """Where a zone's set-points are, in a device on BACnet/IP.

    Parameters
    ----------
    device
        Instance number of the device; whoever answers at the address with another number is not written to.
    address
        IPv4 address, with a port if it is not 47808.
    cooling_object, heating_object
        The commandable objects that hold the set-points, in degrees Celsius; one of them, or both.
    """

    device: Annotated[int, Field(strict=True), AfterValidator(_a_device)]
    address: Annotated[str, AfterValidator(_an_address)]
    cooling_object: BacnetObject | None = None
    heating_object: BacnetObject | None = None


class Hvac(Entry):
    """How one zone is heated and cooled.

    Parameters
    ----------
    equipment_kind
        What the set-points switch; its least times on and off protect compressors.
    mode
        What may be done; only `act` lets set-points reach the plant.
    comfort_min_c, comfort_max_c
        Where the air temperature stays while people are there. [°C]
    setpoint_min_c, setpoint_max_c
        No set-point lies outside, whoever is there. [°C]
    dead_band_k
        Cooling begins at least so much above where heating ends. [K]
    min_on_s, min_off_s, max_starts_per_hour
        The maker's figures, instead of those of the kind. [s, s, 1/h]
    bacnet
        Where its set-points are written.

    Examples
    --------
    >>> office = Hvac(equipment_kind="dx", min_off_s=420)
    >>> office.mode.value, office.least_on_s, office.least_off_s, office.most_starts_per_hour
    ('advise', 180, 420, 6)

    References
    ----------
    Times of the kinds: section 11 of the project's methods, proposed safe defaults (chiller sequencers, DX timers).
    """

    equipment_kind: EquipmentKind
    mode: Mode = Mode.ADVISE
    comfort_min_c: Degrees = COMFORT_MIN_C
    comfort_max_c: Degrees = COMFORT_MAX_C
    setpoint_min_c: Degrees = SETPOINT_MIN_C
    setpoint_max_c: Degrees = SETPOINT_MAX_C
    dead_band_k: Annotated[float, Field(ge=0, le=10, strict=True, allow_inf_nan=False)] = DEAD_BAND_K
    min_on_s: Seconds | None = None
    min_off_s: Seconds | None = None
    max_starts_per_hour: Annotated[int, Field(ge=1, le=60, strict=True)] | None = None
    bacnet: BacnetPoints | None = None

    @property
    def least_on_s(self) -> int:
        """How long it stays on at least. [s]"""
        return _PROTECTED[self.equipment_kind][0] if self.min_on_s is None else self.min_on_s

    @property
    def least_off_s(self) -> int:
        """How long it stays off at least. [s]"""
        return _PROTECTED[self.equipment_kind][1] if self.min_off_s is None else self.min_off_s

    @property
    def most_starts_per_hour(self) -> int | None:
        """How often it is started within an hour at most; None where it does not matter. [1/h]"""
        return self.max_starts_per_hour or _PROTECTED[self.equipment_kind][2]
