"""A period is written again, from the archive and from Kafka: the same ids and the same sums."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from hops import wait_until_stored_to_the_end
from pipeline import LATENESS_S, Pipeline, as_json
from polars.testing import assert_frame_equal

from schemas.balance import BALANCE_ROWS
from schemas.bill import DEMAND_RECORD, LEDGER_RECORD
from schemas.topics import CATALOGUE
from streams.demo import DEMO_REGISTRY
from streams.demo.recorded import METERS, month_bounds_ms, month_readings

pytestmark = pytest.mark.integration

SHIPPED = Path(__file__).parents[2] / "schemas/reference/emission_factors.csv"
HOUR_MS = 3_600_000
DAYS = 3  # sent; the second of them is replayed
FIRST_MS = month_bounds_ms(2026, 7)[0]
FROM_MS, TO_MS = FIRST_MS + 24 * HOUR_MS, FIRST_MS + 48 * HOUR_MS
FROM, TO = "2026-07-01T16:00Z", "2026-07-02T16:00Z"
MINUTES = (TO_MS - FROM_MS) // 60_000

WINDOWS = (
    "SELECT tenant_id, site_id, meter_id, toUnixTimestamp64Milli(window_start) AS window_start, import_kwh, "
    "export_kwh, covered_s, quality, revision, raw_partition, raw_offset_first, "
    "raw_offset_last, log_id FROM v_energy ORDER BY ALL"
)
SUMS = ("energy_15min", "energy_hour", "energy_day", "emissions_15min", "emissions_hour", "emissions_day")
HOURS = "SELECT site_id, meter_id, window_start, import_kwh, windows FROM v_energy_hour ORDER BY ALL"
SITE_HOURS = "SELECT site_id, window_start, import_kwh, emitted_kg, cost_cny FROM v_site_hour ORDER BY ALL"
EMISSIONS = (
    "SELECT id, tenant_id, site_id, toUnixTimestamp64Milli(ts) AS ts, import_kwh, emitted_kg, cost_cny, period, "
    "quality, meters, meters_missing, reference_version, revision FROM v_emissions ORDER BY ALL"
)
READINGS = (
    "SELECT tenant_id, site_id, meter_id, toUnixTimestamp64Milli(ts) AS ts, import_kwh, power_kw, raw_partition, "
    "raw_offset, log_id, topic_partition, topic_offset FROM readings ORDER BY ALL"
)
BALANCE = f"SELECT {', '.join(BALANCE_ROWS)} FROM v_balance ORDER BY ALL"
DEMAND = f"SELECT {', '.join(DEMAND_RECORD)} FROM v_demand ORDER BY ALL"
LEDGER = f"SELECT {', '.join(LEDGER_RECORD)} FROM v_ledger ORDER BY ALL"
SHIPPED_TARIFFS = SHIPPED.with_name("tariffs.json")
ZJ_EDITION, ZJ_FLOATING_BASE_CNY_PER_KWH = "cn-zj-2026-large-industry", 0.5252  # of the demonstration steel works
IN_PERIOD = f"BETWEEN fromUnixTimestamp64Milli({FROM_MS}) AND fromUnixTimestamp64Milli({TO_MS - 1})"


@pytest.fixture
def with_a_day(pipeline: Pipeline) -> Pipeline:
    """A pipeline that has stored three days and archived them, and has ended."""
    pipeline.settings["WATTLOOP_ARCHIVE_DIR"] = str(pipeline.directory / "archive")
    pipeline.settings["WATTLOOP_SESSION_TIMEOUT_S"] = "6"
    pipeline.command("registry", "apply", str(DEMO_REGISTRY))
    pipeline.start()
    end_ms = FIRST_MS + DAYS * 24 * HOUR_MS
    readings = month_readings(2026, 7, extra_s=2 * LATENESS_S).filter(pl.col("ts") < end_ms)
    pipeline.send(as_json(readings))
    wait_until_stored_to_the_end(pipeline)
    pipeline.stop()
    return pipeline


def run(pipeline: Pipeline, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "streams.cli.main", "replay", "--from", FROM, "--to", TO, *arguments],
        env=pipeline.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def forget(pipeline: Pipeline, *tables: str) -> None:
    """Delete the period from tables of the history."""
    columns = dict.fromkeys(("energy_windows", "balance", *SUMS), "window_start")
    script = "import sys; from sinks.clickhouse.client import connect; c = connect(sys.argv[1]); c.command(sys.argv[2])"
    dsn = f"chdb://{pipeline.directory / 'data' / 'history'}"
    for table in tables:
        sql = f"DELETE FROM {table} WHERE {columns.get(table, 'ts')} {IN_PERIOD}"
        done = subprocess.run([sys.executable, "-c", script, dsn, sql], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def contents(directory: Path) -> dict[str, str]:
    files = [path for path in sorted(directory.rglob("*")) if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_day_that_was_lost_comes_back_with_the_same_ids_and_sums(with_a_day: Pipeline) -> None:
    pipeline = with_a_day
    before = {sql: pipeline.query(sql) for sql in (WINDOWS, EMISSIONS, READINGS, HOURS, SITE_HOURS)}
    assert pipeline.imbalances() == []
    in_period = before[EMISSIONS].filter(pl.col("ts").is_between(FROM_MS, TO_MS - 1))
    assert in_period.height == 3 * MINUTES

    for source in ("archive", "kafka"):
        forget(pipeline, "energy_windows", "emissions", "readings", *SUMS)
        assert pipeline.query(EMISSIONS).height == before[EMISSIONS].height - in_period.height

        done = run(pipeline, "--source", source, "--json")

        assert done.returncode == 0, done.stderr
        assert source in done.stderr.lower()
        told = json.loads(done.stdout)
        assert (told["emissions"], told["windows"]) == (3 * MINUTES, len(METERS) * MINUTES)
        for sql, rows in before.items():
            assert pipeline.query(sql).equals(rows), f"{source}: {sql}"

    again = run(pipeline)

    assert again.returncode == 0, again.stderr
    for sql, rows in before.items():
        assert pipeline.query(sql).equals(rows), sql
    assert pipeline.imbalances() == []


def test_demand_ledger_and_balance_of_a_lost_day_come_back_as_they_were(with_a_day: Pipeline) -> None:
    pipeline = with_a_day
    before = {sql: pipeline.query(sql) for sql in (BALANCE, DEMAND, LEDGER)}
    forget(pipeline, "balance", "demand", "ledger")
    for sql, rows in before.items():
        assert pipeline.query(sql).height < rows.height

    done = run(pipeline, "--json")

    assert done.returncode == 0, done.stderr
    assert "from 2026-06-30T16:00Z on" in done.stderr
    assert json.loads(done.stdout)["demand"] >= 3 * MINUTES // 15
    for sql, rows in before.items():
        assert_frame_equal(pipeline.query(sql), rows, rel_tol=1e-9, abs_tol=1e-9)


def test_what_if_with_doubled_factors_doubles_the_carbon_of_each_site_and_writes_nothing(
    with_a_day: Pipeline, tmp_path: Path
) -> None:
    pipeline = with_a_day
    factors = pl.read_csv(SHIPPED, infer_schema=False)
    doubled = factors.with_columns(pl.col("kg_co2_per_kwh").cast(pl.Float64) * 2).filter(pl.col("kg_co2_per_kwh") <= 2)
    other = tmp_path / "doubled.csv"
    doubled.write_csv(other)
    stored = pipeline.query(
        f"SELECT site_id, sum(emitted_kg) AS kg FROM v_emissions WHERE ts {IN_PERIOD} GROUP BY site_id ORDER BY site_id"
    )
    files = contents(pipeline.directory)
    ends = {topic.name: pipeline.messages_on(topic.name) for topic in CATALOGUE}
    # A history that cannot be reached shows that nothing even asks for it.
    pipeline.settings["WATTLOOP_CLICKHOUSE_URL"] = "http://127.0.0.1:1/nowhere"

    for source in ("archive", "kafka"):
        done = run(pipeline, "--source", source, "--what-if", f"factors={other}", "--by", "total", "--json")

        assert done.returncode == 0, done.stderr
        rows = {row["site_id"]: row for row in json.loads(done.stdout)["differences"]}
        assert sorted(rows) == stored["site_id"].to_list()
        for site, kg in stored.select("site_id", "kg").iter_rows():
            assert rows[site]["emitted_kg"] == pytest.approx(kg, rel=1e-12)
            assert rows[site]["other_emitted_kg"] == 2 * rows[site]["emitted_kg"]
            assert rows[site]["difference_cny"] == 0
    assert contents(pipeline.directory) == files
    assert {topic.name: pipeline.messages_on(topic.name) for topic in CATALOGUE} == ends


def test_what_if_without_the_night_discount_costs_what_the_discount_was(with_a_day: Pipeline, tmp_path: Path) -> None:
    pipeline = with_a_day
    tariffs = json.loads(SHIPPED_TARIFFS.read_text(encoding="utf-8"))
    for plan in tariffs["tariffs"]:
        for period in plan["periods"]:
            if plan["id"] == ZJ_EDITION and period["name"] == "valley":
                assert period["ratio"] == 0.4
                period["ratio"] = 1.0
    other = tmp_path / "no-discount.json"
    other.write_text(json.dumps(tariffs), encoding="utf-8")
    at_night = pipeline.query(
        "SELECT site_id, sum(import_kwh) AS kwh FROM v_emissions "
        f"WHERE ts {IN_PERIOD} AND period = 'valley' GROUP BY site_id ORDER BY site_id"
    )
    kwh = dict(at_night.iter_rows())["zj-steel"]
    assert kwh > 100

    done = run(pipeline, "--what-if", f"tariffs={other}", "--by", "total", "--json")

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    rows = {row["site_id"]: row["difference_cny"] for row in told["differences"]}
    assert rows["zj-steel"] == pytest.approx(0.6 * ZJ_FLOATING_BASE_CNY_PER_KWH * kwh, rel=1e-9)
    assert rows["gd-panels"] == rows["js-textiles"] == 0
    for bill in told["bills"]:
        more = {name: bill[f"other_{name}_cny"] - bill[f"{name}_cny"] for name in ("energy", "demand", "total")}
        assert more["demand"] == 0
        assert (more["energy"] > 0) == (more["total"] > 0) == (bill["site_id"] == "zj-steel")


def test_a_period_that_is_partly_held_is_refused_and_says_what_is_held(with_a_day: Pipeline) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli.main", "replay", "--from", "2027-01-01", "--to", "2027-01-02"],
        env=with_a_day.environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "zj-steel from 2026-06-30T16:00Z" in done.stderr
    assert "archive" in done.stderr
    assert "Kafka" in done.stderr
