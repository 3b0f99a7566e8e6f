"""Limits a meter sets itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.anomalies.limits import Limit, Rule

SCORES = st.lists(st.floats(0, 1e6), max_size=40)


@given(SCORES, st.integers(1, 12))
def test_the_limit_is_the_largest_of_the_newest_scores_with_its_margin(scores: list[float], spans: int):
    rule = Rule(spans=spans, least=10**9, margin=1.5, floor=0.0)  # never armed, so nothing is held down
    limit = Limit()
    for score in scores:
        limit.note(score, rule)

    armed = Rule(spans=spans, least=1, margin=1.5, floor=0.0)
    assert limit.of(armed) == (1.5 * max(scores[-spans:]) if scores else None)
    assert limit.compared_with(armed) == min(len(scores), spans)


@given(SCORES)
def test_it_is_the_same_after_a_restart_at_any_place(scores: list[float]):
    rule = Rule(spans=7, least=3, margin=1.2, floor=0.1)
    one, other = Limit(), Limit()
    for score in scores:
        one.note(score, rule)
        other.note(score, rule)
        other = Limit.of_numbers(other.numbers())

    assert one == other


def test_a_score_that_was_unusual_counts_only_a_quarter_more_than_the_limit():
    rule = Rule(spans=10, least=2, margin=1.0, floor=0.0)
    limit = Limit()
    for score in (1.0, 0.5, 100.0):
        limit.note(score, rule)

    assert limit.of(rule) == 1.25


def test_of_spans_that_are_alike_one_in_n_and_one_is_beyond_all_of_n_before_it():
    rule = Rule(spans=60, least=60, margin=1.0, floor=0.0)
    rng = np.random.default_rng(5)
    beyond = armed = 0
    for _ in range(40):
        limit = Limit()
        for score in rng.exponential(size=400).tolist():
            known = limit.of(rule)
            armed += known is not None
            beyond += known is not None and score > known
            limit.note(score, rule)

    # Unusual scores are held down, so it is a little more often than 1 in 61.
    assert beyond / armed == pytest.approx(1 / 61, rel=0.2)
