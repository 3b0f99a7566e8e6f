"""The chart against the code it starts. What Helm makes of it is checked by `deploy/helm/lint`."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from streams.configuration import load_configuration
from streams.settings import Settings, environment_name
from streams.worker import SHUT_DOWN_S

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "wattloop"
CI_VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
# Kubernetes' own words, checked by Kubernetes.
FOREIGN = {"podSecurityContext", "containerSecurityContext"}


def mapping(found: object) -> dict[str, object]:
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def from_yaml(path: Path) -> dict[str, object]:
    return mapping(yaml.safe_load(path.read_text(encoding="utf-8")))


def schema() -> dict[str, object]:
    return mapping(json.loads((CHART / "values.schema.json").read_text(encoding="utf-8")))


def resolved(node: dict[str, object]) -> dict[str, object]:
    """Return the definition a `$ref` points to."""
    reference = node.get("$ref")
    if reference is None:
        return node
    name = str(reference).removeprefix("#/definitions/")
    return mapping(mapping(schema()["definitions"])[name])


def disagreements(values: dict[str, object], node: dict[str, object], path: str = "") -> Iterator[str]:
    """Yield where the default values and the schema do not name the same things."""
    if path in FOREIGN:
        return
    if node.get("additionalProperties") is not False:
        if values and "additionalProperties" not in node:
            yield f"{path}: any key is accepted"
        return
    known = mapping(node["properties"])
    yield from (f"{path}.{name}: in values.yaml only" for name in values.keys() - known.keys())
    for name, about in known.items():
        here = f"{path}.{name}".lstrip(".")
        if name in values:
            value = values[name]
            if isinstance(value, dict):
                yield from disagreements(mapping(value), resolved(mapping(about)), here)
        elif not path.startswith("probes") and name != "global":
            yield f"{here}: in values.schema.json only"


def test_the_schema_and_the_default_values_name_the_same_things() -> None:
    assert list(disagreements(from_yaml(CHART / "values.yaml"), schema())) == []


def test_every_variable_the_chart_sets_is_a_setting() -> None:
    known = {environment_name(field) for field in Settings.model_fields}
    templates = "\n".join(path.read_text(encoding="utf-8") for path in (CHART / "templates").iterdir())

    named = set(re.findall(r"- name: (WATTLOOP_[A-Z_]+)", templates))

    assert named
    assert named <= known


def test_the_probes_look_at_the_port_that_is_the_default() -> None:
    admin = mapping(from_yaml(CHART / "values.yaml")["admin"])

    assert admin["port"] == Settings.model_validate({}).admin_port


def test_a_worker_is_given_longer_than_it_takes_to_end_itself() -> None:
    grace_s = mapping(from_yaml(CHART / "values.yaml")["worker"])["terminationGracePeriodSeconds"]

    assert isinstance(grace_s, int)
    assert grace_s > Settings.model_validate({}).drain_timeout_s + SHUT_DOWN_S


def test_the_chart_installs_the_version_it_is_released_with() -> None:
    project = mapping(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"])

    assert from_yaml(CHART / "Chart.yaml")["appVersion"] == project["version"]


@pytest.mark.parametrize("path", CI_VALUES, ids=lambda path: path.stem)
def test_the_settings_and_the_registry_of_an_example_are_accepted(path: Path, tmp_path: Path) -> None:
    values = from_yaml(path)
    environ = {name: str(value) for name, value in mapping(values.get("settings", {})).items()}
    environ["WATTLOOP_KAFKA_URL"] = str(mapping(values["kafka"])["url"])
    environ["WATTLOOP_CLICKHOUSE_URL"] = str(
        mapping(values["clickhouse"]).get("dsn", "https://clickhouse:8443/wattloop")
    )
    files = mapping(mapping(values.get("registry", {})).get("files", {}))
    for name, text in files.items():
        (tmp_path / name).write_text(str(text), encoding="utf-8")
    flags = {"registry": tmp_path} if files else {}

    settings, registry = load_configuration(flags, environ, want_registry=True)

    assert settings.kafka_url == environ["WATTLOOP_KAFKA_URL"]
    assert len(registry.sites) == (len(files) - 1 if files else 4)
