"""`wattloop migrate`: brings the tables of the history store up to this release."""

import os

import click

from sinks.clickhouse.client import connect
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.peers import set_rules
from sinks.clickhouse.retention import keep
from streams.cli.flags import Flags, settings_flags
from streams.configuration import load_configuration
from streams.settings import Settings

KEPT = tuple(name for name in Settings.model_fields if name.startswith("keep_"))


@click.command("migrate")
@settings_flags(("config", "clickhouse_url", "data_dir", *KEPT, "peer_min_tenants", "peer_max_share"))
def command(flags: Flags) -> None:
    """Create or update the tables of the history store, and set how long they keep their rows.

    Running it again changes nothing.

    \b
    Example:
      wattloop migrate --clickhouse-url https://user:password@clickhouse:8443/wattloop
    """
    settings, _ = load_configuration(flags, os.environ, want_registry=False)
    client = connect(settings.clickhouse_dsn)
    try:
        applied = migrate(client)
        kept = keep(client, settings.retention)
        rules_changed = set_rules(client, settings.peer_rules)
    finally:
        client.close()
    for one in applied:
        click.echo(f"applied {one}")
    if kept:
        click.echo(f"set how long rows are kept in {', '.join(kept)}")
    if rules_changed:
        click.echo(f"set that sites are compared with at least {settings.peer_min_tenants} other tenants")
    click.echo(f"{len(applied)} migrations applied; the tables are those of this release")
