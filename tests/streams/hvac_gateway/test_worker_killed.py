"""A worker dies in the middle of a lease: the plant goes back, nothing is done twice, and learning goes on."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import polars as pl
from commanded import a_zone
from logs import said

from agents.comfort.step import Comfort
from schemas.flow import Kind
from schemas.setpoint import Setpoint
from schemas.topics import HVAC_SETPOINTS, METER_READINGS, WEATHER, Topic
from schemas.weather import WEATHER_ROWS
from schemas.zone import ZONE_ROWS
from streams.demo.building import STEP_MS, ZONES, Building
from streams.demo.steered import SteeredBuilding
from streams.frame.codec import Origin, batch_value, control_headers, envelopes
from streams.frame.lane import Lane
from streams.hvac_gateway.gateway import Gateway
from streams.hvac_gateway.journal import Journal
from streams.hvac_gateway.orders import read_command
from streams.settings import Settings
from streams.topology import stages
from tests.agents.comfort.test_step import DAY, START, an_agent, columns, obeying

(COMFORT,) = [stage for stage in stages(Settings()) if stage.name == "comfort"]


class World:
    """A building, its gateway and the log of energy.v1, which outlive workers."""

    def __init__(self, directory: Path, building: Building) -> None:
        path = directory / "building.json"
        path.write_text(building.to_json(), encoding="utf-8")
        self.now = building.at_ms
        self.plant = SteeredBuilding(path, self.now, lambda: self.now)
        self.log: list[tuple[bytes, dict[str, bytes]]] = []
        self.sent: list[Setpoint] = []
        self.gateway: Gateway
        self.path = path

    async def go_on(self) -> None:
        """A quarter hour passes in the building, and is on the log; gateways end what is over."""
        self.now += STEP_MS
        await self.plant.go_on(self.now, self._measure)
        self.log.append((b"", self._headers(Kind.TICK)))
        await self.gateway.turn()

    async def _measure(self, topic: Topic, rows: pl.DataFrame) -> None:
        if topic is not METER_READINGS:
            kind, schema = (Kind.WEATHER, WEATHER_ROWS) if topic is WEATHER else (Kind.ZONES, ZONE_ROWS)
            place = {"raw_partition": pl.lit(0, pl.Int32), "raw_offset": pl.lit(len(self.log), pl.Int64)}
            self.log.append((batch_value(columns(rows, schema).with_columns(**place)), self._headers(kind)))

    def _headers(self, kind: Kind) -> dict[str, bytes]:
        return dict(control_headers(kind, self.now))

    async def run(self, lane: Lane) -> None:
        """A worker reads the log to its end, and what it says arrives."""
        for offset in range(lane.next_offset, len(self.log)):
            message, outcome = lane.apply(offset, *self.log[offset])
            for output in outcome.outputs:
                for one in envelopes(output, Origin("energy.v1", 0, offset), 0, message.arrived_at, "test"):
                    assert one.topic == HVAC_SETPOINTS.name
                    order = read_command(one.value, self.now)
                    assert isinstance(order, Setpoint)
                    self.sent.append(order)
                    await self.gateway.take([order])

    @property
    def held(self) -> set[str]:
        """Zones that something else than their own schedule holds."""
        building = Building.of_json(self.path.read_text(encoding="utf-8"))
        return {z.id for z in ZONES if building.in_force(z, self.now) != z.own((self.now - _ANCHOR) // STEP_MS)}

    def applied(self) -> Counter[str]:
        return Counter(ack.command_id for ack in self.gateway.unsent if ack.state.value == "applied")


_ANCHOR = START - 190 * 86_400_000


def a_worker(checkpoint: Mapping[str, bytes], inherited: Mapping[str, bytes]) -> Lane:
    return Lane.restored(Comfort(), 0, checkpoint, inherited, COMFORT.passes_over)


def test_a_worker_killed_in_the_middle_of_a_lease_leaves_the_plant_its_own_schedule_and_goes_on_where_it_was(
    tmp_path: Path,
):
    agent, building = an_agent(), Building.new(START)
    obeying(agent, building, 15 * DAY)
    building.holds.clear()
    learnt = agent.snapshot(["sim-building"])

    async def story() -> None:
        world = World(tmp_path, building)
        with Journal(tmp_path) as journal:
            world.gateway = Gateway(world.plant, journal, lambda: world.now)
            world.gateway.zones = lambda _site, _zone: a_zone()
            lane, checkpoint = a_worker({}, learnt), dict[str, bytes]()
            while not world.gateway.leases:
                checkpoint |= dict(lane.checkpoint())
                await world.go_on()
                await world.run(lane)
            # Killed: what it said since its last checkpoint is said, and not in any snapshot.
            told = [one.command_id for one in world.sent]
            assert world.held
            begun = world.applied()

            for _ in range(4):
                await world.go_on()
            assert not world.held
            assert not world.gateway.leases

            lane = a_worker(checkpoint, learnt)
            await world.run(lane)
            again = [one.command_id for one in world.sent[len(told) :]]
            assert set(again) & set(told)  # a log that is read again says the same again, by the same names
            assert all(count == 1 for name, count in world.applied().items() if name in begun)

            for _ in range(8):
                await world.go_on()
                await world.run(lane)
            assert max(world.applied().values()) == 1
            assert len(world.applied()) > len(begun)

            undisturbed = a_worker({}, learnt)
            for offset, message in enumerate(world.log):
                undisturbed.apply(offset, *message)
            state = [said("comfort", one.agent.snapshot(["sim-building"])) for one in (lane, undisturbed)]
            assert state[0] == state[1]

    asyncio.run(story())
