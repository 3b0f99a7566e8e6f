"""`wattloop hvac-gateway` between a real broker and a BACnet/IP device on loopback, as a process that can be killed."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from bacnet_device import LOOPBACK, Running, a_running_controller, free_udp_port
from pipeline import PARTITIONS, Pipeline, Raw, a_broker, wait_for

from schemas.setpoint import command_id
from schemas.topics import HVAC_ACKS, HVAC_OVERRIDES, HVAC_SETPOINTS

pytestmark = pytest.mark.integration

REGISTRY = """\
tenants:
  - {id: acme, name: Acme}
sites:
  - id: mill
    tenant: acme
    name: Mill
    region: CN-ZJ
    time_zone: Asia/Shanghai
    tariff: {plan: cn-zj-large-industry}
    meters:
      - {id: main, kind: grid}
    zones:
      - id: hall
        name: Hall
        area_m2: 1200
        hvac:
          equipment_kind: dx
          mode: act
          bacnet:
            device: 1201
            address: 127.0.0.1:PORT
            cooling_object: "analog-value,1"
            heating_object: "analog-value,2"
"""


@pytest.fixture
def device() -> Iterator[Running]:
    with a_running_controller() as running:
        yield running


@pytest.fixture
def plant(pipeline: Pipeline, device: Running) -> Pipeline:
    return with_registry(pipeline, device)


def with_registry(pipeline: Pipeline, device: Running) -> Pipeline:
    """Topics and registry of a site whose hall is controlled by the device."""
    file = pipeline.directory / "registry.yaml"
    file.write_text(REGISTRY.replace("PORT", str(device.port)), encoding="utf-8")
    pipeline.command("topics", "apply")
    pipeline.command("registry", "apply", str(file))
    return pipeline


def launch(pipeline: Pipeline, *arguments: str) -> None:
    command = [sys.executable, "-m", "streams.cli.main", "hvac-gateway", *arguments]
    with (pipeline.directory / "worker.log").open("ab") as log:
        pipeline.worker = subprocess.Popen(
            command, env=pipeline.environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
    wait_for(lambda: pipeline.get("/readyz")[0] == 200, what=pipeline.log())


def launch_on_bacnet(pipeline: Pipeline) -> None:
    launch(pipeline, "--site", "mill", "--bacnet-address", f"{LOOPBACK}/32:{free_udp_port()}")


@contextmanager
def a_gateway(pipeline: Pipeline) -> Iterator[None]:
    """One that is stopped in an orderly way."""
    launch_on_bacnet(pipeline)
    yield
    pipeline.stop()


def now() -> int:
    return int(time.time() * 1000)


def a_command(issued_at: int, **given: object) -> dict[str, object]:
    site = str(given.get("site_id", "mill"))
    return {
        "command_id": command_id(site, "hall", issued_at),
        "tenant_id": "acme",
        "site_id": site,
        "zone_id": "hall",
        "mode": "act",
        "cooling_c": 25.5,
        "heating_c": 19.0,
        "issued_at": issued_at,
        "not_after": issued_at + 600_000,
        "lease_s": 3600,
    } | given


def send(pipeline: Pipeline, *commands: dict[str, object]) -> None:
    topic = HVAC_SETPOINTS.name
    pipeline.send([Raw(str(one["site_id"]), json.dumps(one).encode(), topic=topic) for one in commands])


def acks(pipeline: Pipeline) -> list[dict[str, object]]:
    """Everything on hvac.acks.v1."""

    async def read() -> list[dict[str, object]]:
        consumer = AIOKafkaConsumer(bootstrap_servers=pipeline.broker, auto_offset_reset="earliest")
        await consumer.start()
        try:
            consumer.assign([TopicPartition(pipeline.prefix + HVAC_ACKS.name, one) for one in range(PARTITIONS)])
            found: list[dict[str, object]] = []
            while polled := await consumer.getmany(timeout_ms=1000):
                found += [json.loads(record.value) for records in polled.values() for record in records]
            return found
        finally:
            await consumer.stop()

    return asyncio.run(read())


def states(pipeline: Pipeline, of: dict[str, object]) -> list[str]:
    return [str(ack["state"]) for ack in acks(pipeline) if ack["command_id"] == of["command_id"]]


def test_a_command_is_applied_once_however_often_it_comes_and_whatever_is_killed(plant: Pipeline, device: Running):
    command = a_command(now())
    launch_on_bacnet(plant)
    send(plant, command)
    wait_for(lambda: states(plant, command) == ["accepted", "applied"])
    assert device.taken() == {10: [25.5, 19.0]}
    (applied,) = (ack for ack in acks(plant) if ack["state"] == "applied")
    assert (applied["measured_cooling_c"], applied["measured_heating_c"]) == (25.5, 19.0)

    device.by_hand(None, priority=10)  # so that a second write would show
    send(plant, command)
    wait_for(lambda: plant.metric("wattloop_hvac_ignored_total", reason="seen_before") == 1)
    assert device.taken() == {10: [19.0]}

    plant.kill()
    with a_gateway(plant):
        send(plant, command)
        wait_for(lambda: plant.metric("wattloop_hvac_ignored_total", reason="seen_before") >= 1)
        assert device.taken() == {10: [19.0]}

    assert device.taken() == {}
    assert states(plant, command) == ["accepted", "applied", "expired"]


def test_a_lease_that_ends_gives_the_zone_back_and_an_operator_keeps_commands_out(plant: Pipeline, device: Running):
    with a_gateway(plant):
        short = a_command(now(), lease_s=5, not_after=now() + 4_000)
        send(plant, short)
        wait_for(lambda: "expired" in states(plant, short))
        assert device.taken() == {}

        said = plant.command(
            "hvac-override", "mill", "hall", "--hours", "1", "--operator", "Chen Wei", "--why", "a visit"
        )
        name = said.strip().rpartition("(")[2].removesuffix(")")
        wait_for(lambda: states(plant, {"command_id": name}) == ["accepted"])
        refused = a_command(now())
        send(plant, refused)
        wait_for(lambda: states(plant, refused) == ["overridden"])
        assert device.taken() == {}


def test_an_override_that_does_not_fit_is_not_sent(plant: Pipeline):
    words = ["hvac-override", "mill", "hal", "--cooling-c", "31", "--operator", "Chen Wei"]
    command = [sys.executable, "-m", "streams.cli.main", *words]
    refused = subprocess.run(command, env=plant.environment, capture_output=True, text=True, check=False)

    assert refused.returncode == 2
    assert "there is no zone 'hal' at site 'mill'; did you mean 'hall'?" in refused.stderr
    assert "flag --hours: expected either --hours, or --end" in refused.stderr
    assert plant.messages_on(HVAC_OVERRIDES.name) == 0


def test_a_lease_ends_although_the_broker_is_gone(tmp_path: Path, device: Running):
    with a_broker() as address:
        plant = with_registry(Pipeline(address, "", tmp_path), device)
        launch_on_bacnet(plant)
        command = a_command(now(), lease_s=20, not_after=now() + 19_000)
        send(plant, command)
        wait_for(lambda: plant.metric("wattloop_hvac_acks_total", state="applied") == 1)
    try:
        wait_for(lambda: plant.metric("wattloop_hvac_acks_total", state="expired") == 1)
        assert device.taken() == {}
        plant.stop()
    finally:
        plant.kill()


def test_what_a_gateway_left_behind_that_was_killed_for_good_is_given_back_by_hand(plant: Pipeline, device: Running):
    command = a_command(now())
    launch_on_bacnet(plant)
    send(plant, command)
    wait_for(lambda: states(plant, command) == ["accepted", "applied"])
    assert device.taken() == {10: [25.5, 19.0]}
    plant.kill()

    said = plant.command("hvac-gateway", "--give-back", "--bacnet-address", f"{LOOPBACK}/32:{free_udp_port()}")

    assert "shut_down" in said
    assert device.taken() == {}


def test_a_dry_run_says_what_it_would_do_and_does_nothing(plant: Pipeline, device: Running):
    launch(plant, "--dry-run")
    late = a_command(now() - 3_000_000, not_after=now() + 30_000)
    send(plant, late, a_command(now(), cooling_c=31.0))
    worker = plant.worker
    assert worker is not None
    assert worker.stdout is not None
    said = [worker.stdout.readline() for _ in range(3)]
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0, plant.log()
    plant.worker = None

    assert [line.split()[:2] for line in said] == [
        ["accepted", "to_be_written"],
        ["rejected", "outside_limits"],
        ["applied", "written"],
    ]
    assert "cooling 25.5 °C, heating 19 °C at priority 10" in said[0]
    assert device.taken() == {}
    assert acks(plant) == []
    assert not (plant.directory / "data" / "hvac-gateway").exists()


def test_a_command_nobody_answers_is_counted(plant: Pipeline):
    launch_on_bacnet(plant)
    send(plant, a_command(now() - 300_000, site_id="yard"), a_command(now(), site_id="yard"))

    wait_for(lambda: plant.metric("wattloop_hvac_unacknowledged_commands", last="none") == 1)
    assert plant.metric("wattloop_build_info") == 0  # a gateway is no worker
    plant.stop()
