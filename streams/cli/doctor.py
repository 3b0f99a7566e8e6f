"""`wattloop doctor`: looks at everything a deployment stands on, and says what to do."""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence

import click

from streams.checkup.doctor import examine
from streams.checkup.finding import Finding, Level, worst
from streams.cli.flags import Flags, settings_flags
from streams.cli.topics import TOPIC_FIELDS, quiet_clients
from streams.configuration import load_configuration

DOCTOR_FIELDS = (*TOPIC_FIELDS, "clickhouse_url", "data_dir")
COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of lines for people.")
@settings_flags(DOCTOR_FIELDS)
def command(flags: Flags, as_json: bool) -> None:
    """Look at broker, topics, history store, clocks and disk; changes nothing.

    Give it the settings of the workers. Each check says ok, warn (it runs, but look, or it could not be checked) or
    fail (it does not run, or will lose something), in one sentence, and below it what to do.

    Only one process can open an embedded history. While a worker has it open, doctor says so instead of checking it;
    and while doctor has it open, for about a second, a worker that is just being started is refused.

    Exit code: 0 nothing failed, 1 something did.

    \b
    Examples:
      wattloop doctor --kafka-url kafka://broker.example:9092
      wattloop doctor --json | jq -r '.findings[] | select(.level != "ok") | .sentence'
    """
    settings, _ = load_configuration(flags, os.environ, want_registry=False)
    quiet_clients()
    findings: list[Finding] = []
    for finding in examine(settings, time.time):
        findings.append(finding)
        if not as_json:
            show(finding)
    verdict = worst(finding.level for finding in findings)
    if as_json:
        click.echo(json.dumps(as_document(findings, int(time.time() * 1000)), indent=2, ensure_ascii=False))
    else:
        counts = Counter(finding.level for finding in findings)
        click.echo(f"{len(findings)} checks: " + ", ".join(f"{counts[level]} {level.value}" for level in Level))
    sys.exit(1 if verdict is Level.FAIL else 0)


def show(finding: Finding) -> None:
    """Print a finding, and what to do on a line of its own."""
    level = click.style(f"{finding.level.value:<4}", fg=COLOURS[finding.level], bold=True)
    click.echo(f"{level}  {finding.check:<16}  {finding.sentence}")
    if finding.advice:
        click.echo(f"{'':<24}-> {finding.advice}")


def as_document(findings: Sequence[Finding], now: int) -> dict[str, object]:
    """Return the findings for programs."""
    return {
        "at": now,
        "worst": worst(finding.level for finding in findings).value,
        "findings": [
            {"check": one.check, "level": one.level.value, "sentence": one.sentence, "advice": one.advice}
            for one in findings
        ],
    }
