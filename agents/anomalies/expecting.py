"""What a meter should have drawn on a day: by the sort of day, how warm it was, and what was made.

A Bayesian linear regression of River, fitted anew to the days that are kept: nothing of the model is stored, so a new
release of River reads no old state, and what was learnt follows from what is kept alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from river.linear_model import BayesianLinearRegression

from agents.anomalies.conditions import Day
from agents.anomalies.profile import DayClass, Floats

LEAST_DAYS = 21
_LEAST_WORKING, _LEAST_OF_CLASS = 10, 3
_NOISE_PRECISION = 400.0  # of a day, as a share of a usual working day: five hundredths
_HEATING_C, _COOLING_C, _PER_C = 15.0, 18.0, 10.0  # heated below, cooled above; weather counts in tens of degrees
_LEAST_KNOWN = 0.7  # of the days, of weather or production that is used
_FROM_SCALE, _FROM_CLIP = 7, 14  # days before deviations are counted, and before they are cut
_FARTHEST, _NARROWEST = 4.0, 0.02  # mean deviations; share of a usual working day
_MEMORY_DAYS = 30
_MOST = 5.0  # times a usual working day: what is above counts as this


@dataclass(frozen=True, slots=True)
class Band:
    """What is expected, and how far days usually are from it.

    Parameters
    ----------
    model
        Predicts a day's mean power as a share of `usual_kw`.
    usual_kw
        Median of the working days it was learnt from.
    deviation
        Mean deviation of a day, as a share of `usual_kw`.
    mean_heat, mean_cool, mean_made
        What is assumed of a day of which it is not known; None where it is not used.
    usual_units
        Made on a day with production.
    """

    model: BayesianLinearRegression
    usual_kw: float
    deviation: float
    mean_heat: float | None
    mean_cool: float | None
    mean_made: float | None
    usual_units: float

    def expected(self, day: Day) -> float:
        """Return the mean power of such a day as a share of `usual_kw`."""
        return self.model.predict_one({"always": 1.0} | _class(day) | self.weather(day) | self.made(day))

    def weather(self, day: Day) -> dict[str, float]:
        """Return what the model is told of the weather."""
        if self.mean_heat is None or self.mean_cool is None:
            return {}
        if day.outdoor_c is None:
            return {"heat": self.mean_heat, "cool": self.mean_cool}
        return {"heat": _heat(day.outdoor_c), "cool": _cool(day.outdoor_c)}

    def made(self, day: Day) -> dict[str, float]:
        """Return what the model is told of production."""
        if self.mean_made is None:
            return {}
        return {"made": self.mean_made if day.units is None else day.units / self.usual_units}

    def weather_kw(self, day: Day, others: Sequence[Day]) -> float | None:
        """Return how much more it should draw than on other days because of the weather; None where not known."""
        if self.mean_heat is None or not others:
            return None
        return self.usual_kw * self._more(self.weather(day), [self.weather(other) for other in others])

    def made_kw(self, day: Day, others: Sequence[Day]) -> float | None:
        """Return how much more it should draw than on other days because of what was made; None where not known."""
        if self.mean_made is None or not others:
            return None
        return self.usual_kw * self._more(self.made(day), [self.made(other) for other in others])

    def _more(self, one: dict[str, float], others: Sequence[dict[str, float]]) -> float:
        return self.model.predict_one(one) - float(np.mean([self.model.predict_one(other) for other in others]))


def fit(power_kw: Floats, days: Sequence[Day], of: DayClass) -> Band | None:
    """Learn from days what a day of a class is expected to draw; None while they are too few.

    Each day is predicted before it is learnt, and counts as four mean deviations off at most: one wild day does not
    move what is expected.

    Parameters
    ----------
    power_kw
        Mean power of each day, oldest first, NaN where it is not known; shape (n,).
    days
        What they were like, n.
    of
        Class of the day that is asked for.
    """
    known = [place for place, kw in enumerate(power_kw.tolist()) if np.isfinite(kw)]
    of_class = {each: [place for place in known if days[place].of is each] for each in DayClass}
    if len(known) < LEAST_DAYS or len(of_class[DayClass.WORKING]) < _LEAST_WORKING:
        return None
    usual_kw = float(np.median(power_kw[of_class[DayClass.WORKING]]))
    if usual_kw <= 0 or len(of_class[of]) < _LEAST_OF_CLASS:
        return None
    model = BayesianLinearRegression(beta=_NOISE_PRECISION)
    warm = [day.outdoor_c for day in (days[place] for place in known) if day.outdoor_c is not None]
    made = [day.units for day in (days[place] for place in known) if day.units is not None]
    has_weather, has_made = (len(some) >= _LEAST_KNOWN * len(known) for some in (warm, made))
    usual_units = float(np.mean([units for units in made if units > 0])) if has_made and any(made) else 0.0
    band = Band(
        model,
        usual_kw,
        0.0,
        float(np.mean([_heat(one) for one in warm])) if has_weather else None,
        float(np.mean([_cool(one) for one in warm])) if has_weather else None,
        float(np.mean(made)) / usual_units if usual_units > 0 else None,
        usual_units,
    )
    deviation = 0.0
    for number, place in enumerate(known):
        day = days[place]
        told = {"always": 1.0} | _class(day) | band.weather(day) | band.made(day)
        share = min(float(power_kw[place]) / usual_kw, _MOST)
        if number >= _FROM_SCALE:
            expected = model.predict_one(told)
            off = share - expected
            if number >= _FROM_CLIP:
                farthest = _FARTHEST * deviation + _NARROWEST
                off = min(max(off, -farthest), farthest)
                share = expected + off
            deviation += (abs(off) - deviation) / min(number - _FROM_SCALE + 1, _MEMORY_DAYS)
        model.learn_one(told, share)
    return Band(
        model,
        usual_kw,
        max(deviation, _NARROWEST),
        band.mean_heat,
        band.mean_cool,
        band.mean_made,
        usual_units,
    )


def _class(day: Day) -> dict[str, float]:
    if day.of is DayClass.WORKING:
        return {}
    return {"saturday" if day.of is DayClass.SATURDAY else "off": 1.0}


def _heat(outdoor_c: float) -> float:
    return max(0.0, _HEATING_C - outdoor_c) / _PER_C


def _cool(outdoor_c: float) -> float:
    return max(0.0, outdoor_c - _COOLING_C) / _PER_C
