"""The proof on a real engine: a small history that balances, and what is said when something is taken out of it."""

import json
from dataclasses import dataclass, field

import pytest
from clickhouse_connect.driver.client import Client

from schemas.accounting import HISTORY, INGEST, Caused
from schemas.topics import EMISSIONS, ENERGY, METER_READINGS, TELEMETRY
from schemas.weather import WEATHER_RECORD
from sinks.clickhouse.accounting import ACCOUNTING_TABLE
from sinks.clickhouse.context import WEATHER_TABLE
from sinks.clickhouse.letters import DEAD_LETTERS_TABLE
from sinks.clickhouse.records import Record
from sinks.clickhouse.rows import EMISSIONS_TABLE, READINGS_TABLE, WINDOWS_TABLE
from sinks.clickhouse.writer import TableWriter
from streams.accounting.checks import Period
from streams.accounting.proof import prove
from streams.accounting.segment import Segment, Tally
from tests.sinks.clickhouse.builders import (
    NOON_MS,
    a_letter,
    a_reading,
    a_window,
    an_emission,
    emission_message,
    readings_message,
    windows_message,
)

MINUTE_MS = 60_000


@dataclass
class History:
    """Four raw messages of two readings, of which two are refused by ingest and one is late; two minutes, two segments.

    raw 0, 1 | 2, 3  ->  telemetry 0, tick 1 | 2, tick 3  ->  energy: windows 0, 2  ->  emissions 0, 1
    """

    client: Client
    told: list[Segment] = field(default_factory=list)

    def say(self, station: str, topic: str, first: int, last: int, **counted: object) -> None:
        self.told.append(Segment(station, topic, 0, first, last, NOON_MS + first * MINUTE_MS, Tally(**counted)))

    def store(self, table, *records: Record, log_id: str = "log") -> None:
        writer = TableWriter(self.client, table, log_id)
        writer.open(0, log_start=records[0].offset)
        writer.add(0, list(records))
        writer.flush(0)

    def store_accounts(self) -> None:
        self.store(
            ACCOUNTING_TABLE,
            *(Record(n, NOON_MS, None, one.envelope().value) for n, one in enumerate(self.told)),
        )


def letter_of_metering(offset: int, place: int) -> Record:
    return a_letter(
        offset,
        value=b'{"a":1}\n{"a":2}\n',
        dlq_stage=b"metering",
        dlq_topic=b"telemetry.v1",
        dlq_partition=b"0",
        dlq_offset=str(place).encode(),
        dlq_reason=b"late",
    )


def letter_of_ingest(offset: int, place: int) -> Record:
    return a_letter(offset, dlq_partition=b"0", dlq_offset=str(place).encode(), dlq_index=b"0")


@pytest.fixture
def history(client: Client) -> History:
    made = History(client)
    for offset, raws in ((0, (0, 1)), (2, (2, 3))):
        made.say(
            INGEST,
            METER_READINGS.name,
            raws[0],
            raws[1],
            received=4,
            refused=1,
            import_register_checksum=3000.0,
            caused=Caused({(TELEMETRY.name, 0): offset, ("dead-letters.v1", 0): raws[0]}),
        )
        made.say(
            "metering",
            TELEMETRY.name,
            offset,
            offset + 1,
            received=3,
            late=2 if offset else 0,
            sent_rows=2,
            sent_import_kwh=5.0,
            sent_from=NOON_MS,
            sent_until=NOON_MS + MINUTE_MS,
            rows_until=offset,
            caused=Caused({(ENERGY.name, 0): offset, ("dead-letters.v1", 0): 2}),
        )
        made.say(
            "emissions",
            ENERGY.name,
            offset,
            offset + 1,
            received=2,
            sent_rows=1,
            sent_import_kwh=2.5,
            sent_from=NOON_MS + offset // 2 * MINUTE_MS,
            sent_until=NOON_MS + offset // 2 * MINUTE_MS,
            rows_until=offset,
            caused=Caused({(EMISSIONS.name, 0): offset // 2}),
        )
    for topic in (TELEMETRY.name, ENERGY.name, EMISSIONS.name, "dead-letters.v1"):
        made.say(HISTORY, topic, 0, 9)
    readings = [
        [a_reading(raw_offset=raw, meter_id=f"m{n}") for raw, n in ((first, 0), (first, 1), (first + 1, 0))]
        for first in (0, 2)
    ]
    made.store(READINGS_TABLE, readings_message(0, *readings[0]), tick(1), readings_message(2, *readings[1]))
    windows = [
        [a_window(meter_id=f"m{n}", window_start=NOON_MS + minute * MINUTE_MS) for n in range(2)] for minute in range(2)
    ]
    made.store(
        WINDOWS_TABLE,
        windows_message(0, *windows[0], origin="0:1:0"),
        tick(1),
        windows_message(2, *windows[1], origin="0:3:0"),
    )
    made.store(
        EMISSIONS_TABLE,
        emission_message(0, an_emission(ts=NOON_MS), origin="0:1:0"),
        emission_message(1, an_emission(ts=NOON_MS + MINUTE_MS), origin="0:3:0"),
    )
    made.store(DEAD_LETTERS_TABLE, letter_of_ingest(0, 1), letter_of_ingest(1, 3), letter_of_metering(2, 3))
    return made


def tick(offset: int) -> Record:
    return Record(offset, NOON_MS, None, b"", {"kind": b"tick"})


def delete(client: Client, table: str, where: str) -> None:
    client.command(f"ALTER TABLE {table} DELETE WHERE {where} SETTINGS mutations_sync = 2")


def test_a_history_that_is_whole_balances(history: History) -> None:
    history.store_accounts()
    proof = prove(history.client)
    assert (list(proof.imbalances), list(proof.in_flight), proof.replaced) == ([], [], 0)
    ingest = proof.totals.filter(station="ingest").row(0, named=True)
    assert (ingest["received"], ingest["used"], ingest["refused"], ingest["segments"]) == (8, 6, 2, 2)


def test_readings_that_were_deleted_are_named_by_partition_and_offsets_of_both_topics(history: History) -> None:
    history.store_accounts()
    delete(history.client, "readings", "raw_offset = 3")
    raw, telemetry = prove(history.client).imbalances
    assert str(raw) == (
        "meter.readings.v1[0] offsets 2 to 3: readings stored: ingest says 3, the history has 2, "
        "difference -1 (log log)"
    )
    assert str(telemetry) == (
        "telemetry.v1[0] offsets 2 to 3: readings stored, as metering took them: metering says 3, the history has 2, "
        "difference -1 (log log)"
    )


def test_a_difference_over_several_segments_is_one_line(history: History) -> None:
    history.store_accounts()
    delete(history.client, "readings", "raw_offset IN (1, 2)")
    first = prove(history.client).imbalances[0]
    assert (first.first_offset, first.last_offset, first.said, first.found) == (0, 3, 6, 3)


@pytest.mark.parametrize(
    ("where", "topic", "said", "found"),
    [
        ("stage = 'ingest' AND source_offset = 1", METER_READINGS.name, 1, 0),
        ("stage = 'metering'", TELEMETRY.name, 2, 0),
    ],
)
def test_letters_that_are_missing_are_named(history: History, where: str, topic: str, said: int, found: int) -> None:
    history.store_accounts()
    delete(history.client, "dead_letters", where)
    [one] = prove(history.client).imbalances
    assert (one.topic, one.said, one.found) == (topic, said, found)


def test_a_value_that_was_changed_is_found_by_its_sum(history: History) -> None:
    history.store_accounts()
    history.client.command(
        "ALTER TABLE emissions UPDATE import_kwh = 2.500001 WHERE origin_offset = 1 SETTINGS mutations_sync = 2"
    )
    [one] = prove(history.client).imbalances
    assert (one.station, one.first_offset, one.last_offset, one.kwh) == ("emissions", 0, 1, True)
    assert "2.500000 kWh, the history has 2.500001 kWh, difference +0.000001 kWh" in str(one)


def test_a_register_that_was_changed_is_found_by_the_checksum(history: History) -> None:
    history.store_accounts()
    history.client.command(
        "ALTER TABLE readings UPDATE import_kwh = 999 WHERE raw_offset = 1 SETTINGS mutations_sync = 2"
    )
    [one] = prove(history.client).imbalances
    assert (one.station, one.first_offset, one.found) == (INGEST, 0, 2999)


def test_a_row_too_many_is_an_imbalance(history: History) -> None:
    history.store_accounts()
    history.client.command("INSERT INTO readings SELECT * FROM readings WHERE raw_offset = 1")
    assert {(one.topic, one.said, one.found) for one in prove(history.client).imbalances} == {
        (METER_READINGS.name, 3, 4),
        (TELEMETRY.name, 3, 4),
    }


def test_a_segment_that_is_missing_is_named(history: History) -> None:
    history.say("metering", TELEMETRY.name, 9, 9)
    history.store_accounts()
    [one] = prove(history.client).imbalances
    assert str(one) == "telemetry.v1[0] offsets 4 to 8: metering does not account (log log)"


def test_segments_of_a_killed_worker_are_not_counted_twice(history: History) -> None:
    history.say(INGEST, METER_READINGS.name, 2, 2, received=2, import_register_checksum=2000.0)
    history.store_accounts()
    proof = prove(history.client)
    assert list(proof.imbalances) == []
    assert proof.totals.filter(station="ingest")["received"].item() == 8


def test_what_the_history_has_not_reached_is_in_flight_and_no_loss(history: History) -> None:
    history.say(
        INGEST,
        METER_READINGS.name,
        4,
        5,
        received=2,
        import_register_checksum=7.0,
        caused=Caused({(TELEMETRY.name, 0): 10}),
    )
    history.say("metering", TELEMETRY.name, 4, 11, received=2, rows_until=10)
    history.store_accounts()
    proof = prove(history.client)
    assert list(proof.imbalances) == []
    assert [(one.topic, one.first_offset, one.last_offset) for one in proof.in_flight] == [
        (METER_READINGS.name, 4, 5),
        (TELEMETRY.name, 4, 11),
    ]


def test_emission_records_that_a_revision_replaced_are_no_loss(history: History) -> None:
    history.say(
        "emissions",
        ENERGY.name,
        4,
        5,
        sent_rows=1,
        sent_import_kwh=3.5,
        sent_from=NOON_MS,
        sent_until=NOON_MS,
        caused=Caused({(EMISSIONS.name, 0): 2}),
    )
    history.store_accounts()
    revised = an_emission(ts=NOON_MS, import_kwh=3.5, revision=1)
    writer = TableWriter(history.client, EMISSIONS_TABLE, "log")
    writer.open(0)
    first = emission_message(0, an_emission(ts=NOON_MS), origin="0:1:0")
    second = emission_message(1, an_emission(ts=NOON_MS + MINUTE_MS), origin="0:3:0")
    writer.add(0, [first, second, emission_message(2, revised, origin="0:5:0")])
    writer.flush(0)
    writer.flush(0)
    history.client.command("OPTIMIZE TABLE emissions FINAL")
    proof = prove(history.client)
    assert (list(proof.imbalances), proof.replaced) == ([], 1)


def test_a_record_that_nothing_replaced_is_a_loss(history: History) -> None:
    history.store_accounts()
    delete(history.client, "emissions", "origin_offset = 3")
    [one] = prove(history.client).imbalances
    assert (one.topic, one.first_offset, one.last_offset) == (ENERGY.name, 2, 3)


def test_a_period_is_proved_by_itself(history: History) -> None:
    history.store_accounts()
    delete(history.client, "readings", "raw_offset = 0")
    assert prove(history.client, Period(NOON_MS + 2 * MINUTE_MS)).imbalances == []
    assert len(prove(history.client, Period(None, NOON_MS + 2 * MINUTE_MS)).imbalances) == 2


def test_an_empty_history_balances(client: Client) -> None:
    assert prove(client).totals.is_empty()


def weather_message(offset: int) -> Record:
    row = dict.fromkeys(WEATHER_RECORD) | {
        "id": f"weather/zj-paper/{NOON_MS}/0-{offset}-0",
        "tenant_id": "acme",
        "site_id": "zj-paper",
        "ts": NOON_MS,
        "local_day": "2026-06-01",
        "rh": 50.0,
        "raw_partition": 0,
        "raw_offset": offset,
    }
    return Record(offset, NOON_MS, None, json.dumps(row).encode(), {"origin": f"0:{offset}:0".encode()})


def test_weather_balances_by_itself_and_no_agent_is_behind_with_it(history: History) -> None:
    caused = Caused({("site.weather.v1", 0): 1})
    history.say("ingest", "weather.v1", 0, 1, messages=2, received=2, rows_until=1, caused=caused)
    history.store(WEATHER_TABLE, weather_message(0), weather_message(1))
    history.store_accounts()
    found = prove(history.client)
    assert list(found.imbalances) == []
    assert ("log", "metering") not in found.behind  # weather is not waited for by agents


def test_weather_that_is_not_stored_yet_is_under_way(history: History) -> None:
    caused = Caused({("site.weather.v1", 0): 1})
    history.say("ingest", "weather.v1", 0, 1, messages=2, received=2, rows_until=1, caused=caused)
    history.store(WEATHER_TABLE, weather_message(0))
    history.store_accounts()

    found = prove(history.client)

    assert [(one.what, one.said, one.found) for one in found.in_flight] == [("weather stored", 2.0, 1.0)]
    assert list(found.imbalances) == []
