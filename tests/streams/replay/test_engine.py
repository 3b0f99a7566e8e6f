"""A replay out of the archive gives what the live run gave: the same rows, the same ids, the same revisions."""

import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from agents.emissions.step import Emissions
from agents.metering.step import Metering
from agents.pricing.pricing import Reference
from schemas.emission import EMISSION_RECORD
from schemas.flow import Kind, Message, SiteRecord
from schemas.reading import TELEMETRY_ROWS
from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_tariffs
from schemas.registry import Site
from schemas.topics import CORRECTIONS, EMISSIONS
from schemas.window import WINDOW_ROWS
from sinks.clickhouse.records import Record
from sinks.parquet.compact import compact
from sinks.parquet.manifest import partitions_of
from sinks.parquet.reader import lanes_of
from sinks.parquet.writer import ArchiveWriter
from streams.frame.codec import batch_value, control_headers, record_value
from streams.replay.engine import Lane, NoSiteRecord
from streams.replay.period import Allowances, NotCovered, Period
from streams.replay.run import Wanted, covering
from streams.replay.selection import select
from tests.builders import NOON, a_meter, a_site

REFERENCE = Reference(load_factors(), load_tariffs(), REFERENCE_VERSION)
LATENESS_S = 60
ALLOWED = Allowances(LATENESS_S * 1000, 300_000)
DAY_MS = 86_400_000
MILL = a_site("mill", a_meter("main"), a_meter("second"))
DYE = a_site("dye", a_meter("main"), tenant="other")


@dataclass
class Live:
    """The live run of one partition: agents, and the messages they took."""

    log: list[Record] = field(default_factory=list)
    windows: list[pl.DataFrame] = field(default_factory=list)
    emissions: list[pl.DataFrame] = field(default_factory=list)
    corrections: list[pl.DataFrame] = field(default_factory=list)
    metering: Metering = field(default_factory=lambda: Metering(LATENESS_S))
    pricing: Emissions = field(default_factory=lambda: Emissions(REFERENCE))

    def take(self, message: Message) -> None:
        self.log.append(encoded(len(self.log), message))
        for output in self.metering.step(message).outputs:
            if output.topic is CORRECTIONS and output.rows is not None:
                self.corrections.append(output.rows)
            if output.kind is Kind.WINDOWS and output.rows is not None:
                self.windows.append(output.rows)
            if output.kind is not None:
                following = Message(output.kind, message.arrived_at, output.rows, output.record)
                sent = self.pricing.step(following).outputs
                self.emissions += [one.rows for one in sent if one.topic is EMISSIONS and one.rows is not None]

    def within(self, period: Period) -> tuple[pl.DataFrame, pl.DataFrame]:
        start = pl.col("window_start").dt.epoch("ms")
        windows = pl.concat([pl.DataFrame(schema=WINDOW_ROWS), *self.windows])
        emissions = pl.concat([pl.DataFrame(schema=EMISSION_RECORD), *self.emissions])
        return (
            windows.filter(start.is_between(period.first_ms, period.end_ms - 1)),
            emissions.filter(pl.col("ts").is_between(period.first_ms, period.end_ms - 1)),
        )


def encoded(offset: int, message: Message) -> Record:
    value = b""
    if message.rows is not None:
        value = batch_value(message.rows)
    elif message.record is not None:
        value = record_value(message.record)
    return Record(offset, message.arrived_at, None, value, dict(control_headers(message.kind, message.arrived_at)))


def readings(*rows: tuple[str, str, float, float], raw: int) -> pl.DataFrame:
    """Rows of site, meter, seconds after NOON, register."""
    return pl.DataFrame(
        [
            {
                "tenant_id": "other" if site == "dye" else "acme",
                "site_id": site,
                "meter_id": meter,
                "ts": NOON + round(s * 1000),
                "import_kwh": kwh,
                "raw_partition": 0,
                "raw_offset": raw + n,
            }
            for n, (site, meter, s, kwh) in enumerate(rows)
        ],
        schema=TELEMETRY_ROWS,
    )


def a_life(chance: random.Random, minutes: int, *, compacted: bool, root: Path) -> Live:
    """Some time of two sites whose readings come late, out of order, too late and sometimes not at all."""
    live = Live()
    due: list[tuple[float, tuple[str, str, float, float]]] = []
    for site, meter in (("mill", "main"), ("mill", "second"), ("dye", "main")):
        kwh, silent = 100.0, 0
        for minute in range(minutes * 2):
            s = minute * 30 + chance.random()
            kwh += chance.random()
            silent = max(0, silent - 1) or (chance.randint(1, 12) if chance.random() < 0.03 else 0)
            if not silent:
                delay = chance.choice([0, 0, 0, 20, 50, 100, 300])
                due.append((s + delay * chance.random(), (site, meter, s, kwh)))
    due.sort()
    for revision, site in ((1, MILL), (1, DYE)):
        live.take(Message(Kind.SITE, NOON, record=SiteRecord(site, revision)))
    raw, at = 0, 0
    for second in range(0, minutes * 60 + 600, 10):
        batch = []
        while at < len(due) and due[at][0] <= second:
            batch.append(due[at][1])
            at += 1
        if batch:
            live.take(Message(Kind.READINGS, NOON + second * 1000, readings(*batch, raw=raw)))
            raw += len(batch)
        if chance.random() < 0.9:
            live.take(Message(Kind.TICK, NOON + second * 1000 + 500))
    archive(root, live.log, chance)
    if compacted:
        for manifest in partitions_of(root):
            compact(manifest, NOON + 9 * DAY_MS, quiet_ms=0)
    return live


def archive(root: Path, log: Sequence[Record], chance: random.Random) -> None:
    writer = ArchiveWriter(root, "log")
    writer.open(0)
    place = 0
    while place < len(log):
        size = chance.randint(50, 400)
        writer.add(0, log[place : place + size])
        writer.flush(0)
        place += size


def replayed(
    root: Path, period: Period, *, sites: tuple[str, ...] | None = None, rows: int = 300, restarts: bool = False
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    logs = lanes_of(root)[0]
    selection = select(logs, period, ALLOWED, sites)

    def a_lane() -> Lane:
        return Lane(0, logs, period, selection, ALLOWED, [REFERENCE], chunk_rows=rows)

    lane = a_lane()
    lane.begin()
    found = []
    for chunk in lane.chunks():
        found.append(lane.run(chunk))
        if restarts:
            kept = lane.snapshots()
            lane = a_lane()
            lane.restore(kept)
    return (
        pl.concat([pl.DataFrame(schema=WINDOW_ROWS), *(one.followed.windows for one in found)]),
        pl.concat([pl.DataFrame(schema=EMISSION_RECORD), *(one.followed.emissions[0] for one in found)]),
        pl.concat([one.readings for one in found]),
        pl.concat([one.corrections for one in found]),
    )


def same(found: pl.DataFrame, expected: pl.DataFrame, *key: str) -> None:
    # Where the lead cuts a meter's history, its anchors lie elsewhere: the last bits of a float may differ.
    assert_frame_equal(found.sort(key), expected.sort(key), rel_tol=1e-9, abs_tol=1e-9)


@settings(max_examples=2, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    first=st.integers(60, 80),
    length=st.integers(1, 30),
    compacted=st.booleans(),
    restarts=st.booleans(),
)
def test_a_replay_writes_what_the_live_run_wrote(seed, first, length, compacted, restarts):
    period = Period(NOON + first * 60_000, NOON + (first + length) * 60_000)
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        live = a_life(random.Random(seed), 130, compacted=compacted, root=root)

        windows, emissions, *_ = replayed(root, period, restarts=restarts)

        live_windows, live_emissions = live.within(period)
        same(windows, live_windows, "site_id", "meter_id", "window_start")
        same(emissions, live_emissions, "id")


def test_a_whole_replay_is_the_live_run_to_the_last_bit(tmp_path):
    live = a_life(random.Random(5), 40, compacted=True, root=tmp_path)
    period = Period(NOON, NOON + 40 * 60_000)

    windows, emissions, *_ = replayed(tmp_path, period)

    live_windows, live_emissions = live.within(period)
    assert windows.equals(live_windows)
    assert emissions.equals(live_emissions)
    assert emissions["revision"].max() > 0  # or the test says too little


def test_corrections_of_late_data_come_out_again_with_their_ids(tmp_path):
    live = Live()
    live.take(site_at(DYE))
    registers = {0: 100.0, 60: 101.0, 120: 102.0, 600: 110.0, 660: 111.0}
    for raw, (s, kwh) in enumerate(registers.items()):
        live.take(rows_at(s, ("dye", "main", s, kwh), raw=raw))
        live.take(tick(s + 1))
    live.take(tick(800))
    live.take(rows_at(801, ("dye", "main", 300, 103.0), raw=9))
    live.take(tick(802))
    archive(tmp_path, live.log, random.Random(1))

    *_, corrections = replayed(tmp_path, Period(NOON, NOON + 11 * 60_000))

    assert corrections["kind"].to_list() == ["late_data"]
    assert corrections.equals(pl.concat(live.corrections))


def test_one_site_is_replayed_without_a_row_of_another_tenant(tmp_path):
    live = a_life(random.Random(7), 30, compacted=True, root=tmp_path)
    period = Period(NOON, NOON + 30 * 60_000)

    found = replayed(tmp_path, period, sites=("dye",))

    assert all(rows["tenant_id"].unique().to_list() == ["other"] for rows in found[:3])
    same(found[0], live.within(period)[0].filter(site_id="dye"), "site_id", "meter_id", "window_start")


def test_readings_of_the_period_come_out_once_with_their_place(tmp_path):
    live = a_life(random.Random(9), 20, compacted=False, root=tmp_path)
    period = Period(NOON + 5 * 60_000, NOON + 15 * 60_000)

    found = replayed(tmp_path, period)[2]

    sent = pl.concat([pl.read_ipc_stream(one.value) for one in live.log if one.headers["kind"] == b"readings"])
    expected = sent.filter(pl.col("ts").dt.epoch("ms").is_between(period.first_ms, period.end_ms - 1))
    assert sorted(found["raw_offset"]) == sorted(expected["raw_offset"])
    assert found["log_id"].unique().to_list() == ["log"]


def a_log(root: Path, *messages: Message, log_id: str = "log", first_offset: int = 0) -> None:
    writer = ArchiveWriter(root, log_id)
    writer.open(0, log_start=first_offset)
    writer.add(0, [encoded(first_offset + n, message) for n, message in enumerate(messages)])
    writer.flush(0)


def tick(s: float) -> Message:
    return Message(Kind.TICK, NOON + round(s * 1000))


def rows_at(s: float, *rows: tuple[str, str, float, float], raw: int = 0) -> Message:
    return Message(Kind.READINGS, NOON + round(s * 1000), readings(*rows, raw=raw))


def site_at(site: Site, s: float = 0, revision: int = 1) -> Message:
    return Message(Kind.SITE, NOON + round(s * 1000), record=SiteRecord(site, revision))


def test_a_gap_that_spans_the_period_fills_it_with_estimated_windows(tmp_path):
    day = 86_400
    a_log(
        tmp_path,
        site_at(DYE),
        rows_at(0, ("dye", "main", 0, 0.0)),
        tick(1),
        rows_at(3 * day, ("dye", "main", 3 * day, 3 * 1440.0), raw=1),
        tick(3 * day + 1),
        tick(3 * day + 100),
    )
    period = Period(NOON + DAY_MS, NOON + DAY_MS + 600_000)

    windows, *_ = replayed(tmp_path, period)

    assert windows["quality"].unique().to_list() == ["estimated"]
    assert windows["import_kwh"].to_list() == pytest.approx([1.0] * 10)


def test_state_is_carried_from_one_log_into_the_next(tmp_path):
    a_log(tmp_path, site_at(DYE), rows_at(0, ("dye", "main", 0, 0.0)), tick(1), log_id="first")
    a_log(tmp_path, rows_at(120, ("dye", "main", 120, 2.0)), tick(121), tick(300), log_id="second")

    windows, *_ = replayed(tmp_path, Period(NOON, NOON + 120_000))

    assert windows["import_kwh"].to_list() == pytest.approx([1.0, 1.0])


def test_a_site_without_any_record_is_an_error_that_names_it(tmp_path):
    a_log(tmp_path, rows_at(0, ("dye", "main", 0, 0.0)), tick(1))
    with pytest.raises(NoSiteRecord, match="dye"):
        replayed(tmp_path, Period(NOON, NOON + 60_000))


def wanted(first_s: float, end_s: float, *sites: str) -> Wanted:
    return Wanted(Period(NOON + round(first_s * 1000), NOON + round(end_s * 1000)), sites or None, ALLOWED)


def test_a_period_that_goes_on_after_the_last_arrival_is_refused(tmp_path):
    a_log(tmp_path, site_at(DYE), rows_at(0, ("dye", "main", 0, 0.0)), tick(600))
    assert covering(lanes_of(tmp_path), wanted(0, 540)).selections
    with pytest.raises(NotCovered, match="partition 0 holds what arrived until 2026-07-15T04:10Z"):
        covering(lanes_of(tmp_path), wanted(0, 600))


def test_a_period_before_the_topic_was_cut_off_is_refused(tmp_path):
    kept = [
        site_at(DYE),
        rows_at(0, ("dye", "main", 0, 0.0)),
        rows_at(4000, ("dye", "main", 4000, 9.0), raw=1),
        tick(9000),
    ]
    a_log(tmp_path, *kept, first_offset=50)
    assert covering(lanes_of(tmp_path), wanted(3960, 4080)).selections
    with pytest.raises(NotCovered, match="since 2026-07-15T04:00Z and not what came before"):
        covering(lanes_of(tmp_path), wanted(0, 60))


def test_a_hole_in_the_archive_is_refused_where_the_period_could_lie_in_it(tmp_path):
    a_log(tmp_path, site_at(DYE), rows_at(0, ("dye", "main", 0, 0.0)), tick(600))
    later = [rows_at(at, ("dye", "main", at, at / 9), raw=at) for at in (40_000, 44_000)]
    later.append(tick(90_000))
    a_log(tmp_path, *later, first_offset=20)
    assert covering(lanes_of(tmp_path), wanted(43_980, 44_040)).selections
    with pytest.raises(NotCovered, match="lacks offsets 3 to 19"):
        covering(lanes_of(tmp_path), wanted(0, 40_020))


def test_a_site_that_is_not_held_is_named_with_what_is_held(tmp_path):
    a_log(tmp_path, site_at(DYE), rows_at(0, ("dye", "main", 0, 0.0)), tick(600))
    with pytest.raises(NotCovered, match="no readings of mill in the period; it holds dye from 2026-07-15T04:00Z"):
        covering(lanes_of(tmp_path), wanted(0, 60, "mill"))
