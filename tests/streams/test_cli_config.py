import tomllib

from click.testing import CliRunner

from streams.cli.main import wattloop
from streams.configuration import effective_settings


def run(*words: str, **environ: str):
    return CliRunner().invoke(wattloop, words, env=environ)


def test_config_shows_every_value_with_its_source_and_no_secret():
    shown = run(
        "config",
        "--log-level",
        "debug",
        WATTLOOP_CLICKHOUSE_URL="https://loop:hunter2@db.example:8443/energy",
    )

    assert shown.exit_code == 0
    assert "hunter2" not in shown.output
    lines = [line.split("  # ", 1) for line in shown.output.splitlines()]
    told = {assignment.strip(): source for assignment, source in lines}
    assert told['clickhouse_url = "https://loop:***@db.example:8443/energy"'] == "environment WATTLOOP_CLICKHOUSE_URL"
    assert told['log_level = "debug"'] == "flag --log-level"
    assert told["partitions = 8"] == "default"


def test_what_config_shows_is_a_configuration_file(tmp_path):
    flags = {"topic_prefix": "test.", "data_dir": 'a "b"\\c', "checkpoint_interval_s": "0.5"}
    words = [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", value)]
    first = tmp_path / "first.toml"
    first.write_text("partitions = 4\n")
    second = tmp_path / "second.toml"
    second.write_text(run("config", "--config", str(first), *words).output)

    assert tomllib.loads(second.read_text())["partitions"] == 4
    given = effective_settings(flags, {"WATTLOOP_CONFIG": str(first)}).settings
    taken = effective_settings({"config": str(second)}, {}).settings
    assert taken.model_copy(update={"config": given.config}) == given


def test_print_config_shows_the_same_on_any_command_and_runs_nothing():
    shown = run("registry", "show", "--print-config", "--kafka-url", "kafka://127.0.0.1:1")

    assert shown.exit_code == 0
    assert 'kafka_url = "kafka://127.0.0.1:1"' in shown.output


def test_wrong_settings_are_listed_on_stderr_with_exit_code_2_and_nothing_on_stdout():
    shown = run("config", "--partitions", "many", "--admin-port", "-1", WATTLOOP_LOG_FORMAT="xml")

    assert shown.exit_code == 2
    assert shown.stdout == ""
    assert shown.stderr.splitlines() == [
        "wattloop: 3 problems in the configuration:",
        "  1. environment: WATTLOOP_LOG_FORMAT: got 'xml'; expected one of 'auto', 'json' or 'console'",
        "  2. flag --partitions: got 'many'; expected a whole number from 1 to 4096",
        "  3. flag --admin-port: got '-1'; expected a whole number from 0 to 65535",
    ]
