"""`wattloop learn`: detectors and advice begin with what the history already holds."""

import asyncio
import os
from collections.abc import Sequence
from datetime import datetime

import click
from aiokafka import AIOKafkaProducer

from schemas.problem import ConfigurationError
from schemas.registry import Registry, Site
from schemas.topics import METER_HISTORY
from sinks.clickhouse.client import connect
from sinks.clickhouse.errors import SinkError
from sinks.clickhouse.migrate import migrate
from streams.broker import partition_for
from streams.broker_admin import BrokerTrouble, named_trouble
from streams.cli.flags import Flags, settings_flags
from streams.cli.registry import NO_BROKER
from streams.cli.topics import quiet_clients
from streams.configuration import load_configuration
from streams.frame.codec import batch_value
from streams.ingest.poll import ARROW_TYPE
from streams.learning import history_of, messages_of
from streams.leaving import leave
from streams.publishing import registry_in_force
from streams.registry_topic import RegistryTopicError
from streams.settings import Settings, broker_addresses

FIELDS = ("config", "kafka_url", "clickhouse_url", "data_dir", "topic_prefix", "partitions")
_DAYS = 120  # of which creeping stand-by needs 87


@click.command("learn")
@click.argument("site_ids", metavar="SITE...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every site of the registry.")
@click.option("--days", type=click.IntRange(1, 390), default=_DAYS, show_default=True, help="How far back, in days.")
@settings_flags(FIELDS)
def command(flags: Flags, *, site_ids: tuple[str, ...], everything: bool, days: int) -> None:
    """Let detectors and advice learn from the history: what they lived through is not waited for again.

    Reads quarter hours of the sites from the history, up to their last midnight, and sends them on meter.history.v1.
    Workers live through them beside the present and take over what was learnt, unless they know more already. Nothing
    is told of the past, what is open stays open. Asking again does no harm. Weather and production are not sent.

    Exit code: 0, 1 if the broker or the history cannot be used, 2 if something does not fit.

    \b
    Examples:
      wattloop learn zj-steel
      wattloop learn --all --days 200
    """
    quiet_clients()
    settings, _ = load_configuration(flags, os.environ, want_registry=False)
    if settings.kafka_url is None:
        raise ConfigurationError([NO_BROKER])
    try:
        sites = _chosen(registry_in_force(settings, Registry()), site_ids, everything=everything)
        with named_trouble(settings.kafka_url):
            asyncio.run(_send(settings, sites, days))
    except (SinkError, RegistryTopicError, BrokerTrouble) as error:
        raise click.ClickException(str(error)) from error


def _chosen(registry: Registry, names: Sequence[str], *, everything: bool) -> list[Site]:
    known = {site.id: site for site in registry.sites}
    unknown = sorted(set(names) - known.keys())
    if unknown:
        raise click.UsageError(
            f"not in the registry: {', '.join(unknown)}; known: {', '.join(sorted(known)) or 'none'}"
        )
    if everything == bool(names):
        raise click.UsageError("expected either sites, or --all")
    return list(known.values()) if everything else [known[name] for name in dict.fromkeys(names)]


async def _send(settings: Settings, sites: Sequence[Site], days: int) -> None:
    url = settings.kafka_url or ""
    producer = AIOKafkaProducer(bootstrap_servers=list(broker_addresses(url)), client_id="wattloop", acks="all")
    client = connect(settings.clickhouse_dsn)
    await producer.start()
    try:
        migrate(client)
        for site in sites:
            history = history_of(client, site, datetime.now(site.zone_info).date(), days)
            partition = partition_for(site.id, settings.partitions)
            for rows in messages_of(history):
                headers = [("content-type", ARROW_TYPE.encode())]
                # One after the other: what is learnt has to come in the order in which it was.
                await producer.send_and_wait(
                    settings.topic_name(METER_HISTORY), batch_value(rows), site.id.encode(), partition, headers=headers
                )
            meters = history["meter_id"].n_unique() - 1
            said = f"{len(history) - 1:,} quarter hours of {meters} meters" if len(history) else "nothing is stored"
            click.echo(f"{site.id}: {said}")
    finally:
        client.close()
        await leave(producer)
