"""The recent minutes of all grid meters of a partition, in rings: what is needed to correct a sum exactly.

Energy is counted in whole pico-kWh. Sums of whole numbers do not depend on their order, so a revision takes out exactly
what was put in, and a sum that ran for a month equals one made in a single pass.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.bill import DEMAND_WINDOW_MIN
from schemas.window import Quality

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_Kind = TypeVar("_Kind", bound=np.generic)

PICO = 10**12
ABSENT, MEASURED, ESTIMATED, PARTIAL = range(4)
QUALITIES = (None, Quality.MEASURED.value, Quality.ESTIMATED.value, Quality.PARTIAL.value)
_CODE = {name: code for code, name in enumerate(QUALITIES) if name is not None}

# Minutes of grid meters until the next tick.
FRESH: dict[str, pl.DataType] = {
    "site_id": pl.String(),
    "meter_id": pl.String(),
    "minute": pl.Int64(),  # since 1970 UTC
    "import_kwh": pl.Float64(),
    "import_kvarh": pl.Float64(),
    "code": pl.UInt8(),
    "revision": pl.Int32(),
    "former_kwh": pl.Float64(),  # what a revision replaces; null when there was nothing
    "tells_former": pl.Boolean(),  # whether the window says so at all
}

# What minutes change in the sums of a site; whole numbers.
BOOKINGS: dict[str, pl.DataType] = {
    "site": pl.Int64(),
    "quarter": pl.Int64(),  # quarter hours since 1970 UTC
    "pico_kwh": pl.Int64(),
    "pico_kvarh": pl.Int64(),
    "pico_kwh_with_kvarh": pl.Int64(),
    "windows": pl.Int64(),
    "not_measured": pl.Int64(),
    "without_energy": pl.Int64(),
    "uncorrected": pl.Int64(),
}
COUNTS = tuple(BOOKINGS)[2:]


def fresh_of(windows: pl.DataFrame) -> pl.DataFrame:
    """Take the windows of grid meters.

    Parameters
    ----------
    windows
        Columns of `schemas.window.WINDOW_ROWS`; reactive energy (`import_kvarh`) where it is measured, and what a
        revision replaces (`previous_import_kwh`) where that is said.

    Returns
    -------
    pl.DataFrame
        `FRESH`.
    """
    nothing = pl.lit(None, pl.Float64)
    tells_former = "previous_import_kwh" in windows.columns
    return windows.filter(pl.col("meter_kind") == "grid").select(
        "site_id",
        "meter_id",
        minute=pl.col("window_start").dt.epoch("ms") // 60_000,
        import_kwh="import_kwh",
        import_kvarh=pl.col("import_kvarh") if "import_kvarh" in windows.columns else nothing,
        code=pl.col("quality").replace_strict(_CODE, return_dtype=pl.UInt8),
        revision=pl.col("revision"),
        former_kwh=pl.col("previous_import_kwh") if tells_former else nothing,
        tells_former=pl.lit(tells_former),
    )


@dataclass(frozen=True, slots=True)
class Ring:
    """The minutes of one meter, for a snapshot: those that are there, oldest first."""

    minute: Ints
    kwh: Floats
    kvarh: Floats
    code: NDArray[np.uint8]
    revision: NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Quarters:
    """What is known of quarter hours of sites, side by side."""

    site: Ints
    quarter: Ints
    meters: Ints
    windows: Ints
    pico_kwh: Ints
    without_energy: Ints
    worst: Ints  # code of the worst minute that is there


class Minutes:
    """Rings of minutes, a row per grid meter.

    Parameters
    ----------
    span
        Minutes a ring holds, counted back from the newest of the site.
    """

    def __init__(self, span: int) -> None:
        self.span = span
        self.newest = np.zeros(0, np.int64)  # by number of the site: newest minute
        self.reached = np.zeros(0, np.int64)  # by row: end of its newest minute
        self.closed = np.zeros(0, np.int64)  # by row: all it ever had [pico-kWh]
        self._kwh = np.zeros((0, span))
        self._kvarh: Floats | None = None  # only where reactive energy is measured
        self._code = np.zeros((0, span), np.uint8)
        self._revision = np.zeros((0, span), np.uint16)
        self._site_of = np.zeros(0, np.int64)
        self._names: dict[str, dict[str, int]] = {}  # row by site and meter
        self._sites: dict[str, int] = {}
        self._rows: list[list[int]] = []  # by number of the site
        self._free: list[int] = []
        self._index: pl.DataFrame | None = None
        self._firsts = self._sizes = self._flat = np.zeros(0, np.int64)

    def configure(self, site_id: str, meters: Collection[str]) -> None:
        """Make room for the grid meters of a site, and forget those it has no longer."""
        number = self._sites.setdefault(site_id, len(self._sites))
        if number == len(self._rows):
            self._rows.append([])
            self.newest = _with_room(self.newest, number + 1)
        known = self._names.setdefault(site_id, {})
        for meter in known.keys() - set(meters):
            self._free.append(known.pop(meter))
        for meter in meters:
            if meter not in known:
                known[meter] = self._new_row(number)
        self._rows[number] = [known[meter] for meter in meters]
        self._index = None

    def number(self, site_id: str) -> int:
        """Return the number of a site."""
        return self._sites[site_id]

    def row(self, site_id: str, meter_id: str) -> int | None:
        """Return the row of a grid meter; None when it is none of the site."""
        return self._names[site_id].get(meter_id)

    def rows_of(self, number: int) -> list[int]:
        """Return the rows of a site, in the order of its grid meters."""
        return self._rows[number]

    def settled(self, sites: Ints) -> tuple[Ints, Ints]:
        """Return until which minute all grid meters of each site have reported, and until which any has."""
        self._lay_out()
        reached = self.reached[self._flat]
        begins = self._firsts[:-1]
        return np.minimum.reduceat(reached, begins)[sites], np.maximum.reduceat(reached, begins)[sites]

    def placed(self, fresh: pl.DataFrame) -> pl.DataFrame:
        """Return fresh minutes with their `row` and `site`, one per meter and minute, sorted; others are left out."""
        self._lay_out()
        if self._index is None:
            raise AssertionError("no rows are laid out")
        return (
            fresh.join(self._index, on=["site_id", "meter_id"], how="inner")
            .sort("row", "minute", "revision", descending=[False, False, True], maintain_order=True)
            .unique(["row", "minute"], keep="first", maintain_order=True)
        )

    def advance(self, sites: Ints, newest: Ints) -> None:
        """Move the rings of sites on to a newer minute; what is older than a span is forgotten."""
        self._lay_out()
        steps = np.minimum(newest - self.newest[sites], self.span)
        moved = steps > 0
        sites, newest, steps = sites[moved], newest[moved], steps[moved]
        rows, of_site = self._rows_of(sites)
        counts = steps[of_site]
        cells = np.repeat(newest[of_site], counts) - _places(counts)
        self._code[np.repeat(rows, counts), cells % self.span] = ABSENT
        self.newest[sites] = newest

    def write(self, placed: pl.DataFrame) -> pl.DataFrame:
        """Put minutes into the rings and return what they change.

        Parameters
        ----------
        placed
            Rows of `placed`; the rings have been moved on to the newest of them.

        Returns
        -------
        pl.DataFrame
            `BOOKINGS`, a row per minute that changes something, and whether it is `in_ring`. A minute that is older
            than the rings is added when it is new. When it is a revision, it is exchanged for what it says that it
            replaces, without its reactive energy; when it does not say so, it is counted as uncorrected.
        """
        row, site = placed["row"].to_numpy(), placed["site"].to_numpy()
        minute, revision = placed["minute"].to_numpy(), placed["revision"].to_numpy()
        kwh = placed["import_kwh"].to_numpy()
        kvarh = placed["import_kvarh"].to_numpy()
        code = placed["code"].to_numpy()
        np.maximum.at(self.reached, row, minute + 1)
        if self._kvarh is None and not np.isnan(kvarh).all():
            self._kvarh = np.full(self._kwh.shape, np.nan)
        cell = minute % self.span
        in_ring = minute > self.newest[site] - self.span
        former = placed["former_kwh"].to_numpy()
        exchanged = ~in_ring & (revision > 0) & placed["tells_former"].to_numpy()
        too_late = ~in_ring & (revision > 0) & ~exchanged
        # Only what was estimated is ever revised so late.
        of_former = np.where(np.isnan(former), ABSENT, ESTIMATED)
        was = np.where(in_ring, self._code[row, cell], np.where(exchanged, of_former, ABSENT)).astype(np.uint8)
        had_kwh = np.where(in_ring, self._kwh[row, cell], former)
        had_kvarh = np.full(len(row), np.nan) if self._kvarh is None else self._kvarh[row, cell]
        newer = ~in_ring & ~too_late | in_ring & ((was == ABSENT) | (revision > self._revision[row, cell]))
        after = _amounts(kwh, np.where(exchanged, np.nan, kvarh), code)
        before = _amounts(had_kwh, np.where(in_ring, had_kvarh, np.nan), was)
        changes = {name: np.where(newer, after[name] - before[name], 0) for name in after}
        put = newer & in_ring
        self._kwh[row[put], cell[put]] = kwh[put]
        self._code[row[put], cell[put]] = code[put]
        self._revision[row[put], cell[put]] = np.minimum(revision[put], np.iinfo(np.uint16).max)
        if self._kvarh is not None:
            self._kvarh[row[put], cell[put]] = kvarh[put]
        np.add.at(self.closed, row, changes["pico_kwh"])
        columns = {
            "site": site,
            "quarter": minute // DEMAND_WINDOW_MIN,
            **changes,
            "uncorrected": too_late.astype(np.int64),
        }
        bookings = pl.DataFrame({name: columns[name] for name in BOOKINGS}, schema=BOOKINGS)
        return bookings.filter(pl.Series(newer | too_late)).with_columns(in_ring=pl.Series(in_ring[newer | too_late]))

    def quarters(self, sites: Ints, quarters: Ints) -> Quarters:
        """Add up quarter hours that lie within the rings."""
        self._lay_out()
        rows, of_site = self._rows_of(sites)
        begins = np.concatenate([[0], np.cumsum(self._sizes[sites])])[:-1]
        minutes = quarters[of_site, None] * DEMAND_WINDOW_MIN + np.arange(DEMAND_WINDOW_MIN)
        cells = minutes % self.span
        code = self._code[rows[:, None], cells]
        code[minutes <= (self.newest[sites] - self.span)[of_site, None]] = ABSENT
        kwh = self._kwh[rows[:, None], cells]
        there = code != ABSENT
        pico = np.where(there & ~np.isnan(kwh), np.rint(np.nan_to_num(kwh) * PICO), 0).astype(np.int64)

        def of_quarter(values: NDArray[_Kind]) -> Ints:
            sums: Ints = np.add.reduceat(values.sum(axis=1, dtype=np.int64), begins)
            return sums

        return Quarters(
            sites,
            quarters,
            self._sizes[sites],
            of_quarter(there),
            of_quarter(pico),
            of_quarter(there & np.isnan(kwh)),
            np.maximum.reduceat(code.max(axis=1).astype(np.int64), begins),
        )

    def ring(self, row: int) -> Ring:
        """Return what a row holds."""
        (cells,) = np.nonzero(self._code[row])
        newest = self.newest[self._site_of[row]]
        minute = newest - (newest - cells) % self.span
        order = np.argsort(minute)
        cells = cells[order]
        kvarh = np.full(len(cells), np.nan) if self._kvarh is None else self._kvarh[row, cells]
        return Ring(minute[order], self._kwh[row, cells], kvarh, self._code[row, cells], self._revision[row, cells])

    def put_back(self, row: int, ring: Ring) -> None:
        """Fill a row with what `ring` gave; the newest minute of its site is set by the caller."""
        self._code[row] = ABSENT
        cells = ring.minute % self.span
        self._kwh[row, cells], self._code[row, cells], self._revision[row, cells] = ring.kwh, ring.code, ring.revision
        if self._kvarh is None and not np.isnan(ring.kvarh).all():
            self._kvarh = np.full(self._kwh.shape, np.nan)
        if self._kvarh is not None:
            self._kvarh[row, cells] = ring.kvarh

    def _new_row(self, site: int) -> int:
        if not self._free:
            size = len(self._site_of)
            more = max(16, size)
            self.reached, self.closed, self._site_of = (
                _with_room(column, size + more) for column in (self.reached, self.closed, self._site_of)
            )
            self._kwh = _with_room(self._kwh, size + more)
            self._code = _with_room(self._code, size + more)
            self._revision = _with_room(self._revision, size + more)
            if self._kvarh is not None:
                self._kvarh = _with_room(self._kvarh, size + more)
            self._free = list(range(size + more - 1, size - 1, -1))
        row = self._free.pop()
        self._code[row] = ABSENT
        self._site_of[row] = site
        self.closed[row] = 0
        # A meter that comes to a site later has nothing to say about the time before.
        self.reached[row] = max((self.reached[other] for other in self._rows[site]), default=0)
        return row

    def _lay_out(self) -> None:
        """Number the rows of all sites behind one another, once after a change of the configuration."""
        if self._index is not None:
            return
        names = [(site, meter) for site, meters in self._names.items() for meter in meters]
        rows = [row for meters in self._names.values() for row in meters.values()]
        self._index = pl.DataFrame(
            {
                "site_id": [site for site, _ in names],
                "meter_id": [meter for _, meter in names],
                "row": rows,
                "site": self._site_of[rows] if rows else rows,
            },
            schema={"site_id": pl.String, "meter_id": pl.String, "row": pl.Int64, "site": pl.Int64},
        )
        self._sizes = np.array([len(of_site) for of_site in self._rows], np.int64)
        self._firsts = np.concatenate([[0], np.cumsum(self._sizes)])
        self._flat = np.array([row for of_site in self._rows for row in of_site], np.int64)

    def _rows_of(self, sites: Ints) -> tuple[Ints, Ints]:
        """Return the rows of sites behind one another, and which of the sites each is of."""
        sizes = self._sizes[sites]
        of_site = np.repeat(np.arange(len(sites)), sizes)
        return self._flat[np.repeat(self._firsts[sites], sizes) + _places(sizes)], of_site


def _amounts(kwh: Floats, kvarh: Floats, code: NDArray[np.uint8]) -> Mapping[str, Ints]:
    """Return what minutes count for; those that are absent for nothing."""
    there = code != ABSENT
    known = there & ~np.isnan(kwh)
    both = known & ~np.isnan(kvarh)
    pico = np.rint(np.nan_to_num(kwh) * PICO).astype(np.int64)
    reactive = np.rint(np.nan_to_num(kvarh) * PICO).astype(np.int64)
    return {
        "pico_kwh": np.where(known, pico, 0),
        "pico_kvarh": np.where(both, reactive, 0),
        "pico_kwh_with_kvarh": np.where(both, pico, 0),
        "windows": there.astype(np.int64),
        "not_measured": (code > MEASURED).astype(np.int64),
        "without_energy": (there & np.isnan(kwh)).astype(np.int64),
    }


def _places(counts: Ints) -> Ints:
    """Return 0, 1, 2, … anew for each count."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)


def _with_room(values: NDArray[_Kind], size: int) -> NDArray[_Kind]:
    """Return an array with more rows; memory that is never written is never taken."""
    grown = np.zeros((size, *values.shape[1:]), values.dtype)
    grown[: len(values)] = values
    return grown
