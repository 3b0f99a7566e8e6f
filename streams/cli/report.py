"""`wattloop report`: the month of a site."""

import os
from datetime import date
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
from streams.site_report import month_report

FIELDS = ("config", "kafka_url", "clickhouse_url", "data_dir", "topic_prefix", "registry")


class Month(click.ParamType):
    """A month, as ISO 8601 writes it."""

    name = "YYYY-MM"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Return its first day."""
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(f"{value}-01")
        except ValueError:
            return self.fail(f"{value!r} is no month; expected one like 2026-10", param, ctx)


@click.command("report")
@click.argument("site_id", metavar="SITE")
@click.option("--month", type=Month(), required=True, help="Local month of the site, e.g. 2026-10.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory to write SITE-MONTH.md, .csv and .parquet to.",
)
@settings_flags(FIELDS)
def command(flags: Flags, *, site_id: str, month: date, out: Path | None) -> None:
    """Print the month of a site: cost, both Scope 2 lines, tariff periods, meters, peaks and days.

    Every figure is a sum of the history; what is not known is said, and never 0. CSV and Parquet hold one row per
    figure.

    \b
    Example:
      wattloop report js-textiles --month 2026-10 --out reports/
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
        client = connect(settings.clickhouse_dsn)
        try:
            migrate(client)
            found = month_report(client, site, month)
        finally:
            client.close()
    except (SinkError, RegistryTopicError) as error:
        raise click.ClickException(str(error)) from error
    if found is None:
        raise click.ClickException(f"nothing is stored of {site_id} in {month:%Y-%m}")
    click.echo(found.markdown, nl=False)
    if out is not None:
        for path in found.write(out):
            click.echo(f"wrote {path}", err=True)
