"""The chain of segments: through any kills it is complete, and a segment that is missing is named."""

from dataclasses import dataclass

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from streams.accounting.chain import FIRST, LAST, PARTIAL, WRITTEN, Hole, chained

Range = tuple[int, int]


def segments(*ranges: Range, partial: frozenset[int] = frozenset()) -> pl.DataFrame:
    rows = [(first, last, number in partial, number) for number, (first, last) in enumerate(ranges)]
    return pl.DataFrame(rows, schema=[FIRST, LAST, PARTIAL, WRITTEN], orient="row")


def path(found: pl.DataFrame) -> list[Range]:
    return [(int(first), int(last)) for first, last in found.select(FIRST, LAST).rows()]


@dataclass(frozen=True)
class Life:
    """A process: lengths of the segments it sent, and after how many of them it committed last before it was killed."""

    lengths: tuple[int, ...]
    committed: int


lengths = st.lists(st.integers(1, 9), min_size=1, max_size=6).map(tuple)
lives = st.lists(
    lengths.flatmap(lambda some: st.integers(0, len(some)).map(lambda committed: Life(some, committed))),
    min_size=1,
    max_size=6,
)


def sent_by(some: list[Life]) -> tuple[list[Range], list[Range]]:
    """Return every segment that was sent, and those that lead to the last commit."""
    sent: list[Range] = []
    committed: list[Range] = []
    at = 0
    for life in some:
        place = at
        for number, length in enumerate(life.lengths):
            one = (place, place + length - 1)
            sent.append(one)
            place += length
            if number < life.committed:
                committed.append(one)
                at = place
    return sent, committed


@given(lives, st.randoms())
def test_through_any_kills_the_chain_is_complete_and_counts_every_offset_once(some, chance) -> None:
    sent, _ = sent_by(some)
    found = chained(segments(*sent).sample(fraction=1.0, shuffle=True, seed=chance.randrange(1 << 30)))
    assert found.holes == []
    covered = [offset for first, last in path(found.segments) for offset in range(first, last + 1)]
    assert covered == list(range(max(last for _, last in sent) + 1))


@given(lengths, st.data())
def test_a_segment_that_is_missing_is_named(some, data) -> None:
    sent, _ = sent_by([Life((*some, 1, 1), len(some) + 2)])
    lost = data.draw(st.integers(1, len(sent) - 2))
    found = chained(segments(*sent[:lost], *sent[lost + 1 :]))
    assert found.holes == [Hole(*sent[lost])]
    assert path(found.segments) == [*sent[:lost], *sent[lost + 1 :]]


@given(lives, st.data())
def test_without_a_segment_there_is_another_way_or_a_hole_and_never_an_offset_twice(some, data) -> None:
    sent, _ = sent_by(some)
    lost = data.draw(st.sampled_from(sorted(set(sent))))
    left = [one for one in sent if one != lost]
    if not left:
        return
    found = chained(segments(*left))
    covered = [offset for first, last in path(found.segments) for offset in range(first, last + 1)]
    holes = [offset for hole in found.holes for offset in range(hole.first_offset, hole.last_offset + 1)]
    assert sorted(covered + holes) == list(range(min(left)[0], max(last for _, last in left) + 1))


def test_what_a_killed_worker_sent_beyond_its_last_commit_does_not_hide_a_hole() -> None:
    found = chained(segments((0, 19), (0, 6), (15, 29)))
    assert found.holes == [Hole(7, 14)]
    assert path(found.segments) == [(0, 6), (15, 29)]


def test_of_two_segments_of_one_range_the_one_written_first_counts() -> None:
    found = chained(segments((0, 4), (5, 9), (5, 9)))
    assert found.segments[WRITTEN].to_list() == [0, 1]


def test_a_way_without_partial_segments_is_preferred() -> None:
    found = chained(segments((0, 2), (3, 9), (0, 4), (5, 9), partial=frozenset({1})))
    assert path(found.segments) == [(0, 4), (5, 9)]


def test_one_long_segment_without_gaps_is_taken_as_it_is() -> None:
    assert path(chained(segments((7, 7))).segments) == [(7, 7)]
