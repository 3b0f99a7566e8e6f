"""`wattloop hvac-gateway`: the reference consumer of hvac.setpoints.v1, on BACnet/IP."""

import os
import sys
import time
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from importlib import import_module
from importlib.util import find_spec

import click

from schemas.ack import Ack
from schemas.problem import ConfigurationError, Problem
from streams import logs
from streams.cli.flags import Flags, settings_flags
from streams.cli.loop import run_loop
from streams.cli.registry import NO_BROKER
from streams.configuration import load_configuration
from streams.hvac_gateway.gateway import Gateway
from streams.hvac_gateway.journal import Journal, JournalError
from streams.hvac_gateway.plant import Plant, PlantError, Rehearsal
from streams.hvac_gateway.service import Service
from streams.settings import Settings

FIELDS = (
    "config",
    "kafka_url",
    "data_dir",
    "topic_prefix",
    "partitions",
    "admin_host",
    "admin_port",
    "instance_id",
    "log_level",
    "log_format",
)
_MISSING = "bacpypes3 is not installed; expected the extra `bacnet`: pip install 'wattloop[bacnet]'"


@click.command("hvac-gateway")
@click.option("--dry-run", is_flag=True, help="Print one line per decision; write nothing to plant, topics or disk.")
@click.option("--give-back", is_flag=True, help="Empty what an earlier run left in the plant, and end.")
@click.option("--site", "sites", multiple=True, metavar="ID", help="Serve this site only; may be given several times.")
@click.option(
    "--bacnet-address",
    metavar="ADDRESS",
    help="Our own address on BACnet/IP: IPv4 with the length of its network, 192.0.2.5/24 or 192.0.2.5/24:47809.",
)
@click.option(
    "--bacnet-device",
    type=click.IntRange(0, 4_194_302),
    default=4_194_000,
    show_default=True,
    help="Our own device instance; no other device of the network may have it.",
)
@settings_flags(FIELDS)
def command(
    flags: Flags,
    *,
    dry_run: bool,
    give_back: bool,
    sites: tuple[str, ...],
    bacnet_address: str | None,
    bacnet_device: int,
) -> None:
    """Write set-points of hvac.setpoints.v1 into BACnet/IP devices, for as long as their leases run.

    Only commands in mode act, for zones in mode act in the registry, are written: once, not after their time, at their
    priority. Each step is answered on hvac.acks.v1. When a lease ends, and when the gateway stops, NULL is written: the
    plant returns to what it would do without Wattloop. Operators win (hvac.overrides.v1, and priorities above at the
    plant).

    What is in the plant is kept in DATA_DIR/hvac-gateway, so a gateway that was killed goes on, or gives back what is
    over, when it starts again. It answers on /livez, /readyz and /metrics.

    Exit code: 0 if the plant has everything back, 1 if not, 2 if the configuration is wrong.

    \b
    Examples:
      wattloop hvac-gateway --dry-run --kafka-url kafka://broker.example:9092
      wattloop hvac-gateway --site mill --bacnet-address 192.0.2.5/24 --kafka-url kafka://broker.example:9092
      wattloop hvac-gateway --give-back --bacnet-address 192.0.2.5/24     (after it was killed for good)
    """
    settings, _ = load_configuration(flags, os.environ, want_registry=False)
    problems = list(_problems(settings, bacnet_address, dry_run=dry_run, give_back=give_back))
    if problems:
        raise ConfigurationError(problems)
    logs.configure(settings.log_level, settings.log_format)
    try:
        with nullcontext() if dry_run else Journal(settings.data_dir / "hvac-gateway") as journal:
            plant = nullcontext(Rehearsal()) if dry_run else _bacnet(bacnet_address, bacnet_device)
            running = _gave_back(plant, journal) if give_back else _run(settings, plant, journal, sites)
            sys.exit(run_loop(running))
    except (JournalError, PlantError) as error:
        raise click.ClickException(str(error)) from error


async def _run(
    settings: Settings,
    plant: AbstractAsyncContextManager[Plant],
    journal: Journal | None,
    sites: Iterable[str],
) -> int:
    async with plant as opened:
        gateway = Gateway(opened, journal, _now, sites=sites, tell=_print if journal is None else None)
        return await Service(settings, settings.kafka_url or "", gateway, _now, answers=journal is not None).run()


async def _gave_back(plant: AbstractAsyncContextManager[Plant], journal: Journal | None) -> int:
    async with plant as opened:
        gateway = Gateway(opened, journal, _now, tell=_print)
        given_back = await gateway.stop()
    for lease in gateway.leases:
        click.echo(f"not given back: {lease.site_id}/{lease.zone_id} at {lease.points.address}", err=True)
    return 0 if given_back else 1


def _bacnet(address: str | None, device: int) -> AbstractAsyncContextManager[Plant]:
    # The library is an extra, and takes a while to load: only this command needs it.
    opened: AbstractAsyncContextManager[Plant] = import_module("streams.hvac_gateway.bacnet").Bacnet(address, device)
    return opened


def _problems(settings: Settings, address: str | None, *, dry_run: bool, give_back: bool) -> Iterable[Problem]:
    if settings.kafka_url is None and not give_back:
        yield NO_BROKER
    if dry_run and give_back:
        yield Problem("flag --give-back", "writes to the plant; expected it without --dry-run")
    if dry_run:
        return
    if address is None:
        yield Problem("flag --bacnet-address", "is not given; expected our own address such as 192.0.2.5/24")
    if find_spec("bacpypes3") is None:
        yield Problem("installation", _MISSING)


def _print(ack: Ack) -> None:
    said = f"{ack.state:<10} {ack.reason:<15} {ack.site_id}/{ack.zone_id}  {ack.command_id}  {ack.message}"
    click.echo(said)


def _now() -> int:
    return int(time.time() * 1000)
