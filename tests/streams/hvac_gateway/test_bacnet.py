"""Writing to a BACnet/IP device, and taking back: two applications of the library on loopback."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from bacnet_device import LOOPBACK, Controller, a_controller, free_udp_port, points_of
from commanded import a_command

from streams.hvac_gateway.bacnet import Bacnet
from streams.hvac_gateway.lease import Lease, Shown
from streams.hvac_gateway.plant import PlantError


def with_a_device(asking: Callable[[Bacnet, Controller], Awaitable[object]], **given: object) -> None:
    async def both() -> None:
        with a_controller(**given) as device:
            async with Bacnet(f"{LOOPBACK}/32:{free_udp_port()}", answer_ms=300, retries=0) as ours:
                await asking(ours, device)

    asyncio.run(both())


def a_lease(device: Controller, points=None, **given: object) -> Lease:
    return Lease.of_command(a_command(**given), points or points_of(device.port))


def test_set_points_are_written_at_the_commands_priority_and_read_back():
    async def asking(ours: Bacnet, device: Controller) -> None:
        shown = await ours.hold(a_lease(device, cooling_c=25.6, priority=12))

        assert shown == Shown(25.6, 19.0, 12)
        assert {place: [round(value, 3) for value in values] for place, values in device.taken().items()} == {
            12: [25.6, 19.0]
        }

    with_a_device(asking)


def test_giving_back_writes_null_and_the_plant_returns_to_its_own_value():
    async def asking(ours: Bacnet, device: Controller) -> None:
        lease = a_lease(device)
        await ours.hold(lease)
        shown = await ours.give_back(lease)

        assert shown == Shown(24.0, 21.0, None)
        assert device.taken() == {}
        assert device.shows == (24.0, 21.0)

    with_a_device(asking)


def test_a_set_point_that_is_left_alone_empties_what_the_command_before_wrote_there():
    async def asking(ours: Bacnet, device: Controller) -> None:
        await ours.hold(a_lease(device))
        shown = await ours.hold(a_lease(device, heating_c=None))

        assert shown == Shown(25.5, 21.0, 10)
        assert device.taken() == {10: [25.5]}

    with_a_device(asking)


def test_whoever_sets_a_higher_priority_at_the_device_wins_and_is_seen():
    async def asking(ours: Bacnet, device: Controller) -> None:
        await device.by_hand(22.0, priority=8)

        assert await ours.hold(a_lease(device)) == Shown(22.0, 19.0, 8)
        await device.by_hand(None, priority=8)
        assert device.shows == (25.5, 19.0)

    with_a_device(asking)


@pytest.mark.parametrize(
    ("given", "points", "why"),
    [
        ({}, {"heating_object": "analog-value,3"}, "cannot read priority-array of analog-value,3"),
        ({}, {"heating_object": "analog-value,9"}, "unknown-object"),
        ({"units": "degreesFahrenheit"}, {}, "counts in degrees-fahrenheit; expected degrees-celsius"),
        ({"instance": 7}, {}, "device,1201 at .*: object: unknown-object; expected device 1201 there"),
        ({}, {"heating_object": None}, "the zone has no object for its heating set-point"),
    ],
)
def test_nothing_is_written_to_what_could_not_be_taken_back_or_is_not_what_the_registry_says(given, points, why):
    async def asking(ours: Bacnet, device: Controller) -> None:
        with pytest.raises(PlantError, match=why):
            await ours.hold(a_lease(device, points_of(device.port, **points)))

        assert device.taken() == {}

    with_a_device(asking, **given)


def test_a_device_that_is_away_is_an_error_and_not_a_wait_without_end():
    async def asking(ours: Bacnet, device: Controller) -> None:
        nobody = points_of(free_udp_port())
        with pytest.raises(PlantError, match="no-response"):
            await ours.hold(a_lease(device, nobody))
        with pytest.raises(PlantError, match="no-response"):
            await ours.give_back(a_lease(device, nobody))

    with_a_device(asking)


def test_an_address_of_our_own_that_makes_no_sense_is_said():
    async def opening() -> None:
        async with Bacnet("plant-room"):
            pass

    with pytest.raises(PlantError, match="cannot use 'plant-room' as our own"):
        asyncio.run(opening())
