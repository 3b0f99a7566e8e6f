import json

import pytest
from click.testing import CliRunner

from streams.cli.main import wattloop


def run(*words: str, **environ: str):
    return CliRunner().invoke(wattloop, words, env=environ)


@pytest.mark.parametrize("words", [("topics", "plan"), ("topics", "apply"), ("lag",)])
def test_a_command_that_needs_a_broker_says_so_along_with_everything_else(words):
    refused = run(*words, WATTLOOP_TOPIC_PREFIX="a b")

    assert refused.exit_code == 2
    assert "2 problems" in refused.stderr
    assert "kafka_url: is not set" in refused.stderr
    assert "WATTLOOP_TOPIC_PREFIX" in refused.stderr


@pytest.mark.parametrize(
    "words", [("topics",), ("topics", "plan"), ("topics", "apply"), ("lag",), ("doctor",), ("savings",)]
)
def test_every_command_explains_itself_with_an_example(words):
    explained = run(*words, "--help")

    assert explained.exit_code == 0
    assert "Example" in explained.output


def test_lag_says_what_its_seconds_are_and_that_agents_commit_at_checkpoints():
    explained = " ".join(run("lag", "--help").output.split())

    assert "how long ago the oldest record of those arrived" in explained
    assert "commit at checkpoints" in explained


def test_doctor_without_a_broker_says_how_to_name_one_and_looks_at_the_rest(tmp_path):
    examined = run("doctor", "--data-dir", str(tmp_path / "data"))

    assert examined.exit_code == 0
    assert "no broker is configured" in examined.output
    assert "there is no history at" in examined.output
    assert examined.output.splitlines()[-1].startswith("4 checks: ")


def test_doctor_answers_programs_with_one_document(tmp_path):
    document = json.loads(run("doctor", "--json", "--data-dir", str(tmp_path / "data")).output)

    assert [one["check"] for one in document["findings"]] == ["broker", "history", "disk", "local-state"]
    assert document["worst"] == "warn"


def test_doctor_ends_with_1_when_something_failed_and_shows_no_password(tmp_path):
    examined = run(
        "doctor",
        "--data-dir",
        str(tmp_path),
        WATTLOOP_CLICKHOUSE_URL="http://loop:hunter2@127.0.0.1:1/energy",
    )

    assert examined.exit_code == 1
    assert "fail  history" in examined.output
    assert "hunter2" not in examined.output
