"""Sums per 15 minutes, hour and day are those of the windows, whatever happens to the writer and to the windows."""

import random
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sinks.clickhouse.migrate import packaged_migrations, statements
from sinks.clickhouse.rows import EMISSIONS_TABLE, WINDOWS_TABLE, TableSpec
from sinks.clickhouse.writer import TableWriter
from tests.sinks.clickhouse.builders import (
    NOON_MS,
    CutShort,
    PowerCutError,
    a_window,
    an_emission,
    emission_message,
    ms,
    rows_of,
    windows_message,
)
from tests.sinks.clickhouse.recomputed import (
    assert_sums_are_those_of_the_emissions,
    assert_sums_are_those_of_the_windows,
)

LOGS = count(1)
ENGINE = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
QUALITIES = ["measured", "measured", "estimated", "partial"]
QUARTER = [NOON_MS + n * 60_000 for n in range(15)]


def some_windows(chance: random.Random, messages: int):
    """Windows of two meters near the ends of hours, days, months and a year: late, revised and sent again."""
    log, sent = [], []
    for offset in range(messages):
        if sent and chance.random() < 0.2:
            origin, rows = chance.choice(sent)
        else:
            origin = f"0:{offset}:0"
            rows = [
                a_window(
                    meter_id=chance.choice(["main", "press"]),
                    window_start=ms(*chance.choice([(2026, 1, 1), (2026, 2, 1), (2026, 2, 2)]))
                    + chance.randint(-20, 20) * 60_000,
                    import_kwh=chance.choice([None, chance.random() * 10]),
                    quality=chance.choice(QUALITIES),
                    revision=chance.randint(0, 3),
                )
                for _ in range(chance.randint(1, 5))
            ]
            sent.append((origin, rows))
        log.append(windows_message(offset, *rows, origin=origin))
    return log


def some_emissions(chance: random.Random, messages: int):
    """Emissions whose period, factor and price may be corrected or become unknown."""
    return [
        emission_message(
            offset,
            an_emission(
                ts=ms(2026, chance.choice([2, 3]), 1) + chance.randint(-9, 9) * 60_000,
                import_kwh=chance.random(),
                emitted_kg=chance.choice([None, chance.random()]),
                cost_cny=chance.choice([None, chance.random()]),
                market_emitted_kg=chance.choice([None, chance.random()]),
                period=chance.choice([None, "peak", "valley"]),
                quality=chance.choice(QUALITIES),
                meters_missing=chance.choice([0, 0, 1]),
                revision=chance.randint(0, 3),
            ),
        )
        for offset in range(messages)
    ]


def stored_through_crashes(client, spec: TableSpec, log, chance: random.Random):
    """Store a log with writers that stop before or after any insert, of rows or of sums; some let sums wait."""
    waits_s = chance.choice([0.0, 1e9])
    log_id = f"rollups-{next(LOGS)}"
    for attempt in range(300):
        crash_at = chance.randint(1, 12) + attempt // 3  # later and later, so that it ends
        writer = TableWriter(CutShort(client, crash_at, stored=chance.random() < 0.5), spec, log_id, waits_s)
        try:
            position = writer.open(0).next_offset
            while position < len(log):
                size = chance.randint(1, 6)
                writer.add(0, log[position : position + size])
                position += size
                writer.flush(0)
                if chance.random() < 0.3:
                    writer.settle(everything=True)
            while writer.rows_pending(0):
                writer.flush(0)
            assert writer.settle(everything=True)
        except PowerCutError:
            continue
        return
    raise AssertionError("300 crashes in a row")


def store(client, spec, *messages):
    writer = TableWriter(client, spec, f"rollups-{next(LOGS)}")
    writer.open(0)
    for message in messages:
        writer.add(0, [message])
        writer.flush(0)


@ENGINE
@given(chance=st.randoms(use_true_random=False), messages=st.integers(1, 12))
def test_after_any_crashes_the_sums_are_those_of_the_windows(client, chance, messages):
    stored_through_crashes(client, WINDOWS_TABLE, some_windows(chance, messages), chance)

    assert_sums_are_those_of_the_windows(client)


@ENGINE
@given(chance=st.randoms(use_true_random=False), messages=st.integers(1, 20))
def test_after_any_crashes_the_sums_are_those_of_the_emissions(client, chance, messages):
    stored_through_crashes(client, EMISSIONS_TABLE, some_emissions(chance, messages), chance)

    assert_sums_are_those_of_the_emissions(client)


def test_sums_that_waited_when_a_writer_ended_are_found_by_the_next_one(client):
    log = [windows_message(offset, a_window(import_kwh=1.0 + offset, revision=offset)) for offset in range(3)]
    waiting = TableWriter(client, WINDOWS_TABLE, "waiting", 1e9)
    waiting.open(0)
    for message in log:
        waiting.add(0, [message])
        waiting.flush(0)
    assert not waiting.settle(everything=False)
    assert rows_of(client, "SELECT count() FROM energy_15min") == [(0,)]

    successor = TableWriter(client, WINDOWS_TABLE, "waiting", 1e9)
    successor.open(0)
    assert successor.settle(everything=True)

    assert_sums_are_those_of_the_windows(client)
    assert rows_of(client, "SELECT import_kwh FROM v_energy_day") == [(3.0,)]
    third = TableWriter(client, WINDOWS_TABLE, "waiting", 1e9)
    third.open(0)
    assert third.settle(everything=False)  # nothing is behind what the successor recorded


def test_a_sum_that_was_taken_earlier_and_is_stored_later_is_not_shown(client):
    store(client, WINDOWS_TABLE, windows_message(0, a_window(import_kwh=1.0)))
    for level in ("15min", "hour", "day"):
        client.command(f"CREATE TABLE slow_{level} ENGINE = Memory AS SELECT * FROM computed_energy_{level}")
    store(client, WINDOWS_TABLE, windows_message(0, a_window(import_kwh=3.0, revision=1)))
    for level in ("15min", "hour", "day"):
        client.command(f"INSERT INTO energy_{level} SELECT * FROM slow_{level}")

    assert rows_of(client, "SELECT import_kwh, windows FROM v_energy_day") == [(3.0, 1)]
    assert_sums_are_those_of_the_windows(client)


def test_a_correction_of_a_time_whose_windows_are_gone_leaves_the_sums_as_they_were(client):
    store(client, WINDOWS_TABLE, windows_message(0, *(a_window(window_start=at, import_kwh=1.0) for at in QUARTER)))
    client.command("TRUNCATE TABLE energy_windows")
    store(client, WINDOWS_TABLE, windows_message(0, a_window(import_kwh=9.0, revision=1)))

    for level in ("15min", "hour", "day"):
        assert rows_of(client, f"SELECT import_kwh, windows FROM v_energy_{level}") == [(15.0, 15)]


def test_a_correction_reaches_hours_and_days_as_long_as_the_quarters_are_there(client):
    store(client, WINDOWS_TABLE, windows_message(0, *(a_window(window_start=at, import_kwh=1.0) for at in QUARTER)))
    store(client, WINDOWS_TABLE, windows_message(0, a_window(window_start=NOON_MS + 1_800_000, import_kwh=0.5)))
    client.command("TRUNCATE TABLE energy_windows")
    again = (a_window(window_start=at, import_kwh=2.0, revision=1) for at in QUARTER)
    store(client, WINDOWS_TABLE, windows_message(0, *again))

    for level in ("hour", "day"):
        assert rows_of(client, f"SELECT import_kwh, windows FROM v_energy_{level}") == [(30.5, 16)]


def test_a_time_of_which_nothing_is_left_can_be_replayed_in_pieces(client):
    whole = [a_window(window_start=at, import_kwh=1.0) for at in QUARTER]
    store(client, WINDOWS_TABLE, windows_message(0, *whole))
    client.command("TRUNCATE TABLE energy_windows")
    client.command("TRUNCATE TABLE energy_15min")
    again = [window | {"import_kwh": 2.0} for window in whole]
    store(client, WINDOWS_TABLE, windows_message(0, *again[:8]))
    half_way = rows_of(client, "SELECT import_kwh, windows FROM v_energy_hour")
    store(client, WINDOWS_TABLE, windows_message(0, *again[8:]))

    assert half_way == [(15.0, 15)]
    assert rows_of(client, "SELECT import_kwh, windows FROM v_energy_hour") == [(30.0, 15)]


def test_what_was_stored_before_the_sums_existed_is_summed_by_the_migration(client):
    store(client, WINDOWS_TABLE, windows_message(0, *(a_window(window_start=at) for at in QUARTER)))
    store(client, EMISSIONS_TABLE, *(emission_message(n, an_emission(ts=at)) for n, at in enumerate(QUARTER)))
    for table in ("15min", "hour", "day"):
        client.command(f"DROP TABLE energy_{table}")
        client.command(f"DROP TABLE emissions_{table}")
    first = next(one.number for one in packaged_migrations() if one.name == "rollups")
    for migration in packaged_migrations()[first - 1 :]:
        for statement in statements(migration.sql):
            client.command(statement)

    assert rows_of(client, "SELECT windows FROM v_energy_day") == [(15,)]
    assert_sums_are_those_of_the_windows(client)
    assert_sums_are_those_of_the_emissions(client)


def test_a_minute_whose_tariff_period_is_corrected_leaves_the_sum_it_was_in(client):
    peak = an_emission(period="peak", import_kwh=1.0, cost_cny=2.0)
    valley = an_emission(period="valley", import_kwh=1.0, cost_cny=0.5, revision=1)
    store(client, EMISSIONS_TABLE, emission_message(0, peak), emission_message(1, valley))

    for level in ("15min", "hour", "day"):
        shown = rows_of(client, f"SELECT period, import_kwh, cost_cny, windows FROM v_period_{level}")
        assert shown == [("valley", 1.0, 0.5, 1)]


def test_only_touched_times_are_computed_when_meters_were_touched_at_different_times(client):
    starts = [NOON_MS + n * 900_000 for n in range(3)]
    everything = [a_window(meter_id=f"m{n}", window_start=at) for n in range(3) for at in starts]
    store(client, WINDOWS_TABLE, windows_message(0, *everything))
    client.command("TRUNCATE TABLE energy_15min")
    late = [a_window(meter_id=f"m{n}", window_start=at, revision=1) for n, at in enumerate(starts)]
    store(client, WINDOWS_TABLE, windows_message(0, *late))

    shown = rows_of(client, "SELECT meter_id, toMinute(window_start) FROM v_energy_15min ORDER BY ALL")
    assert shown == [("m0", 0), ("m1", 15), ("m2", 30)]
