"""What holds whatever comes: any order of commands, overrides, kills, failing writes and changes of the registry."""

from dataclasses import dataclass, field

from commanded import MINUTE, MORNING, SECOND, a_command, a_zone, an_override
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from schemas.hvac import Mode
from schemas.override import Override
from schemas.setpoint import Setpoint
from streams.hvac_gateway.book import Book, Kept
from streams.hvac_gateway.lease import Lease, Shown, Slot, Stage

# Mostly what may be written, so that there is something to take back.
VALUES = st.sampled_from(
    [(26.0, 19.0)] * 4 + [(30.0, 15.0), (None, 21.0), (24.0, None)] * 2 + [(31.0, 19.0), (21.5, 21.0)]
)
ZONES = st.sampled_from(["hall", "office"])
DOORS = st.sampled_from(["no", "before the plant", "after the plant"])


def degrees(values):
    return dict(zip(("cooling_c", "heating_c"), values, strict=True))


@dataclass
class Plant:
    """Priority arrays: what stands in each slot, and everything that was ever written there."""

    slots: dict[Slot, Lease] = field(default_factory=dict)
    writes: list[tuple[Lease, int]] = field(default_factory=list)
    answers: bool = True

    def write(self, lease: Lease, now: int) -> bool:
        if self.answers:
            self.slots[lease.slot] = lease
            self.writes.append((lease, now))
        return self.answers

    def empty(self, slot: Slot) -> bool:
        if self.answers:
            self.slots.pop(slot, None)
        return self.answers


class Gateways(RuleBasedStateMachine):
    """A gateway that keeps its book as the real one does: before it touches the plant, and after."""

    def __init__(self) -> None:
        super().__init__()
        self.now = MORNING
        self.book = Book(MORNING)
        self.kept = self.book.kept().model_dump_json()
        self.plant = Plant()
        self.mode = "act"
        self.sent: dict[str, Setpoint] = {}
        self.overrides: dict[str, Override] = {}

    def zone(self, _site: str, _zone: str):
        return a_zone(mode=self.mode)

    def keep(self) -> None:
        self.kept = self.book.kept().model_dump_json()

    def settle(self, killed: str = "no") -> None:
        """Do what the book says; a gateway that is killed starts again from what it kept."""
        self.book.close_due(self.now, self.zone)
        self.keep()
        if killed == "before the plant":
            return self.start()
        for lease in list(self.book.to_write()):
            if self.plant.write(lease, self.now):
                self.book.held(lease, Shown(lease.cooling_c, lease.heating_c, lease.priority), self.now)
            else:
                self.book.not_held(lease, "no answer", self.now)
        for lease in list(self.book.to_give_back()):
            if self.plant.empty(lease.slot):
                self.book.gave_back(lease, None, self.now)
        if killed == "after the plant":
            return self.start()
        return self.keep()

    def start(self) -> None:
        self.book = Book.of_kept(Kept.model_validate_json(self.kept))
        self.book.go_on(self.now)
        self.settle()

    @rule(seconds=st.integers(0, 1200))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND
        self.settle()

    @rule(
        zone_id=ZONES,
        after_s=st.integers(1, 900),
        s=st.one_of(st.just(0), st.integers(-400, 60)),
        lease_s=st.integers(1, 3600),
        values=VALUES,
        priority=st.integers(9, 11),
        mode=st.sampled_from(["act", "act", "act", "advise", "off"]),
        killed=DOORS,
    )
    def a_command_comes(self, *, after_s, s, lease_s, values, mode, killed, **said) -> None:
        self.now += after_s * SECOND
        issued_s = (self.now - MORNING) / SECOND + s
        not_after = self.now + (s + min(300, lease_s)) * SECOND
        command = a_command(issued_s, lease_s=lease_s, mode=mode, not_after=not_after, **degrees(values), **said)
        self.sent.setdefault(command.command_id, command)
        self.book.take(command, self.zone("mill", command.zone_id), self.now)
        self.settle(killed)

    @rule(data=st.data(), killed=DOORS)
    def an_old_command_comes_again(self, data, killed) -> None:
        if self.sent:
            again = data.draw(st.sampled_from(sorted(self.sent)))
            self.book.take(self.sent[again], self.zone("mill", "hall"), self.now)
            self.settle(killed)

    @rule(minutes=st.integers(-5, 60), values=st.one_of(st.just((None, None)), VALUES), killed=DOORS)
    def an_operator_decides(self, minutes, values, killed) -> None:
        override = an_override(
            (self.now - MORNING) / SECOND,
            until=self.now + minutes * MINUTE,
            **degrees(values),
        )
        if override.id not in self.overrides:
            self.overrides[override.id] = override
            self.book.take_override(override, self.zone("mill", "hall"), self.now)
        self.settle(killed)

    @rule(answers=st.sampled_from([True, True, False]))
    def the_plant_answers_or_does_not(self, answers: bool) -> None:
        self.plant.answers = answers
        self.settle()

    @rule(priority=st.sampled_from([None, 8]))
    def the_device_is_restarted_or_somebody_takes_over_there(self, priority: int | None) -> None:
        if not self.plant.answers:
            return
        if priority is None:
            self.plant.slots.clear()
        for lease in self.book.leases:
            self.book.seen(lease, Shown(24.0, 21.0, priority), self.now)
        self.settle()

    @rule(mode=st.sampled_from(["act", "act", "advise", "off"]))
    def the_registry_changes(self, mode: str) -> None:
        self.mode = mode
        self.settle()

    @rule()
    def it_stops_in_an_orderly_way(self) -> None:
        self.book.close_all()
        self.settle()
        assert not (self.plant.answers and self.plant.slots)

    @invariant()
    def nothing_is_in_the_plant_that_the_book_does_not_know(self) -> None:
        assert self.plant.slots.keys() <= {lease.slot for lease in self.book.leases}

    @invariant()
    def no_command_is_written_twice(self) -> None:
        written = [lease.command_id for lease, _ in self.plant.writes]
        assert len(written) == len(set(written))

    @invariant()
    def only_commands_to_act_in_time_and_within_limits_are_written(self) -> None:
        for lease, at in self.plant.writes:
            order = self.sent.get(lease.command_id)
            assert order is None or (order.mode is Mode.ACT and at <= order.not_after and at < order.ends_at)
            for value in (lease.cooling_c, lease.heating_c):
                assert value is None or 15 <= value <= 30
            if lease.cooling_c is not None and lease.heating_c is not None:
                assert lease.cooling_c - lease.heating_c >= 1

    @invariant()
    def a_plant_that_answers_holds_only_what_may_be_there_now(self) -> None:
        if not self.plant.answers:
            return
        held = [lease for lease in self.book.leases if lease.stage is Stage.HELD]
        assert {lease.slot for lease in held} == self.plant.slots.keys()
        assert len({lease.zone for lease in held}) == len(held)
        for lease in held:
            assert lease.ends_at > self.now
            assert lease.by_override or self.mode == "act"

    @invariant()
    def no_command_is_in_force_against_an_operator(self) -> None:
        newest = max(self.overrides.values(), key=lambda one: one.ts, default=None)
        if newest is None or newest.until <= self.now or not self.plant.answers:
            return
        assert all(lease.by_override for lease in self.plant.slots.values() if lease.zone_id == "hall")


Gateways.TestCase.settings = settings(max_examples=200, stateful_step_count=25, deadline=None, derandomize=True)
TestGateways = Gateways.TestCase
