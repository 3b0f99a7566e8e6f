"""`wattloop compare`: a site beside its own past and beside others."""

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click

from sinks.clickhouse.client import connect
from sinks.clickhouse.errors import SinkError
from sinks.clickhouse.migrate import migrate
from streams.cli.flags import Flags, settings_flags
from streams.cli.topics import quiet_clients
from streams.configuration import effective_settings, load_configuration
from streams.publishing import registry_in_force
from streams.registry_topic import RegistryTopicError
from streams.site_comparison import site_comparison

FIELDS = ("config", "kafka_url", "clickhouse_url", "data_dir", "topic_prefix", "registry")


@click.command("compare")
@click.argument("site_id", metavar="SITE")
@click.option(
    "--on",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Last local day of the periods, e.g. 2026-10-31; yesterday without it.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory to write SITE-compared-DAY.md, .csv and .parquet to.",
)
@settings_flags(FIELDS)
def command(flags: Flags, *, site_id: str, on: datetime | None, out: Path | None) -> None:
    """Compare a site with its own day, week, month and year before, and with others of its sector.

    Where weather and production are known, the earlier period is moved to those of the later one; where not, it says
    why. Of others only sums of enough tenants are shown.

    \b
    Example:
      wattloop compare js-textiles --on 2026-10-31 --out reports/
    """
    quiet_clients()
    on_broker = effective_settings(flags, os.environ).settings.kafka_url is not None
    settings, in_files = load_configuration(flags, os.environ, want_registry=not on_broker)
    try:
        registry = registry_in_force(settings, in_files)
        site = next((one for one in registry.sites if one.id == site_id), None)
        if site is None:
            known = ", ".join(sorted(one.id for one in registry.sites)) or "none"
            raise click.ClickException(f"site {site_id!r} is not in the registry; known: {known}")
        day = on.date() if on is not None else _yesterday(datetime.now(UTC).astimezone(site.zone_info).date())
        client = connect(settings.clickhouse_dsn)
        try:
            migrate(client)
            found = site_comparison(client, site, day)
        finally:
            client.close()
    except (SinkError, RegistryTopicError) as error:
        raise click.ClickException(str(error)) from error
    if found is None:
        raise click.ClickException(f"nothing is stored of {site_id} on {day:%Y-%m-%d}")
    click.echo(found.markdown, nl=False)
    if out is not None:
        for path in found.write(out):
            click.echo(f"wrote {path}", err=True)


def _yesterday(today: date) -> date:
    return today - timedelta(days=1)
