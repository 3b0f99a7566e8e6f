"""`wattloop activity`: fuels that were burned and heat that was bought."""

import os
from pathlib import Path

import click
import polars as pl

from schemas.problem import ConfigurationError
from schemas.topics import ACTIVITY
from sinks.clickhouse.carbon import store_activities
from sinks.clickhouse.client import connect
from sinks.clickhouse.errors import SinkError
from sinks.clickhouse.migrate import migrate
from streams.activity_file import read_activities
from streams.broker_admin import BrokerTrouble
from streams.cli.flags import Flags, settings_flags
from streams.cli.topics import quiet_clients
from streams.configuration import effective_settings, load_configuration
from streams.publishing import registry_in_force, send_records
from streams.registry_topic import RegistryTopicError

FIELDS = ("config", "kafka_url", "clickhouse_url", "data_dir", "topic_prefix", "partitions", "registry")


@click.group("activity")
def command() -> None:
    """Fuels and purchased heat: Scope 1, and the heat of Scope 2.

    \b
    Example:
      wattloop activity import fuel-2026-06.csv
    """


@command.command("import")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", "dry", is_flag=True, help="Check the file and write nothing.")
@settings_flags(FIELDS)
def import_file(flags: Flags, *, path: Path, dry: bool) -> None:
    """Import activities from a CSV file, all of them or none.

    The columns are id, site_id, fuel, quantity, unit, first_day, last_day and, if wanted, basis. An id that was
    imported before is replaced. Everything that is wrong is said with its row and field; the exit code is then 2.

    \b
    Example:
      wattloop activity import fuel-2026-06.csv --dry-run
    """
    quiet_clients()
    on_broker = effective_settings(flags, os.environ).settings.kafka_url is not None
    settings, in_files = load_configuration(flags, os.environ, want_registry=not on_broker)
    try:
        registry = registry_in_force(settings, in_files)
        rows, problems = read_activities(path, {site.id: site for site in registry.sites})
        if problems:
            raise ConfigurationError(problems)
        if not dry:
            client = connect(settings.clickhouse_dsn)
            try:
                migrate(client)
                store_activities(client, rows)
            finally:
                client.close()
            send_records(settings, ACTIVITY, rows, f"activity import {path.name}")
    except (SinkError, BrokerTrouble, RegistryTopicError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"activities: {rows.height}, {'all right; nothing was written' if dry else 'imported'}")
    for scope, kg in rows.group_by("scope").agg(pl.col("emitted_kg").sum()).sort("scope").iter_rows():
        click.echo(f"scope {scope}: {kg:,.3f} kg")
