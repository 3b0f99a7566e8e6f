"""`wattloop restate`: what is stored, with another edition of the reference data, beside the figures there are."""

import json
import os
import re
from collections.abc import Iterator
from importlib.resources import files as packaged
from pathlib import Path

import click

from agents.pricing.pricing import Reference
from schemas.reference.catalogue import (
    FACTORS_FILE,
    REFERENCE_VERSION,
    REGIONS_FILE,
    TARIFFS_FILE,
    load_factors,
    load_tariffs,
)
from schemas.reference.problems import ReferenceDataError
from schemas.registry import Registry, Site
from schemas.topics import RESTATEMENTS
from sinks.clickhouse.client import connect
from sinks.clickhouse.errors import SinkError
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.restatements import Restatements
from streams.broker_admin import BrokerTrouble
from streams.cli.flags import Flags, settings_flags
from streams.cli.topics import quiet_clients
from streams.configuration import effective_settings, load_configuration
from streams.publishing import registry_in_force, send_records
from streams.registry_topic import RegistryTopicError
from streams.replay.period import shown
from streams.replay.what_if import FACTORS, TARIFFS, with_files
from streams.restate import Restated, restate

FIELDS = ("config", "kafka_url", "clickhouse_url", "data_dir", "topic_prefix", "partitions", "registry")
_SHIPPED = (FACTORS_FILE, REGIONS_FILE, TARIFFS_FILE)
_EDITION = re.compile(r"\d{4}-\d{2}-\d{2}")
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


def an_edition(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    """Take the date of an edition."""
    if text is not None and not _EDITION.fullmatch(text):
        raise click.BadParameter(f"expected its date such as 2026-12-01, got {text!r}")
    return text


def _a_month(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    if text and not _MONTH.fullmatch(text):
        raise click.BadParameter(f"expected a month such as 2026-07, got {text!r}")
    return text


@click.command("restate")
@click.option("--factors", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="CSV of new factors.")
@click.option("--tariffs", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="JSON of new plans.")
@click.option("--edition", callback=an_edition, metavar="DATE", help="Date of the edition the files belong to.")
@click.option("--from", "first", default="", callback=_a_month, metavar="MONTH", help="First local month.")
@click.option("--to", "last", default="9999-12", callback=_a_month, metavar="MONTH", help="Last local month.")
@click.option("--only", multiple=True, metavar="SITE", help="Only this site; may be given again.")
@click.option("--dry-run", "dry", is_flag=True, help="Show the differences and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@settings_flags(FIELDS)
def command(
    flags: Flags,
    *,
    factors: Path | None,
    tariffs: Path | None,
    edition: str | None,
    first: str,
    last: str,
    only: tuple[str, ...],
    dry: bool,
    as_json: bool,
) -> None:
    """Restate stored energy with another edition of factors and tariffs, beside the figures that stand.

    Nothing is overwritten: old figures stay in their tables, and v_site_15min_as_of shows what was known on a day. The
    differences by site and month go to v_restatements and, with a broker, to restatements.v1. Without files the
    edition of this release is used, which is what to do after an upgrade that brings new factors.

    \b
    Examples:
      wattloop restate --factors 2024.csv --edition 2026-12-28 --dry-run
      wattloop restate --factors 2024.csv --edition 2026-12-28 --from 2026-01 --to 2026-12
    """
    given = {name: path for name, path in ((FACTORS, factors), (TARIFFS, tariffs)) if path is not None}
    if bool(given) != bool(edition):
        raise click.UsageError("--edition is the date of the files: give both or neither")
    quiet_clients()
    on_broker = effective_settings(flags, os.environ).settings.kafka_url is not None
    settings, registry = load_configuration(flags, os.environ, want_registry=not on_broker)
    try:
        reference = Reference(load_factors(), load_tariffs(), REFERENCE_VERSION)
        if given:
            reference = with_files(reference, given, edition or "")
        sites = _chosen(registry_in_force(settings, registry), only)
        client = connect(settings.clickhouse_dsn)
        try:
            migrate(client)
            done = restate(Restatements(client), reference, edition_files(given), sites, months=(first, last), dry=dry)
        finally:
            client.close()
        if not dry:
            send_records(settings, RESTATEMENTS, done.differences, f"restate {reference.version}")
    except (ReferenceDataError, SinkError, BrokerTrouble, RegistryTopicError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        rows = done.differences.to_dicts()
        click.echo(json.dumps({"reference_version": reference.version, "quarters": done.quarters, "differences": rows}))
        return
    click.echo("\n".join(told(done, reference.version, dry=dry)))


def _chosen(registry: Registry, only: tuple[str, ...]) -> list[Site]:
    sites = [site for site in registry.sites if not only or site.id in only]
    unknown = sorted(set(only) - {site.id for site in sites})
    if unknown:
        raise click.UsageError(f"there is no site {', '.join(unknown)} in the registry")
    return sites


def edition_files(given: dict[str, Path]) -> dict[str, str]:
    """Return the files of an edition as they are: those of the release, and those given beside them."""
    folder = packaged("schemas.reference")
    shipped = {name: folder.joinpath(name).read_text(encoding="utf-8") for name in _SHIPPED}
    return shipped | {f"--{kind} {path.name}": path.read_text(encoding="utf-8") for kind, path in given.items()}


def told(done: Restated, version: str, *, dry: bool) -> Iterator[str]:
    """Yield what a restatement did, for people."""
    cells = [("site", "month", "kWh", "kg", "was", "kg by market", "was", "CNY", "was")]
    columns = ("emitted_kg", "market_emitted_kg", "cost_cny")
    for row in done.differences.iter_rows(named=True):
        figures = [text for name in columns for text in (_number(row[name]), _number(row[f"former_{name}"]))]
        cells.append((row["site_id"], row["period"], _number(row["import_kwh"]), *figures))
    if len(cells) > 1:
        widths = [max(len(line[place]) for line in cells) for place in range(len(cells[0]))]
        for line in cells:
            texts = [
                cell.ljust(width) if place < 2 else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            yield "  ".join(texts).rstrip()
    how = "would be restated" if dry else f"restated, known from {shown(done.known_from)}"
    yield f"{version}: {done.quarters:,} quarter hours {how}; {done.differences.height} months of sites differ"


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:,.3f}"
