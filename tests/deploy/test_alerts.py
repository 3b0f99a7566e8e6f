"""The alert rules against the metrics and the runbooks: whoever is woken finds a page, and every name on it exists."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY
from prometheus_client.metrics_core import Metric

from streams.cli.main import wattloop
from streams.metrics import METRICS

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/alerts.yaml"
RULES_TEST = ROOT / "deploy/prometheus/alerts_test.yaml"
OPERATIONS = ROOT / "docs/operations"
RUNBOOKS = OPERATIONS / "runbooks"
PAGES = sorted(RUNBOOKS.glob("*.md"))
SECTIONS = ("Confirm", "Likely causes, in this order", "Do", "Do not", "It is over when")
SERIES_ENDS = ("_bucket", "_sum", "_count")


@dataclass(frozen=True)
class Rule:
    """What the tests need of an alert."""

    expression: str
    page: str


def alerts() -> dict[str, Rule]:
    document = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    rules = (rule for group in document["groups"] for rule in group["rules"])
    return {rule["alert"]: Rule(rule["expr"], rule["annotations"]["runbook"]) for rule in rules}


def declared() -> set[str]:
    """All names a worker exposes, as Prometheus stores them."""
    assert METRICS is not None
    names: set[str] = set()
    for metric in REGISTRY.collect():
        assert isinstance(metric, Metric)
        if metric.type == "counter":
            names.add(f"{metric.name}_total")
        elif metric.type == "histogram":
            names.update(metric.name + end for end in SERIES_ENDS)
        names.add(metric.name)
    return names


def metrics_in(text: str) -> set[str]:
    return set(re.findall(r"\b(?:wattloop|process)_[a-z_]+\b(?!\.)", text))


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    named = {rule.page: name for name, rule in alerts().items()}

    assert sorted(named) == [str(page.relative_to(ROOT)) for page in PAGES]
    for path, name in named.items():
        title = (ROOT / path).read_text(encoding="utf-8").splitlines()[0]
        assert title.endswith(f"({name})")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_what_it_means_how_to_confirm_what_to_do_and_when_it_is_over(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert "**What it means.**" in text
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == list(SECTIONS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_metric_command_page_and_log_event_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert metrics_in(text) <= declared()
    for first in re.findall(r"`wattloop ([a-z-]+)", text):
        assert first in wattloop.commands
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (page.parent / link).exists(), link
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "streams").rglob("*.py"))
    for said in re.findall(r"[Ll]og events? ((?:`[a-z_]+`(?:,| and)? ?)+)", text):
        for event in re.findall(r"`([a-z_]+)`", said):
            assert f'"{event}"' in source, event


def test_the_index_lists_every_page_with_its_alert() -> None:
    index = (OPERATIONS / "README.md").read_text(encoding="utf-8")

    for name, rule in alerts().items():
        assert f"[{name}]({rule.page.removeprefix('docs/operations/')})" in index


def test_every_metric_a_rule_asks_for_is_declared() -> None:
    for name, rule in alerts().items():
        asked = metrics_in(rule.expression)
        assert asked, name
        assert asked <= declared(), name


def test_every_alert_is_seen_firing_by_the_tests_of_the_rules() -> None:
    tested = RULES_TEST.read_text(encoding="utf-8")

    assert [name for name in alerts() if name not in tested] == []


@pytest.mark.parametrize("arguments", [("check", "rules", str(RULES)), ("test", "rules", str(RULES_TEST))])
def test_promtool_takes_the_rules(arguments: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not on the PATH (Debian: apt-get install prometheus; .ci/run brings it)")

    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
