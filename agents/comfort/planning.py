"""What would be best for each zone now, before the guard: arithmetic over zones, without memory."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from agents.comfort.occupancy import first
from agents.comfort.settings import SAFE_BAND_C, Counts, Flags, Floats

# An empty zone's set-point follows its air at this distance, so that the ramp is short when it is wanted again.
TRAILING_K = 2.8
MOST_DRIFT_K = 1.0
_WORTH_SAYING_K = 0.2
# Recovery is not asked to be faster: all zones at once would make a peak.
# The further a zone has to go, the longer it may take for each kelvin.
_GENTLE_H_PER_K = (1 / 12, 1 / 3)
_GENTLE_H_PER_K2 = 1 / 24


class Plan(IntEnum):
    """Why a zone has the set-points it has."""

    OWN_LEARNING = 0
    OWN_STALE = 1
    OWN_STUCK = 2
    OWN_BEYOND_LIMITS = 3
    OVERRIDDEN = 4
    OUT_OF_ORDER = 5
    COMFORT = 6
    RECOVERY = 7
    EARLY_START = 8
    COASTING = 9
    EMPTY = 10
    NOBODY_CAME = 11
    PRECOOLING = 12
    PREHEATING = 13
    TRYING = 14
    COMPARISON_DAY = 15


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known of the zones; arrays have shape (zones,).

    Parameters
    ----------
    air_c
        Temperature. [°C]
    low_c, high_c
        Band when people are there. [°C]
    empty_low_c, empty_high_c
        Set-points when they are not. [°C]
    occupied
        Whether people are there.
    expected
        Whether they were expected to be.
    ahead
        Whether they are expected in the coming steps; shape (steps, zones).
    nobody_came
        Whether they were expected for so long that they are not any more.
    heating_h_per_k, cooling_h_per_k
        How long recovery takes. [h/K]
    heating_slack_h, cooling_slack_h
        How long before people leave a zone may drift; negative: how much earlier it starts. [h]
    """

    air_c: Floats
    low_c: Floats
    high_c: Floats
    empty_low_c: Floats
    empty_high_c: Floats
    occupied: Flags
    expected: Flags
    ahead: Flags
    nobody_came: Flags
    heating_h_per_k: Floats
    cooling_h_per_k: Floats
    heating_slack_h: Floats
    cooling_slack_h: Floats


@dataclass(frozen=True, slots=True)
class Wish:
    """What would be best; arrays have shape (zones,).

    Parameters
    ----------
    cooling_c, heating_c
        Set-points. [°C]
    plan
        Why, a `Plan` each.
    steps
        To which a plan looks ahead: until people come or leave.
    recovering
        Outside the band while people are there.
    """

    cooling_c: Floats
    heating_c: Floats
    plan: Counts
    steps: Counts
    recovering: Flags


def wish(outlook: Outlook, step_h: float) -> Wish:
    """Return what would be best in the coming step.

    Parameters
    ----------
    outlook
        What is known.
    step_h
        How long a step is. [h]
    """
    at = outlook
    here = at.ahead[0] & ~at.nobody_came | at.occupied & ~at.expected
    until = np.where(at.nobody_came, len(at.ahead), first(at.ahead))
    remaining = first(~at.ahead)
    until_h = np.where(until < len(at.ahead), until * step_h, np.inf)
    needed_low = at.low_c - _behind_k(at.heating_h_per_k, at.heating_slack_h, until_h, at.low_c - at.air_c)
    needed_high = at.high_c + _behind_k(at.cooling_h_per_k, at.cooling_slack_h, until_h, at.air_c - at.high_c)
    heating_drift_k = _drift_k(at.low_c - SAFE_BAND_C[0], at.heating_slack_h, remaining, at.ahead[0], step_h)
    cooling_drift_k = _drift_k(SAFE_BAND_C[1] - at.high_c, at.cooling_slack_h, remaining, at.ahead[0], step_h)
    trailing_low = np.maximum(at.empty_low_c, np.minimum(at.air_c - TRAILING_K, at.low_c))
    trailing_high = np.minimum(at.empty_high_c, np.maximum(at.air_c + TRAILING_K, at.high_c))
    heating = np.where(here, at.low_c - heating_drift_k, np.maximum(needed_low, trailing_low))
    cooling = np.where(here, at.high_c + cooling_drift_k, np.minimum(needed_high, trailing_high))
    recovering = here & at.occupied & ((at.air_c < heating) | (at.air_c > cooling))
    far = recovering & ((at.air_c < heating - _WORTH_SAYING_K) | (at.air_c > cooling + _WORTH_SAYING_K))
    coasting = here & ((heating_drift_k > 0) | (cooling_drift_k > 0))
    starting = ~here & ((needed_low > at.air_c) | (needed_high < at.air_c))
    plan = np.select(
        [far, coasting, here, at.nobody_came, starting],
        [Plan.RECOVERY, Plan.COASTING, Plan.COMFORT, Plan.NOBODY_CAME, Plan.EARLY_START],
        Plan.EMPTY,
    )
    return Wish(cooling, heating, plan, np.where(here, remaining, until), recovering)


def _behind_k(h_per_k: Floats, slack_h: Floats, until_h: Floats, to_go_k: Floats) -> Floats:
    """Return how far outside its band a zone may still be, to be within when people come."""
    left_h = np.maximum(until_h - np.maximum(-slack_h, 0.0), 0.0)
    gentle_h_per_k = np.clip(_GENTLE_H_PER_K2 * to_go_k, *_GENTLE_H_PER_K)
    return np.asarray(left_h / np.fmax(h_per_k, gentle_h_per_k))


def _drift_k(room_k: Floats, slack_h: Floats, remaining: Counts, here: Flags, step_h: float) -> Floats:
    """Return by how much a zone may leave its band because people are about to leave it."""
    may = here & (remaining * step_h <= slack_h)
    return np.where(may, np.clip(room_k, 0.0, MOST_DRIFT_K), 0.0)
