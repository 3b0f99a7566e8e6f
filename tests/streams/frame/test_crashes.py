"""Whatever a crash cuts off, or a replaced worker writes, the output downstream is exact (Hypothesis)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from builders import a_site, rows_at, site_at, tick_at, windows
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import LATENESS_S, LOGS, PARTITION, meaning, on_the_wire, said

from schemas.flow import HEADER_KIND, HEADER_ORIGIN, Kind, Message, Origins
from schemas.rejection import HEADER_INDEX, HEADER_OFFSET, HEADER_PARTITION
from schemas.topics import TELEMETRY
from streams.frame.codec import Envelope, Origin, batch_value, control_headers, parse_place, record_value
from streams.frame.lane import META, Lane
from streams.frame.stage import StageSpec
from streams.settings import Settings
from streams.topology import stages

STAGES = stages(Settings(allowed_lateness_s=LATENESS_S))
every_agent = pytest.mark.parametrize("stage", STAGES, ids=[stage.name for stage in STAGES])

Sent = tuple[bytes, Mapping[str, bytes]]  # value and headers of a message on the log


@dataclass(frozen=True)
class Life:
    """A worker's life: it ends in the middle of one message.

    It has sent `sends` of what the message caused; if that was all and a checkpoint is due, it has written `writes`
    entries. If it was only replaced, it wakes up when its successor dies, sends the rest, goes on for `zombie` more
    messages up to the next checkpoint, and writes `writes` entries of that one.
    """

    messages: int
    sends: int
    writes: int
    zombie: int | None


LIVES = st.lists(
    st.builds(
        Life,
        messages=st.integers(0, 12),
        sends=st.integers(0, 6),
        writes=st.integers(0, 6),
        zombie=st.none() | st.integers(0, 6),
    ),
    min_size=1,
    max_size=4,
)


@dataclass
class Downstream:
    """A consumer that drops what it has seen, by origin."""

    seen: dict[str, Origins] = field(default_factory=dict)
    received: list[tuple[object, ...]] = field(default_factory=list)

    def take(self, sent: Envelope) -> None:
        headers = dict(sent.headers)
        if HEADER_ORIGIN in headers:
            partition, place = parse_place(headers[HEADER_ORIGIN])
        else:
            partition = int(headers[HEADER_PARTITION])
            place = int(headers[HEADER_OFFSET]), int(headers[HEADER_INDEX])
        if self.seen.setdefault(sent.topic, Origins()).is_new(partition, place):
            self.received.append(meaning(sent))


@dataclass
class World:
    """The log, the table of snapshots, and who reads what is sent."""

    stage: StageSpec
    log: Sequence[Sent]
    checkpoint_every: int
    at_most: int | None = None  # sites in one checkpoint
    table: dict[str, bytes] = field(default_factory=dict)
    downstream: Downstream = field(default_factory=Downstream)
    was_writing: bool = False  # the life ended between two records of a checkpoint

    def lane(self) -> Lane:
        return Lane.restored(self.stage.agent(), PARTITION, self.table, {})

    def advance(self, lane: Lane) -> tuple[list[Envelope], bool]:
        """Apply the next message; return what is sent, and whether a checkpoint is due."""
        offset = lane.next_offset
        message, outcome = lane.apply(offset, *self.log[offset])
        due = message.kind is Kind.TICK and offset % self.checkpoint_every == 0
        return on_the_wire(outcome, message, offset), due

    def live(self, life: Life | None) -> tuple[Lane, list[Envelope]]:
        """Work to the end of the log, or to the end of this life; return what was left unsent."""
        lane = self.lane()
        self.was_writing = False
        handled = 0
        while lane.next_offset < len(self.log):
            sent, due = self.advance(lane)
            dies = life is not None and handled == life.messages
            cut = sent[: life.sends] if life is not None and dies else sent
            for one in cut:
                self.downstream.take(one)
            if due and len(cut) == len(sent):
                written = list(lane.checkpoint(self.at_most))
                self.table.update(written[: life.writes] if life is not None and dies else written)
                self.was_writing = life is not None and dies and life.writes < len(written)
            if dies:
                return lane, sent[len(cut) :]
            handled += 1
        return lane, []

    def wake(self, zombie: Lane, unsent: Sequence[Envelope], life: Life) -> None:
        """Let a replaced worker send and write what it still has in mind."""
        for one in unsent:
            self.downstream.take(one)
        handled = 0
        while zombie.next_offset < len(self.log):
            sent, due = self.advance(zombie)
            for one in sent:
                self.downstream.take(one)
            handled += 1
            if due and handled > (life.zombie or 0):
                self.table.update(list(zombie.checkpoint(self.at_most))[: life.writes])
                return


def to_the_end(world: World, lives: Sequence[Life]) -> dict[str, object]:
    """Live all lives and a last one without end; return the state of every site."""
    replaced: tuple[Lane, list[Envelope], Life] | None = None
    for life in lives:
        lane, unsent = world.live(life)
        if replaced is not None:
            world.wake(*replaced)
        # One that pauses between two records of a checkpoint is what ADR 0015 does not close; the worker does, it stops
        # when it has stood still.
        replaced = (lane, unsent, life) if life.zombie is not None and not world.was_writing else None
    last, _ = world.live(None)
    world.table.update(last.checkpoint())
    sites = {key: Lane.unstamped(packed) for key, packed in world.table.items() if not key.startswith(META)}
    return said(world.stage.name, sites)


@st.composite
def sent_logs(draw: st.DrawFn, stage: StageSpec) -> list[Sent]:
    """A log as the hop before writes it, which after a kill repeats some of it."""
    log: list[Sent] = []
    for number, message in enumerate(draw(LOGS[stage.source.name]())):
        headers = dict(control_headers(message.kind, message.arrived_at))
        if stage.source is not TELEMETRY:
            headers[HEADER_ORIGIN] = Origin("before", 1, number).place(0)
        log.append((value_of(message), headers))
    for place, length in draw(st.lists(st.tuples(st.integers(0, len(log)), st.integers(1, 4)), max_size=3)):
        log[place:place] = [sent for sent in log[max(0, place - length) : place] if may_be_repeated(sent)]
    return log


def may_be_repeated(sent: Sent) -> bool:
    """Ingest sends readings and records again, but never the tick of a moment that is gone."""
    return HEADER_ORIGIN in sent[1] or sent[1][HEADER_KIND] != Kind.TICK.encode()


def value_of(message: Message) -> bytes:
    if message.rows is not None:
        return batch_value(message.rows)
    return b"" if message.record is None else record_value(message.record)


@every_agent
@settings(max_examples=15, deadline=None)
@given(data=st.data(), lives=LIVES, checkpoint_every=st.integers(1, 4), at_most=st.sampled_from([None, None, 0, 1]))
def test_crashes_and_replaced_workers_leave_no_trace(
    stage: StageSpec, data: st.DataObject, lives: list[Life], checkpoint_every: int, at_most: int | None
) -> None:
    log = data.draw(sent_logs(stage))
    undisturbed = World(stage, log, checkpoint_every)
    disturbed = World(stage, log, checkpoint_every, at_most)

    expected = to_the_end(undisturbed, [])
    found = to_the_end(disturbed, lives)

    assert disturbed.downstream.received == undisturbed.downstream.received
    assert found == expected


@every_agent
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_what_an_earlier_hop_repeats_changes_no_state(stage: StageSpec, data: st.DataObject) -> None:
    log = data.draw(sent_logs(stage))
    first_of_each = [sent for place, sent in enumerate(log) if not may_be_repeated(sent) or sent not in log[:place]]

    once, repeated = World(stage, first_of_each, 1), World(stage, log, 1)

    expected, found = to_the_end(once, []), to_the_end(repeated, [])
    assert found == expected


def test_a_record_is_not_lost_when_a_repeated_tick_comes_between_its_window_and_its_tick() -> None:
    (stage,) = (one for one in STAGES if one.name == "emissions")
    log = [
        (
            value_of(message),
            dict(control_headers(message.kind, message.arrived_at)) | {HEADER_ORIGIN: b"1:%d:0" % place},
        )
        for place, message in [
            (0, site_at(a_site())),
            (1, rows_at(Kind.WINDOWS, 1, windows({"minute": 0}))),
            (2, tick_at(2)),
            (3, rows_at(Kind.WINDOWS, 3, windows({"minute": 1}))),
            (2, tick_at(2)),  # sent again by a worker that was replaced
            (5, tick_at(5)),
        ]
    ]
    undisturbed, disturbed = World(stage, log, 4), World(stage, log, 4)

    expected = to_the_end(undisturbed, [])
    found = to_the_end(disturbed, [Life(messages=4, sends=9, writes=2, zombie=None)])

    assert disturbed.downstream.received == undisturbed.downstream.received
    assert found == expected
