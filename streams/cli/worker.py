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
from streams.processes import Processes, check_processes
from streams.worker import Worker


@click.command("worker")
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Run N worker processes that share the partitions; a worker uses one core. Needs a ClickHouse server.",
)
@click.option("--process", type=int, hidden=True, help="Number of this process among several.")
@settings_flags()
def command(flags: Flags, processes: int, process: int | None) -> None:
    """Run a worker: ingest, agents and storing. Start as many as you like; they share the partitions.

    With --processes the command answers for all of them on the admin port, and ends when one of them ends.

    \b
    Examples:
      WATTLOOP_KAFKA_URL=kafka://broker:9092 \\
      WATTLOOP_CLICKHOUSE_URL=https://user:password@clickhouse:8443/wattloop wattloop worker
      wattloop worker --processes 4     (with the same settings: four processes)
    """
    settings, _ = load_configuration(flags, os.environ, want_registry=False)
    if settings.kafka_url is None:
        expected = "expected the address of a broker, kafka://host:port; `wattloop run` brings an embedded one"
        raise ConfigurationError([Problem("settings", expected, path="kafka_url")])
    check_processes(settings, processes)
    logs.configure(settings.log_level, settings.log_format, process)
    if processes > 1:
        sys.exit(run_loop(Processes(settings, processes, os.environ).run()))
    try:
        sys.exit(run_loop(Worker(settings, settings.kafka_url, migrates=not process).run()))
    except StateInUse as error:
        raise click.ClickException(str(error)) from error
