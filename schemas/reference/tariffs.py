"""Time-of-use tariffs: plans that sites sign up to, and the editions that were valid over time."""

import calendar
import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import date
from itertools import pairwise
from typing import Annotated, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from schemas.reference.problems import Problem, ReferenceDataError, shape_problems

Period = Literal["sharp", "peak", "flat", "valley", "deep_valley"]
Month = Annotated[int, Field(ge=1, le=12)]
Weekday = Annotated[int, Field(ge=1, le=7)]
Hour = Annotated[float, Field(ge=0, le=24)]
HourSpans = tuple[tuple[Hour, Hour], ...]
MonthDay = Annotated[str, Field(pattern=r"^\d\d-\d\d$")]
Text = Annotated[str, Field(min_length=1)]

DAY_MIN = 24 * 60
LEAP_YEAR = 2024


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Rule(_Entry):
    """Hours of a local day that belong to a period.

    `hours` are local decimal hours, start inclusive, end exclusive, 24 = midnight. `ratio` acts on the
    floating base only.
    """

    name: Period
    hours: Annotated[HourSpans, Field(min_length=1)]
    ratio: Annotated[float, Field(gt=0, le=10)]
    confidence: Text | None = None

    @field_validator("hours")
    @classmethod
    def _quarter_hours_in_order(cls, hours: HourSpans) -> HourSpans:
        for start, end in hours:
            if start >= end:
                raise ValueError(f"hours that end after they start, not {start} to {end}")
            if any(hour * 4 != round(hour * 4) for hour in (start, end)):
                raise ValueError(f"hours on quarter hours, in which bills are settled, not {start} to {end}")
        return hours

    @property
    def spans_min(self) -> tuple[tuple[int, int], ...]:
        """Return the hours as minutes of the local day, end exclusive. [min]."""
        return tuple((round(start * 60), round(end * 60)) for start, end in self.hours)


class PeriodRule(Rule):
    """The ordinary rule: in these months, on these ISO weekdays."""

    months: Annotated[frozenset[Month], Field(min_length=1)]
    weekdays: Annotated[frozenset[Weekday], Field(min_length=1)]


class DateRangeRule(Rule):
    """A rule for the same days of every year, both ends included; it may run over the new year."""

    date_range: tuple[MonthDay, MonthDay]

    @field_validator("date_range")
    @classmethod
    def _days_that_exist(cls, days: tuple[str, str]) -> tuple[str, str]:
        for day in days:
            month, number = _month_day(day)
            if not (1 <= month <= 12 and 1 <= number <= calendar.monthrange(LEAP_YEAR, month)[1]):
                raise ValueError(f"days that exist (MM-DD), not {day}")
        return days

    def holds_on(self, day: date) -> bool:
        """Return whether `day` lies in the range, in whatever year."""
        first, last = (_month_day(limit) for limit in self.date_range)
        place = (day.month, day.day)
        return first <= place <= last if first <= last else place >= first or place <= last


class HotDayRule(Rule):
    """A rule for the days that were announced as hot, in these months."""

    months: Annotated[frozenset[Month], Field(min_length=1)]
    threshold_c: float
    station: Text


class HolidayRule(Rule):
    """A rule for public holidays.

    `days` says which days count: `statutory_dates` are the dates the law names; `days_off` is the whole
    break as the state announces it each year, with its weekends and substituted days. `first_days` keeps that
    many days from the first statutory date on; `min_days_off` keeps only breaks of at least that length.
    """

    holidays: Annotated[tuple[Text, ...], Field(min_length=1)]
    days: Literal["statutory_dates", "days_off"]
    first_days: Annotated[int, Field(ge=1)] | None = None
    min_days_off: Annotated[int, Field(ge=1)] | None = None


class ExamplePrice(_Entry):
    """Published prices of a month, to check the ratios against. [CNY/kWh]."""

    period_prices: dict[Period, float]
    floating_base_cny_per_kwh: float
    fixed_part_cny_per_kwh: float
    note: Text
    seen_in: tuple[Text, ...]


class TariffEdition(_Entry):
    """The rules of a plan from `valid_from` to `valid_to`, both included, in local days."""

    plan: Text
    id: Text
    region_code: Text
    name: Text
    name_zh: Text
    currency: Literal["CNY"]
    document: Text
    valid_from: date
    valid_to: date | None
    applies_to: Text
    ratio_base: Text
    periods: Annotated[tuple[PeriodRule, ...], Field(min_length=1)]
    date_range_overrides: tuple[DateRangeRule, ...] = ()
    hot_day_rule: HotDayRule | None = None
    holiday_rules: tuple[HolidayRule, ...] = ()
    working_weekend_as: Weekday | None = None  # weekday whose periods a make-up working weekend takes
    example_price: ExamplePrice | None = None
    confidence: dict[str, Text]
    seen_in: tuple[Text, ...]

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Self:
        if self.valid_to is not None and self.valid_to < self.valid_from:
            raise ValueError(f"valid_to not before valid_from, not {self.valid_from} to {self.valid_to}")
        return self

    def holds_on(self, day: date) -> bool:
        """Return whether this edition is valid on the local day."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


class _Hours(Protocol):
    """Hours of the local day in some months, on some ISO weekdays."""

    @property
    def months(self) -> Collection[int]: ...

    @property
    def weekdays(self) -> Collection[int]: ...

    @property
    def spans_min(self) -> tuple[tuple[int, int], ...]: ...


class HolidayCalendar(_Entry):
    """Whose holidays count, and how the maintained library `holidays` calls them in English."""

    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    names: dict[str, tuple[Text, ...]]


class TariffPlan(_Entry):
    """What a site signs up to: editions that follow one another, sorted and never overlapping."""

    id: Text
    region_code: Text
    editions: tuple[TariffEdition, ...]
    holiday_calendar: HolidayCalendar

    def edition_on(self, day: date) -> TariffEdition | None:
        """Return the edition valid on the local day, or None: a missing edition is never guessed."""
        return next((edition for edition in self.editions if edition.holds_on(day)), None)


class _Envelope(_Entry):
    schema_version: Literal[1]
    as_of: date
    hours_convention: Text
    weekday_convention: Text
    period_priority: tuple[
        Literal["holiday_rules"], Literal["hot_day_rule"], Literal["date_range_overrides"], Literal["periods"]
    ]
    price_formula: Text
    holiday_calendar: HolidayCalendar
    tariffs: Annotated[list[dict[str, object]], Field(min_length=1)]


def parse_tariffs(text: str, file: str, region_codes: Collection[str]) -> dict[str, TariffPlan]:
    """Read a tariff file and check it as a whole.

    Parameters
    ----------
    text
        JSON, as described in `docs/reference-data.md`.
    file
        Name of the file, for messages.
    region_codes
        Regions that exist.

    Returns
    -------
    dict
        Plans by id.

    Raises
    ------
    ReferenceDataError
        With every problem found: fields, hours not covered exactly once, unknown holidays or regions, and
        editions of a plan that overlap.
    """
    try:
        envelope = _Envelope.model_validate_json(text)
    except ValidationError as error:
        raise ReferenceDataError(shape_problems(file, "(file)", error)) from error
    problems: list[Problem] = []
    editions: list[TariffEdition] = []
    for place, raw in enumerate(envelope.tariffs):
        entry = str(raw.get("id", f"tariffs[{place}]"))
        try:
            edition = TariffEdition.model_validate_json(json.dumps(raw))
        except ValidationError as error:
            problems += shape_problems(file, entry, error)
            continue
        editions.append(edition)
        if edition.region_code not in region_codes:
            problems.append(Problem(file, entry, "region_code", f"a known region, found {edition.region_code!r}"))
        problems += _unknown_holidays(file, edition, envelope.holiday_calendar)
        problems += _coverage_problems(file, edition)
    plans, plan_problems = _plans(file, editions, envelope.holiday_calendar)
    problems += plan_problems
    if problems:
        raise ReferenceDataError(problems)
    return plans


def _month_day(text: str) -> tuple[int, int]:
    month, _, day = text.partition("-")
    return int(month), int(day)


def _unknown_holidays(file: str, edition: TariffEdition, known: HolidayCalendar) -> list[Problem]:
    return [
        Problem(
            file,
            edition.id,
            f"holiday_rules[{place}].holidays",
            f"one of {', '.join(known.names)}; found {name!r}",
        )
        for place, rule in enumerate(edition.holiday_rules)
        for name in rule.holidays
        if name not in known.names
    ]


def coverage_faults(periods: Iterable[_Hours]) -> list[tuple[str, str, list[str]]]:
    """Find where a minute of a month and weekday does not belong to exactly one period.

    Parameters
    ----------
    periods
        Rules with `months`, `weekdays` and `spans_min`.

    Returns
    -------
    list
        Hours, how many periods they are in, and the `month/weekday` where that is so.
    """
    rules = list(periods)
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for month in range(1, 13):
        for weekday in range(1, 8):
            counts = [0] * DAY_MIN
            for rule in rules:
                if month in rule.months and weekday in rule.weekdays:
                    for start, end in rule.spans_min:
                        counts[start:end] = [count + 1 for count in counts[start:end]]
            for span, how in _faults(counts):
                found[span, how].append(f"{month}/{weekday}")
    return [(span, how, days) for (span, how), days in found.items()]


def _coverage_problems(file: str, edition: TariffEdition) -> list[Problem]:
    """Every minute of every month and weekday belongs to exactly one period."""
    expected = "every minute in exactly one period"
    return [
        Problem(file, edition.id, "periods", f"{expected}; {span} is in {how} on month/weekday {', '.join(days)}")
        for span, how, days in coverage_faults(edition.periods)
    ]


def _faults(counts: list[int]) -> list[tuple[str, str]]:
    faults = []
    start = 0
    for minute in range(1, DAY_MIN + 1):
        if minute == DAY_MIN or counts[minute] != counts[start]:
            if counts[start] != 1:
                how = f"{counts[start]} periods" if counts[start] else "none"
                faults.append((f"{_clock(start)}-{_clock(minute)}", how))
            start = minute
    return faults


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _plans(
    file: str, editions: list[TariffEdition], holiday_calendar: HolidayCalendar
) -> tuple[dict[str, TariffPlan], list[Problem]]:
    by_plan: dict[str, list[TariffEdition]] = defaultdict(list)
    problems = []
    ids: set[str] = set()
    for edition in editions:
        by_plan[edition.plan].append(edition)
        if edition.id in ids:
            problems.append(Problem(file, edition.id, "id", "an id of its own, found it twice"))
        ids.add(edition.id)
    plans = {}
    for plan, members in by_plan.items():
        ordered = sorted(members, key=lambda edition: edition.valid_from)
        for earlier, later in pairwise(ordered):
            if earlier.valid_to is None or earlier.valid_to >= later.valid_from:
                problems.append(
                    Problem(
                        file,
                        later.id,
                        "valid_from",
                        f"a day after {earlier.id} of the same plan ended ({earlier.valid_to or 'open'}), "
                        f"found {later.valid_from}",
                    )
                )
            if earlier.region_code != later.region_code:
                problems.append(
                    Problem(
                        file,
                        later.id,
                        "region_code",
                        f"{earlier.region_code!r}, as {earlier.id} of the same plan",
                    )
                )
        plans[plan] = TariffPlan(
            id=plan,
            region_code=ordered[0].region_code,
            editions=tuple(ordered),
            holiday_calendar=holiday_calendar,
        )
    return plans, problems
