"""A gateway that was away sends its newest readings first, and what it had buffered afterwards."""

import polars as pl
import pytest
from hops import wait_until_stored_to_the_end
from pipeline import LATENESS_S, Pipeline, as_json

from streams.demo import DEMO_REGISTRY
from streams.demo.recorded import month_bounds_ms, readings_between
from streams.demo.single_pass import single_pass_energy

pytestmark = pytest.mark.integration

HOUR_MS = 3_600_000
FROM_MS = month_bounds_ms(2026, 7)[0]
TO_MS = FROM_MS + 24 * HOUR_MS
AWAY_FROM_MS, AWAY_TO_MS = FROM_MS + 6 * HOUR_MS, FROM_MS + 12 * HOUR_MS
SITE = "zj-steel"
WITHIN = f"BETWEEN fromUnixTimestamp64Milli({FROM_MS}) AND fromUnixTimestamp64Milli({TO_MS - 1})"


def test_what_a_gateway_sends_late_makes_its_estimates_exact(pipeline: Pipeline) -> None:
    readings = readings_between(FROM_MS, TO_MS + 2 * LATENESS_S * 1000 + 1)
    buffered = (pl.col("site_id") == SITE) & (pl.col("ts") > AWAY_FROM_MS) & (pl.col("ts") < AWAY_TO_MS)
    pipeline.command("registry", "apply", str(DEMO_REGISTRY))
    pipeline.start()
    pipeline.send(as_json(readings.filter(~buffered)))
    wait_until_stored_to_the_end(pipeline)
    pipeline.send(as_json(readings.filter(buffered)))
    wait_until_stored_to_the_end(pipeline)
    pipeline.stop()

    hours = "toInt64(toUnixTimestamp(toStartOfHour({time}))) * 1000 AS hour_ms"
    stored = pipeline.query(
        f"SELECT site_id, meter_id, {hours.format(time='window_start')}, sum(import_kwh) AS stored_kwh, "
        f"countIf(quality != 'measured') AS guessed FROM v_energy WHERE window_start {WITHIN} GROUP BY ALL"
    )
    both = single_pass_energy(FROM_MS, TO_MS).join(stored, on=["site_id", "meter_id", "hour_ms"], how="left")
    assert both["stored_kwh"].to_list() == pytest.approx(both["energy_kwh"].to_list(), rel=1e-9, abs=1e-9)
    assert both["guessed"].sum() == 0
    # Sums per hour, and the site's minutes, follow.
    sums = pipeline.query(
        f"SELECT sum(import_kwh) AS kwh FROM v_energy_hour WHERE meter_kind = 'grid' AND window_start {WITHIN} "
        f"UNION ALL SELECT sum(import_kwh) AS kwh FROM v_emissions WHERE ts {WITHIN} "
        f"UNION ALL SELECT sum(import_kwh) AS kwh FROM v_site_hour WHERE window_start {WITHIN} "
        f"UNION ALL SELECT sum(import_kwh) AS kwh FROM v_energy WHERE meter_kind = 'grid' AND window_start {WITHIN}"
    )
    assert sums["kwh"].to_list() == pytest.approx([sums["kwh"][0]] * 4, rel=1e-9)
    corrections = pipeline.query(f"SELECT * FROM v_corrections WHERE site_id = '{SITE}'")
    assert set(corrections["kind"]) == {"late_data"}
    assert corrections["import_before_kwh"].sum() == pytest.approx(corrections["import_after_kwh"].sum(), rel=1e-9)
    assert pipeline.imbalances() == []
