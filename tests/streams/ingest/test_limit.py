"""When ingest stops instead of draining its topic into the dead letters."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.ingest.limit import RejectionLimit, TooManyRejections

S = 1000


def at(*arrivals: int) -> pl.Series:
    return pl.Series(arrivals, dtype=pl.Int64)


def stops(limit: RejectionLimit, accepted: pl.Series, refused: pl.Series) -> bool:
    try:
        limit.take(accepted, refused, {"unknown_meter": refused.len()})
    except TooManyRejections:
        return True
    return False


def test_a_flood_of_rejections_stops():
    assert stops(RejectionLimit(0.5, 1000), at(), at(*[5 * S] * 1001))


def test_up_to_the_count_everything_may_be_refused():
    assert not stops(RejectionLimit(0.5, 1000), at(), at(*[5 * S] * 1000))


def test_up_to_the_share_any_number_may_be_refused():
    assert not stops(RejectionLimit(0.5, 10), at(*[5 * S] * 5000), at(*[5 * S] * 5000))
    assert stops(RejectionLimit(0.5, 10), at(*[5 * S] * 4999), at(*[5 * S] * 5000))


def test_a_share_of_one_never_stops():
    assert not stops(RejectionLimit(1, 0), at(), at(*[5 * S] * 5000))


def test_rejections_of_several_polls_within_a_minute_add_up_and_those_before_it_do_not():
    limit = RejectionLimit(0.5, 2)

    assert not stops(limit, at(), at(0, 0))
    assert not stops(limit, at(), at(60 * S))
    assert not stops(limit, at(), at(119 * S + 999))
    assert stops(limit, at(), at(100 * S))


def test_partitions_read_from_different_times_do_not_hide_each_other():
    limit = RejectionLimit(0.5, 2)

    assert not stops(limit, at(), at(0, 1))
    assert not stops(limit, at(*[7200 * S] * 100), at())
    assert stops(limit, at(), at(2))


def test_a_minute_that_was_within_the_limit_is_not_judged_again_by_a_part_of_it():
    limit = RejectionLimit(0.5, 2)
    assert not stops(limit, at(*[0] * 10), at(*[50 * S] * 3))

    assert not stops(limit, at(*[100 * S] * 10), at(100 * S))


def test_messages_that_are_read_again_are_not_counted_twice_after_forgetting():
    limit = RejectionLimit(0.5, 2)
    assert not stops(limit, at(), at(0, 1))

    limit.forget()

    assert not stops(limit, at(), at(0, 1))


def test_the_error_says_how_many_when_and_why():
    with pytest.raises(TooManyRejections) as raised:
        RejectionLimit(0.5, 2).take(at(0), at(0, 0, 1), {"late": 1, "unknown_meter": 2})

    said = str(raised.value)
    assert "3 of 4 readings" in said
    assert "1970-01-01T00:00:01Z" in said
    assert "2 unknown_meter, 1 late" in said


READINGS = st.lists(st.tuples(st.integers(0, 200), st.booleans()), max_size=40)


@given(READINGS, st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.integers(0, 5))
def test_one_poll_stops_exactly_when_a_minute_that_ends_with_a_reading_is_beyond_the_limit(readings, share, count):
    accepted = [second * S for second, refused in readings if not refused]
    refused = [second * S for second, is_refused in readings if is_refused]

    def beyond(end: int) -> bool:
        total = sum(end - 60 < second <= end for second, _ in readings)
        lost = sum(end - 60 < second <= end and is_refused for second, is_refused in readings)
        return lost > count and lost > share * total

    ends = {second for second, _ in readings if refused and second >= min(refused) // S}
    assert stops(RejectionLimit(share, count), at(*accepted), at(*refused)) is any(map(beyond, ends))
