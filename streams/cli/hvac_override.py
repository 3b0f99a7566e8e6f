"""`wattloop hvac-override`: an operator takes a zone from the controller for a while, or gives it back."""

import os
import time
from collections.abc import Iterator

import click
import polars as pl

from schemas.hvac import Hvac
from schemas.override import OVERRIDE_RECORD, override_id
from schemas.problem import ConfigurationError, Problem
from schemas.registry import Registry
from schemas.registry_checks import did_you_mean
from schemas.topics import HVAC_OVERRIDES
from streams.broker_admin import BrokerTrouble
from streams.cli.flags import Flags, settings_flags
from streams.cli.registry import NO_BROKER
from streams.configuration import load_configuration
from streams.hvac_gateway.words import degrees, moment, outside, too_close
from streams.publishing import registry_in_force, send_records
from streams.registry_topic import RegistryTopicError

FIELDS = ("config", "kafka_url", "topic_prefix", "partitions")
_HOUR_MS = 3_600_000


@click.command("hvac-override")
@click.argument("site_id", metavar="SITE")
@click.argument("zone_id", metavar="ZONE")
@click.option("--hours", type=click.FloatRange(0, 8784, min_open=True), help="How long it holds.")
@click.option("--end", is_flag=True, help="End the override that holds.")
@click.option("--cooling-c", type=float, help="Cool above, in degrees Celsius.")
@click.option("--heating-c", type=float, help="Heat below, in degrees Celsius.")
@click.option("--operator", required=True, help="Who decides.")
@click.option("--why", default="", help="Why.")
@settings_flags(FIELDS)
def command(
    flags: Flags,
    *,
    site_id: str,
    zone_id: str,
    hours: float | None,
    end: bool,
    cooling_c: float | None,
    heating_c: float | None,
    operator: str,
    why: str,
) -> None:
    """Take a zone from the controller: with set-points, or without, which leaves it to the building's own control.

    Whoever controls the plant obeys as long as it holds, answers commands with `overridden`, and says on hvac.acks.v1
    that it knows. The newest override of a zone counts.

    Exit code: 0, 1 if the broker cannot be used, 2 if something does not fit.

    \b
    Examples:
      wattloop hvac-override mill hall --hours 4 --operator "Chen Wei" --why "inspection of the ducts"
      wattloop hvac-override mill hall --hours 2 --cooling-c 22 --operator "Chen Wei" --why "visitors"
      wattloop hvac-override mill hall --end --operator "Chen Wei"
    """
    settings, _ = load_configuration(flags, os.environ, want_registry=False)
    if settings.kafka_url is None:
        raise ConfigurationError([NO_BROKER])
    now = int(time.time() * 1000)
    try:
        registry = registry_in_force(settings, Registry())
        problems = list(_problems(registry, site_id, zone_id, hours, end=end, values=(cooling_c, heating_c)))
        if problems:
            raise ConfigurationError(problems)
        until = now if hours is None else now + round(hours * _HOUR_MS)
        row = {
            "id": override_id(site_id, zone_id, now),
            "tenant_id": registry.site(site_id).tenant,
            "site_id": site_id,
            "zone_id": zone_id,
            "ts": now,
            "until": until,
            "cooling_c": cooling_c,
            "heating_c": heating_c,
            "operator": operator,
            "why": why,
        }
        send_records(settings, HVAC_OVERRIDES, pl.DataFrame([row], schema=OVERRIDE_RECORD), str(row["id"]))
    except (RegistryTopicError, BrokerTrouble) as error:
        raise click.ClickException(str(error)) from error
    what = "its override ends now" if end else f"{degrees(cooling_c, heating_c)} until {moment(until)}"
    click.echo(f"{site_id}/{zone_id}: {what} ({row['id']})")


def _problems(
    registry: Registry,
    site_id: str,
    zone_id: str,
    hours: float | None,
    *,
    end: bool,
    values: tuple[float | None, float | None],
) -> Iterator[Problem]:
    site = next((one for one in registry.sites if one.id == site_id), None)
    zone = None if site is None else site.zone(zone_id)
    if site is None:
        hint = did_you_mean(site_id, [one.id for one in registry.sites])
        yield Problem("argument SITE", f"there is no site '{site_id}' in the registry{hint}")
    elif zone is None:
        hint = did_you_mean(zone_id, [one.id for one in site.zones])
        yield Problem("argument ZONE", f"there is no zone '{zone_id}' at site '{site_id}'{hint}")
    if end == (hours is not None):
        yield Problem("flag --hours", "expected either --hours, or --end")
    if end and values != (None, None):
        yield Problem("flag --end", "expected no set-points with it")
    if zone is not None and zone.hvac is not None:
        yield from _outside(zone.hvac, *values)


def _outside(hvac: Hvac, cooling_c: float | None, heating_c: float | None) -> Iterator[Problem]:
    for text in (outside(hvac, cooling_c, heating_c), too_close(hvac, cooling_c, heating_c)):
        if text:
            yield Problem("set-points", text)
