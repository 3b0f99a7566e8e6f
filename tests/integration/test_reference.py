"""What is published governs what is priced, and activities from the field are stored once, whatever is killed."""

import asyncio
import json
from pathlib import Path

import polars as pl
import pytest
from aiokafka import AIOKafkaProducer
from hops import wait_until_stored_to_the_end
from pipeline import PARTITIONS, Pipeline, as_json, wait_for

from schemas.reference.catalogue import REFERENCE_VERSION
from schemas.topics import ACTIVITIES
from streams.broker import partition_for
from streams.demo import DEMO_REGISTRY
from streams.demo.recorded import month_bounds_ms, readings_between

pytestmark = pytest.mark.integration

HOUR_MS = 3_600_000
FROM_MS = month_bounds_ms(2026, 7)[0]
SITE = "zj-steel"
COLUMNS = "region_code,region_name_en,region_name_zh,year,kind,kg_co2_per_kwh,source,checked,seen_in,gas,note\n"
GAS = {
    "site_id": SITE,
    "fuel": "natural_gas",
    "unit": "Nm3",
    "first_day": "2026-06-01",
    "last_day": "2026-06-30",
}


def of_site(hours: tuple[int, int]) -> pl.DataFrame:
    rows = readings_between(FROM_MS + hours[0] * HOUR_MS, FROM_MS + hours[1] * HOUR_MS)
    return rows.filter(pl.col("site_id") == SITE)


def send_activities(pipeline: Pipeline, *values: bytes) -> None:
    async def sent() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=pipeline.broker, acks="all")
        await producer.start()
        try:
            for value in values:
                await producer.send_and_wait(
                    pipeline.prefix + ACTIVITIES.name, value, SITE.encode(), partition_for(SITE, PARTITIONS)
                )
        finally:
            await producer.stop()

    asyncio.run(sent())


def test_what_is_priced_after_a_publication_names_it_and_the_past_is_restated(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    file = tmp_path / "factors.csv"
    file.write_text(COLUMNS + "CN-ZJ,Zhejiang,浙江,2024,average,0.25,test,1,,CO2,\n", encoding="utf-8")
    pipeline.command("registry", "apply", str(DEMO_REGISTRY))
    pipeline.start()
    pipeline.send(as_json(of_site((0, 3))))
    wait_until_stored_to_the_end(pipeline)  # what is on its way keeps the edition it was taken in with
    pipeline.stop()

    told = pipeline.command("reference", "publish", "--factors", str(file), "--edition", "2026-12-28")
    pipeline.start()
    pipeline.send(as_json(of_site((3, 6))))
    wait_until_stored_to_the_end(pipeline)
    pipeline.stop()

    version = json.loads(pipeline.command("reference", "show", "--json"))["reference_version"]
    stored = pipeline.query(
        "SELECT reference_version, max(factor_kg_per_kwh) AS factor, min(ts) AS first, max(ts) AS last "
        "FROM v_emissions GROUP BY reference_version ORDER BY first"
    )
    differences = pipeline.query("SELECT site_id, period, reference_version, difference_kg FROM v_restatements")
    assert version in told
    assert stored["reference_version"].to_list() == [REFERENCE_VERSION, version]
    assert stored["factor"].to_list() == pytest.approx([0.5153, 0.25])
    assert stored["last"][0] < stored["first"][1]
    assert differences.select("site_id", "period", "reference_version").rows() == [(SITE, "2026-07", version)]
    assert differences["difference_kg"][0] < 0
    assert pipeline.imbalances() == []


def test_activities_are_stored_once_though_the_worker_is_killed(pipeline: Pipeline) -> None:
    right = [json.dumps(GAS | {"id": f"gas-{number}", "quantity": 1000.0}).encode() for number in range(40)]
    wrong = [b"no json", json.dumps(GAS | {"id": "x", "quantity": -1}).encode()]
    pipeline.command("registry", "apply", str(DEMO_REGISTRY))
    pipeline.start()
    send_activities(pipeline, *right[:20], *wrong)
    wait_for(lambda: pipeline.messages_on("activity.v1") > 0)
    pipeline.kill()
    send_activities(pipeline, *right[20:], json.dumps(GAS | {"id": "gas-0", "quantity": 500.0}).encode(), wrong[0])
    pipeline.start()
    wait_until_stored_to_the_end(pipeline)
    pipeline.stop()

    rows = pipeline.query("SELECT activity_id, emitted_kg FROM v_activities")
    letters = pipeline.query("SELECT DISTINCT reason, source_topic FROM dead_letters ORDER BY reason")
    carbon = json.loads(pipeline.command("carbon", "--year", "2026", "--json"))
    assert rows.height == 40
    assert rows["emitted_kg"].sum() == pytest.approx(2162.19 * 39.5)
    assert letters.rows() == [("invalid_activity", "activities.v1"), ("undecodable", "activities.v1")]
    assert [row["emitted_kg"] for row in carbon["activities"]] == pytest.approx([2162.19 * 39.5])
    told = json.loads(pipeline.command("account", "--all", "--json"))
    assert [(one["used"], one["refused"]) for one in told["totals"] if one["topic"] == ACTIVITIES.name] == [(41, 3)]
    assert pipeline.imbalances() == []
