"""The input of the job and its right answer: readings of many meters, as messages, and one pass over them in numpy."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import polars as pl

MINUTE_MS = 60_000
METERS_PER_SITE = 50
GRID_METERS = 2  # of each site; their sum is the site's draw from the grid
DISORDER_SHARE = 3  # readings are delivered up to a third of the lateness behind their time
JITTER_SHARE = 10  # a reading is taken up to a tenth of the interval beside its beat
SEED = 20_260_701

CONTENT_TYPES = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "arrow": "application/vnd.apache.arrow.stream",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """How many readings, of what kind, and how they are packed."""

    encoding: str  # json, ndjson or arrow
    per_message: int  # readings in a message
    meters: int
    interval_s: int
    per_meter: int  # readings of each meter

    @property
    def name(self) -> str:
        """Name of the shape, as results and `--shapes` have it."""
        every = f"{self.interval_s}s" if self.interval_s < MINUTE_MS // 1000 else f"{self.interval_s // 60}min"
        return f"{self.encoding}{self.per_message}-{self.meters}-{every}"

    @property
    def readings(self) -> int:
        """How many readings it has."""
        return self.meters * self.per_meter

    @property
    def span_s(self) -> int:
        """Event time from the first to the last reading of a meter. [s]."""
        return (self.per_meter - 1) * self.interval_s


@dataclass(frozen=True, slots=True)
class Message:
    """One record for `meter.readings.v1`."""

    key: bytes
    value: bytes
    readings: range  # positions in `Workload.readings`, when they are one after another there; else the last one


@dataclass(frozen=True, slots=True)
class Workload:
    """Readings in order of delivery, and what has to come out of them.

    `windows` has `site_id`, `meter_id`, `window_start` (ms) and `import_kwh` for every minute that the readings alone
    settle; `site_minutes` the sums over grid meters. What closes later (by waiting) is not judged.
    """

    shape: Shape
    first_ms: int
    horizon_ms: int
    readings: pl.DataFrame
    windows: pl.DataFrame
    site_minutes: pl.DataFrame

    @property
    def sites(self) -> list[str]:
        """Ids of the sites."""
        return self.site_minutes["site_id"].unique(maintain_order=True).to_list()


def make(shape: Shape, first_ms: int, lateness_s: int, site_prefix: str = "site") -> Workload:
    """Make readings that begin on a whole minute.

    Parameters
    ----------
    shape
        What to make.
    first_ms
        Time of every meter's first reading, a whole minute. [ms UTC]
    lateness_s
        How far out of order readings may come. [s]
    site_prefix
        Begins the ids of the sites.
    """
    chance = np.random.default_rng(SEED)
    step_ms = shape.interval_s * 1000
    beats = np.arange(shape.per_meter) * step_ms
    jitter_ms = chance.integers(
        -(step_ms // JITTER_SHARE), step_ms // JITTER_SHARE + 1, (shape.meters, shape.per_meter)
    )
    jitter_ms[:, 0] = 0
    ts = first_ms + beats + jitter_ms
    mean_kw = chance.uniform(0.5, 60.0, (shape.meters, 1))
    power_kw = np.round(mean_kw * chance.uniform(0.6, 1.4, ts.shape), 2)
    steps_kwh = power_kw[:, 1:] * np.diff(ts) / 3_600_000
    start_kwh = chance.uniform(100.0, 5000.0, (shape.meters, 1))
    register = np.round(np.concatenate([start_kwh, start_kwh + np.cumsum(steps_kwh, axis=1)], axis=1), 4)

    names = _names(shape.meters, site_prefix)
    delivered = np.argsort(
        (ts + chance.uniform(0, lateness_s * 1000 / DISORDER_SHARE, ts.shape)).ravel(), kind="stable"
    )
    meter = (delivered // shape.per_meter).astype(np.int64)
    readings = names[meter].with_columns(
        ts=pl.Series(ts.ravel()[delivered]),
        import_kwh=pl.Series(register.ravel()[delivered]),
        power_kw=pl.Series(power_kw.ravel()[delivered]),
    )
    horizon_ms = _settled_until(ts, lateness_s * 1000)
    ends = np.arange(first_ms, horizon_ms + 1, MINUTE_MS)
    windows = _windows(names, ts, register, ends)
    grid = windows.filter(pl.col("meter_id").is_in(grid_meters()))
    site_minutes = grid.group_by("site_id", "window_start", maintain_order=True).agg(pl.col("import_kwh").sum())
    return Workload(shape, first_ms, horizon_ms, readings, windows, site_minutes)


def grid_meters() -> list[str]:
    """Return the ids of a site's grid meters."""
    return [f"m{number:02}" for number in range(GRID_METERS)]


def _names(meters: int, site_prefix: str) -> pl.DataFrame:
    number = pl.int_range(meters, eager=True)
    return pl.DataFrame(
        {
            "site_id": (number // METERS_PER_SITE).cast(pl.String).str.zfill(5),
            "meter_id": (number % METERS_PER_SITE).cast(pl.String).str.zfill(2),
        }
    ).select(pl.format(site_prefix + "-{}", "site_id").alias("site_id"), pl.format("m{}", "meter_id").alias("meter_id"))


def _settled_until(ts: np.ndarray, lateness_ms: int) -> int:
    """Return up to where the readings settle the minutes of every meter: by the rule of `closing.closable`."""
    bound = ts[:, -1] - lateness_ms
    settled = np.where(ts <= bound[:, None], ts, 0).max(axis=1)
    return int((settled // MINUTE_MS * MINUTE_MS).min())


def _windows(names: pl.DataFrame, ts: np.ndarray, register: np.ndarray, ends: np.ndarray) -> pl.DataFrame:
    """Interpolate every meter's register at every minute and take differences."""
    every = np.arange(len(names))
    before = np.zeros(len(names), dtype=np.int64)
    last = ts.shape[1] - 2
    at = []
    for end in ends:
        while (further := (before < last) & (ts[every, np.minimum(before + 1, last)] <= end)).any():
            before += further
        here, following = ts[every, before], ts[every, before + 1]
        low, high = register[every, before], register[every, before + 1]
        at.append(low + (high - low) * ((end - here) / (following - here)))
    energy = np.diff(np.stack(at, axis=1), axis=1)
    minutes = energy.shape[1]
    return names[np.repeat(every, minutes)].with_columns(
        window_start=pl.Series(np.tile(ends[:-1], len(names))), import_kwh=pl.Series(energy.ravel())
    )


def messages(work: Workload) -> Iterator[Message]:
    """Pack the readings in order of delivery; a message holds readings of one site."""
    shape = work.shape
    if shape.per_message == 1:
        lines = work.readings.write_ndjson().encode().splitlines()
        for number, (site, line) in enumerate(zip(work.readings["site_id"], lines, strict=True)):
            yield Message(site.encode(), line, range(number, number + 1))
        return
    packed = []
    for own in work.readings.with_row_index("place").partition_by("site_id", maintain_order=True):
        site = own["site_id"][0].encode()
        for at in range(0, own.height, shape.per_message):
            part = own[at : at + shape.per_message]
            last = int(part["place"][-1])
            packed.append(Message(site, _packed(part.drop("place"), shape.encoding), range(last, last + 1)))
    yield from sorted(packed, key=lambda one: one.readings.start)


def _packed(part: pl.DataFrame, encoding: str) -> bytes:
    if encoding == "ndjson":
        return part.write_ndjson().encode()
    body = BytesIO()
    part.write_ipc_stream(body, compression="lz4")
    return body.getvalue()


def site_records(sites: list[str], interval_s: int) -> dict[str, dict[str, object]]:
    """Return the registry's records of sites, as `docs/registry.md` has them."""
    grid = set(grid_meters())
    return {
        site: {
            "id": site,
            "tenant": "bench",
            "name": site,
            "region": "CN-ZJ",
            "time_zone": "Asia/Shanghai",
            "tariff": {
                "plan": "cn-zj-large-industry",
                "prices": [
                    {
                        "valid_from": "2020-01-01",
                        "floating_base_cny_per_kwh": 0.5252,
                        "fixed_part_cny_per_kwh": 0.1551,
                    }
                ],
            },
            "meters": [
                {
                    "id": f"m{number:02}",
                    "kind": "grid" if f"m{number:02}" in grid else "sub_meter",
                    "interval_s": interval_s,
                }
                for number in range(METERS_PER_SITE)
            ],
        }
        for site in sites
    }
