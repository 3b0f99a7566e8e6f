"""What several worker processes have in common, without starting any."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from schemas.problem import ConfigurationError
from streams.embedded.broker import free_port
from streams.health.progress import Check
from streams.processes import Labelled, ask_all, check_processes, metrics_of_all, settings_of
from streams.settings import Settings
from streams.web.admin import Admin

SERVER = "https://clickhouse:8443/wattloop"


def metrics_text(rows: int) -> str:
    """Return the metrics of one process."""
    registry = CollectorRegistry()
    Counter("rows_total", "Rows.", ["table"], registry=registry).labels("readings").inc(rows)
    Gauge("ready", "1 if ready.", registry=registry).set(1)
    Histogram("delay_seconds", "Delay.", registry=registry).observe(0.01)
    return generate_latest(registry).decode()


def test_one_process_may_have_an_embedded_history_and_two_may_not():
    check_processes(Settings(), 1)

    with pytest.raises(ConfigurationError, match="an embedded history belongs to one process"):
        check_processes(Settings(), 2)


def test_more_processes_than_partitions_are_refused_with_both_numbers():
    with pytest.raises(ConfigurationError, match=r"--processes: got 9; expected at most 8"):
        check_processes(Settings(clickhouse_url=SERVER, partitions=8), 9)


def test_processes_differ_in_port_directory_and_membership_and_in_nothing_else():
    settings = Settings(clickhouse_url=SERVER, data_dir=Path("/var/lib/wattloop"), instance_id="node-a")

    assert settings_of(settings, 3, 7003) == {
        "admin_host": "127.0.0.1",
        "admin_port": 7003,
        "data_dir": Path("/var/lib/wattloop/process-3"),
        "instance_id": "node-a-3",
    }


def test_without_an_instance_id_membership_stays_dynamic():
    assert "instance_id" not in settings_of(Settings(), 0, 7000)


def test_metrics_of_two_processes_are_one_set_with_a_label_and_keep_their_sums():
    registry = CollectorRegistry()
    registry.register(Labelled({"0": metrics_text(2), "1": metrics_text(5)}))

    assert registry.get_sample_value("rows_total", {"table": "readings", "process": "0"}) == 2
    assert registry.get_sample_value("rows_total", {"table": "readings", "process": "1"}) == 5
    assert registry.get_sample_value("delay_seconds_count", {"process": "1"}) == 1
    text = generate_latest(registry).decode()
    assert text.count("# TYPE rows_total counter") == 1
    assert text.count("# HELP ready 1 if ready.") == 1


def test_checks_are_named_after_their_process_and_silence_is_not_well():
    one = Admin("127.0.0.1", 0, lambda: {"agents": Check(True, "all agents run")}, dict)
    address = one.start()
    ports = [int(address.rsplit(":", 1)[1]), free_port()]
    with ThreadPoolExecutor(2) as asking:
        found = ask_all(asking, ports, "/livez")
        metrics = metrics_of_all(asking, ports)
    one.stop()

    assert found == {
        "0/agents": Check(True, "all agents run"),
        "1/answers": Check(False, "process 1 does not answer on its admin port"),
    }
    assert b'process="0"' in metrics
    assert b'process="1"' not in metrics
