"""`wattloop hvac-gateway` and `hvac-override` before they talk to anybody."""

import pytest
from click.testing import CliRunner

from streams.cli.main import wattloop
from streams.hvac_gateway.journal import Journal


def run(*words: str):
    return CliRunner().invoke(wattloop, words, env={"WATTLOOP_KAFKA_URL": None})


@pytest.mark.parametrize("name", ["hvac-gateway", "hvac-override"])
def test_each_command_explains_itself_with_examples(name):
    explained = run(name, "--help")

    assert explained.exit_code == 0
    assert "Examples:" in explained.output


def test_everything_a_gateway_lacks_is_said_at_once(tmp_path):
    refused = run("hvac-gateway", "--data-dir", str(tmp_path), "--partitions", "many")

    assert refused.exit_code == 2
    assert "flag --partitions: got 'many'" in refused.stderr


def test_a_gateway_without_broker_and_address_starts_nothing(tmp_path):
    refused = run("hvac-gateway", "--data-dir", str(tmp_path))

    assert refused.exit_code == 2
    assert "2 problems" in refused.stderr
    assert "kafka_url: is not set" in refused.stderr
    assert "expected our own address such as 192.0.2.5/24" in refused.stderr
    assert not (tmp_path / "hvac-gateway").exists()


def test_a_dry_run_gives_nothing_back():
    assert "expected it without --dry-run" in run("hvac-gateway", "--dry-run", "--give-back").stderr


def test_a_second_gateway_on_the_same_directory_says_who_has_it(tmp_path):
    with Journal(tmp_path / "hvac-gateway"):
        refused = run("hvac-gateway", "--give-back", "--data-dir", str(tmp_path), "--bacnet-address", "127.0.0.1/32")

    assert refused.exit_code == 1
    assert "another gateway has" in refused.stderr


def test_an_address_that_makes_no_sense_is_an_error_in_one_sentence(tmp_path):
    refused = run("hvac-gateway", "--give-back", "--data-dir", str(tmp_path), "--bacnet-address", "plant-room")

    assert refused.exit_code == 1
    assert "cannot use 'plant-room' as our own BACnet/IP address" in refused.stderr


def test_an_override_needs_to_know_who(tmp_path):
    assert "Missing option '--operator'" in run("hvac-override", "mill", "hall", "--end").stderr


def test_an_override_without_a_broker_is_not_sent():
    refused = run("hvac-override", "mill", "hall", "--end", "--operator", "Chen Wei")

    assert refused.exit_code == 2
    assert "kafka_url: is not set" in refused.stderr
