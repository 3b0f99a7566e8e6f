"""What is known of a saving at the end of a day: by the experiment where there is one, else against the days before.

Of one experiment and of one baseline a verdict is a pure function of the days that are over.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from agents.savings.baseline import FORESIGHT_DAYS, WARM_DAYS, Baseline, Fit, Floats
from agents.savings.closed_days import ClosedDays, Figure
from agents.savings.local import HOLIDAY
from agents.savings.open_days import Whole
from agents.savings.switchback import LEAST_PAIRS, Estimate, estimate
from agents.switching.blocks import Blocks
from schemas.saving import Method, SavingState

YEAR_DAYS = 365
LEAST_BASELINE_DAYS = 30
_SUNDAY = 6
_KINDS = HOLIDAY + 1


@dataclass(frozen=True, slots=True)
class Saved:
    """What was saved, of the days with the measure. [kWh, CNY, kg]"""

    kwh: float
    low_kwh: float
    high_kwh: float
    cny: float
    kg: float
    market_kg: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one scope; NaN and None where something is not.

    Parameters
    ----------
    method, reason
        How, and why it is so.
    more_days
        Until it is expected to be shown; 0 when it is, None when that is not in sight.
    from_day
        First local day of what is compared, as an ordinal.
    share, low, high
        Saved share and its interval.
    saved
        Only where it is shown.
    used_kwh
        Of the days with the measure.
    """

    method: Method
    reason: str
    more_days: int | None
    from_day: int
    share: float = np.nan
    low: float = np.nan
    high: float = np.nan
    saved: Saved | None = None
    used_kwh: float = np.nan
    fit: Fit | None = None
    fractional_uncertainty: float = np.nan
    measured_days: int = 0
    experiment: str | None = None
    pairs: int = 0

    @property
    def state(self) -> SavingState:
        """Whether a saving is claimed."""
        return SavingState.NOT_SHOWN_YET if self.saved is None else SavingState.SHOWN


@dataclass(frozen=True, slots=True)
class Learnt:
    """Days without a measure, and what was learnt from them.

    Parameters
    ----------
    mean_kwh
        Of the days. [kWh]
    model
        None where there are too few days whose weather is known.
    kinds
        Those that are in the model.
    """

    mean_kwh: float
    model: Baseline | None
    kinds: Whole


def days_without(days: ClosedDays, scope: int, day: int, blocks: Blocks) -> npt.NDArray[np.bool_]:
    """Return the days a day of an experiment is foretold from: all without the measure before its pair began.

    So both blocks of a pair are foretold by one model, and what chance decides about a pair is not in it.
    """
    mine = (days.day < blocks.pair_begins(day)) & (days.day >= blocks.first_day - YEAR_DAYS)
    mine &= np.isfinite(days.figures[scope, Figure.WHOLE_KWH])
    return np.asarray(mine & ~_with_measure(blocks, days.day))


def days_before(days: ClosedDays, scope: int, first_day: int) -> npt.NDArray[np.bool_]:
    """Return the days of the year before a measure began that a baseline can be made of."""
    known = np.isfinite(days.figures[scope, Figure.WHOLE_KWH]) & np.isfinite(days.outdoor_c).all(axis=1)
    return np.asarray(known & (days.day >= first_day - YEAR_DAYS) & (days.day < first_day))


def learnt(
    days: ClosedDays, kinds: Whole, scope: int, mine: npt.NDArray[np.bool_], *, for_intervals: bool
) -> Learnt | None:
    """Learn from days; None where there are none.

    Parameters
    ----------
    days, kinds
        The days that are over, and the kind of each; shape (n,).
    scope
        Whose energy.
    mine
        Those to learn from; shape (n,).
    for_intervals
        As of `Baseline.learn`.
    """
    kwh = days.figures[scope, Figure.WHOLE_KWH]
    if not mine.any():
        return None
    mean_kwh = float(kwh[mine].mean())
    known = mine & np.isfinite(days.outdoor_c).all(axis=1)
    if np.count_nonzero(known) < WARM_DAYS or mean_kwh <= 0:
        return Learnt(mean_kwh, None, kinds[known])
    mean_produced = float(days.produced[known].mean())
    model = Baseline(mean_kwh, mean_produced if mean_produced > 0 else 1.0)
    model.learn(days.conditions(kinds, known), kwh[known], for_intervals=for_intervals)
    return Learnt(mean_kwh, model, kinds[known])


def foretold(days: ClosedDays, kinds: Whole, day: int, without: Learnt | None) -> float:
    """Return what a day would use without the measure. [kWh]

    Where the model does not know such a day, or its weather is not known, it is the mean of the days it was made from;
    NaN where there are none.
    """
    if without is None:
        return np.nan
    there = days.conditions(_seen(kinds, without.kinds), days.day == day)
    if without.model is None or not there.are_known.all() or there.kind[0] < 0:
        return without.mean_kwh
    found = float(without.model.predict(there)[0])
    return found if found > 0 else without.mean_kwh


def by_experiment(days: ClosedDays, scope: int, today: int, blocks: Blocks) -> Verdict:
    """Compare the blocks with the measure with those without it, as far as they are over."""
    verdict = Verdict(Method.SWITCHBACK, "experiment_to_come", None, blocks.first_day, experiment=blocks.name)
    least = LEAST_PAIRS * blocks.pair_days
    if today < blocks.first_day:
        return replace(verdict, more_days=blocks.first_day - 1 - today + least)
    held = days.day[days.day >= blocks.first_day]
    first = blocks.pair_begins(int(held[0])) if len(held) else blocks.pair_begins(today)
    pairs = (today + 1 - first) // blocks.pair_days
    figures = _of_days(days, scope, first, pairs * blocks.pair_days)
    on = _with_measure(blocks, first + blocks.block_days * np.arange(2 * pairs))
    summed = _of_blocks(figures, blocks.block_days)
    expected = summed[Figure.EXPECTED_KWH]
    found = estimate(summed[Figure.COUNTED_KWH], on, expected)
    left = first + (pairs + 1) * blocks.pair_days - 1 - today  # days to the end of the running pair
    counts = np.isfinite(summed[Figure.COUNTED_KWH]) & np.isfinite(expected)
    counts = np.repeat(counts.reshape(-1, 2).all(axis=1), 2)
    used_kwh = float(summed[Figure.COUNTED_KWH, on & counts].sum())
    about = replace(
        verdict, share=found.share, low=found.low, high=found.high, used_kwh=used_kwh, pairs=found.pairs, from_day=first
    )
    if found.is_shown:
        money = [
            estimate(summed[figure], on, expected).saved_kwh if np.isfinite(summed[figure][counts]).all() else np.nan
            for figure in (Figure.COUNTED_CNY, Figure.COUNTED_KG, Figure.COUNTED_MARKET_KG)
        ]
        low, high = (used_kwh * share / (1 - share) for share in (found.low, found.high))
        return replace(
            about, reason="interval_above_zero", more_days=0, saved=Saved(found.saved_kwh, low, high, *money)
        )
    more = _more_pairs(found)
    more_days = None if more is None else left + (more - 1) * blocks.pair_days
    if more_days is not None and more_days > FORESIGHT_DAYS:
        more_days = None
    if found.pairs < LEAST_PAIRS:
        return replace(about, reason="too_few_pairs", more_days=more_days)
    return replace(about, reason="none_in_sight" if more_days is None else "interval_holds_zero", more_days=more_days)


def measure_to_come(days: ClosedDays, scope: int, today: int, first_day: int) -> Verdict:
    """Say how many days of the year before a measure are known, while it has not begun."""
    fit = Fit(int(np.count_nonzero(days_before(days, scope, first_day))), np.nan, np.nan, np.nan)
    more_days = first_day - 1 - today + WARM_DAYS
    return Verdict(Method.BASELINE, "measure_to_come", more_days, first_day, fit=fit)


def by_baseline(days: ClosedDays, kinds: Whole, scope: int, first_day: int, before: Learnt | None) -> Verdict:
    """Compare the days since a measure began with what the model of the days before expects."""
    verdict = Verdict(Method.BASELINE, "too_few_days_before", None, first_day)
    if before is None or before.model is None:
        return replace(verdict, fit=Fit(0 if before is None else len(before.kinds), np.nan, np.nan, np.nan))
    model, fit = before.model, before.model.fit
    verdict = replace(verdict, fit=fit)
    if fit.days < LEAST_BASELINE_DAYS or not np.isfinite(fit.cv_rmse):
        return verdict
    seen = _seen(kinds, before.kinds)
    kwh = days.figures[scope, Figure.WHOLE_KWH]
    since = (days.day >= first_day) & np.isfinite(kwh) & np.isfinite(days.outdoor_c).all(axis=1) & (seen >= 0)
    if np.count_nonzero(since) < WARM_DAYS:
        left = WARM_DAYS - int(np.count_nonzero(since))
        return replace(verdict, reason="too_few_days_since", more_days=left, measured_days=WARM_DAYS - left)
    after = days.conditions(seen, since)
    found = model.saving(after, kwh[since], looked_at_daily=True)
    expected_kwh = found.saved_kwh / found.share if found.share else float(kwh[since].sum())
    verdict = replace(
        verdict,
        share=found.share,
        low=found.low_kwh / expected_kwh,
        high=found.high_kwh / expected_kwh,
        used_kwh=float(kwh[since].sum()),
        fractional_uncertainty=found.fractional_uncertainty,
        measured_days=len(after),
        more_days=found.more_days,
    )
    if not found.is_shown:
        return replace(verdict, reason="none_in_sight" if found.more_days is None else "interval_holds_zero")
    money = _saved_of_days(model.predict(after) - kwh[since], days.figures[scope][:, since])
    saved = Saved(found.saved_kwh, found.low_kwh, found.high_kwh, *money)
    return replace(verdict, reason="interval_above_zero", saved=saved)


def _saved_of_days(saved_kwh: Floats, figures: Floats) -> tuple[float, float, float]:
    """Return money and both lines of carbon: each day's saving at that day's mean rate, as far as all are known."""
    used_kwh = figures[Figure.COUNTED_KWH]
    rows = figures[Figure.COUNTED_CNY : Figure.EXPECTED_KWH]
    rates = np.divide(rows, used_kwh, out=np.full_like(rows, np.nan), where=used_kwh > 0)
    cny, kg, market_kg = (rates @ saved_kwh).tolist()
    return cny, kg, market_kg


def _with_measure(blocks: Blocks, days: Whole) -> npt.NDArray[np.bool_]:
    return np.array([blocks.has_measure(day) for day in days.tolist()], dtype=bool)


def _of_days(days: ClosedDays, scope: int, first: int, count: int) -> Floats:
    """Return the figures of consecutive days, NaN where a day is missing; shape (6, count)."""
    found = np.full((len(Figure), count), np.nan)
    place = days.day - first
    mine = (place >= 0) & (place < count)
    found[:, place[mine]] = days.figures[scope][:, mine]
    return found


def _of_blocks(figures: Floats, block_days: int) -> Floats:
    """Add up blocks; what carries over is left out of the first day of each. Shape (6, blocks)."""
    by_block = figures.reshape(len(Figure), -1, block_days)
    whole, counted = by_block[Figure.WHOLE_KWH], by_block[Figure.COUNTED_KWH]
    # Money and carbon of later days are those of their counted hours: scaled to the whole day.
    later = np.divide(whole, counted, out=np.ones_like(whole), where=counted > 0)
    later[:, 0] = 1.0
    summed = by_block.sum(axis=2)
    for figure in (Figure.COUNTED_KWH, Figure.COUNTED_CNY, Figure.COUNTED_KG, Figure.COUNTED_MARKET_KG):
        summed[figure] = (by_block[figure] * later).sum(axis=1)
    return np.asarray(summed)


def _more_pairs(found: Estimate) -> int | None:
    if found.pairs < LEAST_PAIRS:
        return max(LEAST_PAIRS - found.pairs, found.more_pairs or 0)
    return None if found.more_pairs is None else max(1, found.more_pairs)


def _seen(kinds: Whole, learnt_kinds: Whole) -> Whole:
    """Return kinds as the model knows them: a holiday it has not seen is a Sunday, what else it has not is -1."""
    known = np.isin(np.arange(_KINDS), learnt_kinds)
    as_known = np.where(known, np.arange(_KINDS), -1)
    if not known[HOLIDAY]:
        as_known[HOLIDAY] = as_known[_SUNDAY]
    return np.asarray(as_known[kinds])
