from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streams.ingest.poll import ARROW_MAGIC, ARROW_PART_BYTES, PART_BYTES, Poll, RawMessage

sizes = st.lists(st.integers(1, 12), min_size=1, max_size=12)


def a_poll(message_sizes, begins=b""):
    return Poll.of(
        RawMessage(number % 3, number, 1000 + number, b"mill", (begins + b"x" * (size << 16))[: size << 16])
        for number, size in enumerate(message_sizes)
    )


@given(sizes)
def test_parts_are_the_poll_again_in_order_and_none_is_larger_than_it_has_to_be(message_sizes):
    for begins, most in ((b"{", PART_BYTES), (ARROW_MAGIC, ARROW_PART_BYTES)):
        whole = a_poll(message_sizes, begins)

        parts = list(whole.parts())

        assert [one for part in parts for one in part.offsets] == whole.offsets
        assert [one for part in parts for one in part.values] == whole.values
        assert [part[0] for part in parts] == [whole[part.offsets[0]] for part in parts]
        assert all(sum(map(len, part.values)) <= most or len(part) == 1 for part in parts)
        # Two neighbours would have been one, had they fitted.
        assert all(sum(map(len, a.values)) + len(b.values[0]) > most for a, b in pairwise(parts))


def test_each_part_knows_the_newest_arrival_of_its_own_messages():
    parts = list(a_poll([12, 12, 12, 12, 12], ARROW_MAGIC).parts())

    assert [part.newest_arrivals for part in parts] == [{0: 1000}, {1: 1001}, {2: 1002}, {0: 1003}, {1: 1004}]


def test_a_poll_of_nothing_is_one_part_of_nothing():
    assert [len(part) for part in Poll().parts()] == [0]
