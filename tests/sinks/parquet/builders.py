"""Messages of telemetry.v1 for the archive, and what it holds of them."""

import io
import json
from pathlib import Path

import polars as pl

from schemas.reading import TELEMETRY_ROWS
from sinks.clickhouse.records import Record
from sinks.parquet.manifest import Part
from sinks.parquet.reader import lanes_of

DAY_MS = 86_400_000
NOON = 1_784_116_800_000  # 2026-07-15 12:00 UTC


def a_reading(raw_offset: int, **given: object) -> dict[str, object]:
    about: dict[str, object] = {"tenant_id": "acme", "site_id": "mill", "meter_id": "main", "ts": NOON + raw_offset}
    about |= {
        "import_kwh": float(raw_offset),
        "export_kwh": None,
        "power_kw": None,
        "import_kvarh": None,
        "raw_partition": 0,
    }
    return about | {"raw_offset": raw_offset} | given


def readings(offset: int, *rows: dict[str, object], arrived_at: int = NOON) -> Record:
    body = io.BytesIO()
    pl.DataFrame(list(rows), schema=TELEMETRY_ROWS, orient="row").write_ipc_stream(body, compression="lz4")
    return message(offset, "readings", body.getvalue(), arrived_at)


def tick(offset: int, arrived_at: int = NOON) -> Record:
    return message(offset, "tick", b"", arrived_at)


def site(offset: int, revision: int = 1, name: str = "mill", arrived_at: int = NOON) -> Record:
    record = {"revision": revision, "site": {"id": name, "tenant": "acme", "meters": [{"id": "main"}]}}
    return message(offset, "site", json.dumps(record).encode(), arrived_at)


def message(offset: int, kind: str, value: bytes, arrived_at: int) -> Record:
    headers = {"kind": kind.encode(), "arrived_at": str(arrived_at).encode()}
    return Record(offset, arrived_at, None, value, headers)


def held(root: Path, part: Part = Part.READINGS) -> pl.DataFrame:
    """All that counts."""
    logs = [log for lane in lanes_of(root).values() for log in lane]
    parts = [log.rows(part) for log in logs]
    return pl.concat(parts) if parts else pl.DataFrame()


def raw_offsets(root: Path) -> list[int]:
    found = held(root)
    return sorted(found["raw_offset"].to_list()) if found.width else []
