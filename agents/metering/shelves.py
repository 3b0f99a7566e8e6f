"""Shelves: a growing row of points for every meter, side by side in one array for a whole partition.

A meter's points stay together and in order, so those of any set of meters are read with one gather; adding and using
points costs what these points cost, however many other meters there are. What is freed is used again.
"""

import numpy as np

from agents.metering.ragged import Ints, Rows, ranges

# One reading not yet fully used. All fields are eight bytes wide, and NaN is null.
POINT = np.dtype(
    [
        ("ts", "<i8"),  # ms UTC
        ("import_kwh", "<f8"),  # multiplier applied
        ("export_kwh", "<f8"),
        ("power_kw", "<f8"),
        ("arrived_at", "<i8"),  # ms UTC
        ("raw_partition", "<i8"),
        ("raw_offset", "<i8"),
        ("import_kvarh", "<f8"),
    ]
)
_ROOMS = np.sort(np.concatenate((4 << np.arange(40), 6 << np.arange(40)))).astype(np.int64)
_SPARSE = 8  # a shelf with this many times the room it needs is given back


def assign(target: Rows, places: Ints, points: Rows) -> None:
    """Write points into an array of them, several times as fast as by field."""
    fields = target.dtype.itemsize // 8
    numbers = target.view(np.int64).reshape(-1, fields)
    numbers[places] = np.ascontiguousarray(points).view(np.int64).reshape(-1, fields)


class Shelves:
    """Points by owner (a number from 0).

    Parameters
    ----------
    kind
        What is on them; all its fields are eight bytes wide.
    """

    def __init__(self, kind: np.dtype[np.void] = POINT) -> None:
        self._rows = np.empty(0, kind)
        self._end = 0
        self._free: dict[int, Ints] = {}
        self._first = np.zeros(0, np.int64)
        self._room = np.zeros(0, np.int64)
        self._usual = np.zeros(0, np.int64)
        self.count = np.zeros(0, np.int64)

    def welcome(self, owners: Ints, usual: Ints) -> None:
        """Prepare for owners (also anew), and for the number of points each usually has."""
        size = int(owners.max(initial=-1)) + 1
        if size > len(self.count):
            more = max(size, 2 * len(self.count)) - len(self.count)
            for name in ("_first", "_room", "_usual", "count"):
                setattr(self, name, np.concatenate((getattr(self, name), np.zeros(more, np.int64))))
        self._usual[owners] = usual

    @property
    def nbytes(self) -> int:
        """Memory held. [bytes]."""
        return self._end * self._rows.itemsize + sum(
            a.nbytes for a in (self._first, self._room, self._usual, self.count)
        )

    def read(self, owners: Ints) -> Rows:
        """Return all points of these owners, one owner after another."""
        return self._rows.take(ranges(self._first[owners], self.count[owners]))

    def first(self, owners: Ints) -> Rows:
        """Return the first point of each; each must have one."""
        return self._rows.take(self._first[owners])

    def last(self, owners: Ints, before: int = 0) -> Rows:
        """Return the last point of each, or the one this many before it; each must have it."""
        return self._rows.take(self._first[owners] + self.count[owners] - 1 - before)

    def append(self, owners: Ints, counts: Ints, rows: Rows) -> None:
        """Add points behind those that are there.

        Parameters
        ----------
        owners
            Distinct owners.
        counts
            How many of the rows belong to each.
        rows
            The points, one owner's after another's.
        """
        needed = self.count[owners] + counts
        tight = needed > self._room[owners]
        if tight.any():
            moving = owners[tight]
            kept, held = self.read(moving), self.count[moving]
            self._move(moving, needed[tight])
            self._write(self._first[moving], held, kept)
        self._write(self._first[owners] + self.count[owners], counts, rows)
        self.count[owners] = needed

    def put(self, owners: Ints, counts: Ints, rows: Rows) -> None:
        """Replace the points of these owners; arguments as for `append`."""
        room = self._room[owners]
        wanted = np.maximum(counts, self._usual[owners])
        unfit = (counts > room) | ((room > _SPARSE * wanted) & (counts > 0))
        if unfit.any():
            self._move(owners[unfit], counts[unfit])
        self._write(self._first[owners], counts, rows)
        self.count[owners] = counts

    def clear(self, owners: Ints) -> None:
        """Forget these owners and give back their room."""
        self._release(owners)
        self._room[owners] = 0
        self.count[owners] = 0

    def _write(self, first: Ints, counts: Ints, rows: Rows) -> None:
        assign(self._rows, ranges(first, counts), rows)

    def _move(self, owners: Ints, needed: Ints) -> None:
        """Give owners room for what is needed; what was on their shelves is lost."""
        self._release(owners)
        rooms = _ROOMS[np.searchsorted(_ROOMS, np.maximum(needed, self._usual[owners]))]
        self._room[owners] = rooms
        for room in np.unique(rooms).tolist():
            mine = owners[rooms == room]
            self._first[mine] = self._allotted(room, len(mine))

    def _release(self, owners: Ints) -> None:
        rooms = self._room[owners]
        for room in np.unique(rooms[rooms > 0]).tolist():
            freed = self._first[owners[rooms == room]]
            self._free[room] = np.concatenate((self._free.get(room, freed[:0]), freed))

    def _allotted(self, room: int, number: int) -> Ints:
        free = self._free.get(room, np.zeros(0, np.int64))
        again, self._free[room] = free[:number], free[number:]
        new = self._end + room * np.arange(number - len(again), dtype=np.int64)
        self._end += room * len(new)
        if self._end > len(self._rows):
            # Pages that were never written take no memory, so twice as much is only an intention.
            larger = np.empty(max(self._end, 2 * len(self._rows)), self._rows.dtype)
            larger[: len(self._rows)] = self._rows
            self._rows = larger
        return np.concatenate((again, new))
