"""The page about sizing says what its script works out, and that is what one would by hand."""

import re
from pathlib import Path

import pytest

from bench.sizing import GIB, RESULTS, Deployment, Measured, held_bytes, kept_days, needed, tables

PAGE = Path(__file__).parents[2] / "docs" / "sizing.md"


def test_the_page_has_the_tables_that_were_measured():
    found = re.search(r"<!-- tables -->\n(.*)<!-- end of tables -->", PAGE.read_text(encoding="utf-8"), re.DOTALL)

    assert found is not None
    assert found[1].strip().splitlines() == list(tables(Measured.read(RESULTS)))


def test_a_deployment_worked_out_by_hand():
    measured = Measured(
        {
            "run": {
                "cpu_s_per_million": 20.0,
                "broker_cpu_s_per_million": 3.0,
                "history_cpu_s_per_million": 6.0,
                "peak_mb": 350.0,
            }
        },
        {
            10: {
                "Kafka, meter.readings.v1, one reading per JSON message": 150.0,
                "Kafka, telemetry.v1": 20.0,
                "ClickHouse, readings": 6.0,
                "archive (Parquet)": 7.0,
            }
        },
        {50_000: {"all agents, memory per meter [bytes]": 4_000.0}},
    )

    found = needed(Deployment("a million meters every ten seconds", 1_000_000, 10, "run"), measured)

    # 100,000/s * 20e-6 = 2 cores, half busy: 4; 0.3 cores of Kafka, three times, half busy: 1.8; 0.6 of ClickHouse: 1.2
    assert found["readings/s"] == "100,000"
    assert found["worker processes (a core each)"] == "4"
    assert found["cores of Kafka, all copies"] == "2"
    assert found["cores of ClickHouse"] == "2"
    # 4 * 350 MB and 4 GB
    assert found["memory of them"] == "5 GiB"
    # 8.64e9 readings a day: 170 bytes of each for 7 days, three times; 6 bytes for 13 months; 7 bytes for a year
    assert found["disk of Kafka, all copies"] == "28.1 TiB"
    assert found["disk of ClickHouse, one copy"] == "18.6 TiB"
    assert found["archive, a year"] == "20.1 TiB"
    assert found["ClickHouse servers"] == "3"


@pytest.mark.parametrize(
    ("table", "days"),
    [("readings", 395.4), ("energy_windows", 425.8), ("energy_15min", 1095), ("energy_day", 3650), ("ledger", 3650)],
)
def test_tables_are_kept_as_long_as_the_defaults_say(table: str, days: float):
    assert kept_days(f"ClickHouse, {table}") == pytest.approx(days, abs=0.1)


def test_a_topic_is_kept_by_time_or_by_size():
    assert held_bytes("telemetry.v1", GIB, 8) == 7 * GIB
    assert held_bytes("emissions.v1", 100 * GIB, 8) == 8 * GIB
