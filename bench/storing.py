"""`python -m bench.storing`: what taking and storing readings costs, by the size of blocks.

Batches of telemetry.v1 go through the writer into an embedded ClickHouse in a directory of its own, which is removed.
CPU time of this process, which the engine is a part of, because machines are shared. Prints figures, asserts nothing.
"""

import argparse
import json
import tempfile
import time

import polars as pl
from clickhouse_connect.driver.client import Client

from bench.scale import batches
from schemas.flow import Kind
from sinks.clickhouse.client import connect
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.records import Record
from sinks.clickhouse.rows import READINGS_TABLE
from sinks.clickhouse.writer import TableWriter
from streams.frame.codec import batch_value, control_headers

METERS = 500
PER_BATCH = 2_000


def messages(readings: int) -> list[Record]:
    """Return batches as ingest sends them."""
    swept = pl.concat([rows for _, rows in batches(METERS, 0, readings // METERS)])
    numbered = swept.with_columns(raw_offset=pl.int_range(pl.len(), dtype=pl.Int64))
    headers = dict(control_headers(Kind.READINGS, 0))
    values = [batch_value(part) for part in numbered.iter_slices(PER_BATCH)]
    return [Record(offset, 0, None, value, headers) for offset, value in enumerate(values)]


def figures_of(client: Client, number: int, taken: list[Record], block_rows: int) -> dict[str, float]:
    """Store the same messages under a log id of their own, in blocks of a size."""
    writer = TableWriter(client, READINGS_TABLE, f"4L6g3nShT-eMCtK--X86sw/bench-{number}", 1e9)
    writer.open(0)
    taking_s = storing_s = 0.0
    blocks = rows = 0
    at_once = block_rows // PER_BATCH
    for place in range(0, len(taken), at_once):
        began = time.process_time()
        writer.add(0, taken[place : place + at_once])
        between = time.process_time()
        result = writer.flush(0)
        taking_s += between - began
        storing_s += time.process_time() - between
        blocks += 1
        rows += result.rows if result is not None else 0
    return {
        "taking [CPU s per million readings]": taking_s / rows * 1e6,
        "storing [CPU s per million readings]": storing_s / rows * 1e6,
        "storing [CPU ms per block]": storing_s / blocks * 1e3,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.storing", description=__doc__)
    parser.add_argument("--readings", type=int, default=200_000)
    parser.add_argument("--blocks", type=int, nargs="+", default=[2_000, 20_000, 100_000], metavar="ROWS")
    chosen = parser.parse_args()
    taken = messages(chosen.readings)
    found = {}
    with tempfile.TemporaryDirectory() as directory:
        client = connect(f"chdb://{directory}/history")
        migrate(client)
        figures_of(client, 0, taken[:10], PER_BATCH)  # the first insert of a process is like no other
        for number, block_rows in enumerate(chosen.blocks, 1):
            found[block_rows] = figures_of(client, number, taken, block_rows)
        client.close()
    print(" ".join(f"{rows:>10,}" for rows in found) + "  rows in a block")
    for name in found[chosen.blocks[0]]:
        print(" ".join(f"{figures[name]:>10.2f}" for figures in found.values()) + f"  {name}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
