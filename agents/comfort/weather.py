"""Whether it is about as cold, or as hot, as it has been for weeks: when a building makes its peaks."""

import numpy as np

from agents.comfort.settings import Floats

_NEAR_K = 3.0
_FORGETS_K_PER_DAY = 0.2


class Weather:
    """The coldest and the hottest outdoor temperature, slowly forgotten.

    Examples
    --------
    >>> weather = Weather()
    >>> for outdoor_c in (5.0, -8.0, 2.0):
    ...     weather.update(outdoor_c, 900.0)
    >>> weather.is_cold, weather.is_hot
    (False, True)
    """

    def __init__(self) -> None:
        self.extremes_c: Floats = np.array([np.inf, -np.inf])
        self._outdoor_c = float("nan")

    def update(self, outdoor_c: float, elapsed_s: float) -> None:
        """Take an outdoor temperature, NaN where none is known. [°C, s]"""
        forgets_k = _FORGETS_K_PER_DAY * elapsed_s / 86_400.0
        coldest, hottest = self.extremes_c + np.array([forgets_k, -forgets_k])
        self.extremes_c[:] = np.fmin(coldest, outdoor_c), np.fmax(hottest, outdoor_c)
        self._outdoor_c = outdoor_c

    @property
    def is_cold(self) -> bool:
        """Whether it is within 3 K of the coldest."""
        return bool(self._outdoor_c <= self.extremes_c[0] + _NEAR_K)

    @property
    def is_hot(self) -> bool:
        """Whether it is within 3 K of the hottest."""
        return bool(self._outdoor_c >= self.extremes_c[1] - _NEAR_K)
