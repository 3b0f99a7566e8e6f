"""`wattloop registry`: check the files, bring the topic in line with them, show what is registered."""

import asyncio
import logging
import os
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import TypeVar

import click

from schemas.problem import ConfigurationError, Problem
from schemas.registry import Registry, Site
from schemas.topics import REGISTRY
from streams.cli.flags import Flags, settings_flags
from streams.configuration import DEFAULT, check_files, effective_settings, load_configuration
from streams.registry_state import Changes
from streams.registry_topic import RegistryTopicError, publish, read_all
from streams.settings import Settings

Answer = TypeVar("Answer")

TOPIC_FIELDS = ("config", "kafka_url", "topic_prefix", "replication_factor")
NO_BROKER = Problem(
    "kafka_url", "is not set; expected kafka://host:port as --kafka-url, WATTLOOP_KAFKA_URL or in the file"
)


@click.group("registry")
def command() -> None:
    """Tenants, sites and meters: check, apply and show them.

    \b
    Example:
      wattloop registry check plants/
    """


@command.command("check")
@click.argument("path", type=click.Path(path_type=Path))
def check(path: Path) -> None:
    """Check a registry file, or a directory of them, and list everything that is wrong.

    \b
    Example:
      wattloop registry check plants/
    """
    registry, problems = check_files(path)
    if registry is None:
        raise ConfigurationError(problems)
    meters = sum(len(site.meters) for site in registry.sites)
    click.echo(
        f"{path} is right: {_count(registry.tenants, 'tenant')}, {_count(registry.sites, 'site')}, "
        f"{meters} meter{'' if meters == 1 else 's'}"
    )


@command.command("apply")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--prune/--no-prune", default=False, help="Delete what is no longer in the files.  [default: no-prune]")
@settings_flags(TOPIC_FIELDS)
def apply(flags: Flags, path: Path, prune: bool) -> None:
    """Bring the topic registry.v1 in line with a registry file or directory.

    \b
    Example:
      wattloop registry apply plants/ --prune --kafka-url kafka://broker.example:9092
    """
    settings, registry = _for_topic(flags, path)
    applied = _answer(
        publish(
            settings.brokers or (),
            registry,
            topic=settings.topic_name(REGISTRY),
            prune=prune,
            replication_factor=settings.replication_factor,
        )
    )
    click.echo("\n".join(_told(applied)))


@command.command("show")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a list for people.")
@settings_flags((*TOPIC_FIELDS, "registry"))
def show(flags: Flags, as_json: bool) -> None:
    """Show what is registered: on the broker if one is set, else in the files.

    \b
    Example:
      wattloop registry show --json
    """
    in_files = effective_settings(flags, os.environ).settings.kafka_url is None
    settings, registry = load_configuration(flags, os.environ, want_registry=in_files)
    revisions: dict[str, int] = {}
    source = str(settings.registry or "the demo factories")
    if settings.brokers is not None:
        source = settings.topic_name(REGISTRY)
        state = _answer(read_all(settings.brokers, topic=source))
        records = [state.sites[name] for name in sorted(state.sites)]
        registry = Registry(tenants=tuple(state.tenants.values()), sites=tuple(one.site for one in records))
        revisions = {one.site.id: one.revision for one in records}
        for key, why in sorted(state.unreadable.items()):
            click.echo(f"{key}: skipped: {why}", err=True)
    if as_json:
        click.echo(registry.model_dump_json(indent=2))
        return
    click.echo("\n".join([f"From {source}", *_listed(registry, revisions)]))


def _for_topic(flags: Flags, path: Path) -> tuple[Settings, Registry]:
    """Return settings that name a broker, and the registry; or raise everything that is wrong with either."""
    found = effective_settings(flags, os.environ)
    registry, wrong = check_files(path)
    missing = [NO_BROKER] if found.sources["kafka_url"] == DEFAULT else []
    problems = [*found.problems, *missing, *wrong]
    if problems or registry is None:
        raise ConfigurationError(problems)
    return found.settings, registry


def _answer(question: Coroutine[object, object, Answer]) -> Answer:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it would log is in the error
    try:
        return asyncio.run(question)
    except RegistryTopicError as error:
        raise click.ClickException(str(error)) from error


def _told(applied: Changes) -> Iterable[str]:
    for done in ("added", "changed", "deleted"):
        for key in getattr(applied, done):
            yield f"{done:<9} {key}"
    for key in applied.kept:
        yield f"{'kept':<9} {key} (not in the files; --prune deletes it)"
    written = len(applied.added) + len(applied.changed)
    yield (
        f"{len(applied.added)} added, {len(applied.changed)} changed, {len(applied.unchanged)} unchanged, "
        f"{len(applied.deleted)} deleted" + ("" if written or applied.deleted else ": nothing to do")
    )


def _listed(registry: Registry, revisions: dict[str, int]) -> Iterable[str]:
    for tenant in registry.tenants:
        yield f"tenant {tenant.id}  {_names(tenant.name, tenant.name_zh)}"
    for site in registry.sites:
        revision = f"  revision {revisions[site.id]}" if site.id in revisions else ""
        yield ""
        yield f"site {site.id}  {_names(site.name, site.name_zh)}{revision}"
        yield f"  tenant {site.tenant}, {site.region}, {site.time_zone}, tariff {site.tariff.plan}"
        yield from _listed_below(site, None, 1)


def _listed_below(site: Site, parent: str | None, depth: int) -> Iterable[str]:
    for meter in site.meters:
        if meter.parent == parent:
            about = f"{meter.kind.value}, every {meter.interval_s} s  {meter.name}".rstrip()
            yield f"{'  ' * depth}meter {meter.id}  {about}"
            yield from _listed_below(site, meter.id, depth + 1)


def _names(name: str, name_zh: str) -> str:
    return f"{name} {name_zh}".rstrip()


def _count(entries: tuple[object, ...], noun: str) -> str:
    return f"{len(entries)} {noun}{'' if len(entries) == 1 else 's'}"
