"""What knows everything in advance holds the band while people are there, and the limits at every other moment."""

import numpy as np
import pytest
from simulated import AT_WORK, STEPS, office

from bench.hvac.controllers import COOLING_LIMIT_C, HEATING_LIMIT_C, controller_named, info_of


def told(name: str, mode: str) -> tuple[np.ndarray, np.ndarray]:
    """Cooling and heating of office and store; shape (steps, 2)."""
    own = office()
    controller = controller_named(name, own, mode)
    controller.reset(info_of(own, mode))
    answers = [controller.act(own.now(step, wall=False), {}) for step in range(STEPS)]
    cooling, heating = ([list(one[side].values()) for one in answers] for side in ("cooling_c", "heating_c"))
    return np.array(cooling), np.array(heating)


@pytest.mark.parametrize(
    ("mode", "low_c", "high_c"), [("neutral", 21.0 - 0.05, 24.0 + 0.05), ("20-26", 20.0 - 0.01, 26.0 + 0.01)]
)
def test_people_have_the_band_less_what_the_mode_allows(mode: str, low_c: float, high_c: float):
    cooling, heating = told("bound", mode)
    away = np.ones(STEPS, np.bool_)
    away[AT_WORK] = False

    assert cooling[AT_WORK, 0] == pytest.approx(high_c)
    assert heating[AT_WORK, 0] == pytest.approx(low_c)
    assert set(cooling[away, 0]) == {COOLING_LIMIT_C[1]}
    assert set(heating[away, 0]) == {HEATING_LIMIT_C[0]}


def test_a_store_is_asked_for_no_more_than_its_own_schedule_asks_for():
    _, heating = told("bound", "20-26")

    assert set(heating[:, 1]) == {10.0}  # below the limit, as it always was


def test_with_two_hours_to_be_ready_the_band_begins_two_hours_earlier():
    _, at_once = told("bound", "neutral")
    _, early = told("bound+2h", "neutral")

    first = np.flatnonzero(at_once[:, 0] > 12.5)[0]
    assert np.flatnonzero(early[:, 0] > 12.5)[0] == first - 8
    assert (early[:, 0] > 12.5).sum() == (at_once[:, 0] > 12.5).sum() + 8
