"""`wattloop topics`: what the topics should be, what they are, and bringing them in line."""

import logging
import os
import sys
import time
from collections.abc import Iterator

import click

from schemas.problem import ConfigurationError, Problem
from streams.broker_admin import BrokerTrouble, administering
from streams.cli.flags import Flags, settings_flags
from streams.configuration import DEFAULT, effective_settings
from streams.settings import Settings
from streams.topic_plan import Plan, carry_out, planned, read_topics, wanted_topics

TOPIC_FIELDS = ("config", "kafka_url", "topic_prefix", "partitions", "replication_factor")
NO_BROKER = Problem(
    "kafka_url",
    "is not set; expected kafka://host:port as --kafka-url, WATTLOOP_KAFKA_URL or in the file "
    "(`wattloop run` shows the address of its embedded broker)",
)
REFUSED = 1
PENDING = 3
SHOWN_FOREIGN = 10
SETTLE_S = 10.0
SETTLE_POLL_S = 0.2


def with_broker(flags: Flags) -> tuple[Settings, str]:
    """Return the settings and the address of the broker, or raise everything that is wrong with them."""
    found = effective_settings(flags, os.environ)
    url = found.settings.kafka_url
    problems = list(found.problems)
    if found.sources["kafka_url"] == DEFAULT:
        problems.append(NO_BROKER)
    if problems or url is None:
        raise ConfigurationError(problems)
    quiet_clients()
    return found.settings, url


def quiet_clients() -> None:
    """Keep the Kafka clients from logging what is said in an error of ours."""
    for name in ("kafka", "aiokafka"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@click.group("topics")
def command() -> None:
    """Topics: plan and apply what the catalogue of this release says about them.

    \b
    Example:
      wattloop topics plan
    """


@command.command("plan")
@settings_flags(TOPIC_FIELDS)
def plan_command(flags: Flags) -> None:
    """Show what `wattloop topics apply` would do. Changes nothing.

    Topics that are missing would be created, settings that differ would be changed. Nothing is ever deleted, and a
    partition count is never changed: that is refused with the reason.

    Exit code: 0 nothing to do, 3 there is something to do, 1 refused, or the broker cannot be used.

    \b
    Examples:
      wattloop topics plan --kafka-url kafka://broker.example:9092
      wattloop topics plan --partitions 16 --replication-factor 3 --topic-prefix test.
    """
    settings, url = with_broker(flags)
    plan = _plan(settings, url)
    for line in told(plan):
        click.echo(line)
    click.echo(_summary(plan))
    sys.exit(REFUSED if plan.refused else PENDING if plan.pending else 0)


@command.command("apply")
@settings_flags(TOPIC_FIELDS)
def apply_command(flags: Flags) -> None:
    """Create the topics that are missing and change the settings that differ.

    Deletes nothing, changes no partition count and no replication factor. If one topic is refused nothing at all is
    done, because then the settings are those of another deployment. Running it again changes nothing.

    Exit code: 0 the topics are as planned, 1 refused, or the broker cannot be used.

    \b
    Example:
      wattloop topics apply --kafka-url kafka://broker.example:9092 --replication-factor 3
    """
    settings, url = with_broker(flags)
    plan = _plan(settings, url)
    for line in told(plan):
        click.echo(line)
    if plan.refused:
        raise click.ClickException("refused, nothing was changed")
    if not plan.pending:
        click.echo("nothing to do; the topics are those of this release")
        return
    failures = _apply(url, plan) or list(_left_over(_settled(settings, url)))
    if failures:
        raise click.ClickException("\n       ".join(failures))
    click.echo(
        f"{len(plan.missing)} created, {_number(len(plan.changes), 'setting')} changed; "
        "the topics are those of this release"
    )


def _left_over(after: Plan) -> Iterator[str]:
    yield from after.refused
    for topic in after.missing:
        yield f"{topic.name}: the broker created it, but does not show it"
    for left in after.changes:
        yield f"{left.topic}: the broker took {left.key} = {left.after}, but says it is {left.before or 'not set'}"


def _plan(settings: Settings, url: str) -> Plan:
    wanted = wanted_topics(settings)
    try:
        with administering(url) as admin:
            found = read_topics(admin, {topic.name for topic in wanted})
    except BrokerTrouble as error:
        raise click.ClickException(str(error)) from error
    return planned(wanted, found, settings.topic_prefix)


def _settled(settings: Settings, url: str) -> Plan:
    """Plan anew until nothing is left to do: a broker may show a topic a moment after it has created it."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        plan = _plan(settings, url)
        if not plan.pending or time.monotonic() > deadline:
            return plan
        time.sleep(SETTLE_POLL_S)


def _apply(url: str, plan: Plan) -> list[str]:
    try:
        with administering(url) as admin:
            return list(carry_out(admin, plan))
    except BrokerTrouble as error:
        raise click.ClickException(str(error)) from error


def told(plan: Plan) -> Iterator[str]:
    """Yield a plan line by line, what matters most last."""
    if plan.current:
        yield f"as it is  {_number(len(plan.current), 'topic')} as planned: {', '.join(plan.current)}"
    if plan.foreign:
        more = len(plan.foreign) - SHOWN_FOREIGN
        names = ", ".join(plan.foreign[:SHOWN_FOREIGN]) + (f" and {more} more" if more > 0 else "")
        yield f"not ours  left alone: {names}"
    for note in plan.notes:
        yield f"note      {note}"
    for topic in plan.missing:
        config = " ".join(f"{key}={value}" for key, value in sorted(topic.config.items()))
        places, copies = _number(topic.partitions, "partition"), f"{topic.copies} cop{_ies(topic.copies)}"
        yield f"create    {topic.name}  {places}, {copies}, {config}"
    for change in plan.changes:
        yield f"change    {change.topic}  {change.key}: {change.before or 'not set'} -> {change.after}"
    for why in plan.refused:
        yield f"refused   {why}"


def _summary(plan: Plan) -> str:
    counts = (
        f"{len(plan.missing)} to create, {_number(len(plan.changes), 'setting')} to change, {len(plan.refused)} refused"
    )
    if plan.refused:
        return f"{counts}: nothing can be applied until the refusals are resolved"
    return f"{counts}: `wattloop topics apply` does it" if plan.pending else f"{counts}: nothing to do"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _ies(count: int) -> str:
    return "y" if count == 1 else "ies"
