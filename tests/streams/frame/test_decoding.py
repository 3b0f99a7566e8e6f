"""Batches are decoded once for all agents of a process, and never mistaken for one another."""

import polars as pl

from schemas.flow import Kind
from streams.frame.codec import batch_value
from streams.frame.decoding import SharedBatches

EVERYTHING: frozenset[Kind] = frozenset()


def a_batch(meter: str, rows: int = 1) -> bytes:
    return batch_value(pl.DataFrame({"meter_id": [meter] * rows}))


def test_all_agents_are_given_what_was_decoded_once():
    batches = SharedBatches([EVERYTHING] * 3)
    value = a_batch("press")

    first, second, third = (batches(Kind.WINDOWS, value) for _ in range(3))

    assert first is second is third


def test_what_all_have_read_is_not_kept():
    batches = SharedBatches([EVERYTHING, EVERYTHING, frozenset({Kind.LIVE})])
    live, windows = a_batch("press"), a_batch("press")
    for _ in range(2):
        batches(Kind.LIVE, live)
        batches(Kind.WINDOWS, windows)

    assert batches.held_rows == 1
    batches(Kind.WINDOWS, windows)
    assert batches.held_rows == 0


def test_other_bytes_are_decoded_even_where_they_say_the_same():
    batches = SharedBatches([EVERYTHING] * 2)
    one, same = a_batch("press"), bytes(bytearray(a_batch("press")))

    assert batches(Kind.WINDOWS, one) is not batches(Kind.WINDOWS, same)


def test_an_agent_far_behind_the_others_decodes_for_itself():
    batches = SharedBatches([EVERYTHING] * 2)
    values = [a_batch(f"m{number}", 30_000) for number in range(10)]
    ahead = [batches(Kind.WINDOWS, value) for value in values]

    assert batches.held_rows <= 200_000
    behind = [batches(Kind.WINDOWS, value) for value in values]

    assert [rows["meter_id"][0] for rows in behind] == [rows["meter_id"][0] for rows in ahead]
    assert batches.held_rows <= 200_000
