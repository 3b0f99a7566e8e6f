"""Whatever stops the writer, wherever, and however the input is cut: the table equals the input."""

import random
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sinks.clickhouse.errors import Fenced
from sinks.clickhouse.rows import READINGS_TABLE, WINDOWS_TABLE
from sinks.clickhouse.writer import TableWriter
from tests.sinks.clickhouse.builders import (
    CutShort,
    PowerCutError,
    a_reading,
    a_window,
    ms,
    readings_message,
    rows_of,
    tick,
    windows_message,
)

LOGS = count(1)
ENGINE = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def a_log_of_readings(chance: random.Random, messages: int):
    """Messages of telemetry.v1 as a producer leaves them that is killed now and then, and what is in them."""
    log, expected, raw_offset = [], [], 0
    sent: list[list[dict[str, object]]] = []
    for offset in range(messages):
        kind = chance.random()
        if kind < 0.2:
            log.append(tick(offset))
        elif kind < 0.4 and sent:
            log.append(readings_message(offset, *chance.choice(sent)))
        else:
            batch = []
            for _ in range(chance.randint(1, 4)):
                ts = ms(2026, chance.choice([4, 5, 6]), 1) + raw_offset
                batch.append(a_reading(raw_offset=raw_offset, ts=ts, import_kwh=chance.random()))
                expected.append((raw_offset, ts, batch[-1]["import_kwh"]))
                raw_offset += 1
            sent.append(batch)
            log.append(readings_message(offset, *batch))
    return log, expected


def a_life(client, log, chance: random.Random, log_id: str, spec=READINGS_TABLE):
    """Run one writer until the power fails, or the log is stored."""
    failing = CutShort(client, chance.randint(1, 6), stored=chance.random() < 0.5)
    writer = TableWriter(failing, spec, log_id)
    position = writer.open(0).next_offset
    while position < len(log):
        size = chance.randint(1, 5)
        writer.add(0, log[position : position + size])
        position += size
        if chance.random() < 0.5:
            writer.flush(0)
    while writer.flush(0) is not None and writer.rows_pending(0):
        pass


@ENGINE
@given(chance=st.randoms(use_true_random=False), messages=st.integers(1, 25))
def test_any_crashes_and_any_batching_leave_each_reading_once(client, chance, messages):
    log_id = f"log-{next(LOGS)}"
    log, expected = a_log_of_readings(chance, messages)

    for _ in range(200):
        try:
            a_life(client, log, chance, log_id)
            break
        except PowerCutError:
            continue

    stored = rows_of(
        client,
        "SELECT raw_offset, toUnixTimestamp64Milli(ts), import_kwh FROM readings "
        "WHERE log_id = {log_id:String} ORDER BY raw_offset",
        log_id=log_id,
    )
    assert stored == expected


@ENGINE
@given(chance=st.randoms(use_true_random=False), messages=st.integers(1, 12), writers=st.integers(2, 3))
def test_writers_that_do_not_know_of_each_other_store_each_window_once(client, chance, messages, writers):
    log_id = f"log-{next(LOGS)}"
    log = [windows_message(offset, a_window(window_start=offset * 60_000)) for offset in range(messages)]
    workers: list[TableWriter | None] = [None] * writers
    positions = [0] * writers

    for _ in range(10 * writers):
        n = chance.randrange(writers)
        writer = workers[n]
        if writer is None or chance.random() < 0.05:
            workers[n] = writer = TableWriter(client, WINDOWS_TABLE, log_id)
            positions[n] = writer.open(0).next_offset
        batch = log[positions[n] : positions[n] + chance.randint(1, 4)]
        writer.add(0, batch)
        positions[n] += len(batch)
        try:
            if chance.random() < 0.5:
                writer.flush(0)
        except Fenced:
            workers[n] = None
    last = TableWriter(client, WINDOWS_TABLE, log_id)
    last.add(0, log[last.open(0).next_offset :])
    while last.flush(0):
        pass

    stored = rows_of(
        client,
        "SELECT topic_offset FROM energy_windows WHERE log_id = {log_id:String} ORDER BY topic_offset",
        log_id=log_id,
    )
    cuts = rows_of(
        client,
        "SELECT after_offset, first_offset, last_offset FROM sink_blocks "
        "WHERE log_id = {log_id:String} ORDER BY last_offset",
        log_id=log_id,
    )
    assert stored == [(offset,) for offset in range(messages)]
    assert [first for _, first, _ in cuts] == [0, *(last + 1 for _, _, last in cuts[:-1])]
    assert [after for after, _, _ in cuts] == [-1, *(last for _, _, last in cuts[:-1])]
