"""A month of recorded loads through the whole pipeline equals one pass over the recorded files."""

import random

import polars as pl
import pytest
from hops import wait_until_stored_to_the_end
from pipeline import LATENESS_S, Pipeline, as_json, twice_and_shuffled, wait_for

from streams.demo import DEMO_REGISTRY
from streams.demo.recorded import METERS, month_bounds_ms, month_readings
from streams.demo.single_pass import single_pass_energy

pytestmark = pytest.mark.integration

YEAR, MONTH = 2026, 7
EXACT = 1e-9  # relative


def stored_energy(pipeline: Pipeline) -> pl.DataFrame:
    first, end = month_bounds_ms(YEAR, MONTH)
    return pipeline.query(
        "SELECT site_id, meter_id, toInt64(toUnixTimestamp(toStartOfHour(window_start))) * 1000 AS hour_ms, "
        "sum(import_kwh) AS stored_kwh, count() AS windows FROM v_energy "
        f"WHERE window_start >= fromUnixTimestamp64Milli({first}) AND window_start < fromUnixTimestamp64Milli({end}) "
        "GROUP BY ALL ORDER BY ALL"
    )


def month_minutes() -> int:
    first, end = month_bounds_ms(YEAR, MONTH)
    return (end - first) // 60_000


def assert_the_month_is_exact(pipeline: Pipeline) -> None:
    expected = single_pass_energy(*month_bounds_ms(YEAR, MONTH))
    stored = stored_energy(pipeline)
    both = expected.join(stored, on=["site_id", "meter_id", "hour_ms"], how="full", coalesce=True)
    assert both.null_count().sum_horizontal().item() == 0
    wrong = both.filter((pl.col("stored_kwh") - pl.col("energy_kwh")).abs() > EXACT * pl.col("energy_kwh").abs() + 1e-9)
    assert wrong.is_empty(), wrong.head()
    total, wanted = both["stored_kwh"].sum(), both["energy_kwh"].sum()
    assert total == pytest.approx(wanted, rel=EXACT)
    assert both["windows"].sum() == month_minutes() * len(METERS)


def assert_no_window_is_stored_twice(pipeline: Pipeline) -> None:
    rows = pipeline.query(
        "SELECT count() AS rows, uniqExact(site_id, meter_id, window_start, revision) AS windows FROM energy_windows"
    )
    assert rows["rows"].item() == rows["windows"].item()


def test_a_replayed_month_equals_a_single_pass_over_the_same_file(pipeline: Pipeline) -> None:
    pipeline.command("registry", "apply", str(DEMO_REGISTRY))
    pipeline.start()
    pipeline.send(as_json(month_readings(YEAR, MONTH, extra_s=2 * LATENESS_S)))
    wait_until_stored_to_the_end(pipeline)
    pipeline.stop()

    assert_the_month_is_exact(pipeline)
    assert_no_window_is_stored_twice(pipeline)
    emissions = pipeline.query(
        "SELECT site_id, sum(import_kwh) AS kwh, sum(emitted_kg) AS kg, sum(import_kwh * factor_kg_per_kwh) AS product "
        "FROM v_emissions GROUP BY site_id ORDER BY site_id"
    )
    assert emissions["site_id"].to_list() == ["gd-panels", "js-textiles", "zj-steel"]
    assert emissions["kg"].to_list() == pytest.approx(emissions["product"].to_list(), rel=EXACT)


def test_the_totals_are_the_same_when_everything_comes_twice_and_out_of_order(pipeline: Pipeline) -> None:
    pipeline.command("registry", "apply", str(DEMO_REGISTRY))
    readings = month_readings(YEAR, MONTH, extra_s=3 * LATENESS_S)
    messages = twice_and_shuffled(as_json(readings), readings, LATENESS_S - 900, seed=7)
    pipeline.start()
    pipeline.send(messages)
    wait_until_stored_to_the_end(pipeline)
    pipeline.stop()

    assert_the_month_is_exact(pipeline)
    assert_no_window_is_stored_twice(pipeline)


@pytest.mark.parametrize("store", ["memory", "rocksdb"])
def test_the_totals_are_the_same_when_the_worker_is_killed_three_times(pipeline: Pipeline, store: str) -> None:
    pipeline.settings["WATTLOOP_STATE_STORE"] = store
    pipeline.command("registry", "apply", str(DEMO_REGISTRY))
    messages = as_json(month_readings(YEAR, MONTH, extra_s=2 * LATENESS_S))
    chance = random.Random(11)
    quarter = len(messages) // 4
    pipeline.start()
    for kill in range(3):
        pipeline.send(messages[kill * quarter : (kill + 1) * quarter])
        before = pipeline.metric("wattloop_agent_events_total", agent="metering")
        some = before + chance.randint(1, 12)
        wait_for(lambda some=some: pipeline.metric("wattloop_agent_events_total", agent="metering") >= some)
        pipeline.kill()
        pipeline.start()
    pipeline.send(messages[3 * quarter :])
    wait_until_stored_to_the_end(pipeline)
    pipeline.stop()

    assert_the_month_is_exact(pipeline)
    assert_no_window_is_stored_twice(pipeline)
