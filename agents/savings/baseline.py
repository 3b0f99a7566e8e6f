"""What a site would have used without the measure: a Bayesian regression that learns a day at a time.

Energy of a day is linear in the kind of day, in heating and cooling degree days and in what was produced. At which
outdoor temperatures heating and cooling begin is not known, so there is one regression for each pair of balance points;
each day updates all of them (conjugate normal-gamma), and each counts as much as it has foretold the days so far (its
marginal likelihood). Nothing is fitted twice: what is kept are sums.

Sources: Gelman et al., Bayesian Data Analysis, 3rd ed., section 14 (conjugate regression); degree-day model and range
of the balance points as CalTRACK's daily method; CV(RMSE), NMBE and fractional uncertainty as ASHRAE Guideline 14.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from agents.savings.switchback import every_look

Floats = npt.NDArray[np.float64]

DAY_KINDS = 8  # Monday is 0; 7 is a public holiday
_HEATING_C = np.arange(4.0, 22.1, 2.0)
_COOLING_C = np.arange(8.0, 26.1, 2.0)
# A pair (heating, cooling): heat is never wanted at a higher temperature than cold.
_PAIRS = np.array([(h, c) for h in _HEATING_C for c in _COOLING_C if c >= h])
_SLOPES = 3  # heating, cooling, production
TERMS = DAY_KINDS + _SLOPES
_PRIOR_PRECISION = 1e-4  # of a coefficient, in units of the mean of the days: it says next to nothing
_SHAPE, _RATE = 1.0, 0.01  # of the precision of the noise, in the same units
WARM_DAYS = 14  # before that a model says that it learns
_ACCEPTABLE = 0.5  # fractional uncertainty at 68 % confidence (Guideline 14)
FORESIGHT_DAYS = 730
_SO_MANY = 1e9  # degrees of freedom that make Student's distribution the normal one


@dataclass(frozen=True, slots=True)
class Days:
    """Days of a site, one entry each.

    Parameters
    ----------
    kind
        0 to 6 for Monday to Sunday, 7 for a public holiday; shape (n,).
    outdoor_c
        Outdoor temperatures of the day at even intervals; shape (n, samples). [°C]
    produced
        What was made, in any unit that stays the same; 0 where nothing is known of it; shape (n,).
    """

    kind: npt.NDArray[np.int64]
    outdoor_c: Floats
    produced: Floats

    def __len__(self) -> int:
        return len(self.kind)

    def __getitem__(self, chosen: slice | npt.NDArray[np.bool_]) -> "Days":
        """Return some of the days."""
        return Days(self.kind[chosen], self.outdoor_c[chosen], self.produced[chosen])

    @property
    def are_known(self) -> npt.NDArray[np.bool_]:
        """Whether everything is known of a day; shape (n,)."""
        return np.asarray(np.isfinite(self.outdoor_c).all(axis=1) & np.isfinite(self.produced))


@dataclass(frozen=True, slots=True)
class Fit:
    """How well the model fits the days it has learnt, as ASHRAE Guideline 14 defines it.

    Parameters
    ----------
    days
        Number of days.
    cv_rmse
        `sqrt(sum (y - ŷ)² / (n - p)) / ȳ`.
    nmbe
        `sum (y - ŷ) / ((n - p) ȳ)`.
    autocorrelation
        Of the errors of one day and the next; the errors are those made before the day was learnt.
    """

    days: int
    cv_rmse: float
    nmbe: float
    autocorrelation: float


@dataclass(frozen=True, slots=True)
class Saving:
    """What was saved over a period, with the interval it lies in.

    Parameters
    ----------
    saved_kwh, low_kwh, high_kwh
        Energy, and the limits of its interval. [kWh]
    share
        Saved energy / energy without the measure.
    fractional_uncertainty
        Half of the 68 % interval / saved energy, by the formula of Guideline 14; infinite where nothing was saved.
    acceptable
        Whether that is below one half, as the guideline asks.
    more_days
        How many more days like these show it; 0 when it is shown, None when that is not in sight.
    """

    saved_kwh: float
    low_kwh: float
    high_kwh: float
    share: float
    fractional_uncertainty: float
    acceptable: bool
    more_days: int | None

    @property
    def is_shown(self) -> bool:
        """Whether the interval excludes that nothing is saved, and the guideline's uncertainty is met."""
        return self.low_kwh > 0 and self.acceptable


class Baseline:
    """A baseline of daily energy.

    Parameters
    ----------
    unit_kwh
        A typical energy of a day, so that one prior fits a workshop and a steel works. [kWh]
    unit_produced
        A typical production of a day.

    Examples
    --------
    >>> chance = np.random.default_rng(1)
    >>> outdoor_c = chance.uniform(-5, 35, (200, 1))
    >>> days = Days(np.arange(200) % 7, outdoor_c, np.zeros(200))
    >>> energy_kwh = 100 + 4 * np.maximum(outdoor_c[:, 0] - 20, 0)
    >>> model = Baseline(unit_kwh=100)
    >>> model.learn(days, energy_kwh)
    >>> hot = Days(np.array([2]), np.array([[30.0]]), np.zeros(1))
    >>> round(float(model.predict(hot)[0]))
    140
    """

    def __init__(self, unit_kwh: float, unit_produced: float = 1.0) -> None:
        if not (unit_kwh > 0 and unit_produced > 0):
            raise ValueError(f"units must be above 0, got {unit_kwh} and {unit_produced}")
        self.unit_kwh = unit_kwh
        self.unit_produced = unit_produced
        models = len(_PAIRS)
        self._xx = np.zeros((models, TERMS, TERMS))
        self._xy = np.zeros((models, TERMS))
        self._x = np.zeros((models, TERMS))
        self._yy = self._y = 0.0
        self.days = 0
        self._errors = np.zeros(3)  # sums of e, e², e · e of the day before
        self._last_error = 0.0

    def learn(self, days: Days, energy_kwh: Floats, *, for_intervals: bool = True) -> None:
        """Take days in their order; a day with anything that is not a finite number is left out.

        Parameters
        ----------
        days
            The days.
        energy_kwh
            What was used; shape (n,). [kWh]
        for_intervals
            Whether each day is foretold before it is learnt, which says how much errors resemble those of the day
            before. Without it, all days are taken at once, hundreds of times faster, and only `predict` is sound.
        """
        energy_kwh = np.asarray(energy_kwh, dtype=float)
        whole = np.isfinite(energy_kwh) & days.are_known
        terms, units = self._terms(days), energy_kwh / self.unit_kwh
        if not for_intervals:
            self._add(terms[:, whole], units[whole])
            return
        for number in np.flatnonzero(whole):
            x = terms[:, number]
            if self.days >= WARM_DAYS:
                foretold = self._weights() @ np.einsum("mt,mt->m", x, self._coefficients())
                self._note_error(float(units[number] - foretold))
            self._add(x[:, None], units[number : number + 1])

    def _add(self, x: Floats, y: Floats) -> None:
        """Add days to the sums; shapes (models, n, terms) and (n,)."""
        self._xx += x.swapaxes(1, 2) @ x
        self._xy += y @ x
        self._x += x.sum(axis=1)
        self._yy += float(y @ y)
        self._y += float(y.sum())
        self.days += len(y)

    def predict(self, days: Days) -> Floats:
        """Return the energy to expect; shape (n,). [kWh]"""
        means = np.einsum("mnt,mt->mn", self._terms(days), self._coefficients())
        return np.asarray(self._weights() @ means * self.unit_kwh)

    @property
    def fit(self) -> Fit:
        """How well the likeliest of its models fits; NaN before there are more days than terms."""
        best = int(np.argmax(self._weights()))
        coefficients = self._coefficients()[best]
        xx, xy = self._xx[best], self._xy[best]
        used = int(np.count_nonzero(np.diag(xx)))
        freedom = self.days - used
        if freedom <= 0 or self._y <= 0:
            return Fit(self.days, np.nan, np.nan, np.nan)
        squares = max(0.0, self._yy - 2 * coefficients @ xy + coefficients @ xx @ coefficients)
        mean = self._y / self.days
        bias = self._y - self._x[best] @ coefficients
        return Fit(
            self.days, float(np.sqrt(squares / freedom) / mean), float(bias / freedom / mean), self._autocorrelation()
        )

    def saving(
        self, days: Days, energy_kwh: Floats, confidence: float = 0.95, *, looked_at_daily: bool = False
    ) -> Saving:
        """Compare what was used with what would have been.

        Parameters
        ----------
        days, energy_kwh
            The days with the measure, none of which was learnt.
        confidence
            Of the interval.
        looked_at_daily
            Whether the interval is to hold at the end of every day at once: wider, and what may be published on the
            first day it excludes zero.

        Raises
        ------
        ValueError
            If there are too few days to compare with.
        """
        energy_kwh = np.asarray(energy_kwh, dtype=float)
        known = np.isfinite(energy_kwh) & days.are_known
        days = days[known]
        fit = self.fit
        if not np.isfinite(fit.cv_rmse) or self.days < WARM_DAYS or not len(days):
            raise ValueError(f"a baseline of {self.days} days and {len(days)} days to compare are too few")
        expected_kwh = float(self.predict(days).sum())
        saved_kwh = expected_kwh - float(energy_kwh[known].sum())
        of_days, of_model = self._variances_of_sum(days)
        quantile = _t(self._freedom(), confidence)
        if looked_at_daily:
            looks = float(every_look(np.array([float(len(days))]), 1 - confidence)[0])
            quantile *= looks / _t(_SO_MANY, confidence)
        reach_kwh = quantile * float(np.sqrt(of_days + of_model)) * self.unit_kwh
        share = saved_kwh / expected_kwh
        uncertainty = fractional_uncertainty(fit, len(days), share)
        # Of a period r times as long the saving grows with r, the noise of its days with the root of r.
        margin = (saved_kwh / self.unit_kwh) ** 2 - quantile**2 * of_model
        longer = max(quantile**2 * of_days / margin, (uncertainty / _ACCEPTABLE) ** 2) if margin > 0 else np.inf
        total = longer * len(days) if saved_kwh > 0 else np.inf
        more_days = max(0, int(np.floor(total)) + 1 - len(days)) if total <= FORESIGHT_DAYS else None
        low_kwh, high_kwh = saved_kwh - reach_kwh, saved_kwh + reach_kwh
        acceptable = uncertainty < _ACCEPTABLE
        if low_kwh > 0 and acceptable:
            more_days = 0
        return Saving(saved_kwh, low_kwh, high_kwh, share, uncertainty, acceptable, more_days)

    def _terms(self, days: Days) -> Floats:
        """Return the regressors; shape (models, n, terms)."""
        kinds = np.eye(DAY_KINDS)[days.kind]
        heating = np.maximum(_HEATING_C[:, None, None] - days.outdoor_c, 0).mean(axis=2) / 10
        cooling = np.maximum(days.outdoor_c - _COOLING_C[:, None, None], 0).mean(axis=2) / 10
        where_h = np.searchsorted(_HEATING_C, _PAIRS[:, 0])
        where_c = np.searchsorted(_COOLING_C, _PAIRS[:, 1])
        produced = np.broadcast_to(days.produced / self.unit_produced, (len(_PAIRS), len(days)))
        slopes = np.stack([heating[where_h], cooling[where_c], produced], axis=2)
        return np.concatenate([np.broadcast_to(kinds, (len(_PAIRS), *kinds.shape)), slopes], axis=2)

    def _precision(self) -> Floats:
        return np.asarray(self._xx + _PRIOR_PRECISION * np.eye(TERMS))

    def _coefficients(self) -> Floats:
        return np.asarray(np.linalg.solve(self._precision(), self._xy[:, :, None])[:, :, 0])

    def _freedom(self) -> float:
        """Degrees of freedom of what is foretold, with days that resemble the day before counting for less."""
        return 2 * _SHAPE + self.days / self._repetition()

    def _rates(self) -> Floats:
        """Return the rate of the noise's precision, by model."""
        coefficients = self._coefficients()
        return np.asarray(_RATE + 0.5 * np.maximum(self._yy - np.einsum("mt,mt->m", coefficients, self._xy), 0.0))

    def _weights(self) -> Floats:
        """Return how likely each pair of balance points is after the days so far; shape (models,), sums to one."""
        shape = _SHAPE + self.days / 2
        _, volumes = np.linalg.slogdet(self._precision())
        evidence = -0.5 * volumes - shape * np.log(self._rates())
        likely = np.exp(evidence - evidence.max())
        return np.asarray(likely / likely.sum())

    def _variances_of_sum(self, days: Days) -> tuple[float, float]:
        """Return the variance of the sum over days, in units: of the days' noise, and of the model itself."""
        total = self._terms(days).sum(axis=1)
        variance = self._rates() / (_SHAPE + self.days / 2) * self._repetition()
        known = np.einsum("mt,mt->m", total, np.linalg.solve(self._precision(), total[:, :, None])[:, :, 0])
        weights = self._weights()
        sums = np.einsum("mt,mt->m", total, self._coefficients())
        between = weights @ (sums - weights @ sums) ** 2
        return float(weights @ variance * len(days)), float(weights @ (variance * known) + between)

    def _note_error(self, error: float) -> None:
        self._errors += (error, error * error, error * self._last_error)
        self._last_error = error

    def _autocorrelation(self) -> float:
        _, squares, products = self._errors
        return float(np.clip(products / squares, -0.99, 0.99)) if squares > 0 else 0.0

    def _repetition(self) -> float:
        """Return by how much days that resemble each other widen an interval, n / n'."""
        rho = max(0.0, self._autocorrelation())
        return (1 + rho) / (1 - rho)


def fractional_uncertainty(fit: Fit, days: int, share: float, confidence: float = 0.68) -> float:
    """Return the fractional uncertainty of a saving by ASHRAE Guideline 14.

    `1.26 t CV(RMSE) sqrt((n / n') (1 + 2 / n') / m) / F` with `n' = n (1 - rho) / (1 + rho)`.

    Parameters
    ----------
    fit
        Of the baseline.
    days
        m, days with the measure.
    share
        F, saved share.
    confidence
        Confidence of the interval.

    Examples
    --------
    >>> round(fractional_uncertainty(Fit(365, 0.15, 0.0, 0.0), 365, 0.10), 3)
    0.099
    """
    if share <= 0:
        return float("inf")
    rho = max(0.0, fit.autocorrelation)
    effective = fit.days * (1 - rho) / (1 + rho)
    width = np.sqrt(fit.days / effective * (1 + 2 / effective) / days)
    return float(1.26 * _t(max(1.0, effective - TERMS), confidence) * fit.cv_rmse * width / share)


def _t(freedom: float, confidence: float) -> float:
    """Return Student's quantile of a two-sided interval."""
    return float(stdtrit(np.array([freedom]), 0.5 + confidence / 2)[0])
