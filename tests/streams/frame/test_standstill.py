"""A group's offset stands still when it stays where it is while every agent is beyond it."""

from dataclasses import dataclass

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from streams.frame.standstill import Standstill

PLACE, OTHER = TP("energy.v1", 0), TP("energy.v1", 1)
PATIENCE_S = 15.0


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 9), st.floats(0.1, 14.9)), max_size=30))
def test_an_offset_that_moves_is_never_read_again(steps: list[tuple[int, int, float]]) -> None:
    clock, committed = Clock(), 0
    standstill = Standstill(PATIENCE_S, clock)
    for moved, behind, seconds in steps:
        committed += moved
        clock.now += seconds
        assert standstill.due({PLACE: committed}, {PLACE: committed + behind}) == {}


def test_an_offset_that_has_reached_the_agents_may_stay_there_for_ever() -> None:
    clock = Clock()
    standstill = Standstill(PATIENCE_S, clock)
    for clock.now in (0.0, 20.0, 40.0):
        assert standstill.due({PLACE: 9}, {PLACE: 9}) == {}


def test_only_the_partition_that_stands_still_is_read_again_and_then_again_after_as_long() -> None:
    clock = Clock()
    standstill = Standstill(PATIENCE_S, clock)

    def look(now: float, other: int) -> dict[TP, int]:
        clock.now = now
        return standstill.due({PLACE: 5, OTHER: other}, {PLACE: 30, OTHER: 30})

    assert look(0.0, 6) == {}
    assert look(16.0, 7) == {PLACE: 5}
    assert look(17.0, 8) == {}
    assert look(33.0, 9) == {PLACE: 5}


def test_a_partition_that_went_away_begins_anew() -> None:
    clock = Clock()
    standstill = Standstill(PATIENCE_S, clock)
    standstill.due({PLACE: 5}, {PLACE: 9})
    clock.now = 10.0
    standstill.due({}, {})
    clock.now = 20.0
    assert standstill.due({PLACE: 5}, {PLACE: 9}) == {}
