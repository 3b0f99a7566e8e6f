"""What it takes to move heat: electric power for each kelvin per hour, against outdoor temperature.

Of each zone whose power is measured, else of all zones of the site together. What is drawn without moving anything
(fans) is learnt beside it, so that it is not counted as cooling.
"""

import numpy as np

from agents.comfort.regression import Regressions
from agents.comfort.settings import Flags, Floats

_NEUTRAL_C = np.array([25.0, 10.0])  # cooling, heating
_FALLS_PER_10K = np.array([0.2, -0.15])  # efficiency by outdoor temperature where nothing is learnt: catalogues, 2 %/K
_ASSUMED = np.zeros(6)
_NOISE_PRECISION = 1.0  # of a power, in kW^-2
_SURE = np.array([1e-4, 1e-4, 1e-3, 1e-1, 1e-3, 1e-1])
_FORGETS = 0.999
_LEAST = 60.0
_LEAST_MOVED = 0.2  # [K/h]
_SPAN = (0.4, 2.5)


class Power:
    """Power of zones, and of the site as a whole.

    Parameters
    ----------
    zones
        How many.
    """

    def __init__(self, zones: int) -> None:
        self.by_zone, self.of_site = _regressions(zones), _regressions(1)

    def learn(self, moved: Floats, here: Flags, outdoor_c: float, zone_kw: Floats, site_kw: float) -> None:
        """Learn from the step that ends.

        Parameters
        ----------
        moved
            How far zones were cooled and heated, NaN where unknown; shape (2, zones). [K/h]
        here
            Whether people were there; shape (zones,).
        outdoor_c
            Outdoors. [°C]
        zone_kw, site_kw
            Power of heating, cooling and fans, NaN where unknown; shape (zones,), and one number. [kW]
        """
        if np.isnan(outdoor_c):
            return
        known = np.isfinite(moved).all(axis=0)
        self.by_zone.learn(_features(moved, here, outdoor_c), zone_kw, known & np.isfinite(zone_kw))
        if known.all() and np.isfinite(site_kw):
            together = _features(moved.sum(axis=1, keepdims=True), np.array([here.mean()]), outdoor_c)
            self.of_site.learn(together, np.array([site_kw]), np.array([True]))

    def kw_per_k_per_h(self, outdoor_c: Floats) -> tuple[Floats, Flags]:
        """Return what a kelvin per hour takes, and where that was learnt; elsewhere only its course counts.

        Parameters
        ----------
        outdoor_c
            By step; shape (steps,). [°C]

        Returns
        -------
        Floats
            Cooling and heating; shape (2, steps, zones). [kW/(K/h)]
        Flags
            Shape (2, zones).
        """
        zones = len(self.by_zone.events)
        own, site = (self._of(one, outdoor_c) for one in (self.by_zone, self.of_site))
        is_own = own[1]
        is_known = is_own | np.repeat(site[1], zones, axis=1)
        learnt = np.where(is_own[:, None], own[0], site[0])
        assumed = 1.0 + _FALLS_PER_10K[:, None] * (outdoor_c - _NEUTRAL_C[:, None]) / 10.0
        return np.where(is_known[:, None], learnt, np.clip(assumed, *_SPAN)[:, :, None]), is_known

    def _of(self, regressions: Regressions, outdoor_c: Floats) -> tuple[Floats, Flags]:
        weights = regressions.weights
        level, slope = weights[2::2], weights[3::2]
        away = (outdoor_c - _NEUTRAL_C[:, None]) / 10.0
        # An efficiency that was learnt over a few degrees does not tell what it is thirty degrees away.
        course = np.clip(1.0 + (slope / np.where(level > 0, level, 1.0))[:, None] * away[:, :, None], *_SPAN)
        moved = regressions.precision[[2, 4], [2, 4]] / _NOISE_PRECISION  # sum of squares that were seen
        return level[:, None] * course, (regressions.events >= _LEAST) & (moved >= _LEAST * _LEAST_MOVED**2) & (
            level > 0
        )


def _regressions(count: int) -> Regressions:
    return Regressions(_ASSUMED, _SURE, _NOISE_PRECISION, _FORGETS, count=count)


def _features(moved: Floats, here: Flags | Floats, outdoor_c: float) -> Floats:
    away = (outdoor_c - _NEUTRAL_C[:, None]) / 10.0
    cooled, heated = moved
    rows = [np.ones_like(cooled), here.astype(float), cooled, cooled * away[0], heated, heated * away[1]]
    return np.stack(rows)
