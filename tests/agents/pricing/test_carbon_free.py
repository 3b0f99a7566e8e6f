"""The hourly carbon-free score, beside the annual one."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.pricing.carbon_free import HOURS, scores


def hours(
    *rows: tuple[float | None, float | None], share: float | None = None, kg: float | None = None
) -> pl.DataFrame:
    return pl.DataFrame([("mill", "2026", load, free, share, kg) for load, free in rows], schema=HOURS, orient="row")


def only(frame: pl.DataFrame) -> dict[str, object]:
    return scores(frame).row(0, named=True)


def test_photovoltaics_that_cover_the_year_by_volume_cover_only_the_daylight_by_hour():
    day = [(100.0, 0.0)] * 16 + [(100.0, 300.0)] * 8

    found = only(hours(*day))

    assert found["volume_score"] == 1.0  # 2400 generated, 2400 drawn
    assert found["strict_score"] == pytest.approx(1 / 3)
    assert found["surplus_kwh"] == 1600


def test_the_score_with_the_grid_counts_the_share_of_the_hour_for_what_is_unmatched():
    found = only(hours((100.0, 40.0), share=0.5, kg=0.6))

    assert (found["strict_score"], found["score"]) == (0.4, 0.7)
    assert found["residual_kg"] == pytest.approx(36.0)


def test_without_the_share_of_every_hour_there_is_no_score_with_the_grid():
    mixed = pl.concat([hours((100.0, 40.0), share=0.5), hours((100.0, 0.0))])

    assert (only(mixed)["strict_score"], only(mixed)["score"], only(mixed)["residual_kg"]) == (0.2, None, None)


def test_an_hour_whose_load_is_unknown_is_counted_and_not_taken_for_nothing():
    found = only(hours((100.0, 100.0), (None, 50.0)))

    assert (found["hours"], found["hours_unknown"], found["strict_score"]) == (1, 1, 1.0)


def test_a_site_without_load_has_no_score():
    assert only(hours((0.0, 10.0)))["strict_score"] is None


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=1), st.floats(0, 1))
def test_the_strict_score_is_never_above_the_others(rows: list[tuple[float, float]], share: float):
    found = only(hours(*rows, share=share))

    if found["strict_score"] is not None:
        assert 0 <= found["strict_score"] <= found["volume_score"] + 1e-9
        assert found["strict_score"] - 1e-9 <= found["score"] <= 1 + 1e-9
