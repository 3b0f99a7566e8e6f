"""What the running quarter hour will end with, how sure that is, and what to take off to stay below a limit."""

import math
from dataclasses import dataclass

from schemas.bill import DEMAND_WINDOW_S

MEMORY_S = 900.0  # older changes of power count for less
NINETY_PERCENT = 1.645  # standard deviations, either way
ENOUGH = 5  # changes of power seen, before a spread means something


@dataclass(slots=True)
class Spread:
    """How a site's power moves: how far it strays from its mean, and how fast.

    Two readings of the same history bound the error of "power stays as it is": a random walk of the speed seen, which
    is right for the near future, and twice the variance seen, which power that returns to its mean cannot exceed.

    Parameters
    ----------
    ts
        Time of the newest power. [ms UTC]
    power_kw
        Newest power. [kW]
    mean_kw
        Weighted mean. [kW]
    variance_kw2
        Weighted variance around it. [kW²]
    speed_kw2_per_s
        Weighted mean of squared changes over their time. [kW²/s]
    seen
        Changes of power that were seen.
    """

    ts: int = 0
    power_kw: float = 0.0
    mean_kw: float = 0.0
    variance_kw2: float = 0.0
    speed_kw2_per_s: float = 0.0
    seen: int = 0

    def take(self, ts: int, power_kw: float) -> None:
        """Take the newest power; what is not newer is left aside."""
        if not self.ts:
            self.ts, self.power_kw, self.mean_kw = ts, power_kw, power_kw
            return
        step_s = (ts - self.ts) / 1000
        if step_s <= 0:
            return
        weight = -math.expm1(-step_s / MEMORY_S)
        self.speed_kw2_per_s += weight * ((power_kw - self.power_kw) ** 2 / step_s - self.speed_kw2_per_s)
        off_kw = power_kw - self.mean_kw
        self.mean_kw += weight * off_kw
        self.variance_kw2 = (1 - weight) * (self.variance_kw2 + weight * off_kw**2)
        self.ts, self.power_kw, self.seen = ts, power_kw, self.seen + 1

    def deviation_kw(self, ahead_s: float) -> float | None:
        """Return the standard deviation of mean power ahead from power now; None while too little was seen. [kW]."""
        if self.seen < ENOUGH:
            return None
        return math.sqrt(min(self.speed_kw2_per_s * ahead_s / 3, 2 * self.variance_kw2))


@dataclass(frozen=True, slots=True)
class Forecast:
    """Demand at the end of the running quarter hour, with the bounds of 90 %. [kW]."""

    kw: float
    low_kw: float | None
    high_kw: float | None


def forecast(so_far_kwh: float, elapsed_s: float, power_kw: float, spread: Spread) -> Forecast:
    """Return what the quarter hour ends with, if power stays as it is.

    Parameters
    ----------
    so_far_kwh
        Energy since the quarter hour began. [kWh]
    elapsed_s
        Time since then. [s]
    power_kw
        Power now, not negative. [kW]
    spread
        How power has moved.

    Examples
    --------
    >>> forecast(50.0, 450.0, 600.0, Spread())
    Forecast(kw=500.0, low_kw=None, high_kw=None)
    """
    left_s = max(0.0, DEMAND_WINDOW_S - elapsed_s)
    drawn_kw = so_far_kwh * 3600 / DEMAND_WINDOW_S
    kw = drawn_kw + power_kw * left_s / DEMAND_WINDOW_S
    deviation_kw = spread.deviation_kw(left_s)
    if deviation_kw is None:
        return Forecast(kw, None, None)
    off_kw = NINETY_PERCENT * deviation_kw * left_s / DEMAND_WINDOW_S
    return Forecast(kw, max(drawn_kw, kw - off_kw), kw + off_kw)


def to_shed_kw(demand_kw: float, limit_kw: float, elapsed_s: float) -> float | None:
    """Return what to take off for the rest of the quarter hour, so that its demand meets the limit.

    Parameters
    ----------
    demand_kw
        What it would end with. [kW]
    limit_kw
        What it shall not exceed. [kW]
    elapsed_s
        How much of it has passed. [s]

    Returns
    -------
    float or None
        0 when the limit is met anyway; None when no time is left. [kW]

    Examples
    --------
    >>> to_shed_kw(520.0, 500.0, 600.0), to_shed_kw(480.0, 500.0, 600.0), to_shed_kw(520.0, 500.0, 900.0)
    (60.0, 0.0, None)
    """
    over_kw = demand_kw - limit_kw
    if over_kw <= 0:
        return 0.0
    left_s = DEMAND_WINDOW_S - elapsed_s
    return over_kw * DEMAND_WINDOW_S / left_s if left_s > 0 else None
