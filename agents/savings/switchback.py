"""What a measure saves, by switching it on and off: an experiment with the site's own meter.

Time is cut into blocks, two blocks make a pair, and chance decides which of the two has the measure
(`agents.switching.blocks`). So nothing but chance links the measure with the weather, the orders or the season, and the
comparison needs no model to be right. A model of what a block would have used without the measure may be given: it only
makes the interval narrower.

The interval holds at every moment at once (a confidence sequence): one may look each day and publish as soon as it
excludes zero, and still claims a saving where there is none in at most `alpha` of all experiments. An interval for a
number of blocks fixed beforehand would not allow that.

Sources: Bojinov, Simchi-Levi and Zhao, Design and analysis of switchback experiments, Management Science 69 (2023); for
the interval Robbins' normal mixture as an asymptotic confidence sequence, Waudby-Smith et al., Time-uniform central
limit theory and asymptotic confidence sequences, Annals of Statistics 52 (2024), theorem 2.2.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

Floats = npt.NDArray[np.float64]

LEAST_PAIRS = 7  # below, neither the spread nor the limit theorem can be relied on
_TIGHTEST_AT_PAIRS = 30.0  # the interval is narrowest for about this many, which is a month of days in pairs
_FORESIGHT_PAIRS = 1_000
_SO_MANY = np.array([1e9])  # degrees of freedom that make Student's distribution the normal one


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known so far.

    Parameters
    ----------
    pairs
        Pairs of blocks that count.
    share
        Saved energy / energy without the measure; NaN before there are two pairs.
    low, high
        Limits of its interval; infinite before there are `LEAST_PAIRS` pairs.
    saved_kwh
        What was saved in the blocks with the measure. [kWh]
    more_pairs
        How many more are needed to show a saving of this size; 0 when it is shown, None when none is in sight.
    """

    pairs: int
    share: float
    low: float
    high: float
    saved_kwh: float
    more_pairs: int | None

    @property
    def is_shown(self) -> bool:
        """Whether the interval excludes that nothing is saved."""
        return self.low > 0


def estimate(
    energy_kwh: Floats, with_measure: npt.NDArray[np.bool_], expected_kwh: Floats | None = None, alpha: float = 0.05
) -> Estimate:
    """Estimate the saving from the blocks so far.

    Parameters
    ----------
    energy_kwh
        Energy of each block, without the beginning in which the block before still has an effect; shape (n,). A pair
        with a block that is not finite does not count. [kWh]
    with_measure
        Whether a block had the measure; shape (n,).
    expected_kwh
        What a block would have used without it, by a model that was made from earlier pairs only; shape (n,). [kWh]
    alpha
        How often a saving may be claimed where there is none.

    Returns
    -------
    Estimate
        The saving as a share, and its interval.

    Raises
    ------
    ValueError
        If a pair does not have the measure exactly once.
    """
    pairs = len(energy_kwh) // 2
    used = np.asarray(energy_kwh, dtype=float)[: 2 * pairs].reshape(pairs, 2)
    on = np.asarray(with_measure, dtype=bool)[: 2 * pairs].reshape(pairs, 2)
    if (on[:, 0] == on[:, 1]).any():
        raise ValueError(f"pair {int(np.argmax(on[:, 0] == on[:, 1]))} does not have the measure exactly once")
    due = np.ones_like(used) if expected_kwh is None else np.asarray(expected_kwh)[: 2 * pairs].reshape(pairs, 2)
    whole = (np.isfinite(used) & np.isfinite(due) & (due > 0)).all(axis=1)
    used, due, on = used[whole], due[whole], on[whole]
    count = len(used)
    if count < 2 or used[~on].sum() <= 0:
        return Estimate(count, np.nan, -np.inf, np.inf, 0.0, None)
    share, errors = _share_and_errors(used, due, on)
    spread = float(np.sqrt((errors @ errors) / (count - 1)))
    reach = float(_reach(np.array([float(count)]), spread, alpha)[0]) if count >= LEAST_PAIRS else np.inf
    saved_kwh = float(used[on].sum()) * share / (1 - share) if share < 1 else np.nan
    return Estimate(count, share, share - reach, share + reach, saved_kwh, _more_pairs(count, share, spread, alpha))


def _share_and_errors(used: Floats, due: Floats, on: npt.NDArray[np.bool_]) -> tuple[float, Floats]:
    """Return the saved share, and what each pair adds to its error (a ratio estimator, to first order)."""
    off_used, on_used = used[~on], used[on]
    # Energy of the blocks with the measure as if their weather had been that of the blocks without.
    scale = float(off_used.sum() / due[~on].sum())
    without = scale * due[on]
    share = 1 - float(on_used.sum() / without.sum())
    # d(share) of a pair: its own on-energy, and its part in the scale.
    errors = ((1 - share) * (off_used - scale * due[~on]) * (due[on].sum() / due[~on].sum())) - (
        on_used - (1 - share) * without
    )
    return share, np.asarray(errors / without.mean())


def every_look(counts: Floats, alpha: float) -> Floats:
    """Return how many standard errors an interval reaches that holds at every count at once; shape of `counts`.

    Robbins' normal mixture, narrowest at `_TIGHTEST_AT_PAIRS` (Waudby-Smith et al., appendix B.2).

    Examples
    --------
    >>> every_look(np.array([7.0, 30.0, 365.0]), 0.05).round(2).tolist()  # a single look would reach 1.96
    [3.29, 3.04, 3.27]
    """
    budget = -2 * np.log(alpha) + np.log(-2 * np.log(alpha) + 1)
    rho2 = budget / _TIGHTEST_AT_PAIRS
    grown = counts * rho2 + 1
    return np.asarray(np.sqrt(2 * grown / (counts * rho2) * np.log(np.sqrt(grown) / alpha)))


def _reach(pairs: Floats, spread: float, alpha: float) -> Floats:
    """Return half of the interval that holds for every number of pairs at once; shape of `pairs`."""
    # A factor for a spread that is itself estimated from few pairs: Student's quantile over the normal one.
    few = stdtrit(pairs - 1, 1 - alpha / 2) / stdtrit(_SO_MANY, 1 - alpha / 2)
    return np.asarray(spread / np.sqrt(pairs) * every_look(pairs, alpha) * few)


def _more_pairs(pairs: int, share: float, spread: float, alpha: float) -> int | None:
    """Return how many more pairs show this saving, if share and spread stay as they are."""
    totals = np.arange(max(pairs, LEAST_PAIRS), _FORESIGHT_PAIRS, dtype=float)
    enough = np.flatnonzero(share > _reach(totals, spread, alpha))
    return int(totals[enough[0]]) - pairs if len(enough) else None
