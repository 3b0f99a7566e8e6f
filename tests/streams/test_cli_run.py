"""`wattloop run` and `wattloop worker` say all that is wrong at once, and start nothing."""

from pathlib import Path

from click.testing import CliRunner

from streams.cli.main import wattloop
from streams.demo import DEMO_REGISTRY


def test_three_wrong_settings_and_two_wrong_registry_entries_are_one_message(tmp_path: Path) -> None:
    registry = tmp_path / "registry.yaml"
    text = DEMO_REGISTRY.read_text(encoding="utf-8")
    registry.write_text(text.replace("region: CN-ZJ", "region: CN-XX").replace("region: CN-GD", "region: nowhere"))
    environment = {
        "WATTLOOP_DATA_DIR": str(tmp_path / "data"),
        "WATTLOOP_REGISTRY": str(registry),
        "WATTLOOP_PARTITIONS": "many",
        "WATTLOOP_KAFKA_URL": "http://broker",
        "WATTLOOP_ADMIN_PORT": "99999",
    }

    answer = CliRunner().invoke(wattloop, ["run"], env=environment)

    assert answer.exit_code == 2
    found = [line for line in answer.output.splitlines() if line.lstrip()[:1].isdigit()]
    assert len(found) == 5, answer.output
    for word in ("WATTLOOP_PARTITIONS", "WATTLOOP_KAFKA_URL", "WATTLOOP_ADMIN_PORT", "CN-XX", "nowhere"):
        assert sum(word in line for line in found) == 1, word
    assert not (tmp_path / "data").exists()


def test_a_worker_without_a_broker_is_told_what_to_set(tmp_path: Path) -> None:
    environment = {"WATTLOOP_DATA_DIR": str(tmp_path / "data")}

    answer = CliRunner().invoke(wattloop, ["worker"], env=environment)

    assert answer.exit_code == 2
    assert "kafka_url" in answer.output
    assert not (tmp_path / "data").exists()
