"""The right answer of the benchmark, and the arithmetic of the peers, agree with each other and with metering."""

from collections import defaultdict

import polars as pl
import pytest

from agents.metering.step import Metering
from bench.job.plan import DEFAULT_SHAPES, MORE_SHAPES, shape_of
from bench.job.workload import Shape, Workload, make, messages, site_records
from bench.peers.registers import Points, added
from schemas.flow import Kind, Message, SiteRecord
from schemas.registry import Site

START_MS = 1_784_000_040_000
LATENESS_S = 30
WITHIN_KWH = 1e-9
SHAPES = [Shape("json", 1, 50, 1, 240), Shape("json", 1, 50, 15, 40), Shape("json", 1, 50, 900, 4)]

Energies = dict[tuple[str, str, int], float]


@pytest.fixture(params=SHAPES, ids=lambda shape: shape.name)
def work(request: pytest.FixtureRequest) -> Workload:
    return make(request.param, START_MS, LATENESS_S)


def expected(work: Workload) -> Energies:
    return {(site, meter, start): kwh for site, meter, start, kwh in work.windows.iter_rows()}


def test_readings_come_out_of_order_within_the_lateness(work: Workload) -> None:
    behind = work.readings["ts"].cum_max() - work.readings["ts"]
    assert 0 < behind.max() <= LATENESS_S * 1000


def test_peers_compute_the_right_answer_one_reading_at_a_time(work: Workload) -> None:
    points: dict[tuple[str, str], Points] = defaultdict(list)
    closed: Energies = {}
    for site, meter, ts, register_kwh, _ in work.readings.iter_rows():
        for start, kwh in added(points[site, meter], ts, register_kwh, LATENESS_S * 1000):
            assert (site, meter, start) not in closed
            closed[site, meter, start] = kwh
    settled = {place: kwh for place, kwh in closed.items() if place[2] < work.horizon_ms}
    assert settled == pytest.approx(expected(work), abs=WITHIN_KWH)


def test_metering_computes_the_right_answer(work: Workload) -> None:
    metering = Metering(LATENESS_S)
    for record in site_records(work.sites, work.shape.interval_s).values():
        metering.step(Message(Kind.SITE, START_MS, record=SiteRecord(Site.model_validate(record), 1)))
    rows = work.readings.select(
        pl.lit("bench").alias("tenant_id"),
        "site_id",
        "meter_id",
        pl.from_epoch("ts", "ms").dt.replace_time_zone("UTC"),
        "import_kwh",
        pl.lit(None, pl.Float64).alias("export_kwh"),
        "power_kw",
        pl.lit(0, pl.Int32).alias("raw_partition"),
        pl.int_range(pl.len()).alias("raw_offset"),
    )
    metering.step(Message(Kind.READINGS, START_MS, rows))
    outputs = metering.step(Message(Kind.TICK, START_MS)).outputs
    (windows,) = [output.rows for output in outputs if output.kind is Kind.WINDOWS and output.rows is not None]
    judged = windows.select("site_id", "meter_id", pl.col("window_start").dt.epoch("ms"), "import_kwh").filter(
        pl.col("window_start") < work.horizon_ms
    )
    closed = {(site, meter, start): kwh for site, meter, start, kwh in judged.iter_rows()}
    assert closed == pytest.approx(expected(work), abs=WITHIN_KWH)


@pytest.mark.parametrize(("encoding", "per_message"), [("json", 1), ("ndjson", 100), ("arrow", 1000)])
def test_every_reading_is_in_one_message_of_its_site(encoding: str, per_message: int) -> None:
    work = make(Shape(encoding, per_message, 100, 15, 40), START_MS, LATENESS_S)
    packed = list(messages(work))
    parts = [_read(one.value, encoding).with_columns(key=pl.lit(one.key.decode())) for one in packed]
    assert all(part.height <= per_message for part in parts)
    together = pl.concat(parts)
    assert (together["key"] == together["site_id"]).all()
    keys = ["site_id", "meter_id", "ts"]
    assert together.drop("key").sort(keys).equals(work.readings.sort(keys))


def _read(value: bytes, encoding: str) -> pl.DataFrame:
    return pl.read_ipc_stream(value) if encoding == "arrow" else pl.read_ndjson(value)


@pytest.mark.parametrize("name", [*DEFAULT_SHAPES, *MORE_SHAPES])
def test_every_shape_closes_minutes_of_all_meters(name: str) -> None:
    shape = shape_of(name, LATENESS_S, 1.0)
    assert shape.name == name
    few = make(Shape(shape.encoding, 1, 50, shape.interval_s, min(shape.per_meter, 200)), START_MS, LATENESS_S)
    assert few.windows.height >= 50
