"""`wattloop reference`: editions of factors and tariffs, put in force for all workers and shown."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import click
import polars as pl

from agents.pricing.pricing import Reference
from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_tariffs
from schemas.reference.edition import factors_of, regions_of
from schemas.reference.problems import ReferenceDataError
from schemas.topics import RESTATEMENTS
from sinks.clickhouse.client import connect
from sinks.clickhouse.errors import SinkError
from sinks.clickhouse.intensity import store_intensity
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.restatements import Restatements
from streams.broker_admin import BrokerTrouble
from streams.carbon_statement import read_intensity
from streams.cli.flags import Flags, settings_flags
from streams.cli.restate import an_edition, edition_files, told
from streams.cli.topics import quiet_clients
from streams.configuration import load_configuration
from streams.publishing import registry_in_force, send_records
from streams.reference_state import INTENSITY_PREFIX, Published, digest_of
from streams.reference_topic import publish, read_all, send_rows
from streams.registry_topic import RegistryTopicError
from streams.replay.what_if import FACTORS, TARIFFS, with_files
from streams.restate import restate
from streams.settings import Settings, broker_addresses

FIELDS = (
    "config",
    "kafka_url",
    "clickhouse_url",
    "data_dir",
    "topic_prefix",
    "partitions",
    "replication_factor",
    "registry",
)
A_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("reference")
def command() -> None:
    """Published editions of emission factors and tariffs.

    \b
    Example:
      wattloop reference publish --factors 2024.csv --edition 2026-12-28
    """


@command.command("publish")
@click.option("--factors", type=A_FILE, help="CSV of new factors.")
@click.option("--tariffs", type=A_FILE, help="JSON of new plans.")
@click.option("--edition", callback=an_edition, metavar="DATE", help="Date of the edition the files belong to.")
@click.option("--over-release", is_flag=True, help="Put the files over the release's data, not over what is in force.")
@click.option("--intensity", type=A_FILE, help="CSV of grids by hour: region_code, hour, grid_share, grid_kg_per_kwh.")
@settings_flags(FIELDS)
def publish_edition(
    flags: Flags,
    *,
    factors: Path | None,
    tariffs: Path | None,
    edition: str | None,
    over_release: bool,
    intensity: Path | None,
) -> None:
    """Put an edition in force on factors.v1 and tariffs.v1, and say what it changes.

    Workers price with it what they send from then on, and name it in every row. What is stored is restated beside the
    figures there are, as wattloop restate does: the differences go to restatements.v1, nothing is overwritten. The same
    edition again changes nothing. Without files it is the edition of this release. Hours of a grid's intensity go
    to factors.v1 and to the history, for the carbon-free score by hour; they change no figure of an inventory.

    \b
    Examples:
      wattloop reference publish --factors 2024.csv --edition 2026-12-28
      wattloop reference publish --intensity grid-2026.csv
    """
    given = {name: path for name, path in ((FACTORS, factors), (TARIFFS, tariffs)) if path is not None}
    if bool(given) != bool(edition):
        raise click.UsageError("--edition is the date of the files: give both or neither")
    quiet_clients()
    settings, in_files = load_configuration(flags, os.environ, want_registry=False)
    if settings.kafka_url is None:
        raise click.UsageError("--kafka-url is needed; without a broker, wattloop restate says what an edition changes")
    try:
        hours = None if intensity is None else read_intensity(intensity)
        client = connect(settings.clickhouse_dsn)  # what changes must be sayable before anything is put in force
        try:
            migrate(client)
            if given or hours is None:
                reference = _composed(settings, given, edition, over_release=over_release)
                _put_in_force(settings, reference)
                sites = registry_in_force(settings, in_files).sites
                done = restate(Restatements(client), reference, edition_files(given), sites)
                send_records(settings, RESTATEMENTS, done.differences, f"publish {reference.version}")
                click.echo("\n".join(told(done, reference.version, dry=False)))
            if hours is not None:
                store_intensity(client, hours)
                rows = list(intensity_rows(hours))
                asyncio.run(send_rows(_brokers(settings), rows, prefix=settings.topic_prefix))
                click.echo(f"intensity: {hours.height:,} hours of {hours['region_code'].n_unique()} regions")
        finally:
            client.close()
    except (ReferenceDataError, SinkError, BrokerTrouble, RegistryTopicError) as error:
        raise click.ClickException(str(error)) from error


@command.command("show")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@settings_flags(("config", "kafka_url", "topic_prefix"))
def show(flags: Flags, *, as_json: bool) -> None:
    """Show the edition in force, and whether a publication is under way.

    \b
    Example:
      wattloop reference show
    """
    quiet_clients()
    settings, _ = load_configuration(flags, os.environ, want_registry=False)
    if settings.kafka_url is None:
        raise click.UsageError("--kafka-url is needed")
    try:
        state = asyncio.run(read_all(_brokers(settings), prefix=settings.topic_prefix))
    except RegistryTopicError as error:
        raise click.ClickException(str(error)) from error
    published = state.in_force
    about = {
        "reference_version": REFERENCE_VERSION if published is None else published.version,
        "published": published is not None,
        "regions": len(state.regions),
        "plans": sorted(state.plans),
        "complete": state.is_complete,
    }
    if as_json:
        click.echo(json.dumps(about))
        return
    of = f"published, {len(state.regions)} regions, {len(state.plans)} plans" if published else "of the release"
    click.echo(f"{about['reference_version']}: {of}")
    if not state.is_complete:
        click.echo("another edition is on the topics in part: publish it again to put it in force")


def _brokers(settings: Settings) -> list[str]:
    return list(broker_addresses(settings.kafka_url or ""))


def _composed(settings: Settings, given: dict[str, Path], edition: str | None, *, over_release: bool) -> Reference:
    """Return the whole edition: its name says its date and what is in it."""
    release = Reference(load_factors(), load_tariffs(), REFERENCE_VERSION)
    held: Published | None = None
    if given and not over_release:
        held = asyncio.run(read_all(_brokers(settings), prefix=settings.topic_prefix)).in_force
    base = release if held is None else Reference(held.factors, held.plans, held.version)
    if not given:
        return base
    mixed = with_files(base, given, edition or "")
    regions = {region.id: region for region in regions_of(mixed.factors)}
    # Named by all its rows: the same files over another edition are another edition.
    version = f"{edition}+{digest_of(regions, mixed.plans)[:12]}"
    return Reference(factors_of(tuple(regions.values()), version), mixed.plans, version)


def _put_in_force(settings: Settings, reference: Reference) -> None:
    regions = {region.id: region for region in regions_of(reference.factors)}
    written = asyncio.run(
        publish(
            _brokers(settings),
            regions,
            reference.plans,
            reference.version,
            prefix=settings.topic_prefix,
            replication_factor=settings.replication_factor,
        )
    )
    how = f"in force, {written} records written" if written else "in force already"
    click.echo(f"{reference.version}: {how}")


def intensity_rows(hours: pl.DataFrame) -> Iterator[tuple[str, bytes]]:
    """Yield the records of an intensity series: one per region and UTC day.

    Parameters
    ----------
    hours
        `streams.carbon_statement.INTENSITY`, hours as moments.
    """
    days = hours.sort("region_code", "hour").with_columns(day=pl.col("hour").dt.strftime("%Y-%m-%d"))
    for (region, day), rows in days.partition_by("region_code", "day", as_dict=True, maintain_order=True).items():
        name = f"{INTENSITY_PREFIX}{region}/{day}"
        hourly = rows.select(pl.col("hour").dt.epoch("ms").alias("ts"), "grid_share", "grid_kg_per_kwh").to_dicts()
        yield name, json.dumps({"id": name, "region_code": region, "day": day, "hours": hourly}).encode()
