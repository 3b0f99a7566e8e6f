"""Set-points in devices on BACnet/IP: written at a priority, read back, and relinquished by writing NULL there.

Before anything is written the device has to be the one the registry names, and every object has to be one that can be
relinquished: it has a priority array, and counts in degrees Celsius. Without the first, a NULL that is to take a value
back is accepted and changes nothing (addendum 135-2016br).
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Self

from bacpypes3.apdu import ErrorRejectAbortNack
from bacpypes3.app import Application
from bacpypes3.local.device import DeviceObject
from bacpypes3.local.networkport import NetworkPortObject
from bacpypes3.pdu import Address
from bacpypes3.primitivedata import Null, Real

from schemas.hvac import BacnetPoints
from streams.hvac_gateway.lease import Lease, Shown
from streams.hvac_gateway.plant import PlantError

log = logging.getLogger(__name__)

OUR_DEVICE = 4_194_000  # instance of the gateway itself; `--bacnet-device` sets another one
_VENDOR = 999  # "reserved for ASHRAE": of applications whose makers have no number
_CELSIUS = "degrees-celsius"
_ANSWER_MS = 3_000  # what BACnet has as default, and so often
_RETRIES = 2


class Bacnet:
    """A client on BACnet/IP.

    Parameters
    ----------
    address
        Our own address: IPv4, with the length of its network and a port if wanted, e.g. `192.0.2.5/24:47808`.
    device
        Our own device instance.
    answer_ms, retries
        How long a device may take to answer one request, and how often it is asked again. [ms]
    """

    def __init__(
        self, address: str, device: int = OUR_DEVICE, *, answer_ms: int = _ANSWER_MS, retries: int = _RETRIES
    ) -> None:
        self._address = address
        self._device = device
        self._answer_ms = answer_ms
        self._retries = retries
        self._patience_s = (answer_ms * (retries + 1)) / 1000 + 1
        self._app: Application | None = None

    async def __aenter__(self) -> Self:
        """Open the port.

        Raises
        ------
        PlantError
            If the address makes no sense.
        """
        try:
            device = DeviceObject(
                objectIdentifier=("device", self._device),
                objectName="wattloop-hvac-gateway",
                vendorIdentifier=_VENDOR,
                apduTimeout=self._answer_ms,
                numberOfApduRetries=self._retries,
            )
            port = NetworkPortObject(self._address, objectIdentifier=("network-port", 1), objectName="bacnet-ip")
            self._app = Application.from_object_list([device, port])
        except (ValueError, TypeError, RuntimeError) as error:
            raise PlantError(f"cannot use {self._address!r} as our own BACnet/IP address: {error}") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        if self._app is not None:
            self._app.close()
            self._app = None

    async def hold(self, lease: Lease) -> Shown:
        """Write the set-points of a lease and read back what the plant shows.

        Parameters
        ----------
        lease
            What is written; a set-point that is None empties its place.

        Raises
        ------
        PlantError
            If the plant does not take them, or would not give them back; a part may have been written.
        """
        points = list(_objects(lease.points, lease.cooling_c, lease.heating_c))
        if missing := [name for name, point, value in points if point is None and value is not None]:
            raise PlantError(f"the zone has no object for its {missing[0]} set-point")
        await self._is_the_device(lease.points)
        for _, point, _ in points:
            if point is not None:
                await self._can_be_taken_back(lease.points, point)
        for _, point, value in points:
            if point is not None:
                await self._write(lease.points, point, value, lease.priority)
        return await self.look(lease)

    async def look(self, lease: Lease) -> Shown:
        """Read what the plant shows, and which priority is in force where the lease has written.

        Raises
        ------
        PlantError
            If it cannot be read.
        """
        points = _objects(lease.points, lease.cooling_c, lease.heating_c)
        return await self._shown(lease.points, [point for _, point, value in points if value is not None])

    async def give_back(self, lease: Lease) -> Shown:
        """Empty the place of a lease in the priority arrays and read back what the plant shows.

        Raises
        ------
        PlantError
            If one of its objects did not take it; the others did.
        """
        await self._is_the_device(lease.points)
        wrong: list[str] = []
        for _, point, _ in _objects(lease.points):
            if point is not None:
                try:
                    await self._write(lease.points, point, None, lease.priority)
                except PlantError as error:
                    wrong.append(str(error))
        if wrong:
            raise PlantError("; ".join(wrong))
        return await self._shown(lease.points, [point for _, point, _ in _objects(lease.points)])

    async def _is_the_device(self, points: BacnetPoints) -> None:
        try:
            await self._read(points, f"device,{points.device}", "object-identifier")
        except PlantError as error:
            raise PlantError(f"{error}; expected device {points.device} there") from error

    async def _can_be_taken_back(self, points: BacnetPoints, point: str) -> None:
        await self._priorities(points, point)
        unit = str(await self._read(points, point, "units"))
        if unit != _CELSIUS:
            raise PlantError(f"{point} of device {points.device} counts in {unit}; expected {_CELSIUS}")

    async def _priorities(self, points: BacnetPoints, point: str) -> list[int]:
        """Return which places of a priority array are taken, from 1."""
        array = await self._read(points, point, "priority-array")
        if not isinstance(array, Sequence):
            raise PlantError(f"{point} of device {points.device} has no priority array")
        return [place for place, entry in enumerate(array, 1) if getattr(entry, "null", ()) is None]

    async def _shown(self, points: BacnetPoints, decisive: Iterable[str | None]) -> Shown:
        values: dict[str, float | None] = {}
        for name, point, _ in _objects(points):
            value = None if point is None else await self._read(points, point, "present-value")
            values[name] = round(float(value), 3) if isinstance(value, float | int) else None
        taken = [place for point in decisive if point is not None for place in await self._priorities(points, point)]
        return Shown(values["cooling"], values["heating"], min(taken, default=None))

    async def _read(self, points: BacnetPoints, point: str, what: str) -> object:
        try:
            async with asyncio.timeout(self._patience_s):
                return await self._open.read_property(Address(points.address), point, what)
        except (ErrorRejectAbortNack, OSError, ValueError) as error:
            raise self._trouble(f"cannot read {what} of {point}", points, error) from error

    async def _write(self, points: BacnetPoints, point: str, value: float | None, priority: int) -> None:
        written = Null(()) if value is None else Real(value)
        try:
            async with asyncio.timeout(self._patience_s):
                await self._open.write_property(
                    Address(points.address), point, "present-value", written, priority=priority
                )
        except (ErrorRejectAbortNack, OSError, ValueError) as error:
            raise self._trouble(f"cannot write {point} at priority {priority}", points, error) from error

    @property
    def _open(self) -> Application:
        if self._app is None:
            raise RuntimeError("the port is not open")
        return self._app

    def _trouble(self, what: str, points: BacnetPoints, error: BaseException) -> PlantError:
        why = str(error) or f"no answer within {self._patience_s:g} s"
        return PlantError(f"{what} at {points.address}: {why}")


def _objects(
    points: BacnetPoints, cooling_c: float | None = None, heating_c: float | None = None
) -> Iterable[tuple[str, str | None, float | None]]:
    yield "cooling", points.cooling_object, cooling_c
    yield "heating", points.heating_object, heating_c
