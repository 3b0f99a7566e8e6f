"""The cheapest way through the coming hours: a linear program over the temperatures of zones, solved by HiGHS.

Its yardstick is what is done without prices: as little as possible, as late as possible. That course is always allowed
in the program, so it always has a solution, none that is warmer or colder than either the band or that course.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array

from agents.comfort.response import Drift
from agents.comfort.settings import Floats

_TIE_BREAK = 1e-6  # of two that cost the same the later one
_AT_ONCE = 32  # zones in one program; more only share the demand that is allowed
_MOST_SHARE = 0.5  # of the distance to the outdoors in one step
_ITERATIONS = 100_000


@dataclass(frozen=True, slots=True)
class Horizon:
    """The coming hours of some zones.

    Parameters
    ----------
    step_h
        How long a step is. [h]
    air_c
        Temperature now; shape (zones,). [°C]
    low_c, high_c
        Band at the end of each step; shape (steps, zones). [°C]
    inner_k
        How far inside of the other end of the band it may be cooled or heated in advance; shape (zones,). [K]
    outdoor_c
        Shape (steps,). [°C]
    drift
        What zones do by themselves.
    most_k_per_h
        Cooling and heating at most; shape (2, zones). [K/h]
    kw
        What a kelvin per hour of cooling and heating takes; shape (2, steps, zones). [kW/(K/h)]
    value
        What a kilowatt hour costs; shape (steps,). [CNY/kWh]
    allowed_kw
        What all zones together may take; infinite where that is not known. [kW]
    """

    step_h: float
    air_c: Floats
    low_c: Floats
    high_c: Floats
    inner_k: Floats
    outdoor_c: Floats
    drift: Drift
    most_k_per_h: Floats
    kw: Floats
    value: Floats
    allowed_kw: float

    @property
    def kept(self) -> Floats:
        """Share of a temperature that is left after a step; shape (zones,)."""
        return np.asarray(1.0 - np.minimum(self.drift.per_h * self.step_h, _MOST_SHARE))

    @property
    def inflow_k(self) -> Floats:
        """What is added in a step by outdoors and gains; shape (steps, zones). [K]"""
        return np.asarray((1.0 - self.kept) * self.outdoor_c[:, None] + self.drift.gain_k_per_h * self.step_h)

    def of(self, zones: slice, share: float) -> "Horizon":
        """Return some of the zones, which get a share of the demand."""
        drift = Drift(self.drift.per_h[zones], self.drift.gain_k_per_h[:, zones])
        return Horizon(
            self.step_h,
            self.air_c[zones],
            self.low_c[:, zones],
            self.high_c[:, zones],
            self.inner_k[zones],
            self.outdoor_c,
            drift,
            self.most_k_per_h[:, zones],
            self.kw[:, :, zones],
            self.value,
            self.allowed_kw * share,
        )


@dataclass(frozen=True, slots=True)
class Course:
    """A way through the coming hours.

    Parameters
    ----------
    air_c
        At the end of each step; shape (steps, zones). [°C]
    moved
        Cooling and heating; shape (2, steps, zones). [K/h]
    """

    air_c: Floats
    moved: Floats

    def cost(self, horizon: Horizon) -> Floats:
        """Return what it costs; shape (zones,). [CNY, or as many units of relative power]"""
        return np.asarray((self.kwh(horizon) * horizon.value[:, None]).sum(axis=0))

    def kwh(self, horizon: Horizon) -> Floats:
        """Return what it draws; shape (steps, zones). [kWh]"""
        return np.asarray((horizon.kw * self.moved).sum(axis=0) * horizon.step_h)


def as_late_as_possible(horizon: Horizon) -> Course:
    """Return the course that keeps the band with as little as possible, as late as possible.

    Examples
    --------
    A zone at 25 °C that warms by a kelvin an hour, and may come to 26 °C:

    >>> drift = Drift(np.array([0.0]), np.ones((3, 1)))
    >>> band, one = np.full((3, 1), 20.0), np.ones(1)
    >>> zone = Horizon(1.0, 25 * one, band, band + 6, one, np.full(3, 30.0), drift, np.full((2, 1), 4.0),
    ...     np.ones((2, 3, 1)), np.ones(3), np.inf)
    >>> as_late_as_possible(zone).moved[0].ravel().tolist()
    [0.0, 1.0, 1.0]
    """
    steps, kept, inflow_k = len(horizon.value), horizon.kept, horizon.inflow_k
    most_k = horizon.most_k_per_h * horizon.step_h
    low_c, high_c = horizon.low_c.copy(), horizon.high_c.copy()
    for step in range(steps - 2, -1, -1):  # what must be reached now to be in time later
        high_c[step] = np.minimum(high_c[step], (high_c[step + 1] - inflow_k[step + 1] + most_k[0]) / kept)
        low_c[step] = np.maximum(low_c[step], (low_c[step + 1] - inflow_k[step + 1] - most_k[1]) / kept)
    return held(replace(horizon, low_c=low_c, high_c=high_c))


def held(horizon: Horizon) -> Course:
    """Return what thermostats do that hold the band, and know nothing of what comes."""
    kept, inflow_k, most_k = horizon.kept, horizon.inflow_k, horizon.most_k_per_h * horizon.step_h
    low_c, high_c = horizon.low_c, horizon.high_c
    air_c, before_c = np.empty_like(low_c), horizon.air_c
    moved_k = np.empty((2, *low_c.shape))
    for step in range(len(horizon.value)):
        free_c = kept * before_c + inflow_k[step]
        moved_k[0, step] = np.clip(free_c - high_c[step], 0.0, most_k[0])
        moved_k[1, step] = np.clip(low_c[step] - free_c, 0.0, most_k[1])
        before_c = air_c[step] = free_c - moved_k[0, step] + moved_k[1, step]
    return Course(air_c, moved_k / horizon.step_h)


def cheapest(horizon: Horizon, late: Course, iterations: int = _ITERATIONS) -> Course | None:
    """Return the course that costs least.

    Parameters
    ----------
    horizon
        The coming hours.
    late
        `as_late_as_possible` of it.
    iterations
        After so many of the solver it is given up.

    Returns
    -------
    Course | None
        None if the solver found none.
    """
    zones = len(horizon.air_c)
    needs = (horizon.kw * late.moved).sum(axis=0)
    total = needs.sum()
    courses = []
    for begin in range(0, zones, _AT_ONCE):
        chosen = slice(begin, begin + _AT_ONCE)
        share = needs[:, chosen].sum() / total if total > 0 else min(_AT_ONCE / zones, 1.0)
        part = Course(late.air_c[:, chosen], late.moved[:, :, chosen])
        course = _solved(horizon.of(chosen, float(share)), part, iterations)
        if course is None:
            return None
        courses.append(course)
    return Course(
        np.concatenate([course.air_c for course in courses], axis=1),
        np.concatenate([course.moved for course in courses], axis=2),
    )


def _solved(horizon: Horizon, late: Course, iterations: int) -> Course | None:
    steps, zones = late.air_c.shape
    size = steps * zones
    value = horizon.value + _TIE_BREAK * np.arange(steps, 0, -1)
    costs = (horizon.kw * value[None, :, None]).reshape(2, size) * horizon.step_h
    # Temperature at the end of a step, less what is left of the one before, plus cooling, less heating: the inflow.
    place = np.arange(size)
    later = place[zones:]
    hours = np.full(size, horizon.step_h)
    rows = np.concatenate([place, later, place, place])
    columns = np.concatenate([place, later - zones, size + place, 2 * size + place])
    factors = np.concatenate([np.ones(size), -np.tile(horizon.kept, steps - 1), hours, -hours])
    balance = csr_array((factors, (rows, columns)), shape=(size, 3 * size))
    inflow_k = horizon.inflow_k
    inflow_k[0] += horizon.kept * horizon.air_c
    lowest, highest = _bounds_c(horizon, late)
    most = np.repeat(horizon.most_k_per_h[:, None, :], steps, axis=1).reshape(2, size)
    most = np.maximum(most, late.moved.reshape(2, size))
    bounds = np.stack(
        [
            np.concatenate([lowest.ravel(), np.zeros(2 * size)]),
            np.concatenate([highest.ravel(), *most]),
        ],
        axis=1,
    )
    demand = allowed_kw = None
    if np.isfinite(horizon.allowed_kw):
        taken = np.concatenate([horizon.kw[0].ravel(), horizon.kw[1].ravel()])
        of_step = np.repeat(np.arange(steps), zones)
        where = np.concatenate([of_step, of_step]), size + np.arange(2 * size)
        demand = csr_array((taken, where), shape=(steps, 3 * size))
        needed_kw = (horizon.kw * late.moved).sum(axis=(0, 2))
        allowed_kw = np.maximum(needed_kw, horizon.allowed_kw)
    found = linprog(
        np.concatenate([np.zeros(size), *costs]),
        A_ub=demand,
        b_ub=allowed_kw,
        A_eq=balance,
        b_eq=inflow_k.ravel(),
        bounds=bounds,
        method="highs",
        options={"maxiter": iterations},
    )
    if found.status != 0 or found.x is None:
        return None
    air_c, *moved = np.asarray(found.x).reshape(3, steps, zones)
    return Course(air_c, np.stack(moved))


def _bounds_c(horizon: Horizon, late: Course) -> tuple[Floats, Floats]:
    """Return the lowest and highest temperatures that are allowed: inside the band, or where it comes to anyway."""
    # Cooling in advance ends above the lower end, heating below the upper one, so that neither calls for the other.
    lowest = np.minimum(horizon.low_c + horizon.inner_k, horizon.high_c)
    highest = np.maximum(horizon.high_c - horizon.inner_k, horizon.low_c)
    return np.minimum(lowest, late.air_c), np.maximum(highest, late.air_c)
