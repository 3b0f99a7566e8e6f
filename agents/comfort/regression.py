"""Bayesian linear regressions, one for each of many columns, learnt from one event after the other.

The conjugate update with known noise (Bishop, Pattern Recognition and Machine Learning, 2006, equations 3.50 and 3.51):
what River's `BayesianLinearRegression` computes, for all zones in one go, kept as arrays and forgetting towards what
was assumed.
"""

import numpy as np

from agents.comfort.settings import Flags, Floats


class Regressions:
    """Regressions of as many columns.

    Parameters
    ----------
    assumed
        Weights before anything is known; shape (features,).
    sure
        How sure they are, one over their variance; shape (features,).
    noise_precision
        One over the variance of an event.
    forgets
        What is left of what was learnt when something new is.
    count
        How many columns.

    Examples
    --------
    >>> regressions = Regressions(np.zeros(2), np.full(2, 1e-3), 100.0, 1.0, count=1)
    >>> for one in (1.0, 2.0, 3.0):
    ...     regressions.learn(np.array([[1.0], [one]]), np.array([5.0 + 2.0 * one]), np.array([True]))
    >>> regressions.weights.ravel().round(2).tolist(), regressions.events.tolist()
    ([5.0, 2.0], [3.0])
    """

    KEPT: tuple[str, ...] = ("precision", "moment", "events")

    def __init__(self, assumed: Floats, sure: Floats, noise_precision: float, forgets: float, *, count: int) -> None:
        self._noise_precision, self._forgets = noise_precision, forgets
        self._first = np.diag(sure)[:, :, None], (sure * assumed)[:, None]
        self.precision = np.repeat(self._first[0], count, axis=2)
        self.moment = np.repeat(self._first[1], count, axis=1)
        self.events = np.zeros(count)

    def learn(self, features: Floats, values: Floats, counts: Flags) -> None:
        """Learn an event of each column that counts.

        Parameters
        ----------
        features
            Shape (features, columns).
        values
            What came of them; shape (columns,).
        counts
            Which columns learn; the others may hold NaN; shape (columns,).
        """
        if not counts.any():
            return
        seen, came = features[:, counts], values[counts]
        for kept, first, new in (
            (self.precision, self._first[0], seen[:, None] * seen[None, :]),
            (self.moment, self._first[1], seen * came),
        ):
            left = first + self._forgets * (kept[..., counts] - first)
            kept[..., counts] = left + self._noise_precision * new
        self.events[counts] = self._forgets * self.events[counts] + 1.0

    @property
    def weights(self) -> Floats:
        """What is believed now; shape (features, columns)."""
        solved = np.linalg.solve(np.moveaxis(self.precision, 2, 0), self.moment.T[:, :, None])
        return np.asarray(solved[:, :, 0].T)
