"""The meters of sites as tables: who lies below whom, and what virtual meters are made of."""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from schemas.registry import Meter, MeterKind, Site

# One row per meter that takes part: all but generation below generation, which the upper one includes.
_NODES: dict[str, pl.DataType] = {
    "site_id": pl.String(),
    "meter_id": pl.String(),
    "above": pl.String(),  # empty: the site
    "generates": pl.Boolean(),
    "equipment_class": pl.String(),
    "area": pl.String(),
    "below": pl.Int32(),  # meters directly below
}
_SITES: dict[str, pl.DataType] = {
    "site_id": pl.String(),
    "grid_meters": pl.Int32(),
    "generators": pl.Int32(),
    "all_meters": pl.Int32(),
}
_TERMS: dict[str, pl.DataType] = {
    "site_id": pl.String(),
    "name": pl.String(),
    "equipment_class": pl.String(),
    "meter_id": pl.String(),
    "times": pl.Int64(),
}


@dataclass(frozen=True, slots=True)
class Trees:
    """The meters of all sites of a partition.

    Parameters
    ----------
    nodes
        Meters, and the one each lies below.
    sites
        How many meters a complete minute has.
    terms
        Virtual meters, as how often each meter is in them.
    """

    nodes: pl.DataFrame
    sites: pl.DataFrame
    terms: pl.DataFrame

    @classmethod
    def of(cls, sites: Iterable[Site]) -> "Trees":
        """Return the trees of sites."""
        nodes: list[tuple[object, ...]] = []
        counts: list[tuple[object, ...]] = []
        terms: list[tuple[object, ...]] = []
        for site in sites:
            above = _above(site)
            kinds = {machine.id: machine.kind for machine in site.equipment}
            areas = {zone.meter: zone.id for zone in site.zones if zone.meter is not None}
            lie_below = list(above.values())
            for meter in site.meters:
                if meter.id in above:
                    generates = meter.kind is MeterKind.GENERATION
                    kind = kinds.get(meter.equipment or "")
                    place = above[meter.id]
                    below = lie_below.count(meter.id)
                    nodes.append((site.id, meter.id, place, generates, kind, areas.get(meter.id), below))
            generators = sum(meter.kind is MeterKind.GENERATION for meter in site.meters if meter.id in above)
            counts.append((site.id, len(site.grid_meters), generators, len(site.meters)))
            for virtual in site.virtual_meters:
                for meter_id, times in virtual_terms(site, virtual.id).items():
                    terms.append((site.id, virtual.id, kinds.get(virtual.equipment or ""), meter_id, times))
        return cls(
            pl.DataFrame(nodes, schema=_NODES, orient="row"),
            pl.DataFrame(counts, schema=_SITES, orient="row"),
            pl.DataFrame(terms, schema=_TERMS, orient="row"),
        )


def virtual_terms(site: Site, name: str) -> dict[str, int]:
    """Return how often each meter is in a virtual meter; those that cancel out are left out.

    Parameters
    ----------
    site
        The site.
    name
        Id of one of its meters or virtual meters.

    Examples
    --------
    >>> from schemas.contract import Tariff
    >>> from schemas.registry import VirtualMeter
    >>> mill = Site(
    ...     id="mill", tenant="demo", name="Mill", region="CN-ZJ", time_zone="Asia/Shanghai",
    ...     tariff=Tariff(plan="cn-zj-large-industry"),
    ...     meters=(Meter(id="main", kind=MeterKind.GRID), Meter(id="press", kind=MeterKind.SUB_METER, parent="main")),
    ...     virtual_meters=(VirtualMeter(id="rest", plus=("main",), minus=("press",)),
    ...                     VirtualMeter(id="twice", plus=("rest", "main"))),
    ... )
    >>> virtual_terms(mill, "twice")
    {'main': 2, 'press': -1}
    """
    declared = {virtual.id: virtual for virtual in site.virtual_meters}
    if name not in declared:
        return {name: 1}
    found: dict[str, int] = {}
    for sign, parts in ((1, declared[name].plus), (-1, declared[name].minus)):
        for part in parts:
            for meter_id, times in virtual_terms(site, part).items():
                found[meter_id] = found.get(meter_id, 0) + sign * times
    return {meter_id: times for meter_id, times in found.items() if times}


def _above(site: Site) -> dict[str, str]:
    """Return the place of each meter that takes part."""
    top = site.grid_meters[0].id if len(site.grid_meters) == 1 else ""
    places: dict[str, str] = {}
    for meter in site.meters:
        over = _lies_below(site, meter)
        if meter.kind is MeterKind.GRID:
            places[meter.id] = ""
        elif meter.kind is MeterKind.GENERATION and over is not None and over.kind is MeterKind.GENERATION:
            continue
        else:
            # Consumers behind a generator are fed from where its energy goes.
            while over is not None and over.kind is MeterKind.GENERATION:
                over = _lies_below(site, over)
            places[meter.id] = top if over is None else over.id
    return places


def _lies_below(site: Site, meter: Meter) -> Meter | None:
    return None if meter.parent is None else site.meter(meter.parent)
