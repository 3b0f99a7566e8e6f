"""The month of a site: the figures of the views, in local months, and nothing invented where something is not known."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from builders import a_meter, a_site, ms
from click.testing import CliRunner
from clickhouse_connect.driver.client import Client

from sinks.clickhouse.client import connect
from sinks.clickhouse.migrate import migrate
from streams.cli.main import wattloop
from streams.site_report import MonthReport, month_report

MILL = a_site("mill", a_meter(), a_meter("press", kind="sub_meter"))
JULY, JUNE = date(2026, 7, 1), date(2026, 6, 1)


def bill(span: str, day: date, kwh: float, **more: object) -> dict[str, object]:
    return {
        "tenant_id": "acme",
        "site_id": "mill",
        "span": span,
        "first_day": day,
        "ts": ms(day.year, day.month, day.day),
        "energy_kwh": kwh,
        "sharp_kwh": 0.1 * kwh,
        "peak_kwh": 0.3 * kwh,
        "flat_kwh": 0.6 * kwh,
        "settled_until": ms(2026, 7, 15, 16),
        **more,
    }


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A history with a July, a June, and somebody else's July."""
    client = connect(f"chdb://{tmp_path_factory.mktemp('report')}")
    migrate(client)
    put(client, "ledger", bill("month", JULY, 120.0, energy_cny=90.0, total_cny=None, known_cny=90.0))
    put(client, "ledger", bill("month", JUNE, 100.0))
    put(client, "ledger", bill("day", JULY, 70.0))
    put(client, "ledger", bill("month", JULY, 999.0) | {"tenant_id": "other"})
    quarter = {"tenant_id": "acme", "windows": 15, "version": 1}
    # 16:00 UTC of June 30 is midnight of July in Zhejiang.
    for start, kwh in ((ms(2026, 6, 30, 15, 45), 40.0), (ms(2026, 6, 30, 16), 80.0), (ms(2026, 7, 31, 15, 45), 40.0)):
        at = {**quarter, "site_id": "mill", "window_start": start // 1000, "import_kwh": kwh}
        put(client, "emissions_15min", at | {"emitted_kg": kwh / 2})
        put(client, "energy_15min", at | {"meter_id": "main", "meter_kind": "grid"})
    put(client, "demand", demand(ms(2026, 7, 2), 300.0, counts=True))
    put(client, "demand", demand(ms(2026, 7, 3), 900.0, counts=False))
    for meter, area, kwh, sun in (("main", None, 30.0, 10.0), ("press", "north", 90.0, 30.0)):
        used = {"own_kwh": kwh, "own_from_grid_kwh": kwh - sun, "own_from_generation_kwh": sun, "cost_cny": kwh}
        row = {"tenant_id": "acme", "site_id": "mill", "part": "meter", "name": meter, "local_day": JULY}
        put(client, "balance", row | used | {"area": area, "period": "peak", "equipment_class": None})
    yield client
    client.close()


def demand(ts: int, kw: float, *, counts: bool) -> dict[str, object]:
    return {"tenant_id": "acme", "site_id": "mill", "ts": ts, "demand_kw": kw, "counts_as_peak": counts}


def put(client: Client, table: str, row: dict[str, object]) -> None:
    times = {"ts", "settled_until"}
    values = ", ".join(
        f"fromUnixTimestamp64Milli({value})" if name in times else _written(value) for name, value in row.items()
    )
    client.command(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({values})")


def _written(value: object) -> str:
    if value is None:
        return "NULL"
    return f"'{value}'" if isinstance(value, str | date) else str(value)


def july(client: Client) -> MonthReport:
    found = month_report(client, MILL, JULY)
    assert found is not None
    return found


def test_a_month_is_that_of_the_site_and_of_its_tenant(client: Client):
    assert july(client).value("total", "", "energy_kwh") == 120.0
    assert july(client).value("total", "", "scope_2_location_based_kg") == 60.0
    assert july(client).value("meter", "main", "import_kwh") == 120.0
    assert july(client).of("day")["name"].to_list() == ["2026-07-01"]


def test_shares_are_of_the_sums(client: Client):
    assert july(client).value("period", "sharp and peak", "share") == pytest.approx(0.4)
    assert july(client).value("comparison", "month before (2026-06)", "change") == pytest.approx(0.2)


def test_use_is_shown_by_area_class_period_and_source(client: Client):
    found = july(client)

    assert found.of("by_area").select("name", "energy_kwh", "share").rows() == [
        ("north", 90.0, 0.75),
        ("other", 30.0, 0.25),
    ]
    assert found.value("by_source", "generation", "energy_kwh") == 40.0
    assert found.value("by_source", "generation", "cost_cny") == 0.0
    assert found.value("by_period", "peak", "cost_cny") == 120.0
    assert "## Use by area" in found.markdown


def test_only_a_quarter_hour_that_counts_is_a_peak(client: Client):
    assert july(client).of("peak").rows() == [("2026-07-02T08:00+08:00", 300.0)]


def test_what_is_not_known_is_said_and_never_zero(client: Client):
    assert july(client).value("total", "", "total_cny") is None
    assert "| total [CNY] | not known |" in july(client).markdown
    assert "| known [CNY] | 90.00 |" in july(client).markdown


def test_a_month_without_a_bill_is_no_report(client: Client):
    assert month_report(client, MILL, date(2026, 8, 1)) is None


def test_programs_get_a_row_per_figure(client: Client, tmp_path: Path):
    paths = july(client).write(tmp_path)

    assert [path.name for path in paths] == ["mill-2026-07.md", "mill-2026-07.csv", "mill-2026-07.parquet"]
    rows = pl.read_parquet(paths[2])
    assert rows.equals(july(client).figures)
    assert pl.read_csv(paths[1], schema=rows.schema).equals(rows)


def test_a_month_that_is_none_is_refused_with_what_was_expected():
    found = CliRunner().invoke(wattloop, ["report", "mill", "--month", "2026-13"])

    assert found.exit_code == 2
    assert "expected one like 2026-10" in found.output
