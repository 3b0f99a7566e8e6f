"""Messages as the sink's topics carry them, and an engine that fails at a chosen call."""

import io
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import polars as pl
from clickhouse_connect.driver.client import Client

from schemas.emission import EMISSION_RECORD
from schemas.reading import TELEMETRY_ROWS
from schemas.window import WINDOW_ROWS
from sinks.clickhouse.records import Record

NOON_MS = 1_780_315_200_000  # 2026-06-01 12:00 UTC


def ms(year: int, month: int, day: int) -> int:
    """Midnight UTC. [ms]"""
    return int(datetime(year, month, day, tzinfo=UTC).timestamp() * 1000)


def a_reading(**given: object) -> dict[str, object]:
    return {
        "tenant_id": "acme",
        "site_id": "zj-paper",
        "meter_id": "main",
        "ts": NOON_MS,
        "import_kwh": 1000.0,
        "export_kwh": None,
        "power_kw": None,
        "raw_partition": 0,
        "raw_offset": 0,
    } | given


def a_window(**given: object) -> dict[str, object]:
    return {
        "tenant_id": "acme",
        "site_id": "zj-paper",
        "meter_id": "main",
        "meter_kind": "grid",
        "window_start": NOON_MS,
        "window_s": 60,
        "import_kwh": 2.5,
        "export_kwh": None,
        "covered_s": 60.0,
        "quality": "measured",
        "revision": 0,
        "raw_partition": 0,
        "raw_offset_first": 1,
        "raw_offset_last": 2,
    } | given


def an_emission(**given: object) -> dict[str, object]:
    return (
        dict.fromkeys(EMISSION_RECORD)
        | {
            "id": "emissions/zj-paper/1/0",
            "tenant_id": "acme",
            "site_id": "zj-paper",
            "ts": NOON_MS,
            "window_s": 60,
            "import_kwh": 2.5,
            "emitted_kg": 1.25,
            "cost_cny": 2.0,
            "quality": "measured",
            "meters": 1,
            "meters_missing": 0,
            "revision": 0,
        }
        | given
    )


def _arrow(rows: Sequence[Mapping[str, object]], schema: Mapping[str, pl.DataType]) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(list(rows), schema=dict(schema), orient="row").write_ipc_stream(buffer, compression="lz4")
    return buffer.getvalue()


def readings_message(offset: int, *readings: Mapping[str, object]) -> Record:
    return Record(offset, NOON_MS, None, _arrow(readings, TELEMETRY_ROWS), {"kind": b"readings"})


def windows_message(offset: int, *windows: Mapping[str, object], origin: str | None = None) -> Record:
    place = (origin or f"0:{offset}:0").encode()
    return Record(offset, NOON_MS, None, _arrow(windows, WINDOW_ROWS), {"kind": b"windows", "origin": place})


def emission_message(offset: int, emission: Mapping[str, object], origin: str | None = None) -> Record:
    place = (origin or f"0:{offset}:0").encode()
    return Record(offset, NOON_MS, b"zj-paper", json.dumps(emission).encode(), {"origin": place})


def tick(offset: int) -> Record:
    return Record(offset, NOON_MS, None, b"", {"kind": b"tick"})


def a_letter(offset: int, **given: bytes | None) -> Record:
    headers = {
        "dlq_reason": b"undecodable",
        "dlq_detail": b"expected a JSON object",
        "dlq_stage": b"ingest",
        "dlq_topic": b"meter.readings.v1",
        "dlq_partition": b"0",
        "dlq_offset": str(offset).encode(),
        "dlq_index": b"0",
        "dlq_timestamp": str(NOON_MS).encode(),
        "content-type": b"application/json",
    }
    key = given.pop("key", b"zj-paper")
    value = given.pop("value", b"{") or b""
    headers |= {name: value for name, value in given.items() if value is not None}
    return Record(offset, NOON_MS, key, value, headers)


class PowerCutError(Exception):
    """The process is gone."""


class CutShort:
    """A client whose power fails before, or right after, its n-th insert, be it of rows or of sums."""

    def __init__(self, client: Client, insert_number: int, *, stored: bool) -> None:
        self._client = client
        self._left = insert_number
        self._stored = stored

    def __getattr__(self, name: str) -> object:
        return getattr(self._client, name)

    def raw_insert(self, *given: object, **named: object) -> object:
        return self._stored_or_cut(lambda: self._client.raw_insert(*given, **named))

    def command(self, *given: object, **named: object) -> object:
        return self._stored_or_cut(lambda: self._client.command(*given, **named))

    def _stored_or_cut(self, insert: Callable[[], object]) -> object:
        self._left -= 1
        if self._left == 0 and not self._stored:
            raise PowerCutError
        answer = insert()
        if self._left == 0:
            raise PowerCutError
        return answer


def kill_between_token_and_block(client: Client, table: str) -> None:
    """Leave a table as a SIGKILL does between writing down the token of its newest block and putting it in place.

    Plain MergeTree tables do these two in this order; a table that is attached reads both from disk.
    """
    newest = (
        "SELECT path FROM system.parts WHERE database = currentDatabase() AND table = {table:String} AND active "
        "ORDER BY modification_time DESC, max_block_number DESC LIMIT 1"
    )
    ((path,),) = rows_of(client, newest, table=table)
    client.command(f"DETACH TABLE {table} SYNC")
    shutil.rmtree(str(path))
    client.command(f"ATTACH TABLE {table}")


def rows_of(client: Client, query: str, **parameters: object) -> list[tuple[object, ...]]:
    """Rows of a query as tuples."""
    return [tuple(row) for row in client.query(query, parameters=parameters).result_rows]
