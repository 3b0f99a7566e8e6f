import polars as pl
import pytest

from sinks.clickhouse.records import Source
from sinks.clickhouse.rollups import ENERGY_ROLLUPS
from sinks.clickhouse.rows import WINDOWS_TABLE
from sinks.clickhouse.summing import Summing
from sinks.clickhouse.writer import TableWriter
from tests.sinks.clickhouse.builders import (
    NOON_MS,
    CutShort,
    PowerCutError,
    a_window,
    ms,
    rows_of,
    windows_message,
)
from tests.sinks.clickhouse.recomputed import assert_sums_are_those_of_the_windows

ENERGY = Source("energy.v1", 0)
FOR_EVER_S = 1e9


class Clock:
    """Seconds that grow when told to, and by `step_s` with each look."""

    def __init__(self, step_s: float = 0.0) -> None:
        self.now_s = 0.0
        self.step_s = step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


def summing(client, clock, **given):
    return Summing(client, "energy_windows", "window_start", ENERGY_ROLLUPS, "log", clock=clock, **given)


def some_rows(*meters):
    start = pl.lit(NOON_MS).cast(pl.Datetime("ms", "UTC"))
    return pl.DataFrame(
        {"tenant_id": "acme", "site_id": "mill", "meter_id": meters},
        schema_overrides={"meter_id": pl.String},
    ).with_columns(window_start=start)


def a_writer(client):
    writer = TableWriter(client, WINDOWS_TABLE, "log", FOR_EVER_S)
    writer.open(0)
    return writer


def test_sums_are_computed_when_the_oldest_block_has_waited_long_enough(client):
    clock = Clock()
    sums = summing(client, clock, every_s=15.0)
    sums.touch(ENERGY, some_rows("m1"), 0, NOON_MS)
    clock.now_s = 14.0
    sums.touch(ENERGY, some_rows("m2"), 1, NOON_MS)
    sums.settle(everything=False)
    waited = sums.is_settled
    clock.now_s = 15.0
    sums.settle(everything=False)

    assert (waited, sums.is_settled) == (False, True)
    assert rows_of(client, "SELECT last_offset FROM sink_sums") == [(1,)]


def test_after_sums_that_took_long_four_times_as_long_goes_to_blocks(client):
    clock = Clock(step_s=10.0)
    sums = summing(client, clock, every_s=1.0)
    sums.touch(ENERGY, some_rows("m1"), 0, NOON_MS)
    sums.settle(everything=False)  # begins at 20 s, ends at 30 s
    clock.step_s = 0.0
    sums.touch(ENERGY, some_rows("m1"), 1, NOON_MS)
    clock.now_s = 69.0
    sums.settle(everything=False)
    rested = not sums.is_settled
    clock.now_s = 70.0
    sums.settle(everything=False)

    assert (rested, sums.is_settled) == (True, True)


def test_many_waiting_buckets_are_computed_however_short_a_time_they_waited(client):
    sums = summing(client, Clock(), every_s=FOR_EVER_S, most_waiting=3)
    sums.touch(ENERGY, some_rows("m1", "m2"), 0, NOON_MS)
    sums.settle(everything=False)
    few_waited = not sums.is_settled
    sums.touch(ENERGY, some_rows("m3", "m4", "m5", "m6"), 1, NOON_MS)
    sums.settle(everything=False)

    assert (few_waited, sums.is_settled) == (True, True)


def test_a_bucket_that_many_blocks_touch_waits_as_one(client):
    sums = summing(client, Clock(), every_s=FOR_EVER_S, most_waiting=3)
    for offset in range(50):
        sums.touch(ENERGY, some_rows("m1", "m2"), offset, NOON_MS)
        sums.settle(everything=False)

    assert not sums.is_settled
    assert rows_of(client, "SELECT count() FROM sink_sums") == [(0,)]


def two_months():
    return windows_message(0, a_window(window_start=ms(2026, 5, 1)), a_window(window_start=ms(2026, 6, 1)))


def test_a_block_that_was_found_stored_in_part_is_summed_whole_before_another_follows(client):
    first = a_writer(CutShort(client, 2, stored=True))  # the cut, May, and the power fails
    first.add(0, [two_months()])
    with pytest.raises(PowerCutError):
        first.flush(0)
    second = a_writer(client)  # sums May, which it finds, and ends before it has read the block again
    assert second.settle(everything=True)
    third = a_writer(client)  # stores June and another block, and ends before their sums are due
    third.add(0, [two_months(), windows_message(1, a_window(window_start=ms(2026, 5, 2)))])
    assert [third.flush(0).last_offset, third.flush(0).last_offset] == [0, 1]

    assert a_writer(client).settle(everything=True)

    assert rows_of(client, "SELECT count() FROM energy_windows") == [(3,)]
    assert_sums_are_those_of_the_windows(client)


def test_what_waits_is_found_though_the_clock_of_the_server_was_set_back(client):
    first = a_writer(client)
    first.add(0, [windows_message(0, a_window())])
    first.flush(0)
    first.settle(everything=True)
    client.command(
        "INSERT INTO sink_sums (log_id, topic, partition, last_offset, written_at) "
        "SELECT log_id, topic, partition, last_offset, written_at + INTERVAL 30 SECOND FROM sink_sums"
    )
    client.command("OPTIMIZE TABLE sink_sums FINAL")
    for offset in (1, 2):
        first.add(0, [windows_message(offset, a_window(window_start=ms(2026, 6, 1 + offset)))])
        first.flush(0)

    assert a_writer(client).settle(everything=True)

    assert_sums_are_those_of_the_windows(client)
