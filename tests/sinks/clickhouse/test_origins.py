import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from sinks.clickhouse.origins import INDEX, MESSAGE, OFFSET, SOURCE, new_rows


def rows(*places):
    """One row per (message, source, offset, index)."""
    return pl.DataFrame(list(places), schema=[MESSAGE, SOURCE, OFFSET, INDEX], orient="row")


def kept(frame):
    return frame.select(MESSAGE, SOURCE, OFFSET, INDEX).rows()


def test_rows_of_one_message_are_judged_against_the_state_before_it():
    batch = rows((1, 0, 5, 0), (1, 0, 4, 0), (1, 0, 5, 0), (2, 0, 5, 0), (2, 0, 6, 0))

    fresh, applied = new_rows(batch, {})

    assert kept(fresh) == [(1, 0, 5, 0), (1, 0, 4, 0), (1, 0, 5, 0), (2, 0, 6, 0)]
    assert applied == {"0": (6, 0)}


def test_sources_do_not_disturb_each_other():
    fresh, applied = new_rows(rows((1, 3, 9, 0), (1, 4, 2, 0), (2, 4, 3, 0)), {"4": (2, 0)})

    assert kept(fresh) == [(1, 3, 9, 0), (2, 4, 3, 0)]
    assert applied == {"3": (9, 0), "4": (3, 0)}


def test_the_index_orders_what_was_made_from_one_offset():
    fresh, applied = new_rows(rows((1, 0, 5, 1), (2, 0, 5, 2), (3, 0, 5, 1)), {"0": (5, 0)})

    assert kept(fresh) == [(1, 0, 5, 1), (2, 0, 5, 2)]
    assert applied == {"0": (5, 2)}


def test_offsets_near_the_end_of_their_range_keep_their_order():
    last = 2**63 - 1

    fresh, applied = new_rows(rows((1, 0, last - 1, 2**31 - 1), (2, 0, last, 0)), {})

    assert len(fresh) == 2
    assert applied == {"0": (last, 0)}


def test_no_rows_change_nothing():
    assert new_rows(pl.DataFrame(), {"0": (1, 2)})[1] == {"0": (1, 2)}


places = st.tuples(st.integers(0, 2), st.integers(0, 6), st.integers(0, 2))
messages = st.lists(st.lists(places, min_size=1, max_size=4), min_size=1, max_size=8)


@given(messages, st.integers(0, 8))
def test_it_does_what_the_loop_over_messages_does_however_it_is_split(batches, split):
    seen: dict[int, tuple[int, int]] = {}
    expected = []
    for message, batch in enumerate(batches):
        before = dict(seen)
        for source, offset, index in batch:
            if (offset, index) > before.get(source, (-1, -1)):
                expected.append((message, source, offset, index))
            seen[source] = max(seen.get(source, (-1, -1)), (offset, index))
    flat = [(message, *place) for message, batch in enumerate(batches) for place in batch]
    parts = [[row for row in flat if row[0] < split], [row for row in flat if row[0] >= split]]

    applied, found = {}, []
    for part in parts:
        if part:
            fresh, applied = new_rows(rows(*part), applied)
            found += kept(fresh)

    assert found == expected
    assert applied == {str(source): place for source, place in seen.items()}
