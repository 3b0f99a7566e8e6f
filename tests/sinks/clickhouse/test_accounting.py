"""Records of accounting.v1 as rows: all of them, whatever their range."""

import json

import pytest

from schemas.accounting import ACCOUNT_RECORD
from sinks.clickhouse.accounting import ACCOUNTING_TABLE
from sinks.clickhouse.errors import Undecodable
from sinks.clickhouse.records import Record, Source
from sinks.clickhouse.writer import TableWriter
from tests.sinks.clickhouse.builders import NOON_MS, rows_of


@pytest.fixture
def writer(client):
    client.command("ALTER TABLE accounting REMOVE TTL")  # the arrivals of the tests are as old as they like
    made = TableWriter(client, ACCOUNTING_TABLE, "log-1")
    made.open(0)
    return made


def a_record(offset: int, **given: object) -> Record:
    zero = dict.fromkeys(ACCOUNT_RECORD, 0)
    texts = {"id": "a", "station": "ingest", "topic": "meter.readings.v1", "caused": "", "partial": False}
    nulls = dict.fromkeys(("sent_from", "sent_until", "import_register_checksum", "rows_until"))
    return Record(offset, NOON_MS, None, json.dumps(zero | texts | nulls | {"ts": NOON_MS} | given).encode())


def test_segments_of_one_range_are_all_stored_and_the_view_shows_the_first(client, writer) -> None:
    writer.add(0, [a_record(0, received=5), a_record(1, received=3), a_record(2, first_offset=1)])
    writer.flush(0)
    assert rows_of(client, "SELECT count() FROM accounting") == [(3,)]
    assert rows_of(client, "SELECT first_offset, received FROM v_accounting ORDER BY first_offset") == [(0, 5), (1, 0)]


def test_what_is_missing_is_null_and_not_0(client, writer) -> None:
    writer.add(0, [a_record(0)])
    writer.flush(0)
    assert rows_of(client, "SELECT sent_from, import_register_checksum FROM accounting") == [(None, None)]


def test_a_record_without_its_range_is_a_bug_and_named() -> None:
    with pytest.raises(Undecodable, match=r"accounting.v1\[0\] offset 7: first_offset must not be missing"):
        ACCOUNTING_TABLE.decode(Source("accounting.v1", 0), [a_record(7, first_offset=None)])
