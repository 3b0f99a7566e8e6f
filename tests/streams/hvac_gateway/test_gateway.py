"""A gateway on a BACnet/IP device on loopback, with its state on disk, killed and started again; time is passed in."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from bacnet_device import LOOPBACK, Controller, a_controller, free_udp_port, points_of
from commanded import MINUTE, MORNING, SECOND, a_command, a_zone, an_override
from pydantic import ValidationError

from schemas.ack import Ack
from streams.hvac_gateway.bacnet import Bacnet
from streams.hvac_gateway.gateway import RETRY_MS, Gateway
from streams.hvac_gateway.journal import Journal, JournalError, Record
from streams.hvac_gateway.orders import read_command
from streams.hvac_gateway.plant import Plant, Rehearsal

FALLBACK = (24.0, 21.0)


class World:
    """A device, a clock and a directory that outlive gateways."""

    def __init__(self, device: Controller, plant: Plant, directory: Path) -> None:
        self.device = device
        self.plant = plant
        self.directory = directory
        self.now = MORNING
        self.mode = "act"
        self._open = ExitStack()

    def start(self, **given: object) -> Gateway:
        """Start a gateway; one that ran before is killed: its lock is gone, and nothing else happens."""
        self.kill()
        journal = self._open.enter_context(Journal(self.directory))
        gateway = Gateway(self.plant, journal, lambda: self.now, **given)
        gateway.zones = lambda _site, _zone: a_zone(mode=self.mode, bacnet=points_of(self.device.port))
        return gateway

    def kill(self) -> None:
        self._open.close()


def in_a_world(directory: Path, story: Callable[[World], Awaitable[None]]) -> None:
    async def told() -> None:
        with a_controller() as device:
            async with Bacnet(f"{LOOPBACK}/32:{free_udp_port()}", answer_ms=200, retries=0) as plant:
                world = World(device, plant, directory)
                await story(world)
                world.kill()

    asyncio.run(told())


def states(acks: tuple[Ack, ...]) -> list[str]:
    return [ack.state.value for ack in acks]


def test_a_command_is_applied_for_its_lease_and_every_step_is_answered(tmp_path):
    async def story(world: World) -> None:
        gateway = world.start()
        await gateway.take([a_command()])
        assert world.device.taken() == {10: [25.5, 19.0]}

        world.now += 30 * MINUTE
        await gateway.turn()
        assert world.device.taken() == {}
        assert world.device.shows == FALLBACK
        assert states(gateway.unsent) == ["accepted", "applied", "expired"]
        assert (gateway.unsent[1].measured_cooling_c, gateway.unsent[2].measured_cooling_c) == (25.5, 24.0)

    in_a_world(tmp_path, story)


def test_the_same_command_again_is_not_applied_again_even_by_the_next_gateway(tmp_path):
    async def story(world: World) -> None:
        await world.start().take([a_command()])
        await world.device.by_hand(None, priority=10)
        gateway = world.start()
        await gateway.take([a_command()])

        assert world.device.taken() == {10: [19.0]}
        assert states(gateway.unsent) == ["accepted", "applied"]

    in_a_world(tmp_path, story)


def test_killed_in_the_middle_of_a_lease_the_next_gateway_ends_it_in_time(tmp_path):
    async def story(world: World) -> None:
        await world.start().take([a_command()])
        gateway = world.start()
        await gateway.turn()
        assert world.device.taken() == {10: [25.5, 19.0]}

        world.now += 30 * MINUTE
        await gateway.turn()
        assert world.device.shows == FALLBACK

    in_a_world(tmp_path, story)


def test_a_lease_that_ended_while_no_gateway_ran_is_given_back_at_the_start_without_broker_or_registry(tmp_path):
    async def story(world: World) -> None:
        await world.start().take([a_command()])
        world.now += 45 * MINUTE
        gateway = world.start()
        gateway.zones = None
        await gateway.turn()

        assert world.device.shows == FALLBACK
        assert states(gateway.unsent) == ["accepted", "applied", "expired"]

    in_a_world(tmp_path, story)


class Killed(BaseException):
    """The process is gone."""


class Deadly:
    """A plant at which the gateway dies: just before, or just after it was written to."""

    def __init__(self, plant: Plant, *, after: bool) -> None:
        self._plant = plant
        self._after = after

    async def hold(self, lease):
        if self._after:
            await self._plant.hold(lease)
        raise Killed

    async def look(self, lease):
        return await self._plant.look(lease)

    async def give_back(self, lease):
        return await self._plant.give_back(lease)


@pytest.mark.parametrize("after", [False, True])
def test_a_gateway_that_dies_while_it_writes_leaves_nothing_behind_and_writes_nothing_twice(tmp_path, after):
    async def story(world: World) -> None:
        plant, world.plant = world.plant, Deadly(world.plant, after=after)
        with pytest.raises(Killed):
            await world.start().take([a_command()])
        assert (world.device.taken() != {}) == after

        world.plant = plant
        gateway = world.start()
        await gateway.turn()
        await gateway.take([a_command()])
        assert world.device.taken() == {}
        assert states(gateway.unsent) == ["accepted", "failed"]

    in_a_world(tmp_path, story)


def test_a_device_that_is_away_is_asked_again_until_it_has_given_back(tmp_path):
    async def story(world: World) -> None:
        gateway = world.start()
        await gateway.take([a_command()])
        world.device.app.close()
        await asyncio.sleep(0)
        world.now += 30 * MINUTE
        await gateway.turn()
        assert [lease.stage.value for lease in gateway.leases] == ["ending"]
        assert states(gateway.unsent) == ["accepted", "applied"]

        with a_controller(world.device.port) as again:
            await gateway.turn()
            assert [lease.stage.value for lease in gateway.leases] == ["ending"]
            world.now += RETRY_MS
            await gateway.turn()
            assert gateway.leases == ()
            assert states(gateway.unsent)[-1] == "expired"
            assert again.shows == FALLBACK

    in_a_world(tmp_path, story)


def test_an_operator_at_the_device_in_the_middle_of_a_lease_is_seen_and_keeps_the_zone(tmp_path):
    async def story(world: World) -> None:
        gateway = world.start()
        await gateway.take([a_command()])
        await world.device.by_hand(22.0, priority=8)
        await gateway.look()
        await gateway.look()
        assert states(gateway.unsent) == ["accepted", "applied", "overridden"]

        world.now += 30 * MINUTE
        await gateway.turn()
        assert world.device.shows == (22.0, 21.0)

    in_a_world(tmp_path, story)


def test_a_gateway_that_stops_gives_everything_back(tmp_path):
    async def story(world: World) -> None:
        gateway = world.start()
        await gateway.take([a_command()])

        assert await gateway.stop()
        assert world.device.taken() == {}
        assert (gateway.unsent[-1].state, gateway.unsent[-1].reason) == ("expired", "shut_down")

    in_a_world(tmp_path, story)


def test_a_gateway_whose_disk_is_gone_writes_nothing_more_but_still_gives_back(tmp_path):
    async def story(world: World) -> None:
        gateway = world.start()
        await gateway.take([a_command()])
        (tmp_path / "gateway" / "state.json.part").mkdir()
        with pytest.raises(JournalError, match="cannot keep anything"):
            await gateway.take([a_command(60, cooling_c=26.0)])
        assert world.device.taken() == {10: [25.5, 19.0]}

        assert await gateway.stop()
        assert world.device.taken() == {}

    in_a_world(tmp_path / "gateway", story)


def test_an_operator_and_a_command_that_arrive_together_are_taken_in_that_order(tmp_path):
    async def story(world: World) -> None:
        gateway = world.start()
        await gateway.take([a_command(1), an_override(0, cooling_c=22.0)])

        assert world.device.taken() == {10: [22.0]}
        assert [(ack.state, ack.reason) for ack in gateway.unsent] == [
            ("accepted", "in_force"),
            ("overridden", "override"),
            ("applied", "written"),
        ]

    in_a_world(tmp_path, story)


def test_of_two_commands_that_arrive_together_only_the_newer_one_is_written(tmp_path):
    async def story(world: World) -> None:
        gateway = world.start()
        await gateway.take([a_command(0), a_command(1, cooling_c=26.0)])

        assert world.device.taken() == {10: [26.0, 19.0]}
        assert states(gateway.unsent) == ["accepted", "accepted", "expired", "applied"]

    in_a_world(tmp_path, story)


def test_sites_that_are_not_its_own_are_left_to_others(tmp_path):
    async def story(world: World) -> None:
        gateway = world.start(sites=["other"])
        await gateway.take([a_command(), read_command(b"{}", MORNING)])

        assert (gateway.unsent, gateway.leases) == ((), ())

    in_a_world(tmp_path, story)


def test_what_is_no_command_is_answered_where_it_says_what_it_is(tmp_path):
    async def story(world: World) -> None:
        gateway = world.start()
        wrong = {"command_id": "c1", "tenant_id": "acme", "site_id": "mill", "zone_id": "hall", "priority": 8}
        await gateway.take([read_command(json.dumps(wrong).encode(), MORNING), read_command(None, MORNING)])

        (ack,) = gateway.unsent
        assert (ack.state, ack.reason) == ("rejected", "invalid")
        assert "priority: got 8; expected a number not below 9" in ack.message

    in_a_world(tmp_path, story)


def test_acknowledgements_that_were_not_sent_survive_a_kill(tmp_path):
    async def story(world: World) -> None:
        gateway = world.start()
        await gateway.take([a_command()])
        gateway.sent(gateway.unsent[:1])

        assert states(world.start().unsent) == ["applied"]

    in_a_world(tmp_path, story)


def test_no_acknowledgement_is_sent_before_it_is_on_disk(tmp_path):
    async def story(world: World) -> None:
        gateway = world.start()
        await gateway.take([a_command()])
        (tmp_path / "gateway" / "state.json.part").mkdir()
        world.now += 30 * MINUTE
        with pytest.raises(JournalError):
            await gateway.turn()

        assert states(gateway.unsent) == ["accepted", "applied"]

    in_a_world(tmp_path / "gateway", story)


def test_a_zone_that_leaves_mode_act_is_given_back_within_a_turn(tmp_path):
    async def story(world: World) -> None:
        gateway = world.start()
        await gateway.take([a_command()])
        world.mode = "advise"
        world.now += SECOND
        await gateway.turn()

        assert world.device.shows == FALLBACK

    in_a_world(tmp_path, story)


def test_two_gateways_do_not_share_a_directory(tmp_path):
    with Journal(tmp_path), pytest.raises(JournalError, match="another gateway has"):
        Journal(tmp_path)


def test_a_state_that_makes_no_sense_is_not_passed_over_in_silence(tmp_path):
    (tmp_path / "state.json").write_text('{"book": {"leases": []}}')

    with (
        Journal(tmp_path) as journal,
        pytest.raises(JournalError, match=r"state.json cannot be read .*look at the plant"),
    ):
        journal.load()


def test_a_state_of_a_later_release_is_not_read_in_part():
    with pytest.raises(ValidationError):
        Record.model_validate_json('{"unknown": 1}')


def test_a_rehearsal_decides_everything_and_touches_nothing():
    told: list[Ack] = []

    async def story() -> None:
        now = [MORNING]
        gateway = Gateway(Rehearsal(), None, lambda: now[0], tell=told.append)
        gateway.zones = lambda _site, _zone: a_zone()
        await gateway.take([a_command(fallback_cooling_c=24.0)])
        now[0] += 30 * MINUTE
        await gateway.turn()
        assert gateway.unsent == ()

    asyncio.run(story())
    assert [ack.message for ack in told] == [
        "cooling 25.5 °C, heating 19 °C at priority 10 until 2026-07-14T06:30:00Z",
        "cooling 25.5 °C, heating 19 °C at priority 10 until 2026-07-14T06:30:00Z",
        "priority 10 is empty again; the plant shows cooling 24 °C; the fall-back is cooling 24 °C",
    ]
