"""A BACnet/IP device on loopback, with two set-points that can be commanded: a controller in a plant room."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bacpypes3.app import Application
from bacpypes3.local.analog import AnalogValueObject, AnalogValueObjectCmd
from bacpypes3.local.device import DeviceObject
from bacpypes3.local.networkport import NetworkPortObject
from bacpypes3.primitivedata import Null, Real

from schemas.hvac import BacnetPoints

LOOPBACK = "127.0.0.1"
DEVICE = 1201


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


class Controller:
    """The device; without commands it cools above 24 °C and heats below 21 °C."""

    def __init__(self, port: int, units: str = "degreesCelsius", instance: int = DEVICE) -> None:
        self.port = port
        self.cooling = AnalogValueObjectCmd(
            objectIdentifier=("analog-value", 1), objectName="cooling", presentValue=24.0, units=units
        )
        self.heating = AnalogValueObjectCmd(
            objectIdentifier=("analog-value", 2), objectName="heating", presentValue=21.0, units=units
        )
        self.plain = AnalogValueObject(
            objectIdentifier=("analog-value", 3), objectName="plain", presentValue=21.0, units=units
        )
        device = DeviceObject(objectIdentifier=("device", instance), objectName="plant", vendorIdentifier=999)
        network = NetworkPortObject(
            f"{LOOPBACK}/32:{port}", objectIdentifier=("network-port", 1), objectName="bacnet-ip"
        )
        self.app = Application.from_object_list([device, network, self.cooling, self.heating, self.plain])

    @property
    def shows(self) -> tuple[float, float]:
        """The set-points in force: cooling and heating. [°C]"""
        return float(self.cooling.presentValue), float(self.heating.presentValue)

    def taken(self) -> dict[int, list[float]]:
        """What stands in the priority arrays, by priority: cooling and heating where they are set."""
        found: dict[int, list[float]] = {}
        for point in (self.cooling, self.heating):
            for place, entry in enumerate(point.priorityArray, 1):
                if entry.null is None:
                    found.setdefault(place, []).append(float(entry.real))
        return found

    async def by_hand(self, cooling_c: float | None, priority: int = 8) -> None:
        """Somebody at the device sets the cooling set-point, or lets go of it."""
        value = Null(()) if cooling_c is None else Real(cooling_c)
        await self.cooling.write_property("presentValue", value, priority=priority)


@contextmanager
def a_controller(port: int | None = None, **given: object) -> Iterator[Controller]:
    """A device that is there; call it in a running event loop."""
    made = Controller(port or free_udp_port(), **given)
    try:
        yield made
    finally:
        made.app.close()


def points_of(port: int, **given: object) -> BacnetPoints:
    about = {
        "device": DEVICE,
        "address": f"{LOOPBACK}:{port}",
        "cooling_object": "analog-value,1",
        "heating_object": "analog-value,2",
    }
    return BacnetPoints.model_validate(about | given)


@contextmanager
def a_running_controller() -> Iterator["Running"]:
    """A device that answers other processes, in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def made() -> Controller:
        return Controller(free_udp_port())

    device = asyncio.run_coroutine_threadsafe(made(), loop).result(10)
    try:
        yield Running(device, loop)
    finally:
        loop.call_soon_threadsafe(device.app.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


class Running:
    """A device in another thread."""

    def __init__(self, device: Controller, loop: asyncio.AbstractEventLoop) -> None:
        self._device = device
        self._loop = loop
        self.port = device.port

    def taken(self) -> dict[int, list[float]]:
        """What stands in the priority arrays, by priority."""
        return dict(self._device.taken())

    def by_hand(self, cooling_c: float | None, priority: int = 8) -> None:
        """Somebody at the device sets the cooling set-point, or lets go of it."""
        asyncio.run_coroutine_threadsafe(self._device.by_hand(cooling_c, priority), self._loop).result(10)
