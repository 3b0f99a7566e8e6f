"""A period beside an earlier one, as if the earlier one had had the weather and the production of the later one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import polars as pl

from agents.comparing.model import Floats, Model, fitted

# One row per local day with energy; weather and production are null where they are not known.
DAYS: dict[str, pl.DataType] = {
    "local_day": pl.Date(),
    "energy_kwh": pl.Float64(),
    "outdoor_c": pl.Float64(),  # mean of the day
    "units_made": pl.Float64(),
}

BASELINE_DAYS = 365
LEAST_BASELINE_DAYS = 30
LEAST_KNOWN_SHARE = 0.9  # of the days of a period
HIGHEST_CV_RMSE = 1.0  # above which eemeter disqualifies a daily model
_BEYOND_RANGE = 0.1  # of the width of what was fitted


@dataclass(frozen=True, slots=True)
class Span:
    """Days from the first to the last, both included."""

    first_day: date
    last_day: date

    @property
    def days(self) -> int:
        """How many there are."""
        return (self.last_day - self.first_day).days + 1

    def of(self, days: pl.DataFrame) -> pl.DataFrame:
        """Return the rows that lie in it."""
        return days.filter(pl.col("local_day").is_between(self.first_day, self.last_day))


@dataclass(frozen=True, slots=True)
class Compared:
    """A period beside an earlier one, per day with energy.

    Parameters
    ----------
    now, other
        The periods.
    now_kwh, other_kwh
        Their mean days; None where nothing is known. [kWh/d]
    change
        How much more the later one is, as a share of the earlier; None where more than a tenth of either is missing,
        since what is missing may be its winter.
    adjusted_other_kwh
        The mean day the earlier one would have had in the conditions of the later one. [kWh/d]
    adjusted_change
        How much more the later one is than that.
    adjusted_for
        What was adjusted for; empty for nothing.
    why_not
        Why something was not adjusted for; empty when all was.
    model
        What was adjusted by.
    """

    now: Span
    other: Span
    now_kwh: float | None
    other_kwh: float | None
    change: float | None
    adjusted_other_kwh: float | None = None
    adjusted_change: float | None = None
    adjusted_for: tuple[str, ...] = ()
    why_not: str = ""
    model: Model | None = None


def compared(days: pl.DataFrame, now: Span, other: Span, *, makes_units: bool) -> Compared:
    """Compare a period with an earlier one, adjusted where it can be.

    Parameters
    ----------
    days
        `DAYS`, from `BASELINE_DAYS` before the later period on.
    now, other
        The periods, the later one first.
    makes_units
        Whether the site says what it makes; without that, nobody misses its production.

    Notes
    -----
    The model is fitted to at most 365 days before the later period. The earlier period is then moved by what the model
    expects of the conditions of the later one, less what it expects of its own::

        adjusted_other = other + expected(now) - expected(other)

    So what the model does not know (a machine, a habit) stays in the difference, and a bad model moves little.
    """
    mean_now, mean_other = _mean(now.of(days)["energy_kwh"]), _mean(other.of(days)["energy_kwh"])
    if mean_now is None or mean_other is None:
        return Compared(now, other, mean_now, mean_other, None, why_not="there is no energy to compare")
    for name, span in (("this period", now), ("the earlier period", other)):
        missing = span.days - span.of(days).height
        if missing > (1 - LEAST_KNOWN_SHARE) * span.days:
            why = f"energy of {missing} of {span.days} days is missing ({name})"
            return Compared(now, other, mean_now, mean_other, None, why_not=why)
    plain = Compared(now, other, mean_now, mean_other, _change(mean_now, mean_other))
    baseline = Span(now.first_day - timedelta(days=BASELINE_DAYS), now.first_day - timedelta(days=1))
    spans = {"the days before": baseline, "this period": now, "the earlier period": other}
    model, known, why_not = _model(days, spans, makes_units=makes_units)
    if model is None:
        return _not(plain, why_not)
    here, there = now.of(days).drop_nulls(known), other.of(days).drop_nulls(known)
    unfit = _unfit(model, pl.concat([here, there]))
    if unfit:
        return _not(plain, unfit)
    moved = mean_other + float(_expected(model, here).mean() - _expected(model, there).mean())
    return replace(
        plain,
        adjusted_other_kwh=moved,
        adjusted_change=_change(mean_now, moved),
        adjusted_for=model.depends_on,
        why_not=why_not,
        model=model,
    )


def _model(days: pl.DataFrame, spans: dict[str, Span], *, makes_units: bool) -> tuple[Model | None, Sequence[str], str]:
    """Fit to the first of the periods; return the model, the columns it was made of, and what is missing."""
    known = ["energy_kwh", "outdoor_c"]
    for gap in _gaps(days, spans, "outdoor_c", "weather"):
        return None, known, gap
    missing = next(_gaps(days, spans, "units_made", "production"), "") if makes_units else ""
    with_production = makes_units and not missing
    if with_production:
        known.append("units_made")
    fit = next(iter(spans.values())).of(days).drop_nulls(known).filter(pl.col("energy_kwh") > 0)
    if fit.height < LEAST_BASELINE_DAYS:
        return None, known, f"only {fit.height} of at least {LEAST_BASELINE_DAYS} days before are known"
    return fitted(fit, with_production=with_production), known, missing


def _unfit(model: Model, days: pl.DataFrame) -> str:
    """Return why a model must not be used for these days; empty when it may."""
    if not model.depends_on:
        return "the energy of the days before follows neither weather nor production"
    if model.cv_rmse > HIGHEST_CV_RMSE:
        return f"the days before scatter too much (CV(RMSE) {model.cv_rmse:.2f})"
    return _outside(model, days)


def _gaps(days: pl.DataFrame, spans: dict[str, Span], column: str, what: str) -> Iterator[str]:
    for name, span in spans.items():
        mine = span.of(days).filter(pl.col("energy_kwh") > 0)
        missing = mine[column].null_count()
        if mine.is_empty() or missing > (1 - LEAST_KNOWN_SHARE) * mine.height:
            yield f"{what} of {missing} of {mine.height} days is missing ({name})"


def _outside(model: Model, days: pl.DataFrame) -> str:
    """Return what lies outside of what was fitted; empty for nothing."""
    ranges = [("outdoor_c", "temperatures", model.temperature_c)] if "weather" in model.depends_on else []
    if model.units is not None:
        ranges.append(("units_made", "production", model.units))
    for column, what, (low, high) in ranges:
        allowed = _BEYOND_RANGE * (high - low)
        if not days[column].is_between(low - allowed, high + allowed).all():
            return f"{what} lie outside of what the days before have shown"
    return ""


def _expected(model: Model, days: pl.DataFrame) -> Floats:
    units = None if model.per_unit_kwh is None else days["units_made"].to_numpy().astype(np.float64)
    return model.expected_kwh(days["outdoor_c"].to_numpy().astype(np.float64), units)


def _not(plain: Compared, why: str) -> Compared:
    return replace(plain, why_not=why)


def _mean(energy: pl.Series) -> float | None:
    found = energy.mean()
    return found if isinstance(found, float) else None


def _change(now: float | None, other: float | None) -> float | None:
    return None if now is None or other is None or other <= 0 else now / other - 1
