"""Whose energy is watched: that of the whole site, and that of each zone whose heating and cooling has a meter."""

from collections.abc import Iterable
from typing import NamedTuple

import polars as pl

from schemas.hvac import Mode
from schemas.registry import Meter, MeterKind, Site, Zone

# One row per meter and what it belongs to.
MEMBERS: dict[str, pl.DataType] = {
    "site_id": pl.String(),
    "meter_id": pl.String(),
    "scope": pl.Int64(),  # place among the scopes of the site
}


class Scope(NamedTuple):
    """A site or a zone.

    Parameters
    ----------
    zone_id
        None for the site.
    meters
        Whose energy it is: load = import + generation - export for a site, the zone's own meter for a zone.
    """

    zone_id: str | None
    meters: tuple[str, ...]


def scopes_of(site: Site) -> tuple[Scope, ...]:
    """Return the site, and its zones with a meter in the order of their ids."""
    meters = {meter.id: meter for meter in site.meters}
    sources = [meter.id for meter in site.meters if _is_source(meter, meters)]
    zones = sorted((zone.id, zone.meter) for zone in site.zones if zone.hvac is not None and zone.meter is not None)
    return Scope(None, tuple(sources)), *(Scope(zone, (meter,)) for zone, meter in zones)


def members_of(sites: Iterable[Site]) -> pl.DataFrame:
    """Return `MEMBERS` of sites."""
    rows = [
        (site.id, meter, place)
        for site in sites
        for place, scope in enumerate(scopes_of(site))
        for meter in scope.meters
    ]
    return pl.DataFrame(rows, schema=MEMBERS, orient="row")


def is_acting(zone: Zone) -> bool:
    """Return whether set-points reach the plant of a zone."""
    return zone.hvac is not None and zone.hvac.mode is Mode.ACT


def _is_source(meter: Meter, meters: dict[str, Meter]) -> bool:
    """Return whether a meter is a part of the site's load: the grid, and generation that no other one includes."""
    if meter.kind is MeterKind.GRID:
        return True
    above = meter.parent
    for _ in meters:
        if above is None or above not in meters:
            break
        if meters[above].kind is MeterKind.GENERATION:
            return False
        above = meters[above].parent
    return meter.kind is MeterKind.GENERATION
