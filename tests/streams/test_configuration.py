from pathlib import Path

import pytest

from schemas.problem import ConfigurationError
from streams.configuration import effective_settings, load_configuration

WRONG_REGISTRY = """\
tenants:
  - {id: demo, name: Demo}
sites:
  - id: mill
    tenant: demo
    name: Mill
    region: CN-ZJ
    time_zone: Asia/Shanghai
    tariff: {plan: cn-zj-large-industy}
    meters:
      - {id: main, kind: grid, multiplier: -1}
"""


def a_file(folder: Path, text: str, name: str = "wattloop.toml") -> str:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return str(file)


def problems(flags: dict[str, str], environ: dict[str, str]) -> list[str]:
    return [str(problem) for problem in effective_settings(flags, environ).problems]


def test_flags_win_over_environment_over_file_over_defaults(tmp_path):
    file = a_file(tmp_path, "partitions = 2\nadmin_port = 2\nlog_level = 'debug'\n")
    environ = {"WATTLOOP_CONFIG": file, "WATTLOOP_PARTITIONS": "3", "WATTLOOP_ADMIN_PORT": "3"}

    found = effective_settings({"partitions": "4", "topic_prefix": None}, environ)

    assert found.problems == []
    assert (found.settings.partitions, found.sources["partitions"]) == (4, "flag --partitions")
    assert (found.settings.admin_port, found.sources["admin_port"]) == (3, "environment WATTLOOP_ADMIN_PORT")
    assert (found.settings.log_level, found.sources["log_level"]) == ("debug", f"{file}:3")
    assert (found.settings.topic_prefix, found.sources["topic_prefix"]) == ("", "default")


def test_the_flag_for_the_file_wins_over_the_variable_for_the_file(tmp_path):
    one, other = a_file(tmp_path, "partitions = 1"), a_file(tmp_path, "partitions = 2", "other.toml")

    assert effective_settings({"config": other}, {"WATTLOOP_CONFIG": one}).settings.partitions == 2


def test_three_wrong_settings_and_two_wrong_registry_entries_are_one_message_that_lists_all_five(tmp_path):
    registry = a_file(tmp_path, WRONG_REGISTRY, "plant.yaml")
    config = a_file(tmp_path, 'log_format = "xml"\n')
    flags = {"registry": registry, "config": config, "kafka_url": "broker:9092"}

    with pytest.raises(ConfigurationError) as raised:
        load_configuration(flags, {"WATTLOOP_PARTITIONS": "many"}, want_registry=True)

    assert str(raised.value).splitlines() == [
        "5 problems in the configuration:",
        f"  1. {config}:1: log_format: got 'xml'; expected one of 'auto', 'json' or 'console'",
        "  2. environment: WATTLOOP_PARTITIONS: got 'many'; expected a whole number from 1 to 4096",
        "  3. flag --kafka-url: got 'broker:9092'; expected kafka://host:port[,host:port…]",
        (
            f"  4. {registry}:9: sites[mill].tariff.plan: 'cn-zj-large-industy' is not known; "
            "expected a tariff plan of the reference data; did you mean 'cn-zj-large-industry'?"
        ),
        f"  5. {registry}:11: sites[mill].meters[main].multiplier: got -1; expected a number above 0",
    ]


def test_without_a_registry_the_demo_factories_are_loaded():
    _, registry = load_configuration({}, {}, want_registry=True)

    assert [site.id for site in registry.sites] == ["zj-steel", "gd-panels", "js-textiles", "sim-building"]
    assert {site.meter("main").interval_s for site in registry.sites} == {900}


def test_a_command_that_needs_no_registry_does_not_read_it(tmp_path):
    flags = {"registry": a_file(tmp_path, WRONG_REGISTRY, "plant.yaml")}

    assert load_configuration(flags, {}, want_registry=False)[1].sites == ()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (
            {"WATTLOOP_KAFKA_ULR": "kafka://u:hunter2@a:1"},
            "environment: WATTLOOP_KAFKA_ULR: there is no such setting; did you mean 'WATTLOOP_KAFKA_URL'?",
        ),
        (
            {"WATTLOOP_KAFKA_URL": "kafka://u:hunter2@a:1"},
            "environment: WATTLOOP_KAFKA_URL: got 'kafka://u:***@a:1'; expected kafka://host:port[,host:port…]",
        ),
        (
            {"WATTLOOP_CHECKPOINT_INTERVAL_S": "soon"},
            "environment: WATTLOOP_CHECKPOINT_INTERVAL_S: got 'soon'; expected a number from 0.1 to 600",
        ),
        (
            {"WATTLOOP_CONFIG": "/nowhere.toml"},
            "environment: WATTLOOP_CONFIG: '/nowhere.toml' cannot be read: no such file or directory",
        ),
        (
            {"WATTLOOP_KAFKA_URL_FILE": "/nowhere"},
            "environment: WATTLOOP_KAFKA_URL_FILE: '/nowhere' cannot be read: no such file or directory",
        ),
        (
            {"WATTLOOP_KAFKA_URL_FILE": "/nowhere", "WATTLOOP_KAFKA_URL": "kafka://a:1"},
            ("environment: WATTLOOP_KAFKA_URL_FILE: WATTLOOP_KAFKA_URL is set as well; expected one of the two"),
        ),
    ],
)
def test_a_wrong_variable_is_one_problem_without_its_secrets(environ, expected):
    assert problems({}, environ) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\npartitoins = 3\n", ":2: partitoins: there is no such setting; did you mean 'partitions'?"),
        ("[worker]\npartitions = 3\n", ":1: worker: there is no such setting"),
        ("partitions = true\n", ":1: partitions: got True; expected a whole number from 1 to 4096"),
        ("config = 'x'\n", ":1: config: a configuration file cannot name another one"),
        ("data_dir = 3\n", ":1: data_dir: got 3; expected a path"),
        ("partitions = \n", ": is not TOML: Invalid value (at line 1, column 14)"),
    ],
)
def test_a_mistake_in_the_file_is_reported_with_its_line(tmp_path, text, expected):
    file = a_file(tmp_path, text)

    assert problems({"config": file}, {}) == [f"{file}{expected}"]


def test_a_file_that_is_not_text_is_a_problem(tmp_path):
    file = tmp_path / "wattloop.toml"
    file.write_bytes(b"\xff")

    assert problems({"config": str(file)}, {}) == [f"{file}: is not UTF-8 text"]


def test_a_secret_may_come_from_a_file(tmp_path):
    secret = a_file(tmp_path, "https://loop:hunter2@db.example:8443/energy\n", "secret")

    found = effective_settings({}, {"WATTLOOP_CLICKHOUSE_URL_FILE": secret})

    assert found.settings.clickhouse_url == "https://loop:hunter2@db.example:8443/energy"
    assert found.sources["clickhouse_url"] == "environment WATTLOOP_CLICKHOUSE_URL_FILE"


def test_an_empty_variable_counts_as_not_set():
    assert effective_settings({}, {"WATTLOOP_REGISTRY": "", "WATTLOOP_PARTITIONS": ""}).problems == []


def test_the_variables_kubernetes_sets_for_services_are_not_ours():
    links = {
        "WATTLOOP_SERVICE_HOST": "10.0.0.1",
        "WATTLOOP_SERVICE_PORT": "6066",
        "WATTLOOP_SERVICE_PORT_ADMIN": "6066",
        "WATTLOOP_PORT": "tcp://10.0.0.1:6066",
        "WATTLOOP_PORT_6066_TCP": "tcp://10.0.0.1:6066",
        "WATTLOOP_PORT_6066_TCP_ADDR": "10.0.0.1",
    }

    assert problems({}, links) == []
    assert problems({}, {"WATTLOOP_PORT": "6066"}) == [
        "environment: WATTLOOP_PORT: there is no such setting; did you mean 'WATTLOOP_ADMIN_PORT'?"
    ]
