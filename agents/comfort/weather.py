"""Whether it is about as cold, or as hot, as it has been for weeks: when a building makes its peaks."""

import numpy as np

from agents.comfort.settings import Floats

_NEAR_K = 3.0
_FORGETS_K_PER_DAY = 0.2
_LASTS_S = 86_400.0  # mass remembers a day


class Weather:
    """The coldest and the hottest outdoor temperature, slowly forgotten.

    Examples
    --------
    >>> weather = Weather()
    >>> for outdoor_c in (5.0, -8.0, -1.0, 0.0):
    ...     weather.update(outdoor_c, 43_200.0)
    >>> weather.is_cold, weather.is_hot
    (True, False)
    """

    def __init__(self) -> None:
        self.extremes_c: Floats = np.array([np.inf, -np.inf])
        self.hard_s: Floats = np.full(2, np.inf)  # since it was that cold, that hot

    def update(self, outdoor_c: float, elapsed_s: float) -> None:
        """Take an outdoor temperature, NaN where none is known. [°C, s]"""
        forgets_k = _FORGETS_K_PER_DAY * elapsed_s / 86_400.0
        coldest, hottest = self.extremes_c + np.array([forgets_k, -forgets_k])
        self.extremes_c[:] = np.fmin(coldest, outdoor_c), np.fmax(hottest, outdoor_c)
        coldest, hottest = self.extremes_c
        is_hard = np.array([outdoor_c <= coldest + _NEAR_K, outdoor_c >= hottest - _NEAR_K])
        self.hard_s[:] = np.where(is_hard, 0.0, self.hard_s + elapsed_s)

    @property
    def is_cold(self) -> bool:
        """Whether it was within 3 K of the coldest in the last day."""
        return bool(self.hard_s[0] <= _LASTS_S)

    @property
    def is_hot(self) -> bool:
        """Whether it was within 3 K of the hottest in the last day."""
        return bool(self.hard_s[1] <= _LASTS_S)
