"""`wattloop run`: everything in one command, embedded by default."""

import asyncio
import os
import signal
import sys

import click
from rich.console import Console

from schemas.registry import Registry
from streams import logs
from streams.cli.flags import Flags, settings_flags
from streams.cli.loop import run_loop
from streams.configuration import load_configuration
from streams.run.supervisor import Supervisor
from streams.settings import Settings


@click.command("run")
@click.option(
    "--speed",
    type=click.FloatRange(min=1, max=1_000_000),
    default=1800.0,
    show_default=True,
    help="How many times faster than real the recorded loads are replayed.",
)
@click.option(
    "--days",
    type=click.FloatRange(min=0, max=366),
    default=30.0,
    show_default=True,
    help="How many days back the first run starts; later runs go on where the last one ended.",
)
@click.option(
    "--replay/--no-replay",
    default=None,
    help="Send recorded loads. By default only with the demo registry, whose meters they belong to.",
)
@settings_flags()
def command(flags: Flags, speed: float, days: float, replay: bool | None) -> None:
    """Run it all: broker, history, pipeline, three demo factories as a replay of recorded loads, a simulated building.

    Without any setting the broker and the history are embedded. With WATTLOOP_KAFKA_URL and WATTLOOP_CLICKHOUSE_URL
    the same command runs on real servers.

    \b
    Examples:
      wattloop run
      wattloop run --speed 3600 --days 7
      wattloop run --registry plants/ --broker-port 9092
    """
    settings, registry = load_configuration(flags, os.environ, want_registry=True)
    logs.configure(settings.log_level, settings.log_format)
    wanted = settings.registry is None if replay is None else replay
    sys.exit(run_loop(_run(settings, registry, speed if wanted else None, days)))


async def _run(settings: Settings, registry: Registry, speed: float | None, days: float) -> int:
    supervisor = Supervisor(settings, registry, speed, days, Console())
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, supervisor.stop)
    return await supervisor.run()
