"""A schedule: a feed and the faults that happen while it is sent, all of it from one number."""

import random
from dataclasses import dataclass
from enum import Enum

from chaos.feed import Feed, make_feed

SESSION_TIMEOUT_S = 6.0  # the default of the settings


class Kind(Enum):
    """What can happen."""

    KILL = "kill"  # SIGKILL of the worker, and a new one
    KILL_TWICE = "kill, kill while starting"
    TERMINATE = "terminate"  # SIGTERM, and a new one
    NAP = "nap"  # SIGSTOP, SIGCONT before its group gives it up
    FREEZE = "freeze"  # SIGSTOP for longer than its group waits, then SIGCONT
    GUEST = "guest"  # a second worker joins and leaves with SIGTERM
    GUEST_KILLED = "guest killed"  # a second worker joins and is killed
    ZOMBIE = "zombie"  # a second worker takes over from a frozen one, which then wakes up
    BROKER_RESTART = "broker restart"
    BROKER_KILL = "broker kill"
    BROKER_AWAY_TERMINATE = "terminate while the broker is away"
    HISTORY_KILL = "history killed"  # SIGKILL, and back after a while
    HISTORY_AWAY = "history away"  # the same, for a minute
    HISTORY_FREEZE = "history frozen"  # SIGSTOP: connections stay open, and no answer comes


_OF_THE_BROKER = (Kind.BROKER_RESTART, Kind.BROKER_KILL, Kind.BROKER_AWAY_TERMINATE)
_AWAY_S = 60.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that happens.

    Parameters
    ----------
    kind
        What.
    after_s
        How long after the end of the fault before it. [s]
    for_s
        How long it lasts: until the worker is started again, goes on, or the guest leaves. [s]
    """

    kind: Kind
    after_s: float
    for_s: float

    def __str__(self) -> str:
        return f"{self.kind.value} {self.for_s:.1f} s"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A feed, how long it takes to send it, and the faults meanwhile."""

    seed: int
    feed: Feed
    sending_s: float
    faults: tuple[Fault, ...]


def make_schedule(seed: int, now_ms: int, *, broker_keeps: bool) -> Schedule:
    """Derive a schedule.

    Parameters
    ----------
    seed
        Decides everything but the day.
    now_ms
        The present. [ms UTC]
    broker_keeps
        Whether the broker keeps its topics when it is restarted, so that this may happen too.
    """
    chance = random.Random(seed)
    feed = make_feed(random.Random(chance.random()), now_ms)
    kinds = [kind for kind in Kind if broker_keeps or kind not in _OF_THE_BROKER]
    faults = tuple(_fault(chance.choice(kinds), chance) for _ in range(chance.randint(2, 4)))
    return Schedule(seed, feed, chance.uniform(15.0, 25.0), faults)


def _fault(kind: Kind, chance: random.Random) -> Fault:
    after_s = chance.uniform(0.3, 4.0)
    match kind:
        case Kind.NAP:
            for_s = chance.uniform(1.0, SESSION_TIMEOUT_S / 2)
        case Kind.FREEZE | Kind.ZOMBIE:
            for_s = SESSION_TIMEOUT_S + chance.uniform(1.5, 6.0)
        case Kind.GUEST | Kind.GUEST_KILLED:
            for_s = chance.uniform(1.0, 10.0)
        case Kind.BROKER_RESTART | Kind.BROKER_KILL | Kind.HISTORY_KILL:
            for_s = chance.uniform(0.0, 5.0)
        case Kind.HISTORY_AWAY:
            for_s = _AWAY_S
        case Kind.HISTORY_FREEZE:
            for_s = chance.uniform(1.0, 15.0)
        case _:
            for_s = chance.uniform(0.0, 3.0)
    return Fault(kind, after_s, for_s)
