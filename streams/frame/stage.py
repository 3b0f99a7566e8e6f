"""A stage: one agent on one topic, run by Faust, with the delivery rule of `streams.frame.lane`.

Faust acknowledges a message whose agent raised, and after a table recovery it skips messages it had fetched. So a stage
takes messages un-acknowledged, accepts only the next offset of a partition, and seeks back when another one arrives.
At a checkpoint (a tick): flush the outputs, account for what was read since the last record on accounting.v1, write the
snapshots to the table, acknowledge the held messages.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import faust
from aiokafka.errors import IllegalStateError, KafkaError
from faust.streams import Stream
from faust.types import TP, EventT, StreamT
from faust.types.tables import TableT
from faust.types.tuples import RecordMetadata

from schemas.accounting import Caused
from schemas.flow import CONTEXT, ENERGY_KINDS, Agent, Kind, Outcome
from schemas.topics import Topic
from streams.accounting.segment import Segment, minute_of, note
from streams.broker import partition_for
from streams.frame.codec import Envelope, Origin, ReadBatch, envelopes
from streams.frame.decoding import read_batch
from streams.frame.lane import META, Lane, Verdict
from streams.frame.letters import letters_of
from streams.frame.pulse import Pulse
from streams.frame.standstill import group_offset
from streams.health.behind import Place, Reach
from streams.metrics import METRICS

log = logging.getLogger(__name__)

_RETRY_S = 1.0
_SEEK_PATIENCE_S = 2.0  # a seek takes effect only after what was fetched before it has passed


class MessagesDeleted(Exception):
    """The broker deleted messages before they were applied: a hole nobody may paper over."""


@dataclass(frozen=True, slots=True)
class StageSpec:
    """What a stage is made of; the topology is a list of these."""

    name: str
    source: Topic
    yields: tuple[Topic, ...]
    agent: Callable[[], Agent]
    context: bool = False  # whether the agent is given weather, production, feedback and zones
    history: bool = False  # whether it learns from quarter hours of before
    windows: bool = True  # whether it is given windows and live state; what it is not given is not even decoded
    live: bool = True  # whether it is given live state beside windows
    sites_at_once: int = 500  # in one checkpoint: thousands would stop the event loop for too long

    @property
    def passes_over(self) -> frozenset[Kind]:
        """What the agent is not given."""
        beside = frozenset() if self.live else frozenset({Kind.LIVE})
        before = frozenset() if self.history else frozenset({Kind.HISTORY})
        return (before if self.context else CONTEXT) | (beside if self.windows else ENERGY_KINDS)


@dataclass(slots=True)
class Stage:
    """Runs one `StageSpec` inside a Faust app.

    Parameters
    ----------
    app
        The app.
    spec
        What to run.
    prefix
        Prefix of all topic names.
    partitions
        Partition count of the source topic.
    checkpoint_interval_ms
        Least arrival time between two checkpoints of a partition. [ms]
    inherited
        Site snapshots of an earlier log, taken up where this log has none.
    pulse
        Says whether this process may have been replaced.
    on_bug
        Called with an error that must stop the worker.
    read
        How the rows of a batch are read.
    """

    app: faust.App
    spec: StageSpec
    prefix: str
    partitions: int
    checkpoint_interval_ms: int
    inherited: Mapping[str, bytes]
    pulse: Pulse
    on_bug: Callable[[BaseException], Awaitable[None]]
    read: ReadBatch = read_batch
    lanes: dict[int, Lane] = field(default_factory=dict)
    _held: dict[int, list[EventT[bytes]]] = field(default_factory=dict)
    _last_seek: dict[int, float] = field(default_factory=dict)
    _last_checkpoint: dict[int, int] = field(default_factory=dict)
    _in_flight: dict[int, list[Awaitable[RecordMetadata]]] = field(default_factory=dict)
    _last_segment: dict[int, int] = field(default_factory=dict)  # arrival minute of the last segment sent
    _snapshots: "dict[int, dict[str, bytes]] | None" = None
    _last_due: set[int] = field(default_factory=set)  # partitions whose last checkpoint is still to come
    _last_taken: asyncio.Event = field(default_factory=asyncio.Event)
    moved: int = 0  # messages applied, and what followed sent
    crashes: int = 0  # times the agent ended with an error; Faust starts it anew
    arrived_at: dict[int, int] = field(default_factory=dict)  # of the newest message applied [ms UTC]
    checkpointed_at: dict[int, float] = field(default_factory=dict)  # or opened [s since 1970 UTC]
    table: TableT[bytes, bytes] = field(init=False)

    def attach(self) -> None:
        """Register source, table and agent with the app."""
        source = self.app.topic(
            self.prefix + self.spec.source.name,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            partitions=self.partitions,
        )
        self.table = self.app.Table(self.spec.name, partitions=self.partitions, key_type=bytes, value_type=bytes)
        self.app.on_partitions_revoked.connect(self._forget, weak=False)
        self.table.on_recover(self._recovered)
        self.app.agent(source, name=self.spec.name)(self._run)

    async def _forget(self, _app: object, /, *_arguments: object, **_rest: object) -> None:
        for memory in (self.lanes, self._held, self._last_seek, self._last_checkpoint, self._in_flight):
            memory.clear()
        self.arrived_at.clear()
        self.checkpointed_at.clear()
        self._last_segment.clear()
        self._snapshots = None
        log.info("partitions_revoked", extra={"agent": self.spec.name})

    async def _recovered(self) -> None:
        """Forget what was opened for a message left over from before: the table was older then."""
        self.lanes.clear()
        self._snapshots = None

    async def _run(self, stream: StreamT[bytes]) -> None:
        if not isinstance(stream, Stream):
            raise TypeError(f"{self.spec.name}: Faust gave a {type(stream).__name__}, not a stream")
        try:
            await self._take_all(stream.noack())
        except Exception:
            # Whatever the stream itself raises ends here too, and Faust starts the agent anew without a word to us.
            self.crashes += 1
            METRICS.agent_restarts_total.labels(self.spec.name).inc()
            log.exception("agent_ended", extra={"agent": self.spec.name, "times": self.crashes})
            raise

    async def _take_all(self, stream: StreamT[bytes]) -> None:
        async for event in stream.events():
            try:
                await self._take(stream, event)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                message = event.message
                log.exception(
                    "agent_failed",
                    extra={"agent": self.spec.name, "partition": message.partition, "offset": message.offset},
                )
                await self.on_bug(error)
                raise

    async def _take(self, stream: StreamT[bytes], event: EventT[bytes]) -> None:
        message = event.message
        lane = self.lanes.get(message.partition) or await self._open(message.partition)
        verdict = lane.verdict(message.offset)
        if verdict is Verdict.SKIPPED:
            await self._go_back(lane, message.offset)
            return
        if verdict is Verdict.SEEN:
            await stream.ack(event)
            return
        headers = dict(message.headers or {})
        started = time.monotonic()
        taken, outcome = lane.apply(message.offset, message.value or b"", headers)
        self.arrived_at[message.partition] = taken.arrived_at
        METRICS.agent_duration_seconds.labels(self.spec.name).observe(time.monotonic() - started)
        METRICS.agent_events_total.labels(self.spec.name, taken.kind.value).inc()
        origin = Origin(self.spec.source.name, message.partition, message.offset)
        await self._send(origin, taken.arrived_at, outcome)
        self.moved += 1
        self._held.setdefault(message.partition, []).append(event)
        if lane.ends_like_a_checkpoint:
            await self._account(lane)
        if taken.kind is Kind.TICK:
            METRICS.event_age_seconds.labels(self.spec.name).set(max(0.0, time.time() - taken.arrived_at / 1000))
            since = self._last_checkpoint.setdefault(message.partition, taken.arrived_at)
            if self._last_due or taken.arrived_at - since >= self.checkpoint_interval_ms:
                self._last_checkpoint[message.partition] = taken.arrived_at
                await self._checkpoint(stream, lane)

    async def _open(self, partition: int) -> Lane:
        if self._snapshots is None:
            self._snapshots = {}
            for key, packed in self.table.items():
                name = key.decode()
                where = int(name.removeprefix(META)) if name.startswith(META) else self._home(name)
                self._snapshots.setdefault(where, {})[name] = packed
        inherited = {site: packed for site, packed in self.inherited.items() if self._home(site) == partition}
        snapshots = self._snapshots.pop(partition, {})  # the agent has them now; twice would be much memory
        lane = Lane.restored(self.spec.agent(), partition, snapshots, inherited, self.spec.passes_over, read=self.read)
        if lane.meta_key not in snapshots:
            # Never checkpointed: begin with what the broker still has, which need not be offset 0.
            lane.begin_at(await self._earliest(partition))
        self.lanes[partition] = lane
        self.checkpointed_at[partition] = time.time()
        log.info(
            "partition_opened",
            extra={
                "agent": self.spec.name,
                "partition": partition,
                "next_offset": lane.next_offset,
                "sites": len(lane.stamps),
                "inherited": len(inherited),
            },
        )
        return lane

    def _home(self, site_id: str) -> int:
        return partition_for(site_id, self.partitions)

    async def _go_back(self, lane: Lane, offset: int) -> None:
        now = time.monotonic()
        if now - self._last_seek.get(lane.partition, -_SEEK_PATIENCE_S) < _SEEK_PATIENCE_S:
            return
        self._last_seek[lane.partition] = now
        earliest = await self._earliest(lane.partition)
        if lane.next_offset < earliest:
            raise MessagesDeleted(
                f"{self.spec.source.name} partition {lane.partition}: offset {lane.next_offset} is next, but the "
                f"broker has deleted all before {earliest}: its retention is shorter than the absence of workers"
            )
        METRICS.agent_seeks_total.labels(self.spec.name).inc()
        log.warning(
            "messages_skipped_seeking_back",
            extra={
                "agent": self.spec.name,
                "partition": lane.partition,
                "expected": lane.next_offset,
                "got": offset,
            },
        )
        place = self.place(lane.partition)
        # Faust commits one offset after the other, and waits for ever for one that it never delivers: what the state
        # has beyond the group's offset is read again, and acknowledged as seen.
        committed = group_offset(self.app, place)
        try:
            # Not `seek`: that reaches into the client from this thread, while the client's own thread reads.
            await self.app.consumer.seek_wait(
                {place: max(earliest, min(lane.next_offset, committed or lane.next_offset))}
            )
        except IllegalStateError:
            # Revoked meanwhile: the message was left over from before.
            self.lanes.pop(lane.partition, None)
            log.info("seek_left_to_the_next_owner", extra={"agent": self.spec.name, "partition": lane.partition})

    def place(self, partition: int) -> TP:
        """Return a partition of the topic it reads, as Faust names it."""
        return TP(self.prefix + self.spec.source.name, partition)

    async def _earliest(self, partition: int) -> int:
        place = self.place(partition)
        while True:
            try:
                return (await self.app.consumer.earliest_offsets(place)).get(place, 0)
            except KafkaError as error:
                if self.app.should_stop:
                    raise
                # The broker is away, perhaps for longer than the client cares to wait.
                log.warning(
                    "stage_waits_for_broker",
                    extra={"agent": self.spec.name, "error": f"{type(error).__name__}: {error}"},
                )
                await asyncio.sleep(_RETRY_S)

    async def _send(self, origin: Origin, arrived_at: int, outcome: Outcome) -> None:
        if not outcome.outputs and outcome.rejected is None:
            return
        # What an earlier message of the partition caused must be acknowledged first: consumers drop whatever is not
        # above the highest origin they saw, so an output must never overtake one before it.
        await self._settled(origin.partition)
        sent: dict[str, int] = {}
        for output in outcome.outputs:
            first = sent.get(output.topic.name, 0)
            made = list(envelopes(output, origin, first, arrived_at, f"wattloop/{self.spec.name}"))
            sent[output.topic.name] = first + len(made)
            METRICS.agent_outputs_total.labels(self.spec.name, output.topic.name).inc(len(made))
            for one in made:
                await self._produce(origin.partition, one)
        if outcome.rejected is not None:
            for letter in letters_of(outcome.rejected, self.spec.name, origin, arrived_at):
                METRICS.agent_rejections_total.labels(self.spec.name, letter.reason).inc(letter.rows)
                await self._produce(origin.partition, letter.envelope)

    async def _produce(self, partition: int, one: Envelope) -> None:
        # Half a millisecond more, because the producer cuts the product of seconds and 1000 off.
        stamp_s = (one.timestamp_ms + 0.5) / 1000
        topic = self.prefix + one.topic
        sent = await self.app.producer.send(topic, one.key, one.value, partition, stamp_s, one.headers)
        self._in_flight.setdefault(partition, []).append(sent)

    async def _settled(self, partition: int) -> None:
        """Wait until the broker has what was sent for this partition; an error here stops the worker."""
        in_flight = self._in_flight.pop(partition, [])
        if not in_flight:
            return
        places = await asyncio.gather(*in_flight)
        lane = self.lanes.get(partition)
        if lane is not None:
            for place in places:
                lane.tally.caused.reach(place.topic.removeprefix(self.prefix), place.partition, place.offset)

    async def _account(self, lane: Lane) -> None:
        """Say what became of the messages since the last segment, and wait until the broker has it.

        A checkpoint begins where a segment ends: whoever starts from it counts on from there. What was not said when
        a checkpoint was written is empty, and the checkpoint holds where it begins.
        """
        await self._settled(lane.partition)
        last_offset = lane.next_offset - 1
        first_offset, tally = lane.cut()
        segment = Segment(
            self.spec.name, self.spec.source.name, lane.partition, first_offset, last_offset, lane.arrived_at, tally
        )
        await self._produce(lane.partition, segment.envelope())
        await self._settled(lane.partition)
        lane.tally.caused = Caused()  # the segment before this one is nobody's outcome
        self._last_segment[lane.partition] = minute_of(lane.arrived_at)
        note([segment], time.time())

    async def account_for_all(self) -> None:
        """Say what became of everything that was applied, whatever it is: this log ends here."""
        for lane in list(self.lanes.values()):
            if lane.accounted < lane.next_offset:
                await self._account(lane)

    async def last_checkpoint(self, within_s: float) -> bool:
        """Take a checkpoint of every partition at its next tick, so that a successor has little to read again.

        Returns
        -------
        bool
            Whether all were taken in time; without them nothing is lost, only read again.
        """
        self._last_due = set(self.lanes)
        if self._last_due:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._last_taken.wait(), within_s)
        return not self._last_due

    async def reached(self, ends: Mapping[tuple[str, int], int]) -> bool:
        """Return whether everything before these ends was applied, and what followed acknowledged."""
        if any(end > (self.lanes[p].next_offset if p in self.lanes else 0) for (_, p), end in ends.items()):
            return False
        for partition in list(self._in_flight):
            await self._settled(partition)
        return True

    async def _checkpoint(self, stream: StreamT[bytes], lane: Lane) -> None:
        started = time.perf_counter()
        await self._settled(lane.partition)
        is_due = self._last_segment.get(lane.partition) != minute_of(lane.arrived_at)
        if lane.settled and lane.accounted < lane.next_offset and (is_due or not lane.tally.is_empty):
            await self._account(lane)
        self.pulse.check()
        written = 0
        for key, packed in lane.checkpoint(None if self._last_due else self.spec.sites_at_once):
            self.table[key.encode()] = packed
            written += 1
        held = self._held.pop(lane.partition, [])
        self._held[lane.partition] = [event for event in held if event.message.offset >= lane.restart_offset]
        for event in held:
            if event.message.offset < lane.restart_offset:
                await stream.ack(event)
        if self._last_due:
            self._last_due.discard(lane.partition)
            if not self._last_due:
                self._last_taken.set()
        self.checkpointed_at[lane.partition] = time.time()
        METRICS.checkpoint_seconds.labels(self.spec.name).observe(time.perf_counter() - started)
        METRICS.checkpoint_entries_total.labels(self.spec.name).inc(written)

    def reaches(self) -> dict[Place, Reach]:
        """Return how far it is on its partitions."""
        topic = self.prefix + self.spec.source.name
        found: dict[Place, Reach] = {}
        for place in self.app.consumer.assignment():
            if place.topic == topic:
                lane = self.lanes.get(place.partition)
                taken = None if lane is None else lane.next_offset
                end = None
                with suppress(AssertionError):  # Faust's consumer has a thread of its own: revoked just now
                    end = self.app.consumer.highwater(place)
                found[place.topic, place.partition] = Reach(taken, end, self.arrived_at.get(place.partition))
        return found

    def all_snapshots(self) -> dict[str, bytes]:
        """Return the newest state of every site this worker holds, unstamped: what another log can take up."""
        newest = dict(self.inherited)
        for key, packed in self.table.items():
            name = key.decode()
            if not name.startswith(META):
                newest[name] = Lane.unstamped(packed)
        for lane in self.lanes.values():
            newest.update(lane.agent.snapshot())
        return newest
