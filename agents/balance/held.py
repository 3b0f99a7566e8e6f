"""Minutes that are held: a cell for every meter of the site, so that a window costs the same however many wait.

A minute of a site has a slot, and its cells lie side by side in arrays for the whole partition. What is free is used
again.
"""

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agents.balance.minutes import HELD, KINDS
from agents.balance.tree import Flags, Ints, Layout
from schemas.window import WINDOW_MS

_KIND_NAMES = pl.Series(KINDS, dtype=pl.String)
_ABSENT = -1  # revision of a cell without a window
_LATEST = np.iinfo(np.int64).max
_MINUTES = 1 << 32  # more than there are since 1970

_CELL = np.dtype(
    [
        ("import_kwh", "<f8"),  # NaN is null
        ("export_kwh", "<f8"),
        ("window_revision", "<i4"),
        ("worst", "i1"),
        ("kind", "i1"),
        ("corrects", "?"),
    ]
)
_SLOT = np.dtype(
    [
        ("site", "<i8"),
        ("start", "<i8"),  # of the minute, ms UTC
        ("base", "<i8"),  # its first cell
        ("count", "<i8"),  # cells with a window
        ("corrects", "<i8"),  # of these, revisions of something that was sent before
        ("since", "<i8"),  # arrival of the first window that is not sent, ms UTC
        ("revision", "<i8"),  # of its next rows
        ("used", "?"),
        ("fresh", "?"),  # something of it is not sent
    ]
)


class Windows(NamedTuple):
    """Windows, and the meter of each."""

    meter: Ints
    start: Ints  # ms UTC
    cells: NDArray[np.void]  # _CELL
    since: Ints  # arrival, ms UTC
    revision: Ints
    fresh: Flags

    @classmethod
    def of(cls, rows: pl.DataFrame, meter: Ints) -> "Windows":
        """Take `HELD`."""
        cells = np.empty(len(meter), _CELL)
        for name in ("import_kwh", "export_kwh"):
            cells[name] = rows[name].to_numpy()
        for name in ("window_revision", "worst", "corrects"):
            cells[name] = rows[name].to_numpy()
        cells["kind"] = rows["meter_kind"].replace_strict(KINDS, range(len(KINDS)), return_dtype=pl.Int8).to_numpy()
        start, since = rows["window_start"].to_numpy(), rows["since"].to_numpy()
        return cls(meter, start, cells, since, rows["revision"].to_numpy().astype(np.int64), rows["fresh"].to_numpy())


class Ready(NamedTuple):
    """Minutes, and the windows they have: by minute, then by meter."""

    site: Ints
    start: Ints  # ms UTC
    revision: Ints
    place: Ints  # which of the minutes each window is of
    meter: Ints
    cells: NDArray[np.void]  # _CELL


class Held:
    """The minutes of a partition that are held.

    Parameters
    ----------
    layout
        Its meters.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._slot: dict[int, int] = {}  # by site and minute
        self.slots = np.zeros(0, _SLOT)
        self._cells = np.zeros(0, _CELL)
        self._free_slots: list[int] = []
        self._end = 0  # of the cells in use
        self._free: dict[int, list[int]] = {}  # first cells, by number of cells

    @property
    def nbytes(self) -> int:
        """Memory held. [bytes]."""
        return int(self.slots.nbytes + self._cells.nbytes)

    def put(self, windows: Windows) -> None:
        """Add windows; the highest revision of one takes the place of the others, of equal ones the last."""
        if not len(windows.meter):
            return
        site = self._layout.site_of[windows.meter]
        keys, which = np.unique(site * _MINUTES + windows.start // WINDOW_MS, return_inverse=True)
        slots = self._slots_of(keys)
        slot = slots[which]
        rows = self.slots
        cell = rows["base"][slot] + windows.meter - self._layout.first[site]
        fresh = np.flatnonzero(windows.fresh)
        since = np.where(rows["fresh"][slots], rows["since"][slots], _LATEST)
        np.minimum.at(since, which[fresh], windows.since[fresh])
        rows["since"][slots] = np.where(since == _LATEST, 0, since)
        rows["fresh"][slot[fresh]] = True
        np.maximum.at(rows["revision"], slot, windows.revision)
        order = np.lexsort((windows.cells["window_revision"], cell))
        last = order[np.append(cell[order][1:] != cell[order][:-1], True)]
        last = last[windows.cells["window_revision"][last] >= self._cells["window_revision"][cell[last]]]
        place, new, old = slot[last], windows.cells[last], self._cells[cell[last]]
        np.add.at(rows["count"], place, (old["window_revision"] == _ABSENT).astype(np.int64))
        np.add.at(rows["corrects"], place, new["corrects"].astype(np.int64) - old["corrects"])
        self._cells[cell[last]] = new

    def pending(self) -> Ints:
        """Return the slots with something that is not sent."""
        return np.flatnonzero(self.slots["fresh"])

    def worst(self, slots: Ints) -> Ints:
        """Return the worst quality in each slot."""
        place, cell = self._present(slots)
        worst = np.zeros(len(slots), np.int64)
        np.maximum.at(worst, place, self._cells["worst"][cell].astype(np.int64))
        return worst

    def ready(self, slots: Ints) -> Ready:
        """Return minutes in the order of sites and time."""
        slots = self._in_order(slots)
        rows = self.slots[slots]
        place, cell = self._present(slots)
        meter = cell - rows["base"][place] + self._layout.first[rows["site"]][place]
        return Ready(rows["site"], rows["start"], rows["revision"], place, meter, self._cells.take(cell))

    def sent(self, slots: Ints) -> None:
        """Note that minutes were sent, and keep them."""
        self.slots["revision"][slots] += 1
        self.slots["fresh"][slots] = False
        self.slots["since"][slots] = 0

    def drop(self, slots: Ints) -> None:
        """Forget minutes."""
        rows = self.slots[slots]
        sizes = self._layout.size[rows["site"]]
        self._cells[ranges(rows["base"], sizes)] = _NO_CELL
        for key in (rows["site"] * _MINUTES + rows["start"] // WINDOW_MS).tolist():
            del self._slot[key]
        for base, size in zip(rows["base"].tolist(), sizes.tolist(), strict=True):
            self._free.setdefault(size, []).append(base)
        self.slots[slots] = _NO_SLOT
        self._free_slots.extend(slots.tolist())

    def of_sites(self, sites: Ints) -> Ints:
        """Return the slots of sites."""
        wanted = np.zeros(len(self._layout.first), np.bool_)
        wanted[sites] = True
        used = np.flatnonzero(self.slots["used"])
        theirs: Ints = used[wanted[self.slots["site"][used]]]
        return theirs

    def rows(self, slots: Ints) -> pl.DataFrame:
        """Return what slots hold, as `HELD`, in the order of sites, time and meters."""
        ready = self.ready(slots)
        of_minute = self.slots[self._in_order(slots)].take(ready.place)
        site = ready.site[ready.place]
        columns: dict[str, pl.Series] = {
            "tenant_id": self._layout.tenants[site],
            "site_id": self._layout.sites[site],
            "meter_id": self._layout.names[ready.meter],
            "meter_kind": _KIND_NAMES[ready.cells["kind"].astype(np.int64)],
            "window_start": pl.Series(ready.start[ready.place]),
            "import_kwh": pl.Series(ready.cells["import_kwh"].copy(), nan_to_null=True),
            "export_kwh": pl.Series(ready.cells["export_kwh"].copy(), nan_to_null=True),
            "worst": pl.Series(ready.cells["worst"].astype(np.int32)),
            "window_revision": pl.Series(ready.cells["window_revision"].copy()),
            "corrects": pl.Series(ready.cells["corrects"].copy()),
            "since": pl.Series(of_minute["since"].copy()),
            "revision": pl.Series(of_minute["revision"].astype(np.int32)),
            "fresh": pl.Series(of_minute["fresh"].copy()),
        }
        return pl.DataFrame({name: columns[name] for name in HELD})

    def _in_order(self, slots: Ints) -> Ints:
        rows = self.slots[slots]
        ordered: Ints = slots[np.lexsort((rows["start"], self._layout.rank[rows["site"]]))]
        return ordered

    def _present(self, slots: Ints) -> tuple[Ints, Ints]:
        """Return which of the slots each window is of, and its cell."""
        sizes = self._layout.size[self.slots["site"][slots]]
        cell = ranges(self.slots["base"][slots], sizes)
        there = self._cells["window_revision"][cell] != _ABSENT
        return np.repeat(np.arange(len(slots)), sizes)[there], cell[there]

    def _slots_of(self, keys: Ints) -> Ints:
        """Return the slot of each distinct site and minute; what has none gets one."""
        slots = np.fromiter((self._slot.get(key, -1) for key in keys.tolist()), np.int64, len(keys))
        (new,) = np.nonzero(slots < 0)
        if len(new):
            site, minute = keys[new] // _MINUTES, keys[new] % _MINUTES
            slots[new] = [self._new_slot() for _ in range(len(new))]
            bases = [self._room(size) for size in self._layout.size[site].tolist()]
            if self._end > len(self._cells):
                self._cells = _larger(self._cells, max(self._end, 2 * len(self._cells)), _NO_CELL)
            rows = np.zeros(len(new), _SLOT)
            rows["site"], rows["start"], rows["base"], rows["used"] = site, minute * WINDOW_MS, bases, True
            self.slots[slots[new]] = rows
            self._slot.update(zip(keys[new].tolist(), slots[new].tolist(), strict=True))
        return slots

    def _new_slot(self) -> int:
        if not self._free_slots:
            size = len(self.slots)
            self.slots = _larger(self.slots, max(64, 2 * size), _NO_SLOT)
            self._free_slots = list(range(len(self.slots) - 1, size - 1, -1))
        return self._free_slots.pop()

    def _room(self, size: int) -> int:
        free = self._free.get(size)
        if free:
            return free.pop()
        base = self._end
        self._end += size
        return base


_NO_CELL = np.array([(np.nan, np.nan, _ABSENT, 0, 0, False)], _CELL)[0]
_NO_SLOT = np.zeros(1, _SLOT)[0]


def _larger(rows: NDArray[np.void], size: int, blank: np.void) -> NDArray[np.void]:
    more = np.empty(size - len(rows), rows.dtype)
    more[:] = blank
    return np.concatenate((rows, more))


def ranges(first: Ints, counts: Ints) -> Ints:
    """Return `first[0], first[0] + 1, ...` of every group, one after another."""
    return np.repeat(first - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
