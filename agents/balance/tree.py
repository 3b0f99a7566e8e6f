"""The meters of sites by number: who lies below whom, and what virtual meters are made of.

The meters of a site have consecutive numbers, in the order of their names, so that what is computed meter by meter is
in the order it is told in.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agents.pricing.by_name import ByName
from schemas.registry import Meter, MeterKind, Site

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

TOP = -1  # hangs on the site itself
APART = -2  # takes no part: generation below generation, which the upper one includes, and meters of no record


class SitePlan(NamedTuple):
    """The meters of one site; places are counted within it."""

    names: list[str]  # sorted
    above: list[int]  # place of the meter each hangs on, or TOP or APART
    generates: list[bool]
    below: list[int]  # how many hang on it
    classes: list[str | None]
    areas: list[str | None]
    grid_meters: int
    generators: int
    meters: int  # of the record: what a complete minute has
    virtual: list[str]  # sorted
    virtual_classes: list[str | None]
    terms: list[tuple[int, int, int]]  # which virtual meter, place of a meter in it, how often

    @classmethod
    def of(cls, site: Site, others: Collection[str] = ()) -> "SitePlan":
        """Return the plan of a site.

        Parameters
        ----------
        site
            Its record.
        others
            Meters that are no longer in the record and of which something is held.
        """
        above = _above(site)
        kinds = {machine.id: machine.kind for machine in site.equipment}
        areas = {zone.meter: zone.id for zone in site.zones if zone.meter is not None}
        known = {meter.id: meter for meter in site.meters}
        names = sorted({*known, *others})
        place = {name: number for number, name in enumerate(names)}
        generates = [name in above and known[name].kind is MeterKind.GENERATION for name in names]
        hung = list(above.values())
        virtual = sorted(site.virtual_meters, key=lambda one: one.id)
        return cls(
            names,
            [APART if name not in above else place[above[name]] if above[name] else TOP for name in names],
            generates,
            [hung.count(name) for name in names],
            [kinds.get(known[name].equipment or "") if name in known else None for name in names],
            [areas.get(name) for name in names],
            len(site.grid_meters),
            sum(generates),
            len(site.meters),
            [one.id for one in virtual],
            [kinds.get(one.equipment or "") for one in virtual],
            [
                (number, place[meter], times)
                for number, one in enumerate(virtual)
                for meter, times in virtual_terms(site, one.id).items()
            ],
        )


@dataclass(frozen=True)
class Layout:
    """The meters of all sites of a partition.

    Parameters
    ----------
    numbers
        Number of each site.
    sites, tenants
        Names, by number of the site.
    rank
        Which place a site has in the order of names, by its number.
    first, size
        Number of its first meter, and how many it has.
    grid_meters, generators, meters
        How many a complete minute has, by number of the site.
    names, above, generates, below, classes, areas
        As in `SitePlan`, by number of the meter; `above` is a number too.
    virtual_names, virtual_classes
        By number of the virtual meter.
    terms_first, terms_size
        Where the terms of a site are, by its number.
    terms
        Virtual meter, meter and how often; of each site in the order of its virtual meters.
    """

    numbers: dict[str, int]
    sites: pl.Series
    tenants: pl.Series
    rank: Ints
    first: Ints
    size: Ints
    grid_meters: Ints
    generators: Ints
    meters: Ints
    names: pl.Series
    above: Ints
    generates: Flags
    below: Ints
    classes: pl.Series
    areas: pl.Series
    virtual_names: pl.Series
    virtual_classes: pl.Series
    terms_first: Ints
    terms_size: Ints
    terms: Ints

    @classmethod
    def of(cls, plans: Mapping[str, tuple[str, SitePlan]]) -> "Layout":
        """Put plans together.

        Parameters
        ----------
        plans
            Tenant and plan of each site, by its name.
        """
        each = [plan for _, plan in plans.values()]
        size = _ints(len(plan.names) for plan in each)
        first = _begins(size)
        virtual_first = _begins(_ints(len(plan.virtual) for plan in each))
        above = _ints(one for plan in each for one in plan.above)
        above = np.where(above >= 0, above + np.repeat(first, size), above)
        terms = np.array([term for plan in each for term in plan.terms], np.int64).reshape(-1, 3)
        terms_size = _ints(len(plan.terms) for plan in each)
        terms[:, 0] += np.repeat(virtual_first, terms_size)
        terms[:, 1] += np.repeat(first, terms_size)
        sites = pl.Series("site_id", list(plans), dtype=pl.String)
        rank = np.empty(len(each), np.int64)
        rank[sites.arg_sort().to_numpy()] = np.arange(len(each))
        return cls(
            {name: number for number, name in enumerate(plans)},
            sites,
            pl.Series("tenant_id", [tenant for tenant, _ in plans.values()], dtype=pl.String),
            rank,
            first,
            size,
            _ints(plan.grid_meters for plan in each),
            _ints(plan.generators for plan in each),
            _ints(plan.meters for plan in each),
            _texts(plan.names for plan in each),
            above,
            np.array([one for plan in each for one in plan.generates], np.bool_),
            _ints(one for plan in each for one in plan.below),
            _texts(plan.classes for plan in each),
            _texts(plan.areas for plan in each),
            _texts(plan.virtual for plan in each),
            _texts(plan.virtual_classes for plan in each),
            _begins(terms_size),
            terms_size,
            terms,
        )

    def find(self, site_ids: pl.Series, meter_ids: pl.Series) -> Ints:
        """Return the number of each meter; -1 where there is none of this name."""
        return self._by_name.find(site_ids, meter_ids)

    @cached_property
    def site_of(self) -> Ints:
        """The site of each meter."""
        return np.repeat(np.arange(len(self.size)), self.size)

    @cached_property
    def _by_name(self) -> ByName:
        return ByName(self.sites[self.site_of], self.names, np.arange(len(self.names)))


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, np.int64)


def _begins(sizes: Ints) -> Ints:
    begins: Ints = np.cumsum(sizes) - sizes
    return begins


def _texts(parts: Iterable[Collection[str | None]]) -> pl.Series:
    return pl.Series([one for part in parts for one in part], dtype=pl.String)


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
