import json

import pytest
from click.testing import CliRunner

from streams.cli.main import wattloop
from streams.demo import DEMO_REGISTRY


def run(*words: str, **environ: str):
    return CliRunner().invoke(wattloop, words, env=environ)


def test_the_demo_registry_is_right():
    checked = run("registry", "check", str(DEMO_REGISTRY))

    assert checked.exit_code == 0
    assert checked.output.endswith("is right: 1 tenant, 4 sites, 8 meters\n")


def test_a_wrong_registry_is_listed_on_stderr_with_exit_code_2(tmp_path):
    file = tmp_path / "plant.yaml"
    file.write_text(DEMO_REGISTRY.read_text("utf-8").replace("CN-GD", "CN-QQ").replace("kind: press", "knd: press"))

    checked = run("registry", "check", str(file))

    assert checked.exit_code == 2
    assert checked.stdout == ""
    assert checked.stderr.startswith("wattloop: 3 problems in the configuration:\n  1. ")


def test_apply_without_a_broker_says_so_along_with_everything_else(tmp_path):
    applied = run("registry", "apply", str(tmp_path / "nowhere.yaml"), WATTLOOP_PARTITIONS="many")

    assert applied.exit_code == 2
    assert "3 problems" in applied.stderr
    for part in ("WATTLOOP_PARTITIONS", "kafka_url: is not set", "nowhere.yaml: cannot be read"):
        assert part in applied.stderr


def test_a_broker_that_is_not_there_is_an_error_with_exit_code_1():
    applied = run("registry", "apply", str(DEMO_REGISTRY), "--kafka-url", "kafka://127.0.0.1:1")

    assert applied.exit_code == 1
    assert applied.stderr.startswith("Error: cannot use the broker at 127.0.0.1:1: ")


def test_show_without_a_broker_shows_the_files_as_a_tree_of_meters():
    shown = run("registry", "show")

    assert shown.output.startswith("From the demo factories\n")
    assert "\n  meter main  grid, every 900 s  Grid connection\n    meter press-line  sub_meter" in shown.output


def test_show_can_be_read_by_programs():
    shown = json.loads(run("registry", "show", "--json").output)

    assert [site["id"] for site in shown["sites"]] == ["zj-steel", "gd-panels", "js-textiles", "sim-building"]


@pytest.mark.parametrize("words", [(), ("registry",), ("registry", "check"), ("registry", "apply"), ("config",)])
def test_every_command_explains_itself_with_an_example(words):
    explained = run(*words, "--help")

    assert explained.exit_code == 0
    assert "Example:\n" in explained.output
