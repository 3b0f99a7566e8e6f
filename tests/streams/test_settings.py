from pathlib import Path

import pytest
from pydantic import ValidationError

from streams.settings import Settings, environment_name, expected_value, flag_name, masked


def test_without_any_setting_everything_is_embedded_below_the_data_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = Settings()

    assert settings.brokers is None
    assert settings.clickhouse_dsn == f"chdb://{tmp_path}/.wattloop/history"


def test_the_history_is_where_the_url_says():
    assert Settings(clickhouse_url="http://db.example:8123").clickhouse_dsn == "http://db.example:8123"


def test_all_brokers_of_a_url_are_used():
    settings = Settings(kafka_url="kafka://a.example:9092,[::1]:9093")

    assert settings.brokers == ("a.example:9092", "[::1]:9093")


@pytest.mark.parametrize(
    "url",
    [
        "a:9092",
        "kafka://",
        "kafka://a",
        "kafka://a:0",
        "kafka://a:70000",
        "kafka://a:1,",
        "kafka://u:p@a:1",
        "",
    ],
)
def test_a_kafka_url_of_another_form_is_refused(url):
    with pytest.raises(ValidationError, match=r"expected kafka://host:port\[,host:port…\]"):
        Settings(kafka_url=url)


@pytest.mark.parametrize(
    "url",
    ["db:8123", "https://", "chdb://", "chdb:///", "chdb://history", "ftp://db", "http://db:x", "http://["],
)
def test_a_clickhouse_url_of_another_form_is_refused(url):
    with pytest.raises(ValidationError, match="expected https://user:password@host:8443/database"):
        Settings(clickhouse_url=url)


@pytest.mark.parametrize(
    "url",
    [
        "https://loop:hunter2@db.example:8443/energy",
        "https://loop:hunter2@hunter2@db.example/energy",
        "https://loop:hunter2/hunter2@db.example/energy",
        "https://db.example/energy?user=loop&password=hunter2",
        "loop:hunter2@db.example",
    ],
)
def test_a_password_is_masked_wherever_it_stands(url):
    assert "hunter2" not in masked(url)
    assert "db.example" in masked(url)


def test_the_password_is_in_neither_repr_nor_str():
    settings = Settings(clickhouse_url="https://loop:hunter2@db.example:8443/energy")

    assert "hunter2" not in f"{settings!r} {settings}"
    assert "hunter2" in settings.clickhouse_dsn


@pytest.mark.parametrize("value", [True, "many", "", 0, 4097, 2.5, "nan"])
def test_partitions_are_a_whole_number_within_bounds(value):
    with pytest.raises(ValidationError):
        Settings.model_validate({"partitions": value})


@pytest.mark.parametrize("value", ["nan", "inf", 0, True])
def test_a_checkpoint_interval_is_a_finite_number_within_bounds(value):
    with pytest.raises(ValidationError):
        Settings.model_validate({"checkpoint_interval_s": value})


def test_log_levels_may_be_written_in_capitals():
    assert Settings.model_validate({"log_level": "DEBUG"}).log_level == "debug"


def test_a_worker_is_named_after_its_host_unless_it_is_given_a_name():
    assert Settings(instance_id="worker-1").instance == "worker-1"
    assert Settings().instance


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_is_described_in_the_documentation_with_its_names_default_and_bounds(field):
    table = Path(__file__).parents[2].joinpath("docs", "configuration.md").read_text(encoding="utf-8")
    rows = [line for line in table.splitlines() if line.startswith(f"| `{field}` |")]
    default = Settings.model_fields[field].default

    assert len(rows) == 1
    assert f"`{environment_name(field)}`" in rows[0]
    assert f"`{flag_name(field)}`" in rows[0]
    if default not in {None, ""}:
        assert f"| `{str(default).lower()}` |" in rows[0]
    if expected_value(field):
        assert expected_value(field) in rows[0]


def test_the_documentation_describes_no_setting_that_does_not_exist():
    table = Path(__file__).parents[2].joinpath("docs", "configuration.md").read_text(encoding="utf-8")
    described = {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")}

    assert described == set(Settings.model_fields)
