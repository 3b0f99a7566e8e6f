"""A site beside its own past and beside others of its sector, at a glance."""

from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl
from clickhouse_connect.driver.client import Client

from agents.comparing.adjusting import BASELINE_DAYS, Compared, Span, compared
from schemas.registry import Site
from sinks.clickhouse.days import days as days_of
from sinks.clickhouse.peers import peers, why_no_peers

# One row per comparison with the site's own past, for programs.
COMPARISONS: dict[str, pl.DataType] = {
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "span": pl.String(),  # day, week, month, year
    "against": pl.String(),
    "first_day": pl.Date(),
    "last_day": pl.Date(),
    "other_first_day": pl.Date(),
    "other_last_day": pl.Date(),
    "kwh_per_day": pl.Float64(),
    "other_kwh_per_day": pl.Float64(),
    "change": pl.Float64(),
    "adjusted_other_kwh_per_day": pl.Float64(),
    "adjusted_change": pl.Float64(),
    "adjusted_for": pl.String(),  # weather, production; empty for nothing
    "not_adjusted_because": pl.String(),
    "cv_rmse": pl.Float64(),  # of the model it was adjusted by
}

PEERS: dict[str, pl.DataType] = {
    "measure": pl.String(),
    "per_unit": pl.String(),
    "own": pl.Float64(),
    "peers": pl.Int64(),
    "peers_mean": pl.Float64(),
}

_WEEKS_OF_A_YEAR = timedelta(days=364)  # so that weekdays meet


@dataclass(frozen=True, slots=True)
class SiteComparison:
    """A site compared.

    Parameters
    ----------
    site
        The site.
    on
        The last day of all periods.
    own
        `COMPARISONS`.
    month
        The month compared with others.
    others
        `PEERS`; empty where there are none.
    why_alone
        Why there are none.
    """

    site: Site
    on: date
    own: pl.DataFrame
    month: date
    others: pl.DataFrame
    why_alone: str

    @property
    def markdown(self) -> str:
        """The comparison for people."""
        return "\n".join(_markdown(self)) + "\n"

    def write(self, directory: Path) -> list[Path]:
        """Write it as Markdown, and its rows as CSV and Parquet; return the files."""
        directory.mkdir(parents=True, exist_ok=True)
        stem = f"{self.site.id}-compared-{self.on:%Y-%m-%d}"
        paths = [directory / f"{stem}.{ending}" for ending in ("md", "csv", "parquet")]
        paths[0].write_text(self.markdown, encoding="utf-8")
        self.own.write_csv(paths[1])
        self.own.write_parquet(paths[2])
        return paths


def periods(on: date) -> Iterator[tuple[str, str, Span, Span]]:
    """Yield what is compared: span, against what, the period up to a day, and the same days of an earlier one.

    Examples
    --------
    >>> for span, against, now, other in periods(date(2026, 3, 31)):
    ...     print(f"{span:5} {now.first_day} {against:11} {other.first_day} to {other.last_day}")
    day   2026-03-31 day before  2026-03-30 to 2026-03-30
    day   2026-03-31 week before 2026-03-24 to 2026-03-24
    day   2026-03-31 year before 2025-04-01 to 2025-04-01
    week  2026-03-30 week before 2026-03-23 to 2026-03-24
    week  2026-03-30 year before 2025-03-31 to 2025-04-01
    month 2026-03-01 month before 2026-02-01 to 2026-02-28
    month 2026-03-01 year before 2025-03-01 to 2025-03-31
    year  2026-01-01 year before 2025-01-01 to 2025-03-31
    """
    today, week = Span(on, on), Span(on - timedelta(days=on.isoweekday() - 1), on)
    month, year = Span(on.replace(day=1), on), Span(on.replace(month=1, day=1), on)
    yield "day", "day before", today, _moved(today, timedelta(days=1))
    yield "day", "week before", today, _moved(today, timedelta(days=7))
    yield "day", "year before", today, _moved(today, _WEEKS_OF_A_YEAR)
    yield "week", "week before", week, _moved(week, timedelta(days=7))
    yield "week", "year before", week, _moved(week, _WEEKS_OF_A_YEAR)
    yield "month", "month before", month, Span(_earlier(month.first_day, 1), _end(on, 1))
    yield "month", "year before", month, Span(_earlier(month.first_day, 12), _end(on, 12))
    yield "year", "year before", year, Span(_earlier(year.first_day, 12), _end(on, 12))


def month_comparisons(client: Client, site: Site, month: Span) -> list[tuple[str, Compared]]:
    """Return a month beside the one before and that of the year before, as far as it goes.

    Parameters
    ----------
    client
        A migrated database.
    site
        The site.
    month
        From its first day to the last that counts.
    """
    wanted = [one for one in periods(month.last_day) if one[0] == "month"]
    return [(against, found) for (_, against, _, _), found in zip(wanted, _all(client, site, wanted), strict=True)]


def site_comparison(client: Client, site: Site, on: date) -> SiteComparison | None:
    """Compare the day, week, month and year up to a day, and the last whole month with others.

    Parameters
    ----------
    client
        A migrated database.
    site
        The site.
    on
        A local day of the site that is over.

    Returns
    -------
    SiteComparison | None
        None when nothing is stored of that day.

    Raises
    ------
    SinkUnavailable
        When ClickHouse cannot answer now.
    """
    wanted = list(periods(on))
    found = _all(client, site, wanted)
    if found[0].now_kwh is None:
        return None
    rows = [
        (site.tenant, site.id, span, against, *_row(one))
        for (span, against, _, _), one in zip(wanted, found, strict=True)
    ]
    is_over = on.day == monthrange(on.year, on.month)[1]
    month = _earlier(on.replace(day=1), 0 if is_over else 1)
    who = client, site.tenant, site.id, month
    others = pl.DataFrame(peers(*who).rows(), schema=PEERS, orient="row")
    why_alone = why_no_peers(*who) if others.is_empty() else ""
    return SiteComparison(site, on, pl.DataFrame(rows, COMPARISONS, orient="row"), month, others, why_alone)


def adjusted_text(adjusted_for: str, why_not: str) -> str:
    """Return in words what was adjusted for, or why nothing was.

    Examples
    --------
    >>> adjusted_text("weather", "production of 3 of 31 days is missing (this period)")
    'adjusted for weather; not for production: production of 3 of 31 days is missing (this period)'
    >>> adjusted_text("", "there is no energy to compare")
    'not adjusted: there is no energy to compare'
    """
    if not adjusted_for:
        return f"not adjusted: {why_not}"
    return f"adjusted for {adjusted_for}" + (f"; not for production: {why_not}" if why_not else "")


def _all(client: Client, site: Site, wanted: Sequence[tuple[str, str, Span, Span]]) -> list[Compared]:
    first = min(min(now.first_day, other.first_day) for _, _, now, other in wanted)
    from_day = min(first, min(now.first_day for _, _, now, _ in wanted) - timedelta(days=BASELINE_DAYS))
    last = max(now.last_day for _, _, now, _ in wanted)
    days = days_of(client, site.tenant, site.id, site.production_unit, (from_day, last))
    makes_units = bool(site.production_unit)
    return [compared(days, now, other, makes_units=makes_units) for _, _, now, other in wanted]


def _row(one: Compared) -> tuple[object, ...]:
    return (
        one.now.first_day,
        one.now.last_day,
        one.other.first_day,
        one.other.last_day,
        one.now_kwh,
        one.other_kwh,
        one.change,
        one.adjusted_other_kwh,
        one.adjusted_change,
        " and ".join(one.adjusted_for),
        one.why_not,
        None if one.model is None else one.model.cv_rmse,
    )


def _moved(span: Span, by: timedelta) -> Span:
    return Span(span.first_day - by, span.last_day - by)


def _earlier(day: date, months: int) -> date:
    """Return the same day of an earlier month, or the last one it has."""
    number = day.year * 12 + day.month - 1 - months
    year, month = number // 12, number % 12 + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def _end(day: date, months: int) -> date:
    """Return the same day of an earlier month; of the last day of a month, the last one of that month."""
    earlier = _earlier(day, months)
    is_last = day.day == monthrange(day.year, day.month)[1]
    return earlier.replace(day=monthrange(earlier.year, earlier.month)[1]) if is_last else earlier


def _markdown(one: SiteComparison) -> Iterator[str]:
    yield f"# {one.site.name} compared, up to {one.on:%Y-%m-%d}"
    yield ""
    yield f"Site `{one.site.id}` of `{one.site.tenant}`, {one.site.time_zone}. kWh of a mean day with energy."
    yield ""
    yield "| | against | kWh/d | before | change | adjusted change | |"
    yield "|---|---|--:|--:|--:|--:|---|"
    for row in one.own.iter_rows(named=True):
        about = adjusted_text(row["adjusted_for"], row["not_adjusted_because"])
        yield (
            f"| {row['span']} | {row['against']} | {_kwh(row['kwh_per_day'])} | {_kwh(row['other_kwh_per_day'])} "
            f"| {_share(row['change'])} | {_share(row['adjusted_change'])} | {about} |"
        )
    yield ""
    yield f"## Beside others, {one.month:%B %Y}"
    yield ""
    if one.others.is_empty():
        yield f"Not compared: {one.why_alone}."
        return
    yield "| | own | others | difference | tenants |"
    yield "|---|--:|--:|--:|--:|"
    for row in one.others.iter_rows(named=True):
        difference = row["own"] / row["peers_mean"] - 1
        yield (
            f"| kWh per {row['per_unit']} | {row['own']:.3g} | {row['peers_mean']:.3g} | {_share(difference)} "
            f"| {row['peers']} |"
        )


def _kwh(value: float | None) -> str:
    return "not known" if value is None else f"{value:,.1f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:+.1%}"
