"""Time-of-use prices: which period a minute belongs to, and what a kilowatt-hour costs in it.

A calendar is built once per plan, prices, zone and month, from local days, and then joined to windows.
Rules are taken in this order: holidays, announced hot days, date ranges, ordinary periods. A retail contract changes
the ratios or prices of these rules, or brings hours of its own and sets all of them aside.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby, pairwise
from zoneinfo import ZoneInfo

import polars as pl

from agents.pricing.carbon import Quantity
from agents.pricing.rest_days import days_of_rule, is_working_weekend
from schemas.contract import EnergyPrice as ListedPrice
from schemas.contract import PricePart, RetailContract
from schemas.reference.tariffs import DAY_MIN, Rule, TariffEdition, TariffPlan

MINUTE_MS = 60_000
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

CALENDAR: dict[str, pl.DataType] = {
    "starts_at": pl.Int64(),  # ms UTC, on a whole minute
    "ends_at": pl.Int64(),  # ms UTC, exclusive
    "period": pl.String(),  # sharp | peak | flat | valley | deep_valley; null on days without a valid edition
    "ratio": pl.Float64(),  # on the floating base
    "price_cny_per_kwh": pl.Float64(),  # null when no price is known for the day
    "tariff_id": pl.String(),  # the edition, or contract:<id>
    "price_contains": pl.String(),  # what of network and government_funds is in the price, joined by '+'
}
PRICED = ("period", "ratio", "price_cny_per_kwh", "tariff_id", "price_contains")

_Meaning = tuple[str | None, float | None, float | None, str | None, str | None]  # the columns of PRICED
_NOTHING_VALID: _Meaning = (None, None, None, None, None)


@dataclass(frozen=True, slots=True)
class EnergyPrice:
    """What a site pays for energy from a local day on; floating base and fixed part add up to the flat price.

    Parameters
    ----------
    valid_from
        First local day; the price holds until the next one starts.
    floating_base_cny_per_kwh
        The part that the ratio of a period acts on. [CNY/kWh]
    fixed_part_cny_per_kwh
        The part that is the same in every period. [CNY/kWh]
    contains
        What else is in the two parts together.
    """

    valid_from: date
    floating_base_cny_per_kwh: float
    fixed_part_cny_per_kwh: float
    contains: tuple[PricePart, ...] = ("network", "government_funds")

    def __post_init__(self) -> None:
        if not (math.isfinite(self.floating_base_cny_per_kwh) and math.isfinite(self.fixed_part_cny_per_kwh)):
            raise ValueError(f"a price must be a finite number: {self}")


def period_price_cny_per_kwh(
    ratio: Quantity, floating_base_cny_per_kwh: Quantity, fixed_part_cny_per_kwh: Quantity
) -> Quantity:
    """Price of energy in a period: the ratio acts on the floating base only.

    Parameters
    ----------
    ratio
        Ratio of the period to the flat period. [1]
    floating_base_cny_per_kwh, fixed_part_cny_per_kwh
        The two parts of the flat price. [CNY/kWh]

    Returns
    -------
    Quantity
        Price, not rounded. [CNY/kWh]

    References
    ----------
    Checked against price lists of Jiangsu and Guangdong of autumn 2026: see `docs/reference-data.md`.

    Examples
    --------
    >>> round(period_price_cny_per_kwh(1.8, 0.3957, 0.2443), 4)
    0.9566
    """
    return fixed_part_cny_per_kwh + ratio * floating_base_cny_per_kwh


def energy_cost_cny(import_kwh: Quantity, price_cny_per_kwh: Quantity) -> Quantity:
    """Cost of imported energy, without demand fee and power-factor adjustment.

    Parameters
    ----------
    import_kwh
        Energy imported during the window. [kWh]
    price_cny_per_kwh
        Price of the window. [CNY/kWh]

    Returns
    -------
    Quantity
        Cost. [CNY]

    Examples
    --------
    >>> energy_cost_cny(200.0, 0.5)
    100.0
    """
    return import_kwh * price_cny_per_kwh


def tariff_calendar(
    plan: TariffPlan,
    prices: Sequence[EnergyPrice],
    zone: ZoneInfo,
    first_day: date,
    last_day: date,
    *,
    hot_days: frozenset[date] = frozenset(),
    contracts: Sequence[RetailContract] = (),
) -> pl.DataFrame:
    """Lay the rules of a plan over local days.

    Parameters
    ----------
    plan
        The plan the site signed up to; the edition valid on each local day applies.
    prices
        Energy prices over time, in any order; none at all is fine.
    zone
        Time zone of the site.
    first_day, last_day
        Local days, both included. Days of 23 or 25 hours are covered as they are.
    hot_days
        Local days that were announced as hot.
    contracts
        Retail contracts; the one in force on a local day overrides plan and prices.

    Returns
    -------
    polars.DataFrame
        `CALENDAR`: sorted intervals that cover the days without gap or overlap. On days without a valid
        edition period, ratio and price are null: a tariff is never guessed.

    Raises
    ------
    ValueError
        If the days are in the wrong order, or two prices start on the same day.
    UnknownHolidayError
        If the plan names a holiday that the library does not know.

    Examples
    --------
    >>> from schemas.reference.catalogue import load_tariffs
    >>> plan = load_tariffs()["cn-gd-industry"]
    >>> prices = [EnergyPrice(date(2026, 1, 1), 0.6206, 0.0277)]
    >>> day = date(2026, 9, 1)
    >>> tariff_calendar(plan, prices, ZoneInfo("Asia/Shanghai"), day, day)["period"].to_list()
    ['valley', 'flat', 'peak', 'sharp', 'flat', 'peak', 'sharp', 'peak', 'flat']
    """
    if last_day < first_day:
        raise ValueError(f"the last day {last_day} comes before the first {first_day}")
    if len({price.valid_from for price in prices}) < len(prices):
        raise ValueError(f"two prices of plan {plan.id} start on the same day")
    local_days = _LocalDays(plan, prices, _holiday_days(plan, first_day, last_day), hot_days, contracts)
    start = datetime.combine(first_day, time(), tzinfo=zone).astimezone(UTC)
    end = datetime.combine(last_day + timedelta(days=1), time(), tzinfo=zone).astimezone(UTC)
    intervals = (
        (wall_start - offset, wall_end - offset, meaning)
        for piece_start, piece_end, offset in _pieces_of_one_offset(zone, start, end)
        for wall_start, wall_end, meaning in local_days.between(piece_start + offset, piece_end + offset)
    )
    rows = []
    for meaning, run in groupby(intervals, key=lambda interval: interval[2]):
        parts = list(run)
        rows.append((_ms(parts[0][0]), _ms(parts[-1][1]), *meaning))
    calendar = pl.DataFrame(rows, schema=CALENDAR, orient="row")
    _require_whole_minutes(calendar, "starts_at", "ends_at")
    return calendar


@dataclass(frozen=True, slots=True)
class _DayRule:
    """A rule as it holds on one local day: of the plan, or of the contract, or of both."""

    period: str
    spans_min: tuple[tuple[int, int], ...]
    ratio: float | None
    cny_per_kwh: float | None = None  # instead of a ratio
    contains: tuple[PricePart, ...] = ()  # in this whole price

    def meaning(self, price: EnergyPrice | None, tariff_id: str) -> _Meaning:
        """Return the columns of `PRICED`."""
        if self.cny_per_kwh is not None:
            return self.period, None, self.cny_per_kwh, tariff_id, _joined(self.contains)
        if self.ratio is None or price is None:
            return self.period, self.ratio, None, tariff_id, None
        cny_per_kwh = period_price_cny_per_kwh(
            self.ratio, price.floating_base_cny_per_kwh, price.fixed_part_cny_per_kwh
        )
        return self.period, self.ratio, cny_per_kwh, tariff_id, _joined(price.contains)


class _LocalDays:
    """What plan and contracts say about local days, as far as anything is known about them."""

    def __init__(
        self,
        plan: TariffPlan,
        prices: Sequence[EnergyPrice],
        holidays: Mapping[tuple[str, int], frozenset[date]],  # edition and place of the rule -> local days
        hot_days: frozenset[date],
        contracts: Sequence[RetailContract],
    ) -> None:
        self.plan = plan
        self.prices = prices
        self.holidays = holidays
        self.hot_days = hot_days
        self.contracts = contracts

    def between(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime, _Meaning]]:
        """Cut a stretch of wall-clock time into intervals of one meaning."""
        day = start.date()
        while (midnight := datetime.combine(day, time(), tzinfo=UTC)) < end:
            for first_min, last_min, meaning in self._of(day):
                begins = max(start, midnight + first_min * MINUTE)
                finishes = min(end, midnight + last_min * MINUTE)
                if begins < finishes:
                    yield begins, finishes, meaning
            day += timedelta(days=1)

    def _of(self, day: date) -> Iterator[tuple[int, int, _Meaning]]:
        """Cut a local day of 24 hours into spans of one rule: minutes, end exclusive."""
        contract = next((contract for contract in self.contracts if contract.holds_on(day)), None)
        edition = self.plan.edition_on(day)
        prices = self.prices
        if contract is not None and contract.prices:
            prices = [energy_price(price) for price in contract.prices]
        valid = [price for price in prices if price.valid_from <= day]
        price = max(valid, key=lambda price: price.valid_from, default=None)
        if contract is not None and contract.has_own_hours:
            rules = [
                _DayRule(own.name, own.spans_min, own.ratio, own.cny_per_kwh, contract.contains)
                for own in contract.periods
                if own.holds_on(day, day.isoweekday())
            ]
        elif edition is not None:
            rules = [self._under(contract, rule, day) for rule in self._rules_on(edition, day)]
        else:
            yield 0, DAY_MIN, _NOTHING_VALID
            return
        tariff_id = f"contract:{contract.id}" if contract is not None else edition.id if edition is not None else ""
        covered = [(rule, span) for rule in rules for span in rule.spans_min]
        cuts = sorted({0, DAY_MIN, *(minute for _, span in covered for minute in span)})
        for first_min, last_min in pairwise(cuts):
            rule = next(rule for rule, (start, end) in covered if start <= first_min < end)
            yield first_min, last_min, rule.meaning(price, tariff_id)

    def _under(self, contract: RetailContract | None, rule: Rule, day: date) -> _DayRule:
        """Return a rule of the plan with the ratio or price that the contract gives to its period."""
        own = None
        if contract is not None:
            weekday = day.isoweekday()
            own = next((one for one in contract.periods if one.name == rule.name and one.holds_on(day, weekday)), None)
        if contract is None or own is None:
            return _DayRule(rule.name, rule.spans_min, rule.ratio)
        ratio = rule.ratio if own.ratio is None else own.ratio
        return _DayRule(rule.name, rule.spans_min, ratio, own.cny_per_kwh, contract.contains)

    def _rules_on(self, edition: TariffEdition, day: date) -> Iterator[Rule]:
        """Yield the rules that hold on a local day, the strongest first."""
        for place, holiday_rule in enumerate(edition.holiday_rules):
            if day in self.holidays[edition.id, place]:
                yield holiday_rule
        hot = edition.hot_day_rule
        if hot and day in self.hot_days and day.month in hot.months:
            yield hot
        for range_rule in edition.date_range_overrides:
            if range_rule.holds_on(day):
                yield range_rule
        weekday = day.isoweekday()
        if edition.working_weekend_as and is_working_weekend(self.plan.holiday_calendar.country, day):
            weekday = edition.working_weekend_as
        for rule in edition.periods:
            if day.month in rule.months and weekday in rule.weekdays:
                yield rule


def energy_price(price: ListedPrice) -> EnergyPrice:
    """Return a price of the registry as the calendar takes it."""
    return EnergyPrice(price.valid_from, price.floating_base_cny_per_kwh, price.fixed_part_cny_per_kwh, price.contains)


def _joined(contains: Sequence[PricePart]) -> str:
    return "+".join(sorted(set(contains)))


def _holiday_days(plan: TariffPlan, first_day: date, last_day: date) -> dict[tuple[str, int], frozenset[date]]:
    # A break around New Year's Day begins in the year before; a clock set back may show an earlier day.
    years = range(first_day.year - 1, last_day.year + 2)
    return {
        (edition.id, place): frozenset().union(*(days_of_rule(plan.holiday_calendar, rule, year) for year in years))
        for edition in plan.editions
        for place, rule in enumerate(edition.holiday_rules)
    }


def _pieces_of_one_offset(
    zone: ZoneInfo, start: datetime, end: datetime
) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """Cut UTC time where the zone's offset to UTC changes, to the minute."""
    piece_start = at = start
    while at < end:
        later = min(at + HOUR, end)
        if _offset(zone, at) != _offset(zone, later):
            change = next(
                moment for minute in range(1, 61) if _offset(zone, moment := at + minute * MINUTE) != _offset(zone, at)
            )
            if change < end:
                yield piece_start, change, _offset(zone, at)
                piece_start = change
        at = later
    yield piece_start, end, _offset(zone, piece_start)


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _ms(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


def _require_whole_minutes(frame: pl.DataFrame, *names: str) -> None:
    for name in names:
        if (frame[name] % MINUTE_MS != 0).any():
            raise ValueError(f"expected {name} on whole minutes")
