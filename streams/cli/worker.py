"""`wattloop worker`: the production entry, on a Kafka broker and a history store that exist already."""

import os
import sys

import click

from schemas.problem import ConfigurationError, Problem
from streams import logs
from streams.cli.flags import Flags, settings_flags
from streams.cli.loop import run_loop
from streams.configuration import load_configuration
from streams.local_state import StateInUse
from streams.worker import Worker


@click.command("worker")
@settings_flags()
def command(flags: Flags) -> None:
    """Run one worker: ingest, agents and storing. Start as many as you like; they share the partitions.

    \b
    Example:
      WATTLOOP_KAFKA_URL=kafka://broker:9092 \\
      WATTLOOP_CLICKHOUSE_URL=https://user:password@clickhouse:8443/wattloop wattloop worker
    """
    settings, _ = load_configuration(flags, os.environ, want_registry=False)
    if settings.kafka_url is None:
        expected = "expected the address of a broker, kafka://host:port; `wattloop run` brings an embedded one"
        raise ConfigurationError([Problem("settings", expected, path="kafka_url")])
    logs.configure(settings.log_level, settings.log_format)
    try:
        sys.exit(run_loop(Worker(settings, settings.kafka_url).run()))
    except StateInUse as error:
        raise click.ClickException(str(error)) from error
