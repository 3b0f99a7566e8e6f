"""`python -m bench.chain`: what every agent costs per reading, with the frame around it and everything on the wire.

All agents of the topology, one partition, one process, no broker: messages are decoded, applied, and what follows is
encoded, with the checkpoints of the shipped settings. CPU time is taken, because machines are shared. Two paces: a
`backlog` has tens of thousands of readings between two ticks, `live` the readings of one second.
"""

import argparse
import cProfile
import json
import pstats
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from bench.scale import INTERVAL_MS, PER_TICK, START_MS, batches, sites
from schemas.flow import Kind, Message, Outcome, SiteRecord
from schemas.topics import ENERGY
from streams.frame.codec import BATCH_ROWS, Envelope, Origin, batch_value, control_headers, envelopes, record_value
from streams.frame.decoding import SharedBatches
from streams.frame.lane import Lane
from streams.frame.letters import letters_of
from streams.frame.stage import StageSpec
from streams.settings import Settings
from streams.topology import stages

LATENESS_S = 30  # as in bench.job
BEHIND_MS = 10 * 86_400_000  # how long after the first event time a backlog arrived
WARM_SWEEPS, WARM_READINGS = 12, 4_000_000  # windows close from the third on, quarter hours from the sixtieth

Wire = tuple[bytes, dict[str, bytes]]  # value and headers


@dataclass(slots=True)
class Spent:
    """CPU time of one agent by kind of work [s], and what it wrote."""

    frame: float = 0.0  # decoding, origins, accounting
    step: float = 0.0
    encode: float = 0.0
    checkpoint: float = 0.0
    messages: int = 0
    sent_bytes: int = 0
    changelog_bytes: int = 0

    @property
    def total(self) -> float:
        """All of it. [s]."""
        return self.frame + self.step + self.encode + self.checkpoint


class _Timed:
    """An agent whose steps are timed."""

    def __init__(self, spec: StageSpec) -> None:
        self._agent = spec.agent()
        self.spent_s = 0.0

    def step(self, message: Message) -> Outcome:
        began = time.process_time()
        outcome = self._agent.step(message)
        self.spent_s += time.process_time() - began
        return outcome

    def changed(self) -> Iterable[str]:
        return self._agent.changed()

    def snapshot(self, sites: Collection[str] | None = None) -> Mapping[str, bytes]:
        return self._agent.snapshot(sites)

    def restore(self, snapshots: Mapping[str, bytes]) -> None:
        self._agent.restore(snapshots)


@dataclass(slots=True)
class Station:
    """One agent with its lane."""

    spec: StageSpec
    checkpoint_ms: int
    read: SharedBatches
    agent: _Timed = field(init=False)
    lane: Lane = field(init=False)
    spent: Spent = field(default_factory=Spent)
    _checkpoint_at: int = 0

    def __post_init__(self) -> None:
        """Begin without state."""
        self.agent = _Timed(self.spec)
        self.lane = Lane(self.agent, 0, passes_over=self.spec.passes_over, read=self.read)

    def take(self, wire: Wire) -> list[Envelope]:
        """Take a message and return what is sent because of it."""
        spent = self.spent
        offset, stepped = self.lane.next_offset, self.agent.spent_s
        began = time.process_time()
        taken, outcome = self.lane.apply(offset, *wire)
        applied = time.process_time()
        origin = Origin(self.spec.source.name, 0, offset)
        made: list[Envelope] = []
        firsts: dict[str, int] = {}
        for output in outcome.outputs:
            first = firsts.get(output.topic.name, 0)
            some = list(envelopes(output, origin, first, taken.arrived_at, f"wattloop/{self.spec.name}"))
            firsts[output.topic.name] = first + len(some)
            made += some
        if outcome.rejected is not None:
            made += [one.envelope for one in letters_of(outcome.rejected, self.spec.name, origin, taken.arrived_at)]
        encoded = time.process_time()
        spent.step += self.agent.spent_s - stepped
        spent.frame += applied - began - (self.agent.spent_s - stepped)
        spent.encode += encoded - applied
        spent.messages += 1
        spent.sent_bytes += sum(len(one.value) for one in made)
        if taken.kind is Kind.TICK and taken.arrived_at - self._checkpoint_at >= self.checkpoint_ms:
            self._checkpoint_at = taken.arrived_at
            began = time.process_time()
            for _, packed in self.lane.checkpoint(self.spec.sites_at_once):
                spent.changelog_bytes += len(packed)
            spent.checkpoint += time.process_time() - began
        return made


def telemetry(meters: int, pace: str, first_sweep: int, sweeps: int) -> Iterator[tuple[int, list[Wire]]]:
    """Yield how many readings come between two ticks, and these messages with the tick behind them.

    A backlog arrived long after its event time, and a tick is a second of arrival time.
    """
    per_tick = PER_TICK if pace == "backlog" else max(1, meters * 1000 // INTERVAL_MS)
    ticks = first_sweep * meters // per_tick
    offset = ticks << 20
    for at, rows in batches(meters, first_sweep, sweeps, per_tick):
        ticks += 1
        arrived_at = START_MS + BEHIND_MS + ticks * 1000 if pace == "backlog" else at
        parts = []
        for part in rows.iter_slices(BATCH_ROWS):
            placed = part.with_columns(raw_offset=pl.lit(offset, pl.Int64) + pl.int_range(part.height) // 1000)
            offset += part.height // 1000 + 1
            parts.append((batch_value(placed), dict(control_headers(Kind.READINGS, arrived_at))))
        yield rows.height, [*parts, (b"", dict(control_headers(Kind.TICK, arrived_at + 1000)))]


def _run(stations: Sequence[Station], wires: Iterable[Wire]) -> None:
    metering, *others = stations
    for wire in wires:
        for one in metering.take(wire):
            if one.topic == ENERGY.name:
                said = one.value, dict(one.headers)
                for station in others:
                    station.take(said)


def figures_of(meters: int, pace: str, sweeps: int, profile: str | None) -> dict[str, dict[str, float]]:
    """Measure all agents with this many meters, in CPU seconds per million readings."""
    settings = Settings.model_validate({"allowed_lateness_s": LATENESS_S})
    every_ms = int(settings.checkpoint_interval_s * 1000)
    specs = stages(settings)
    shared = {
        topic: SharedBatches(spec.passes_over for spec in specs if spec.source is topic)
        for topic in {spec.source for spec in specs}
    }
    stations = [Station(spec, every_ms, shared[spec.source]) for spec in specs]
    for site in sites(meters):
        _run(stations, [(record_value(SiteRecord(site, 1)), dict(control_headers(Kind.SITE, START_MS)))])
    warm = max(WARM_SWEEPS, min(64, WARM_READINGS // meters))
    for _, wires in telemetry(meters, pace, 0, warm):
        _run(stations, wires)
    for station in stations:
        station.spent = Spent()
    readings = ticks = 0
    profiler = cProfile.Profile()
    for count, wires in telemetry(meters, pace, warm, sweeps):
        readings += count
        ticks += 1
        if profile is not None:
            profiler.enable()
        _run(stations, wires)
        profiler.disable()
    if profile is not None:
        pstats.Stats(profiler).dump_stats(profile)
    millions = readings / 1e6
    found = {station.spec.name: _figures(station.spent, millions) for station in stations}
    found["all"] = {name: sum(one[name] for one in found.values()) for name in next(iter(found.values()))}
    print(f"\n{meters:,} meters, {pace}: {readings:,} readings, {ticks} ticks; CPU s per million readings")
    print("".join(f"{name:>14}" for name in ("", *found["all"])))
    for name, one in found.items():
        print(f"{name:>14}" + "".join(f"{value:>14,.2f}" for value in one.values()))
    found["all"]["ms per tick"] = found["all"]["total"] * millions * 1e3 / ticks
    print(f"{found['all']['ms per tick']:.1f} ms of CPU time per tick")
    return found


def _figures(spent: Spent, millions: float) -> dict[str, float]:
    return {
        "total": spent.total / millions,
        "frame": spent.frame / millions,
        "step": spent.step / millions,
        "encode": spent.encode / millions,
        "checkpoint": spent.checkpoint / millions,
        "sent MB": spent.sent_bytes / 1e6 / millions,
        "changelog MB": spent.changelog_bytes / 1e6 / millions,
    }


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench.chain", description=__doc__)
    parser.add_argument("--meters", type=int, nargs="+", default=[500, 50_000], help="in the partition")
    parser.add_argument("--pace", nargs="+", choices=["backlog", "live"], default=["backlog", "live"])
    parser.add_argument("--readings", type=int, default=1_000_000, help="measured, at least; fewer where live")
    parser.add_argument("--profile", help="write cProfile's figures here")
    arguments = parser.parse_args()
    found = {}
    for meters in arguments.meters:
        for pace in arguments.pace:
            wanted = arguments.readings if pace == "backlog" else min(arguments.readings, meters * 24)
            sweeps = max(8, wanted // meters)
            found[f"{meters} {pace}"] = figures_of(meters, pace, sweeps, arguments.profile)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
