"""`wattloop savings`: what measures save at a site, as far as it is shown."""

import json
import os
from collections.abc import Iterator, Mapping

import click

from sinks.clickhouse.client import connect
from sinks.clickhouse.errors import SinkError
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.savings import newest
from streams.cli.flags import Flags, settings_flags
from streams.cli.topics import quiet_clients
from streams.configuration import effective_settings, load_configuration
from streams.publishing import registry_in_force
from streams.registry_topic import RegistryTopicError

FIELDS = ("config", "kafka_url", "clickhouse_url", "data_dir", "topic_prefix", "registry")
_AMOUNTS = (("saved_cny", "CNY"), ("saved_kg", "kg CO2 location-based"), ("market_saved_kg", "kg CO2 market-based"))


@click.command("savings")
@click.argument("site_id", metavar="SITE")
@click.option("--zh", is_flag=True, help="Sentences in Chinese.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per site and zone, with every field.")
@settings_flags(FIELDS)
def command(flags: Flags, *, site_id: str, zh: bool, as_json: bool) -> None:
    """Print what measures save at a site and in its zones: shown, with an interval, or not shown yet.

    A saving is measured by an experiment (blocks of days with and without the controller) or against the days before a
    measure began. Energy, money and carbon are given only once the interval excludes that nothing is saved.

    Exit code: 0, 1 if the history or the registry cannot be read, or the site is unknown.

    \b
    Examples:
      wattloop savings sim-building
      wattloop savings sim-building --zh
      wattloop savings sim-building --json
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
            found = newest(client, site.tenant, site.id)
        finally:
            client.close()
    except (SinkError, RegistryTopicError) as error:
        raise click.ClickException(str(error)) from error
    if found.is_empty():
        click.echo(f"nothing is measured at {site_id}: no zone is in mode act, and no measure_started_on is given")
    for row in found.iter_rows(named=True):
        if as_json:
            click.echo(json.dumps(row, default=str, ensure_ascii=False))
        else:
            click.echo("\n".join(said(row, zh=zh)))


def said(row: Mapping[str, object], *, zh: bool = False) -> Iterator[str]:
    """Yield what is known of a site or zone in lines, from a row of `v_savings`.

    Examples
    --------
    >>> row = {"message_en": "Hall: 9.8% saved (between 6.1% and 13.5%), 812 kWh, measured in 30 pairs of blocks.",
    ...        "from_day": "2026-08-03", "to_day": "2026-10-01", "method": "switchback", "saved_cny": 512.4,
    ...        "saved_kg": 418.4, "market_saved_kg": None, "cv_rmse": None}
    >>> print("\\n".join(said(row)))
    Hall: 9.8% saved (between 6.1% and 13.5%), 812 kWh, measured in 30 pairs of blocks.
      switchback, 2026-08-03 to 2026-10-01; 512 CNY, 418 kg CO2 location-based
    """
    yield str(row["message_zh" if zh else "message_en"])
    parts = [f"{value:,.0f} {unit}" for name, unit in _AMOUNTS if isinstance(value := row[name], int | float)]
    line = f"  {row['method']}, {row['from_day']} to {row['to_day']}"
    yield f"{line}; {', '.join(parts)}" if parts else line
    if isinstance(cv_rmse := row["cv_rmse"], float):
        uncertainty = row["fractional_uncertainty"]
        fitted = f"  Guideline 14: CV(RMSE) {cv_rmse:.3f}, NMBE {row['nmbe']:.1e}"
        known = isinstance(uncertainty, float)
        yield f"{fitted}, fractional uncertainty {uncertainty:.2f}" if known else fitted
