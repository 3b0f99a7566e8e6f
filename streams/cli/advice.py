"""`wattloop advice`: what a site could do, what it would save, and what became of it."""

import json
import os
from collections.abc import Iterator, Mapping

import click

from sinks.clickhouse.advice import measures
from sinks.clickhouse.client import connect
from sinks.clickhouse.errors import SinkError
from sinks.clickhouse.migrate import migrate
from streams.cli.flags import Flags, settings_flags
from streams.cli.topics import quiet_clients
from streams.configuration import effective_settings, load_configuration
from streams.publishing import registry_in_force
from streams.registry_topic import RegistryTopicError

FIELDS = ("config", "kafka_url", "clickhouse_url", "data_dir", "topic_prefix", "registry")
_ENDS = (("saved_kwh", "kWh"), ("saved_cny", "CNY"), ("saved_kg", "kg CO2"))


@click.command("advice")
@click.argument("site_id", metavar="SITE")
@click.option("--zh", is_flag=True, help="Sentences in Chinese.")
@click.option("--withdrawn", is_flag=True, help="Also measures the load gave no more reason for.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per measure, with every field.")
@settings_flags(FIELDS)
def command(flags: Flags, *, site_id: str, zh: bool, withdrawn: bool, as_json: bool) -> None:
    """Print what a site could do: savings of a year as ranges, what they rest on, and what meters say of what was done.

    Measures that may still be done come first, the largest saving on top. People answer on anomaly.feedback.v1 with the
    id: accepted, declined or done.

    Exit code: 0, 1 if the history or the registry cannot be read, or the site is unknown.

    \b
    Examples:
      wattloop advice zj-steel
      wattloop advice zj-steel --zh --withdrawn
      wattloop advice zj-steel --json
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
            found = measures(client, site.tenant, site.id, ended=withdrawn)
        finally:
            client.close()
    except (SinkError, RegistryTopicError) as error:
        raise click.ClickException(str(error)) from error
    if found.is_empty():
        click.echo(f"no advice for {site_id}: a site is looked at once three weeks of its load are known")
    for row in found.iter_rows(named=True):
        if as_json:
            click.echo(json.dumps(row, default=str, ensure_ascii=False))
        else:
            click.echo("\n".join(said(row, zh=zh)) + "\n")


def said(row: Mapping[str, object], *, zh: bool = False) -> Iterator[str]:
    """Yield a measure in lines, from a row of `v_advice`."""
    language = "zh" if zh else "en"
    yield f"{row['kind']} ({row['status']}) {row['advice_id']}"
    yield f"  {row[f'message_{language}']}"
    parts = [f"{text} {unit}" for name, unit in _ENDS if (text := span(row, name))]
    line = f"  a year: {', '.join(parts)}"
    if investment := span(row, "investment_cny"):
        line += f"; to invest: {investment} CNY"
        line += f", back in {years} years" if (years := span(row, "payback_years")) else ""
    yield line
    yield f"  {row[f'assumptions_{language}']}"
    yield f"  evidence of {row['evidence_days']} days: {row['evidence']}; anomalies behind it: {row['anomalies']}"


def span(row: Mapping[str, object], name: str) -> str:
    """Write a range of a row; empty where it is not known.

    Examples
    --------
    >>> span({"saved_kwh_low": 14406.6, "saved_kwh_high": 29965.7}, "saved_kwh")
    '14,407 to 29,966'
    >>> span({"payback_years_low": 2.54, "payback_years_high": 6.39}, "payback_years")
    '2.5 to 6.4'
    >>> span({"saved_kg_low": None, "saved_kg_high": None}, "saved_kg")
    ''
    """
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return ""
    digits = 0 if max(abs(low), abs(high)) >= 100 or not high else 1
    return f"{low:,.{digits}f} to {high:,.{digits}f}" if low != high else f"{low:,.{digits}f}"
