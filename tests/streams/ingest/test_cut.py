"""Batches of telemetry are cut between raw messages, never within one (Hypothesis)."""

from itertools import pairwise

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.frame.codec import BATCH_ROWS
from streams.ingest.cut import cut

SIZES = st.lists(st.one_of(st.integers(1, 5), st.integers(1, 2 * BATCH_ROWS + 2)), min_size=1, max_size=12)


def a_poll(sizes: list[int]) -> pl.DataFrame:
    """Rows of messages of these sizes; not every message of a poll is on the partition."""
    numbers = pl.Series([3 * number for number in range(len(sizes))])
    return pl.DataFrame({"message": numbers, "size": sizes}).select(
        pl.col("message").repeat_by("size").explode()
    ).with_row_index("place")  # fmt: skip


@settings(deadline=None)
@given(SIZES)
def test_no_message_is_split_and_nothing_is_lost_or_moved(sizes: list[int]) -> None:
    poll = a_poll(sizes)

    parts = list(cut(poll))

    assert pl.concat(parts).equals(poll)
    messages = [set(part["message"]) for part in parts]
    assert all(messages)
    assert sum(map(len, messages)) == len(sizes)


@settings(deadline=None)
@given(SIZES)
def test_a_batch_is_larger_than_the_limit_only_when_a_message_is(sizes: list[int]) -> None:
    for part in cut(a_poll(sizes)):
        assert part.height <= BATCH_ROWS or part["message"].n_unique() == 1


@settings(deadline=None)
@given(SIZES)
def test_a_batch_is_closed_only_when_the_next_message_does_not_fit(sizes: list[int]) -> None:
    parts = list(cut(a_poll(sizes)))

    for part, following in pairwise(parts):
        next_message = following.filter(pl.col("message") == following["message"][0]).height
        assert part.height + next_message > BATCH_ROWS
