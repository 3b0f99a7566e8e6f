"""The month of a site at a glance: cost, carbon, use by what and where, days and peaks, and the months before.

Every figure is a sum a view of the history holds; the only arithmetic here are shares and differences.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
from clickhouse_connect.driver.client import Client

from agents.comparing.adjusting import Span
from schemas.emission import PERIODS
from schemas.registry import Site
from sinks.clickhouse import report
from sinks.clickhouse.peers import peers, why_no_peers
from streams.site_comparison import adjusted_text, month_comparisons

# One row per figure, for programs.
FIGURES: dict[str, pl.DataType] = {
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "month": pl.String(),
    "section": pl.String(),  # total, period, meter, day, peak, comparison, peers, by_<dimension>
    "name": pl.String(),  # of what: a period, a meter, a day, a moment, a month
    "measure": pl.String(),  # with its unit
    "value": pl.Float64(),
    "note": pl.String(),  # what was adjusted for, or why it was not; why there are no peers; null for nothing to say
}

_TOTAL = (
    "energy_kwh",
    "energy_cny",
    "network_cny",
    "funds_cny",
    "basic_fee_cny",
    "power_factor_cny",
    "total_cny",
    "known_cny",
    "max_demand_kw",
)
_DAY = ("energy_kwh", "energy_cny", "max_demand_kw")


@dataclass(frozen=True, slots=True)
class MonthReport:
    """A month of a site.

    Parameters
    ----------
    site
        The site.
    month
        First day of the month.
    is_final
        Whether nothing but a correction changes it now.
    settled_until
        Until when all grid meters have reported, in local time; None while one never did.
    figures
        `FIGURES`.
    """

    site: Site
    month: date
    is_final: bool
    settled_until: datetime | None
    figures: pl.DataFrame

    def of(self, section: str) -> pl.DataFrame:
        """Return a section with a row per name and a column per measure, in their order."""
        rows = self.figures.filter(pl.col("section") == section)
        return rows.pivot("measure", index="name", values="value", maintain_order=True)

    def value(self, section: str, name: str, measure: str) -> float | None:
        """Return a figure; None where it is not known."""
        found = self.figures.filter(pl.col("section") == section, pl.col("name") == name, pl.col("measure") == measure)[
            "value"
        ]
        return found[0] if found.len() else None

    @property
    def markdown(self) -> str:
        """The report for people."""
        return "\n".join(_markdown(self)) + "\n"

    def write(self, directory: Path) -> list[Path]:
        """Write the report as Markdown, CSV and Parquet; return the files."""
        directory.mkdir(parents=True, exist_ok=True)
        stem = directory / f"{self.site.id}-{self.month:%Y-%m}"
        paths = [stem.with_name(f"{stem.name}.{ending}") for ending in ("md", "csv", "parquet")]
        paths[0].write_text(self.markdown, encoding="utf-8")
        self.figures.write_csv(paths[1])
        self.figures.write_parquet(paths[2])
        return paths


def month_report(client: Client, site: Site, month: date) -> MonthReport | None:
    """Read the month of a site.

    Parameters
    ----------
    client
        A migrated database.
    site
        The site.
    month
        First day of the month, in the site's local time.

    Returns
    -------
    MonthReport | None
        None when nothing is stored of it.

    Raises
    ------
    SinkUnavailable
        When ClickHouse cannot answer now.
    """
    who = client, site.tenant, site.id
    last = _later(month, 1) - timedelta(days=1)
    start, end = _moment(site, month), _moment(site, _later(month, 1))
    months = {row["first_day"]: row for row in report.ledger(*who, "month", (_later(month, -12), last)).to_dicts()}
    bill = months.get(month)
    if bill is None:
        return None
    figures: list[tuple[str, str, str, float | None]] = [("total", "", name, bill[name]) for name in _TOTAL]
    carbon = report.carbon(*who, start, end).row(0, named=True)
    figures += [("total", "", name, value) for name, value in carbon.items()]
    for row in report.balance(*who, month).to_dicts():
        figures += [("total", "", name, value) for name, value in row.items()]
    energy_kwh = bill["energy_kwh"]
    for period in PERIODS:
        kwh = bill[f"{period}_kwh"]
        figures += [
            ("period", period, "energy_kwh", kwh),
            ("period", period, "share", _share(kwh, energy_kwh)),
            ("period", period, "energy_cny", bill[f"{period}_cny"]),
        ]
    peak_kwh = bill["sharp_kwh"] + bill["peak_kwh"]
    figures += [
        ("period", "sharp and peak", "energy_kwh", peak_kwh),
        ("period", "sharp and peak", "share", _share(peak_kwh, energy_kwh)),
        ("period", "sharp and peak", "energy_cny", _sum(bill["sharp_cny"], bill["peak_cny"])),
    ]
    for row in report.meters(*who, start, end).to_dicts():
        figures += [
            ("meter", row["meter_id"], "import_kwh", row["import_kwh"]),
            ("meter", row["meter_id"], "share_of_drawn", _share(row["import_kwh"], energy_kwh)),
            ("meter", row["meter_id"], "export_kwh", row["export_kwh"]),
            ("meter", row["meter_id"], "share_estimated", _share(row["windows_estimated"], row["windows"])),
        ]
    for row in report.distribution(*who, month).to_dicts():
        dimension, name = row.pop("dimension"), row.pop("name")
        said = [("energy_kwh" if measure == "kwh" else measure, value) for measure, value in row.items()]
        figures += [(f"by_{dimension}", name or "other", measure, value) for measure, value in said]
    for row in report.ledger(*who, "day", (month, last)).to_dicts():
        figures += [("day", row["first_day"].isoformat(), name, row[name]) for name in _DAY]
    for row in report.largest_demands(*who, start, end).to_dicts():
        at = _local(site, row["ts"])
        figures.append(("peak", at.isoformat(timespec="minutes"), "demand_kw", row["demand_kw"]))
    for about, other in (("month before", _later(month, -1)), ("year before", _later(month, -12))):
        if other in months:
            before = months[other]["energy_kwh"]
            figures += [
                ("comparison", f"{about} ({other:%Y-%m})", "energy_kwh", before),
                ("comparison", f"{about} ({other:%Y-%m})", "change", _share(energy_kwh - before, before)),
            ]
    settled = bill["settled_until"]
    until = last if bill["is_final"] or settled is None else min(last, _local(site, settled).date() - timedelta(days=1))
    noted: list[_Noted] = [(*one, None) for one in figures]
    noted += _adjusted(client, site, Span(month, until), months)
    noted += _beside_others(client, site, month)
    rows = [(site.tenant, site.id, f"{month:%Y-%m}", *one) for one in noted]
    return MonthReport(
        site,
        month,
        bool(bill["is_final"]),
        None if settled is None else _local(site, settled),
        pl.DataFrame(rows, schema=FIGURES, orient="row", strict=False),
    )


_Noted = tuple[str, str, str, float | None, str | None]  # section, name, measure, value, note


def _adjusted(client: Client, site: Site, month: Span, months: Container[date]) -> Iterator[_Noted]:
    """Yield how a month has changed beside others of its site, at equal weather and production."""
    if month.last_day < month.first_day:
        return
    for against, one in month_comparisons(client, site, month):
        if one.other.first_day in months:
            note = adjusted_text(" and ".join(one.adjusted_for), one.why_not)
            yield "comparison", f"{against} ({one.other.first_day:%Y-%m})", "adjusted_change", one.adjusted_change, note


def _beside_others(client: Client, site: Site, month: date) -> Iterator[_Noted]:
    """Yield a month beside that of other tenants of the sector."""
    found = peers(client, site.tenant, site.id, month)
    if found.is_empty():
        yield "peers", "", "tenants", 0.0, why_no_peers(client, site.tenant, site.id, month)
    for row in found.iter_rows(named=True):
        name = f"kWh per {row['per_unit']}"
        yield "peers", name, "own", row["own"], None
        yield "peers", name, "others", row["peers_mean"], None
        yield "peers", name, "change", row["own"] / row["peers_mean"] - 1, None
        yield "peers", name, "tenants", float(row["peers"]), None


def _markdown(one: MonthReport) -> Iterator[str]:
    yield f"# {one.site.name}: {one.month:%B %Y}"
    yield ""
    state = "final" if one.is_final else "running; nothing is settled yet"
    if one.settled_until is not None and not one.is_final:
        state = f"running, settled until {one.settled_until:%Y-%m-%d %H:%M}"
    yield f"Site `{one.site.id}` of `{one.site.tenant}`, {one.site.time_zone}. This month is {state}."
    yield ""
    yield from _table(("", ""), [(_said(name), _number(value, name)) for name, value in _totals(one)])
    for section, title in (
        ("period", "By tariff period"),
        ("meter", "By meter"),
        ("by_equipment_class", "Use by equipment class"),
        ("by_area", "Use by area"),
        ("by_period", "Use by tariff period"),
        ("by_source", "Use by source"),
        ("comparison", "Compared"),
        ("peers", "Beside others of the sector"),
        ("peak", "Largest quarter hours"),
        ("day", "By day"),
    ):
        rows = one.of(section)
        if rows.is_empty():
            continue
        names = rows.columns[1:]
        yield ""
        yield f"## {title}"
        yield ""
        yield from _table(
            ("", *map(_said, names)),
            [
                (str(row["name"]).replace("_", " "), *(_number(row[name], name) for name in names))
                for row in rows.to_dicts()
            ],
        )
        for about, note in one.figures.filter(pl.col("section") == section, pl.col("note").is_not_null())[
            ["name", "note"]
        ].iter_rows():
            yield ""
            yield f"{about or 'Not compared'}: {note}."


def _totals(one: MonthReport) -> Iterator[tuple[str, float | None]]:
    for measure, value in one.figures.filter(pl.col("section") == "total").select("measure", "value").iter_rows():
        # What nothing is missing from need not be said, and what is known of a cost only where the whole is not.
        nothing_missing = measure.startswith(("import_kwh_without", "windows_", "minutes_")) and not value
        whole_is_known = measure == "known_cny" and one.value("total", "", "total_cny") is not None
        if not (nothing_missing or whole_is_known):
            yield measure, value


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|---|{'--:|' * (len(head) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _said(measure: str) -> str:
    """Return a measure in words, its unit in brackets."""
    for unit in ("kwh", "cny", "kg", "kw"):
        if measure.endswith(f"_{unit}"):
            written = {"kwh": "kWh", "cny": "CNY", "kg": "kg CO2", "kw": "kW"}[unit]
            return f"{measure.removesuffix(f'_{unit}').replace('_', ' ')} [{written}]"
    return measure.replace("_", " ")


def _number(value: float | None, measure: str) -> str:
    if value is None:
        return "not known"
    if "share" in measure or measure.endswith("change"):
        return f"{value:.1%}"
    return f"{value:,.0f}" if measure.startswith(("windows", "minutes", "tenants")) else f"{value:,.2f}"


def _sum(*parts: float | None) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


def _later(month: date, by: int) -> date:
    number = month.year * 12 + month.month - 1 + by
    return date(number // 12, number % 12 + 1, 1)


def _moment(site: Site, day: date) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(site.time_zone)).astimezone(UTC)


def _local(site: Site, at: datetime) -> datetime:
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(ZoneInfo(site.time_zone))
