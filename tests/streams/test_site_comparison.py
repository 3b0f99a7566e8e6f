"""A site compared: its own past with weather and production from the history, and others of its sector."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from builders import a_site
from click.testing import CliRunner
from clickhouse_connect.driver.client import Client

from sinks.clickhouse.client import connect
from sinks.clickhouse.migrate import migrate
from streams.cli.main import wattloop
from streams.site_comparison import SiteComparison, site_comparison

MILL = a_site("mill", production_unit="t", sector="textiles", floor_area_m2=1000.0)
FIRST, LAST = date(2025, 6, 1), date(2026, 7, 31)
DAYS = [FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1)]


def outdoor_c(day: date) -> float:
    """29.5 in the middle of July, falling by a degree every ten days to either side."""
    off = (day - date(day.year, 7, 15)).days
    off = min(abs(off), abs(off - 365), abs(off + 365))
    return 29.5 - 0.1 * off


def units(day: date) -> float:
    return 10.0 + day.day % 5 + (3.0 if day.month == 7 else 0.0) + (day.day % 3 if day.month == 6 else 0.0)


def energy_kwh(day: date) -> float:
    """500 a day, 20 for each unit, 30 for each kelvin above 23; 50 less in July 2026."""
    saved = 50.0 if (day.year, day.month) == (2026, 7) else 0.0
    return 500 + 20 * units(day) + 30 * max(0.0, outdoor_c(day) - 23) - saved


def insert(client: Client, table: str, rows: list[dict[str, object]]) -> None:
    frame = pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.col("ts").cast(pl.Datetime("ms", "UTC")))
    client.insert_arrow(table, frame.to_arrow())


def a_history(client: Client) -> None:
    migrate(client)
    sites = [("acme", "mill", 1.0), *((f"tenant-{n}", f"other-{n}", 1.0 + n / 10) for n in range(5))]
    for tenant, site, scale in sites:
        of_site: dict[str, object] = {"tenant_id": tenant, "site_id": site}
        bill = {"span": "day", "windows": 1440, "is_final": True}
        days = DAYS if site == "mill" else [day for day in DAYS if day.month == 7]
        kwh = [energy_kwh(day) * scale for day in days]
        insert(
            client,
            "ledger",
            [
                of_site | bill | {"first_day": day, "ts": day, "energy_kwh": one}
                for day, one in zip(days, kwh, strict=True)
            ],
        )
        profile = {"sector": "textiles", "floor_area_m2": 1000.0, "production_unit": "t", "revision": 1}
        insert(client, "site_profiles", [of_site | profile | {"ts": FIRST}])
    mill: dict[str, object] = {"tenant_id": "acme", "site_id": "mill"}
    hours = [mill | {"local_day": day, "ts": day, "outdoor_c": outdoor_c(day)} for day in DAYS]
    for hour in range(24):
        insert(client, "weather", [one | {"ts": _at(one["ts"], hour)} for one in hours])
    made = {"interval_s": 86_400, "unit": "t"}
    insert(
        client, "production", [mill | made | {"local_day": day, "ts": day, "units_made": units(day)} for day in DAYS]
    )


def _at(day: object, hour: int) -> int:
    assert isinstance(day, date)
    return (day - date(1970, 1, 1)).days * 86_400_000 + hour * 3_600_000


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compared")


@pytest.fixture(scope="module")
def client(directory: Path) -> Iterator[Client]:
    made = connect(f"chdb://{directory / 'history'}")
    a_history(made)
    yield made
    made.close()


def the_mill(client: Client, on: date = LAST) -> SiteComparison:
    found = site_comparison(client, MILL, on)
    assert found is not None
    return found


def of(found: SiteComparison, span: str, against: str) -> dict[str, object]:
    return found.own.filter(pl.col("span") == span, pl.col("against") == against).row(0, named=True)


def test_a_month_is_adjusted_by_what_a_hand_computes(client: Client) -> None:
    found = of(the_mill(client), "month", "month before")
    july = [day for day in DAYS if (day.year, day.month) == (2026, 7)]
    unchanged = sum(energy_kwh(day) + 50 for day in july) / 31  # what July would have been without the saving

    assert (found["first_day"], found["other_first_day"]) == (date(2026, 7, 1), date(2026, 6, 1))
    assert found["change"] is not None
    assert found["change"] > 0.05  # more was drawn
    assert found["adjusted_for"] == "weather and production"
    assert found["adjusted_other_kwh_per_day"] == pytest.approx(unchanged)
    assert found["adjusted_change"] == pytest.approx(-50 / unchanged)  # and yet it is less than it would have been


def test_a_year_against_the_year_before_is_not_compared_where_that_is_not_known(client: Client) -> None:
    found = of(the_mill(client), "year", "year before")

    assert (found["other_first_day"], found["other_last_day"]) == (date(2025, 1, 1), date(2025, 7, 31))
    assert found["change"] is None
    assert found["not_adjusted_because"] == "energy of 151 of 212 days is missing (the earlier period)"
    assert of(the_mill(client, date(2025, 7, 31)), "month", "year before")["other_kwh_per_day"] is None
    assert (
        of(the_mill(client, date(2025, 7, 31)), "month", "year before")["not_adjusted_because"]
        == "there is no energy to compare"
    )


def test_the_month_stands_beside_five_others(client: Client) -> None:
    found = the_mill(client).others.filter(pl.col("measure") == "kwh_per_m2").row(0, named=True)

    own = sum(energy_kwh(day) for day in DAYS if (day.year, day.month) == (2026, 7)) / 1000
    assert found["own"] == pytest.approx(own)
    assert found["peers"] == 5
    assert found["peers_mean"] == pytest.approx(own * 1.2, rel=0.005)  # 1.0 to 1.4 times as much, in three digits


def test_a_month_that_is_not_over_is_compared_by_the_last_one_that_is(client: Client) -> None:
    found = the_mill(client, date(2026, 7, 30))

    assert found.month == date(2026, 6, 1)
    assert found.others.is_empty()
    assert "## Beside others, June 2026\n\nNot compared: too few others" in found.markdown


def test_a_site_of_which_nothing_is_stored_is_not_compared(client: Client) -> None:
    assert site_comparison(client, MILL, date(2024, 1, 1)) is None


def test_the_views_compare_without_further_arithmetic(client: Client) -> None:
    rows = client.query(
        "SELECT against, days, other_days, energy_kwh, other_energy_kwh, change_per_day FROM v_compared "
        "WHERE tenant_id = 'acme' AND site_id = 'mill' AND span = 'month' AND first_day = '2026-07-01' ORDER BY against"
    ).result_rows

    july = sum(energy_kwh(day) for day in DAYS if (day.year, day.month) == (2026, 7))
    june = sum(energy_kwh(day) for day in DAYS if (day.year, day.month) == (2026, 6))
    before = sum(energy_kwh(day) for day in DAYS if (day.year, day.month) == (2025, 7))
    assert rows == [
        ("month before", 31, 30, pytest.approx(july), pytest.approx(june), pytest.approx(july / 31 / (june / 30) - 1)),
        ("year before", 31, 31, pytest.approx(july), pytest.approx(before), pytest.approx(july / before - 1)),
    ]


def test_a_day_with_few_hours_of_weather_has_no_degree_days(client: Client) -> None:
    client.command(
        "INSERT INTO weather (tenant_id, site_id, ts, local_day, outdoor_c) SELECT 'acme', 'shed', "
        "toDateTime64('2026-01-05 00:00:00', 3, 'UTC') + toIntervalHour(number), "
        "if(number < 20, toDate('2026-01-05'), toDate('2026-01-06')), 8 + number % 2 FROM numbers(30)"
    )

    days = client.query(
        "SELECT local_day, hours, outdoor_c, heating_18_kd FROM v_weather_day WHERE site_id = 'shed' ORDER BY local_day"
    ).result_rows

    assert days == [(date(2026, 1, 5), 20, 8.5, 9.5), (date(2026, 1, 6), 10, None, None)]


def test_production_of_the_whole_site_is_not_added_to_that_of_its_lines(client: Client) -> None:
    client.command(
        "INSERT INTO production (tenant_id, site_id, line_id, ts, local_day, units_made, unit) VALUES "
        "('acme', 'shed', 'a', 0, '2026-01-05', 3, 't'), ('acme', 'shed', 'b', 0, '2026-01-05', 4, 't'), "
        "('acme', 'shed', NULL, 0, '2026-01-05', 7.5, 't'), ('acme', 'shed', 'a', 1, '2026-01-06', 2, 't'), "
        "('acme', 'shed', 'b', 1, '2026-01-06', 2, 't')"
    )

    days = client.query(
        "SELECT local_day, units_made FROM v_production_day WHERE site_id = 'shed' ORDER BY local_day"
    ).result_rows

    assert days == [(date(2026, 1, 5), 7.5), (date(2026, 1, 6), 4.0)]


def test_it_is_printed_and_written_by_the_command(client: Client, directory: Path, tmp_path: Path) -> None:
    client.close()  # one process, one owner of the engine
    registry = tmp_path / "mill.yaml"
    registry.write_text(
        """
tenants: [{id: acme, name: Acme}]
sites:
  - id: mill
    tenant: acme
    name: Mill
    region: CN-ZJ
    time_zone: Asia/Shanghai
    sector: textiles
    floor_area_m2: 1000
    production_unit: t
    tariff: {plan: cn-zj-large-industry}
    meters: [{id: main, kind: grid}]
""",
        encoding="utf-8",
    )
    arguments = ["compare", "mill", "--on", "2026-07-31", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(
        wattloop, [*arguments, "--data-dir", str(directory), "--registry", str(registry)], catch_exceptions=False
    )

    assert done.exit_code == 0, done.output
    assert "| month | month before |" in done.output
    assert "adjusted for weather and production" in done.output
    assert "| kWh per m2 |" in done.output
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == [f"mill-compared-2026-07-31.{ending}" for ending in ("csv", "md", "parquet")]
    assert pl.read_parquet(tmp_path / "out" / written[2]).height == 8
