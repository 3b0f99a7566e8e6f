"""Origins: what was seen, by source partition."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.flow import Origins

PLACES = st.lists(st.tuples(st.integers(0, 2), st.tuples(st.integers(0, 9), st.integers(0, 3))))


@given(PLACES)
def test_what_is_taken_rises_within_each_partition(places: list[tuple[int, tuple[int, int]]]) -> None:
    seen = Origins()

    taken = [(partition, place) for partition, place in places if seen.is_new(partition, place)]

    for number in range(3):
        mine = [place for partition, place in taken if partition == number]
        assert mine == sorted(set(mine))
        assert seen.highest.get(number) == (mine[-1] if mine else None)


@given(PLACES, st.data())
def test_a_sender_that_goes_back_and_repeats_adds_nothing(
    places: list[tuple[int, tuple[int, int]]], data: st.DataObject
) -> None:
    ordered = sorted(places)
    back = data.draw(st.integers(0, len(ordered)))
    once, twice = Origins(), Origins()

    expected = [place for place in ordered if once.is_new(*place)]
    found = [place for place in [*ordered[:back], *ordered] if twice.is_new(*place)]

    assert found == expected
