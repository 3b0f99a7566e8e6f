"""From the names of meters to their numbers, for whole columns at once."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class ByName:
    """Numbers of meters by site and meter id.

    Looking a column up costs what the column is long, not how many meters there are. Hashes are spread evenly, so
    their first bits say where in the sorted hashes to look; what has the hash of a known name is compared with it.

    Parameters
    ----------
    site_ids, meter_ids
        The names; each pair once.
    numbers
        Their numbers.

    Examples
    --------
    >>> known = ByName(pl.Series(["mill", "mill"]), pl.Series(["main", "press"]), np.array([4, 7]))
    >>> known.find(pl.Series(["mill", "inn", "mill"]), pl.Series(["press", "main", "main"])).tolist()
    [7, -1, 4]
    """

    def __init__(self, site_ids: pl.Series, meter_ids: pl.Series, numbers: Ints) -> None:
        self._sites, self._names = site_ids, meter_ids
        self._numbers = np.append(numbers, -1)
        self._seed = 0
        hashes = _hashed(site_ids, meter_ids, self._seed)
        while len(np.unique(hashes)) < len(hashes):  # two names must not look alike
            self._seed += 1
            hashes = _hashed(site_ids, meter_ids, self._seed)
        by_hash = np.argsort(hashes)
        self._hashes = np.append(hashes[by_hash], np.uint64(0))
        self._places = np.append(by_hash, -1)
        bits = max(1, len(numbers).bit_length())
        self._shift = np.uint64(64 - bits)
        heads = np.arange(1 << bits, dtype=np.uint64) << self._shift
        self._begins = np.append(np.searchsorted(hashes[by_hash], heads), len(numbers)).astype(np.int64)

    def find(self, site_ids: pl.Series, meter_ids: pl.Series) -> Ints:
        """Return the number of each meter; -1 where there is none of this name."""
        hashes = _hashed(site_ids, meter_ids, self._seed)
        head = (hashes >> self._shift).astype(np.int64)
        at, end = self._begins.take(head), self._begins.take(head + 1)
        found = np.full(len(hashes), -1, np.int64)
        looking = np.flatnonzero(at < end)
        while len(looking):
            place = at[looking]
            same = self._hashes.take(place) == hashes[looking]
            hits = looking[same]
            found[hits] = self._places.take(place[same])
            at[looking] += 1
            looking = looking[~same & (place + 1 < end[looking])]
        numbers: Ints = self._numbers.take(self._checked(found, site_ids, meter_ids))
        return numbers

    def _checked(self, found: Ints, site_ids: pl.Series, meter_ids: pl.Series) -> Ints:
        """Leave out what only has the hash of a known name."""
        hits = np.flatnonzero(found >= 0)
        if not len(hits):
            return found
        given = site_ids, meter_ids
        if len(hits) < len(found):
            given = site_ids[hits], meter_ids[hits]
        places = found[hits]
        alike = ((self._names[places] == given[1]) & (self._sites[places] == given[0])).fill_null(False)
        if not alike.all():
            found[hits[~alike.to_numpy()]] = -1
        return found


def _hashed(site_ids: pl.Series, meter_ids: pl.Series, seed: int) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    frame = pl.DataFrame([site_ids.alias("site_id"), meter_ids.alias("meter_id")])
    return frame.hash_rows(seed).to_numpy().astype(np.uint64)
