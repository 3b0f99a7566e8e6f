"""The balance of minutes: load, self-use, the rest of every meter, and who causes which cost and carbon.

Everything is added up in whole numbers of 1e-9 kWh (CNY, kg), so that parts and wholes agree to the last digit. It is
worked out for all meters of all minutes at once, in arrays by window, by minute, and by place: one for every meter of
the site of every minute, whether it reported or not.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from agents.balance.held import Ready, ranges
from agents.balance.minutes import KINDS
from agents.balance.parts import UNKNOWN, Amount, Meters, Sites, Virtual
from agents.balance.rows import rows_of
from agents.balance.tree import APART, TOP, Flags, Ints, Layout
from agents.pricing.editions import EditionPricing
from schemas.registry import MeterKind

_GRID, _GENERATION = KINDS.index(MeterKind.GRID.value), KINDS.index(MeterKind.GENERATION.value)


@dataclass(frozen=True, slots=True)
class _Flows:
    """What each meter passed on."""

    drawn: Amount
    sent: Amount
    net: Amount
    part: Flags  # it hangs somewhere, and its net is known
    user: Flags  # of these, what does not generate
    at: Ints  # its place
    window_at: Ints  # window at each place
    begins: Ints  # first window of each minute
    place_begins: Ints  # first place of each minute


def balanced(ready: Ready, layout: Layout, pricing: EditionPricing) -> pl.DataFrame:
    """Balance minutes.

    Parameters
    ----------
    ready
        The minutes and their windows; at least one of each.
    layout
        The meters of their sites.
    pricing
        Knows their sites.

    Returns
    -------
    pl.DataFrame
        `BALANCE_ROWS`.
    """
    flows = _flows(ready, layout)
    hung = _hung_up(ready, layout, flows)
    sites = _sites(ready, layout, flows, hung, pricing)
    meters = _meters(ready, layout, flows, hung)
    virtual = _virtual(ready, layout, flows)
    return rows_of(ready, layout, sites, meters, virtual)


def _flows(ready: Ready, layout: Layout) -> _Flows:
    """Say what each meter passed on; a window without energy is none."""
    drawn, sent = Amount.of(ready.cells["import_kwh"]), Amount.of(ready.cells["export_kwh"])
    net = Amount(drawn.value - sent.value, drawn.known)
    generated = Amount(np.where(drawn.known, net.value, sent.value), drawn.known | sent.known)
    is_generation = ready.cells["kind"] == _GENERATION
    net = Amount(
        np.where(is_generation, generated.value, net.value), np.where(is_generation, generated.known, net.known)
    )
    part = net.known & (layout.above[ready.meter] != APART)
    sizes = layout.size[ready.site]
    place_begins = np.cumsum(sizes) - sizes
    at = place_begins[ready.place] + ready.meter - layout.first[ready.site][ready.place]
    window_at = np.full(int(sizes.sum()), UNKNOWN)
    window_at[at] = np.arange(len(at))
    counts = np.bincount(ready.place, minlength=len(ready.site))
    return _Flows(
        drawn,
        sent,
        net,
        part,
        part & ~layout.generates[ready.meter],
        at,
        window_at,
        np.cumsum(counts) - counts,
        place_begins,
    )


def _hung_up(ready: Ready, layout: Layout, flows: _Flows) -> Ints:
    """Hang every meter below the nearest one that is known: what is below a missing meter is part of the next.

    Returns the place of the meter above each window of `flows.part`, or `TOP`.
    """
    windows = np.flatnonzero(flows.part)
    there = np.zeros(len(flows.window_at), np.bool_)
    there[flows.at[flows.user]] = True
    # From the number of a meter to its place in the minute.
    shift = (flows.place_begins - layout.first[ready.site])[ready.place[windows]]
    above = layout.above[ready.meter[windows]]
    while True:
        hangs = above != TOP
        lost = np.flatnonzero(hangs)[~there[(above + shift)[hangs]]]
        if not len(lost):
            return np.where(hangs, above + shift, TOP)
        above[lost] = layout.above[above[lost]]


def _sites(ready: Ready, layout: Layout, flows: _Flows, hung: Ints, pricing: EditionPricing) -> Sites:
    """Balance sites."""
    grid = ready.cells["kind"] == _GRID
    made = layout.generates[ready.meter]
    begins = flows.begins

    def total(values: Ints, where: Flags) -> Ints:
        sums: Ints = np.add.reduceat(np.where(where, values, 0), begins)
        return sums

    one = np.ones(len(grid), np.int64)
    grids, makers = total(one, grid & flows.net.known), total(one, made & flows.net.known)
    drawn, sent = total(flows.drawn.value, grid & flows.drawn.known), total(flows.sent.value, grid & flows.sent.known)
    sees_export = np.logical_or.reduceat(grid & flows.sent.known, begins)
    grid_meters, generators = layout.grid_meters[ready.site], layout.generators[ready.site]
    imported = Amount(drawn, grids >= grid_meters)
    generated = Amount(total(flows.net.value, made & flows.net.known), (generators > 0) & (makers >= generators))
    load = Amount(
        drawn + np.where(generators > 0, generated.value, 0) - sent,
        imported.known & ((generators == 0) | generated.known),
    )
    # What hangs on no known meter at all: only where several grid meters leave open which one feeds it.
    own = np.zeros(len(begins), np.int64)
    windows = np.flatnonzero(flows.part)
    loose = windows[(hung == TOP) & ~grid[windows]]
    np.add.at(own, ready.place[loose], _passed_on(ready, layout, flows, loose))
    flag = np.full(len(begins), UNKNOWN)
    flag[(generators > 0) & ~sees_export] = 2
    flag[generated.known & (sent > generated.value)] = 1
    flag[load.known & (load.value < 0)] = 0
    asked = pl.DataFrame(
        {
            "site_id": layout.sites[ready.site],
            "window_start": ready.start,
            "import_kwh": imported.series(),
        }
    )
    priced = pricing.priced(asked)
    return Sites(
        imported,
        Amount(sent, sees_export),
        generated,
        load,
        Amount(np.maximum(np.minimum(generated.value - sent, load.value), 0), load.known & generated.known),
        Amount(own, load.known),
        grid_meters + generators - grids - makers,
        np.maximum.reduceat(np.where(grid | made, ready.cells["worst"], UNKNOWN), begins).astype(np.int64),
        flag,
        priced["local_day"],
        priced["period"],
        (
            Amount.of(priced["cost_cny"].to_numpy()),
            Amount.of(priced["emitted_kg"].to_numpy()),
            Amount.of(priced["market_emitted_kg"].to_numpy()),
        ),
    )


def _passed_on(ready: Ready, layout: Layout, flows: _Flows, windows: Ints) -> Ints:
    """What a meter adds to the rest of the one above it: generation flows in, everything else out."""
    net = flows.net.value[windows]
    return np.where(layout.generates[ready.meter[windows]], net, -net)


def _meters(ready: Ready, layout: Layout, flows: _Flows, hung: Ints) -> Meters:
    """Take from every meter what the meters below it account for."""
    size = len(flows.window_at)
    windows = np.flatnonzero(flows.part)
    seen, passed_on, worst_below = np.zeros(size, np.int64), np.zeros(size, np.int64), np.full(size, UNKNOWN)
    above = layout.above[ready.meter[windows]]
    direct = above != TOP
    shift = (flows.place_begins - layout.first[ready.site])[ready.place[windows]]
    np.add.at(seen, (above + shift)[direct], 1)
    below = hung != TOP
    np.add.at(passed_on, hung[below], _passed_on(ready, layout, flows, windows[below]))
    np.maximum.at(worst_below, hung[below], ready.cells["worst"][windows[below]].astype(np.int64))
    users = np.flatnonzero(flows.user)
    at, hang_on_it = flows.at[users], layout.below[ready.meter[users]]
    load = flows.net.value[users]
    own = load + passed_on[at]
    missing = hang_on_it - seen[at]
    is_alone = (hang_on_it == 0) & (worst_below[at] == UNKNOWN)
    worst = np.maximum(ready.cells["worst"][users].astype(np.int64), worst_below[at])
    return Meters(users, load, own, Amount(own, (missing == 0) & ~is_alone), missing, worst)


def _virtual(ready: Ready, layout: Layout, flows: _Flows) -> Virtual:
    """Add up virtual meters; one of which a part is missing is not known."""
    counts = layout.terms_size[ready.site]
    terms = layout.terms[ranges(layout.terms_first[ready.site], counts)]
    minute = np.repeat(np.arange(len(counts)), counts)
    if not len(terms):
        none = np.zeros(0, np.int64)
        return Virtual(none, none, Amount(none, none > 0), none, none)
    number, meter, times = terms.T
    window = flows.window_at[flows.place_begins[minute] + meter - layout.first[ready.site][minute]]
    there = window != UNKNOWN
    window = np.where(there, window, 0)
    known = there & flows.net.known[window]
    begins = np.flatnonzero(np.append(True, (number[1:] != number[:-1]) | (minute[1:] != minute[:-1])))
    missing = np.add.reduceat((~known).astype(np.int64), begins)
    load = np.add.reduceat(np.where(known, flows.net.value[window] * times, 0), begins)
    worst = np.maximum.reduceat(np.where(there, ready.cells["worst"][window], UNKNOWN).astype(np.int64), begins)
    return Virtual(minute[begins], number[begins], Amount(load, missing == 0), missing, worst)
