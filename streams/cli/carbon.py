"""`wattloop carbon`: the carbon statement of a year."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click
import polars as pl

from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_lifecycle
from schemas.reference.problems import ReferenceDataError
from sinks.clickhouse.client import connect
from sinks.clickhouse.errors import SinkError
from sinks.clickhouse.intensity import stored_intensity
from sinks.clickhouse.migrate import migrate
from streams.carbon_statement import Statement, read_intensity, statement
from streams.cli.flags import Flags, settings_flags
from streams.cli.topics import quiet_clients
from streams.configuration import effective_settings, load_configuration
from streams.publishing import registry_in_force
from streams.registry_topic import RegistryTopicError

FIELDS = ("config", "kafka_url", "clickhouse_url", "data_dir", "topic_prefix", "registry")


@click.command("carbon")
@click.option("--year", type=click.IntRange(1990, 2100), required=True, help="Reporting year, in local time.")
@click.option(
    "--intensity",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV of the grid by hour: region_code, hour, grid_share, grid_kg_per_kwh; else what was published.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@settings_flags(FIELDS)
def command(flags: Flags, *, year: int, intensity: Path | None, as_json: bool) -> None:
    """Settle a year: Scope 2 by location and by market, Scope 1, purchased heat; avoided emissions apart.

    Certificates are given out here, never twice and never beyond what was drawn; what cannot be used is said with the
    reason. The carbon-free score counts generation only in the hour in which it was used.

    \b
    Example:
      wattloop carbon --year 2026
    """
    quiet_clients()
    on_broker = effective_settings(flags, os.environ).settings.kafka_url is not None
    settings, in_files = load_configuration(flags, os.environ, want_registry=not on_broker)
    try:
        registry = registry_in_force(settings, in_files)
        by_hour = None if intensity is None else read_intensity(intensity)
        client = connect(settings.clickhouse_dsn)
        try:
            migrate(client)
            by_hour = stored_intensity(client, year) if by_hour is None else by_hour
            found = statement(client, registry, load_factors(), load_lifecycle(), year, intensity=by_hour)
        finally:
            client.close()
    except (ReferenceDataError, SinkError, RegistryTopicError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(_document(found), indent=2) if as_json else "\n".join(_told(found)))


def _document(found: Statement) -> dict[str, object]:
    return {
        "reference_version": REFERENCE_VERSION,
        "scope_2": [asdict(site) for site in found.settlement.sites],
        "excess_kwh": dict(found.settlement.excess_kwh),
        "refused": dict(found.settlement.refused),
        "activities": found.by_activity.to_dicts(),
        "avoided": {site: asdict(one) for site, one in found.avoided.items()},
        "carbon_free": found.carbon_free.to_dicts(),
    }


def _told(found: Statement) -> Iterator[str]:
    if not found.settlement.sites:
        yield "nothing is stored of this year"
    for site in found.settlement.sites:
        yield f"{site.site_id}, {site.year}: {site.import_kwh:,.3f} kWh drawn"
        yield f"  Scope 2 by location  {_kg(site.location_kg)}"
        yield f"  Scope 2 by market    {_kg(site.market_kg)}"
        for line in site.lines:
            yield f"    {line.part} {line.instrument}".ljust(34) + f"{line.kwh:>16,.3f} kWh  {_kg(line.kg)}"
        for row in found.by_activity.filter(pl.col("site_id") == site.site_id).iter_rows(named=True):
            yield f"  Scope {row['scope']} ({row['gas']})".ljust(23) + _kg(row["emitted_kg"])
        if site.site_id in found.avoided:
            one = found.avoided[site.site_id]
            yield f"  avoided by {one.generated_kwh:,.3f} kWh of generation, outside the inventory: {_kg(one.kg)}"
            yield f"    against {one.baseline}; less its life cycle: {_kg(one.net_kg)}"
        for row in found.carbon_free.filter(
            pl.col("site_id") == site.site_id, pl.col("period") == str(site.year)
        ).iter_rows(named=True):
            shares = (row["strict_score"], row["score"], row["volume_score"])
            strict, with_grid, volume = ("?" if one is None else f"{one:.1%}" for one in shares)
            yield f"  carbon-free by hour {strict} (with the grid's share {with_grid}); by annual volume {volume}"
    for name, kwh in found.settlement.excess_kwh.items():
        yield f"excess: {name} has {kwh:,.3f} kWh beyond what was drawn; they earn nothing"
    for name, why in found.settlement.refused.items():
        yield f"refused: {name}: {why}"
    yield f"reference data {REFERENCE_VERSION}"


def _kg(kg: float | None) -> str:
    return "?".rjust(16) if kg is None else f"{kg:>16,.3f} kg"
