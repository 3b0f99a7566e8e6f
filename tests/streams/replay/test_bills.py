"""A replay gives the balance, the demand and the bills that the live run gave."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from rich.console import Console

from agents.balance.step import Balance
from agents.billing.step import Billing
from agents.metering.step import Metering
from agents.pricing.pricing import Reference
from schemas.balance import BALANCE_ROWS
from schemas.bill import DEMAND_RECORD
from schemas.flow import Kind, Message, SiteRecord
from schemas.reading import TELEMETRY_ROWS
from schemas.reference.catalogue import REFERENCE_VERSION, load_charges, load_factors, load_tariffs
from sinks.clickhouse.records import Record
from sinks.parquet.reader import lanes_of
from sinks.parquet.writer import ArchiveWriter
from streams.frame.codec import batch_value, control_headers, record_value
from streams.replay.engine import Produced
from streams.replay.outputs import Written
from streams.replay.period import Allowances, Period
from streams.replay.progress import Reporter
from streams.replay.run import Held, Wanted, covering, replay
from streams.replay.what_if import bill_differences
from tests.builders import NOON, a_meter, a_site

REFERENCE = Reference(load_factors(), load_tariffs(), REFERENCE_VERSION)
LATENESS_S = 60
HOUR_MS = 3_600_000
DYE = a_site("dye", a_meter("main"))
# The log begins at noon and ends four hours later.
HOUR = Period(NOON + 2 * HOUR_MS, NOON + 3 * HOUR_MS)
# The largest demand of the month: before what a replay of the hour without bills would read.
LARGE_AT_H = 0


@dataclass
class Live:
    """The live run of one partition."""

    log: list[Record] = field(default_factory=list)
    metering: Metering = field(default_factory=lambda: Metering(LATENESS_S))
    billing: Billing = field(default_factory=lambda: Billing(REFERENCE, load_charges()))
    balance: Balance = field(default_factory=lambda: Balance(REFERENCE))
    sent: dict[str, list[pl.DataFrame]] = field(default_factory=dict)

    def take(self, message: Message) -> None:
        value = b""
        if message.rows is not None:
            value = batch_value(message.rows)
        elif message.record is not None:
            value = record_value(message.record)
        headers = dict(control_headers(message.kind, message.arrived_at))
        self.log.append(Record(len(self.log), message.arrived_at, None, value, headers))
        for output in self.metering.step(message).outputs:
            if output.kind is None:
                continue
            following = Message(output.kind, message.arrived_at, output.rows, output.record)
            for agent in (self.billing, self.balance):
                for one in agent.step(following).outputs:
                    if one.rows is not None:
                        self.sent.setdefault(one.topic.name, []).append(one.rows)

    def all(self, topic: str) -> pl.DataFrame:
        return pl.concat(self.sent[topic])


def lived_through(root: Path, *, late_step: int = -1, brought_at_step: int = -1) -> tuple[Live, Path]:
    """Four hours of readings every minute, five in a batch; one batch may come as much later as another one."""
    live, kwh = Live(), 1000.0
    live.take(Message(Kind.SITE, NOON, record=SiteRecord(DYE, 1)))
    kept_back: list[dict[str, object]] = []
    for step in range(4 * 12):
        rows: list[dict[str, object]] = []
        at = NOON + step * 300_000
        for minute in range(5):
            kwh += 18.0 if step // 12 == LARGE_AT_H else 1.0 + step % 7
            rows.append(
                {
                    "tenant_id": "acme",
                    "site_id": "dye",
                    "meter_id": "main",
                    "ts": at + (minute - 4) * 60_000,
                    "import_kwh": kwh,
                    "raw_partition": 0,
                }
            )
        if step == late_step:
            kept_back, rows = rows, []
        if step == brought_at_step:
            rows += kept_back
        for place, row in enumerate(rows):
            row["raw_offset"] = 10 * step + place  # the order in which the field sent them
        batch = pl.DataFrame(rows, schema=TELEMETRY_ROWS)
        live.take(Message(Kind.READINGS, at, batch))
        live.take(Message(Kind.TICK, at + 500))
        live.take(Message(Kind.TICK, at + 130_000))
    writer = ArchiveWriter(root, "log")
    writer.open(0)
    writer.add(0, live.log)
    writer.flush(0)
    return live, root


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Live, Path]:
    """Four hours without anything late."""
    return lived_through(tmp_path_factory.mktemp("archive"))


def held(root: Path, period: Period, *, with_bills: bool = True) -> tuple[Held, Wanted]:
    wanted = Wanted(period, None, Allowances(LATENESS_S * 1000, 300_000), with_bills=with_bills)
    return covering(lanes_of(root), wanted), wanted


def replayed(root: Path, period: Period, *references: Reference, with_bills: bool = True) -> list[Produced]:
    found: list[Produced] = []

    def take(_number: int, produced: Produced) -> Written:
        found.append(produced)
        return Written()

    source, wanted = held(root, period, with_bills=with_bills)
    with Reporter(Console(file=io.StringIO()), lambda: 0.0) as report:
        replay(
            source,
            wanted,
            references or [REFERENCE],
            take,
            report,
            run="test",
            keep_at=None,
            begun=None,
            clock=lambda: 0.0,
            sleep=lambda _: None,
            with_editions=not references,
        )
    return found


def same(parts: list[pl.DataFrame], expected: pl.DataFrame, columns: Mapping[str, object], *key: str) -> None:
    assert expected.height > 0
    assert_frame_equal(
        pl.concat(parts).select(*columns).sort(key), expected.select(*columns).sort(key), rel_tol=1e-9, abs_tol=1e-9
    )


def test_demand_comes_out_again_with_the_maximum_from_before_the_period(lived):
    live, root = lived
    expected = live.all("demand.v1").filter(pl.col("ts").is_between(HOUR.first_ms, HOUR.end_ms - 1))
    assert expected["month_max_at"].min() < HOUR.first_ms

    found = replayed(root, HOUR)

    same([one.followed.demand for one in found], expected, DEMAND_RECORD, "id")


def test_a_day_and_a_month_that_go_on_after_the_period_are_left_to_the_live_agent(lived):
    ledgers = [one.followed.ledger[0] for one in replayed(lived[1], HOUR)]
    assert pl.concat(ledgers).is_empty()


def test_the_balance_of_some_hours_comes_out_again(lived):
    live, root = lived
    period = HOUR
    start = pl.col("window_start").dt.epoch("ms")
    expected = live.all("balance.v1").filter(start.is_between(period.first_ms, period.end_ms - 1))

    found = replayed(root, period)

    key = ("window_start", "part", "name", "revision")
    same([one.followed.balance for one in found], expected, BALANCE_ROWS, *key)


def test_without_bills_nothing_is_read_ahead(lived):
    with_bills, without = (replayed(lived[1], HOUR, with_bills=wanted) for wanted in (True, False))
    assert sum(one.followed.demand.height for one in without) == 0
    assert sum(one.followed.ledger[0].height for one in without) == 0
    assert sum(one.read for one in without) < sum(one.read for one in with_bills)


def test_a_month_of_which_the_beginning_is_not_held_leaves_the_bills_out_and_says_so(lived, tmp_path):
    live, _ = lived
    cut = [record for record in live.log if record.timestamp_ms >= NOON + HOUR_MS // 2]
    first = cut[0].offset
    writer = ArchiveWriter(tmp_path, "log")
    writer.open(0, log_start=first - 1)
    writer.add(0, [replace(live.log[0], offset=first - 1, timestamp_ms=cut[0].timestamp_ms), *cut])
    writer.flush(0)

    found, _ = held(tmp_path, HOUR)

    assert not found.has_months
    assert "and not what came before" in found.lacking


def test_what_if_shows_the_bill_of_the_month_until_the_period_ends(lived):
    live, root = lived
    found = replayed(root, HOUR, REFERENCE, REFERENCE)

    bills = bill_differences([one.followed.ledger for one in found], "total")

    assert [(one.site_id, one.span, one.first_day) for one in bills] == [("dye", "month", "2026-07-01")]
    months = live.all("ledger.v1").filter(span="month", settled_until=HOUR.end_ms)
    assert bills[0].energy_kwh == pytest.approx(months["energy_kwh"][-1], rel=1e-9)
    assert all(mine == other for _, mine, other in bills[0].parts)


@pytest.mark.parametrize("brought_at_step", [31, 34, 40, 47])
def test_what_came_late_is_revised_again(tmp_path, brought_at_step):
    live, root = lived_through(tmp_path, late_step=28, brought_at_step=brought_at_step)
    start = pl.col("window_start").dt.epoch("ms")
    balance = live.all("balance.v1").filter(start.is_between(HOUR.first_ms, HOUR.end_ms - 1))
    demand = live.all("demand.v1").filter(pl.col("ts").is_between(HOUR.first_ms, HOUR.end_ms - 1))
    assert balance["revision"].max() == demand["revision"].max() == 1

    found = replayed(root, HOUR)

    same([one.followed.balance for one in found], balance, BALANCE_ROWS, "window_start", "part", "name", "revision")
    same([one.followed.demand for one in found], demand, DEMAND_RECORD, "id")
