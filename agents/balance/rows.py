"""Rows of balance.v1: every part of a minute, with its share of what the site generated, paid and emitted."""

from typing import NamedTuple

import numpy as np
import polars as pl

from agents.balance.held import Ready
from agents.balance.minutes import KINDS, WORST
from agents.balance.parts import FLAGS, UNKNOWN, Amount, Meters, Sites, Virtual
from agents.balance.tree import Ints, Layout
from schemas.balance import BALANCE_ROWS, METER, SITE, VIRTUAL
from schemas.window import WINDOW_S

_PARTS = (METER, SITE, VIRTUAL)  # in the order of the rows of a minute
_PART_NAMES, _KIND_NAMES = pl.Series(_PARTS), pl.Series(KINDS, dtype=pl.String)
_NOTHING = pl.Series([None], dtype=pl.String)


class _Shared(NamedTuple):
    """What sites and then meters own, and its share of what the site generated, paid and emitted."""

    own: Amount
    from_grid: Amount
    from_generation: Amount
    to_share: tuple[Amount, ...]


def _shared(ready: Ready, sites: Sites, meters: Meters) -> _Shared:
    """Share what a site used, paid and emitted in the proportion of what each part used.

    The rest of the site comes first: where nothing was used, it takes what there is to share.
    """
    number = len(ready.site)
    minute = np.concatenate((np.arange(number), ready.place[meters.window]))
    order = np.argsort(minute, kind="stable")
    own = np.concatenate((sites.own.value, meters.own))
    begins = np.flatnonzero(np.append(True, np.diff(minute[order]) != 0))
    of = minute[order]

    def portion(weight: Ints, of_site: Ints) -> Ints:
        """Part of a total by weight; its running sum is rounded, so the parts of a minute add up to it exactly."""
        ordered = weight[order]
        reached = np.cumsum(ordered)
        reached -= (reached - ordered)[begins][of]
        whole = np.add.reduceat(ordered, begins)[of]
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(whole == 0, 1.0, reached / whole)
        upto = np.rint(of_site[of] * ratio).astype(np.int64)
        before = np.append(0, upto[:-1])
        before[begins] = 0
        parts = np.empty(len(of), np.int64)
        parts[order] = upto - before
        return parts

    # Without a load there is nothing that parts could be parts of.
    known = sites.load.known[minute]
    from_generation = portion(own, np.where(sites.self_use.known, sites.self_use.value, 0))
    from_grid = own - from_generation
    shares = tuple(
        Amount(portion(from_grid, np.where(one.known, one.value, 0)), known & one.known[minute])
        for one in sites.to_share
    )
    return _Shared(Amount(own, known), Amount(from_grid, known), Amount(from_generation, known), shares)


def rows_of(ready: Ready, layout: Layout, sites: Sites, meters: Meters, virtual: Virtual) -> pl.DataFrame:
    """Put everything into rows: by minute the meters, the site and the virtual meters, these by name."""
    shared = _shared(ready, sites, meters)
    number, users, others = len(ready.site), len(meters.window), len(virtual.minute)
    # Sites come first until all is put in order.
    minute = np.concatenate((np.arange(number), ready.place[meters.window], virtual.minute))
    part = np.repeat([1, 0, 2], [number, users, others])
    order = np.argsort(minute * len(_PARTS) + part, kind="stable")
    minute, part = minute[order], part[order]

    def amounts(
        of_sites: Amount | None, of_meters: Amount | None = None, of_virtual: Amount | None = None
    ) -> pl.Series:
        filled = [
            Amount(np.zeros(size, np.int64), np.zeros(size, np.bool_)) if one is None else one
            for one, size in ((of_sites, number), (of_meters, users), (of_virtual, others))
        ]
        value, known = (np.concatenate(each)[order] for each in zip(*filled, strict=True))
        return Amount(value, known).series()

    def split(both: Amount) -> pl.Series:
        return amounts(
            Amount(both.value[:number], both.known[:number]), Amount(both.value[number:], both.known[number:])
        )

    def numbers(of_sites: Ints, of_meters: Ints, of_virtual: Ints) -> Ints:
        return np.concatenate((of_sites, of_meters, of_virtual))[order]

    def texts(of_meters: pl.Series | None, of_virtual: pl.Series | None, of_sites: str | None = None) -> pl.Series:
        parts = (
            pl.Series([of_sites], dtype=pl.String).new_from_index(0, number),
            _NOTHING.new_from_index(0, users) if of_meters is None else of_meters,
            _NOTHING.new_from_index(0, others) if of_virtual is None else of_virtual,
        )
        return pl.concat([one.alias("") for one in parts])[order]

    meter, virtually = ready.meter[meters.window], virtual.number
    kinds = _KIND_NAMES[ready.cells["kind"][meters.window].astype(np.int64)]
    site = ready.site[minute]
    negative_rest = np.where(meters.rest.known & (meters.rest.value < 0), len(FLAGS) - 1, UNKNOWN)
    known_load = Amount(meters.load, np.ones(users, np.bool_))
    no_virtual = np.full(others, UNKNOWN)
    cost, emitted, market = shared.to_share
    columns: dict[str, pl.Series] = {
        "tenant_id": layout.tenants[site],
        "site_id": layout.sites[site],
        "part": _PART_NAMES[part],
        "name": texts(layout.names[meter], layout.virtual_names[virtually], ""),
        "meter_kind": texts(kinds, None),
        "equipment_class": texts(layout.classes[meter], layout.virtual_classes[virtually]),
        "area": texts(layout.areas[meter], None),
        "window_start": pl.Series(ready.start[minute]).cast(BALANCE_ROWS["window_start"]),
        "window_s": pl.Series(np.full(len(order), WINDOW_S, np.int32)),
        "local_day": sites.local_day[minute],
        "period": sites.period[minute],
        "import_kwh": amounts(sites.imported),
        "export_kwh": amounts(sites.exported),
        "generation_kwh": amounts(sites.generated),
        "self_use_kwh": amounts(sites.self_use),
        "load_kwh": amounts(sites.load, known_load, virtual.load),
        "rest_kwh": amounts(None, meters.rest),
        "own_kwh": split(shared.own),
        "own_from_grid_kwh": split(shared.from_grid),
        "own_from_generation_kwh": split(shared.from_generation),
        "cost_cny": split(cost),
        "emitted_kg": split(emitted),
        "market_emitted_kg": split(market),
        "quality": _named(WORST, numbers(sites.worst, meters.worst, virtual.worst)),
        "meters_missing": pl.Series(numbers(sites.missing, meters.missing, virtual.missing).astype(np.int32)),
        "flag": _named(FLAGS, numbers(sites.flag, negative_rest, no_virtual)),
        "revision": pl.Series(ready.revision[minute].astype(np.int32)),
    }
    return pl.DataFrame({name: columns[name] for name in BALANCE_ROWS})


def _named(names: tuple[str, ...] | list[str], codes: Ints) -> pl.Series:
    """Names by their place; `UNKNOWN` is null."""
    return pl.Series([*names, None], dtype=pl.String)[np.where(codes < 0, len(names), codes)]
