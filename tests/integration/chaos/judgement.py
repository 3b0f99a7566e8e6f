"""What must be in the history after a schedule, against one pass over the raw log.

The raw topic itself says what was sent: its messages are read back and each is looked up in the feed. So the judgement
does not depend on how often the field had to send something.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from chaos.feed import HOUR_MS, Feed, Reading, expected_windows
from chaos.wire import Kept
from pipeline import Pipeline

import schemas
from schemas.rejection import Reason

FACTORS = Path(schemas.__file__).parent / "reference" / "emission_factors.csv"
EXACT = 1e-9  # relative

_METER = ["site_id", "meter_id"]
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class _Truth:
    """What the raw log means."""

    readings: pl.DataFrame  # one row per reading and message: raw_partition, raw_offset, site, meter, ts, import_kwh
    letters: pl.DataFrame  # source_partition, source_offset, reason, value_hex
    windows: pl.DataFrame  # of expected_windows

    def within(self, feed: Feed) -> pl.DataFrame:
        """The windows that must be there."""
        return self.windows.filter(pl.col("window_start").is_between(feed.from_ms, feed.until_ms, closed="left"))


def judge(pipeline: Pipeline, feed: Feed, kept: Sequence[Kept]) -> list[str]:
    """Judge the whole history; return everything that is wrong."""
    truth = _truth(feed.meaning, kept)
    missing = len(set(feed.meaning) - {one.value for one in kept})
    problems = [f"{missing} messages of the field are not on the raw topic"] if missing else []
    problems += _readings(pipeline, truth)
    problems += _letters(pipeline, truth)
    problems += _windows(pipeline, truth, truth.within(feed))
    problems += _hours(pipeline, truth.within(feed), feed)
    problems += _no_window_twice(pipeline)
    problems += _emissions(pipeline, truth.within(feed), feed)
    problems += pipeline.imbalances()
    return problems


def _truth(meaning: Mapping[bytes, tuple[Reading, ...] | Reason], kept: Sequence[Kept]) -> _Truth:
    readings: list[tuple[int, int, str, str, int, float]] = []
    letters: list[tuple[int, int, str, str]] = []
    samples: list[Reading] = []
    for one in kept:
        found = meaning[one.value]
        if isinstance(found, Reason):
            letters.append((one.partition, one.offset, found.value, one.value.hex().upper()))
            continue
        samples.extend(found)
        readings.extend((one.partition, one.offset, r.site_id, r.meter_id, r.ts, r.import_kwh) for r in found)
    placed: dict[str, pl.DataType] = {
        "raw_partition": pl.Int32(),
        "raw_offset": pl.Int64(),
        "site_id": pl.String(),
        "meter_id": pl.String(),
        "ts": pl.Int64(),
        "import_kwh": pl.Float64(),
    }
    about: dict[str, pl.DataType] = {
        "source_partition": pl.Int32(),
        "source_offset": pl.Int64(),
        "reason": pl.String(),
        "value_hex": pl.String(),
    }
    return _Truth(
        pl.DataFrame(readings, schema=placed, orient="row"),
        pl.DataFrame(letters, schema=about, orient="row"),
        expected_windows(samples),
    )


def _readings(pipeline: Pipeline, truth: _Truth) -> Iterator[str]:
    stored = pipeline.query(
        "SELECT raw_partition, raw_offset, site_id, meter_id, toUnixTimestamp64Milli(ts) AS ts, import_kwh "
        "FROM readings"
    )
    yield from _difference("readings", truth.readings, stored)


def _letters(pipeline: Pipeline, truth: _Truth) -> Iterator[str]:
    stored = pipeline.query(
        "SELECT source_partition, source_offset, reason, hex(value) AS value_hex FROM v_dead_letters"
    )
    yield from _difference("dead letters", truth.letters, stored)


def _windows(pipeline: Pipeline, truth: _Truth, required: pl.DataFrame) -> Iterator[str]:
    stored = pipeline.query(
        "SELECT site_id, meter_id, toUnixTimestamp64Milli(window_start) AS window_start, import_kwh FROM v_energy"
    )
    key = [*_METER, "window_start"]
    if stored.select(key).is_duplicated().any():
        yield f"v_energy shows {stored.height - stored.select(key).n_unique()} windows twice"
    lost = required.join(stored, on=key, how="anti")
    if not lost.is_empty():
        yield f"{lost.height} of {required.height} windows are missing, {_first(lost.sort(key))}"
    unknown = stored.join(truth.windows, on=key, how="anti")
    if not unknown.is_empty():
        yield f"{unknown.height} windows nobody sent, {_first(unknown.sort(key))}"
    wrong = _off(stored.join(truth.windows, on=key), "import_kwh", "expected_kwh")
    if not wrong.is_empty():
        yield f"{wrong.height} windows are wrong, {_first(wrong.sort(key))}"


def _hours(pipeline: Pipeline, required: pl.DataFrame, feed: Feed) -> Iterator[str]:
    """Sums per meter and hour, through the documented view."""
    stored = pipeline.query(
        "SELECT site_id, meter_id, toUnixTimestamp(window_start) * 1000 AS hour_ms, import_kwh, windows "
        "FROM v_energy_hour"
    ).filter(pl.col("hour_ms").is_between(feed.from_ms, feed.until_ms, closed="left"))
    expected = required.group_by(*_METER, hour_ms=pl.col("window_start") // HOUR_MS * HOUR_MS).agg(
        pl.col("expected_kwh").sum(), expected=pl.len()
    )
    both = expected.join(stored.with_columns(pl.col("hour_ms").cast(pl.Int64)), on=[*_METER, "hour_ms"], how="left")
    wrong = pl.concat(
        [_off(both, "import_kwh", "expected_kwh"), both.filter(pl.col("windows").ne_missing(pl.col("expected")))]
    ).unique()
    if not wrong.is_empty():
        lacking_kwh = (wrong["expected_kwh"] - wrong["import_kwh"].fill_null(0)).sum()
        yield f"{wrong.height} of {expected.height} meter hours are wrong, {lacking_kwh:+.6f} kWh missing"


def _no_window_twice(pipeline: Pipeline) -> Iterator[str]:
    rows = pipeline.query(
        "SELECT count() AS rows, uniqExact(site_id, meter_id, window_start, revision) AS windows FROM energy_windows"
    )
    twice = rows["rows"].item() - rows["windows"].item()
    if twice:
        yield f"energy_windows holds {twice} windows twice"


def _emissions(pipeline: Pipeline, required: pl.DataFrame, feed: Feed) -> Iterator[str]:
    """Sums per site and hour: the energy of the grid meters, at the factor of the region."""
    stored = pipeline.query(
        "SELECT site_id, toUnixTimestamp64Milli(ts) AS ts, import_kwh, emitted_kg, factor_kg_per_kwh, "
        "factor_region, factor_year, meters_missing FROM v_emissions"
    ).filter(pl.col("ts").is_between(feed.from_ms, feed.until_ms, closed="left"))
    if stored.select("site_id", "ts").is_duplicated().any():
        yield "v_emissions shows a minute twice"
    grid = [(meter.site_id, meter.meter_id) for meter in feed.meters if meter.kind == "grid"]
    of_grid = required.join(pl.DataFrame(grid, schema=_METER, orient="row"), on=_METER)
    expected = of_grid.group_by("site_id", ts=pl.col("window_start")).agg(pl.col("expected_kwh").sum())
    both = expected.join(stored, on=["site_id", "ts"], how="left")
    lost = both.filter(pl.col("import_kwh").is_null())
    if not lost.is_empty():
        yield f"{lost.height} of {expected.height} emission minutes are missing, {_first(lost.sort('site_id', 'ts'))}"
    wrong = _off(both.drop_nulls("import_kwh"), "import_kwh", "expected_kwh")
    if not wrong.is_empty():
        yield f"{wrong.height} emission minutes have a wrong energy, {_first(wrong.sort('site_id', 'ts'))}"
    lacking = both.filter(pl.col("meters_missing") > 0)
    if not lacking.is_empty():
        yield f"{lacking.height} emission minutes still lack a meter, {_first(lacking.sort('site_id', 'ts'))}"
    priced = both.drop_nulls("import_kwh").with_columns(product_kg=pl.col("import_kwh") * pl.col("factor_kg_per_kwh"))
    total_kg = float(priced["emitted_kg"].sum())
    expected_kg = float((priced["expected_kwh"] * priced["factor_kg_per_kwh"]).sum())
    if not _off(priced, "emitted_kg", "product_kg").is_empty() or abs(total_kg - expected_kg) > EXACT * expected_kg:
        yield f"emissions are {total_kg:.9f} kg, expected {expected_kg:.9f} kg"
    yield from _factors(stored, feed)


def _factors(stored: pl.DataFrame, feed: Feed) -> Iterator[str]:
    """Look each factor up in the published table: the region of the site, its year, the average of the province."""
    published = {
        (row["region_code"], int(row["year"])): float(row["kg_co2_per_kwh"])
        for row in csv.DictReader(FACTORS.read_text("utf-8").splitlines())
        if row["kind"] == "average"
    }
    used = stored.select("site_id", "factor_region", "factor_year", "factor_kg_per_kwh").unique()
    strange = [
        row for row in used.iter_rows() if row[1] != feed.regions[row[0]] or published.get((row[1], row[2])) != row[3]
    ]
    if strange:
        yield f"emissions have factors that are not published for their site, {strange[:_SHOWN]}"


def _difference(what: str, expected: pl.DataFrame, stored: pl.DataFrame) -> Iterator[str]:
    """Compare as multisets: each expected row once, and no other."""
    key = expected.columns
    counted = stored.select(pl.col(name).cast(kind) for name, kind in expected.schema.items()).group_by(key).len()
    lost = expected.join(counted, on=key, how="anti")
    other = counted.join(expected, on=key, how="anti")
    twice = counted.filter(pl.col("len") > 1)
    for name, rows in (("missing", lost), ("not expected", other), ("there twice", twice)):
        if not rows.is_empty():
            yield f"{what}: {rows.height} of {expected.height} {name}, {_first(rows.sort(key))}"


def _off(rows: pl.DataFrame, name: str, expected: str) -> pl.DataFrame:
    """Return the rows whose value is not exact."""
    distance = (pl.col(name) - pl.col(expected)).abs()
    return rows.filter((distance > EXACT * pl.col(expected).abs()).fill_null(True))


def _first(rows: pl.DataFrame) -> str:
    return f"first {rows.head(_SHOWN).rows()}"
