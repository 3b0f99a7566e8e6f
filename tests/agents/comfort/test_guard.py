from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.comfort.guard import RAMP_K_PER_H, Bound, Exempt, Guard
from agents.comfort.settings import DEAD_BAND_K, site_of

TEMPERATURES = st.one_of(st.floats(0, 50), st.sampled_from([float("nan"), float("inf"), -273.15, 1e9, 21.0, 24.0]))


def a_guard(cooling_c: float = 24.0, heating_c: float = 21.0, **info: Any) -> Guard:
    given_info = {"zones": ["a"], "limits": {"cooling_c": (20, 30), "heating_c": (12, 24)}} | info
    guard = Guard(site_of(given_info))
    guard.start(np.array([cooling_c]), np.array([heating_c]))
    return guard


def admit(guard: Guard, cooling_c: float, heating_c: float, air_c: float = 22.0, **of: Any) -> tuple[float, float, int]:
    exempt = Exempt(np.array([of.get("recovering", False)]), np.array([of.get("stepping", False)]))
    one = guard.admit(of.get("elapsed_s", 900.0), *(np.array([c]) for c in (cooling_c, heating_c, air_c)), exempt)
    return float(one.cooling_c[0]), float(one.heating_c[0]), int(one.bounds[0])


def test_a_setpoint_beyond_the_hard_limit_is_held_at_it():
    guard = a_guard(cooling_c=29.0, heating_c=13.0)

    assert admit(guard, 99.0, -99.0) == (30.0, 12.0, Bound.LIMIT)


def test_without_a_wish_the_setpoints_stay_and_it_is_said():
    assert admit(a_guard(), float("nan"), 18.0) == (24.0, 18.0, Bound.NO_WISH)


def test_set_back_moves_by_the_ramp():
    guard = a_guard()

    assert admit(guard, 30.0, 12.0) == (27.0, 18.0, Bound.RAMP)
    assert admit(guard, 30.0, 12.0) == (30.0, 15.0, Bound.RAMP)
    assert admit(guard, 30.0, 12.0) == (30.0, 12.0, 0)


def test_a_zone_outside_its_band_goes_there_at_once_but_no_further_than_the_limit():
    guard = a_guard(cooling_c=30.0, heating_c=12.0)

    assert admit(guard, 26.0, 40.0, air_c=15.0, recovering=True) == (
        26.0,
        24.0,
        Bound.LIMIT | Bound.RECOVERY,
    )


def test_heating_gives_way_to_keep_the_dead_band():
    cooling_c, heating_c, bounds = admit(a_guard(), 22.0, 22.0)

    assert (cooling_c, heating_c) == (22.0, 21.0)
    assert bounds == Bound.DEAD_BAND


def test_a_compressor_that_just_started_is_not_stopped_by_a_saving():
    guard = a_guard(step_s=60, equipment="chiller")
    admit(guard, 24.0, 21.0, air_c=23.9, elapsed_s=3_600.0)
    admit(guard, 23.8, 21.0, air_c=23.9, elapsed_s=60.0)  # now it cools

    for _ in range(9):
        assert admit(guard, 24.0, 21.0, air_c=23.9, elapsed_s=60.0) == (23.8, 21.0, Bound.MINIMUM_TIME)
    assert admit(guard, 24.0, 21.0, air_c=23.9, elapsed_s=60.0) == (24.0, 21.0, 0)


def test_limits_that_leave_no_dead_band_are_refused():
    with pytest.raises(ValueError, match="limits of a: highest cooling must be 1 K above lowest heating"):
        a_guard(limits={"cooling_c": (20, 21), "heating_c": (20.5, 24)})


@settings(max_examples=300, deadline=None)
@given(
    low_c=st.floats(18, 24),
    width_k=st.floats(1, 12),
    heating_low_c=st.floats(5, 18),
    steps=st.lists(
        st.tuples(TEMPERATURES, TEMPERATURES, TEMPERATURES, st.booleans(), st.floats(-10, 5_000)), max_size=12
    ),
)
def test_whatever_is_wished_is_within_limits_dead_band_and_ramp(low_c, width_k, heating_low_c, steps):
    limits = {"cooling_c": (low_c, low_c + width_k), "heating_c": (heating_low_c, heating_low_c + width_k)}
    guard = a_guard(limits=limits)
    before = guard.cooling_c.copy(), guard.heating_c.copy()

    for cooling_c, heating_c, air_c, recovering, elapsed_s in steps:
        admit(guard, cooling_c, heating_c, air_c, recovering=recovering, elapsed_s=elapsed_s)

        assert low_c <= guard.cooling_c[0] <= low_c + width_k
        assert heating_low_c <= guard.heating_c[0] <= heating_low_c + width_k
        assert guard.cooling_c[0] - guard.heating_c[0] >= DEAD_BAND_K - 1e-9
        if not recovering:
            most_k = RAMP_K_PER_H * min(max(elapsed_s, 0), 900) / 3_600 + 1e-9
            assert abs(guard.cooling_c - before[0])[0] <= most_k
            assert abs(guard.heating_c - before[1])[0] <= most_k
        before = guard.cooling_c.copy(), guard.heating_c.copy()


def test_every_step_of_a_wide_move_keeps_the_dead_band():
    chance = np.random.default_rng(0)
    zones = [str(zone) for zone in range(1_000)]
    guard = Guard(site_of({"zones": zones}))
    guard.start(chance.uniform(15, 35, 1_000), chance.uniform(10, 30, 1_000))

    for _ in range(50):
        wishes = chance.uniform(5, 40, (2, 1_000))
        exempt = Exempt(chance.random(1_000) < 0.1, chance.random(1_000) < 0.1)
        admitted = guard.admit(900.0, *wishes, chance.uniform(10, 35, 1_000), exempt)

        assert (admitted.cooling_c - admitted.heating_c >= DEAD_BAND_K - 1e-9).all()
