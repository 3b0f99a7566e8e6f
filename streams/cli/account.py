"""`wattloop account`: proves that what was received is stored, rejected or late, or says where it is not."""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import click
import polars as pl
from clickhouse_connect.driver.client import Client

from schemas.topics import METER_READINGS
from sinks.clickhouse.client import connect, read_dsn
from sinks.clickhouse.errors import SinkMisconfigured, SinkUnavailable
from streams.accounting.checks import Period
from streams.accounting.proof import Imbalance, Proof, prove
from streams.checkup.history import is_in_use
from streams.cli.dlq import Time
from streams.cli.flags import Flags, settings_flags
from streams.configuration import load_configuration

FIELDS = ("config", "clickhouse_url", "data_dir")
DAY_MS = 86_400_000
HEADINGS = ("station", "topic", "received", "used", "late", "refused", "duplicates", "rows sent", "kWh sent")
_COUNTS = ("received", "used", "late", "refused", "duplicates", "sent_rows")


@click.command("account")
@click.option("--from", "from_ms", type=Time(), metavar="TIME", help="Arrived then or later (ISO 8601).")
@click.option("--to", "to_ms", type=Time(), metavar="TIME", help="Arrived before then (ISO 8601).")
@click.option("--all", "everything", is_flag=True, help="Everything accounting still has (90 days).")
@click.option("--partitions", "each", is_flag=True, help="One line per partition, with its offsets.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, partitions included.")
@settings_flags(FIELDS)
def command(
    flags: Flags, from_ms: int | None, to_ms: int | None, *, everything: bool, each: bool, as_json: bool
) -> None:
    """Prove that what was received is stored, rejected or late, or say where it is not.

    Compares what every station said on accounting.v1 with the rows of the tables, by offset: readings, dead letters,
    windows and emission records. Without --from it looks at the last 24 hours before --to (before now). Times are
    arrivals, in steps of whole minutes.

    Received but not stored yet is shown as in flight and is no imbalance; nor are windows and emission records that a
    later revision has replaced. There is no choice of a site: an offset belongs to a partition, not to a site.

    Exit code: 0 it balances, 1 it does not, or could not be looked at, 2 the settings are wrong.

    \b
    Examples:
      wattloop account --clickhouse-url https://reader:secret@ch.example:8443/wattloop
      wattloop account --from 2026-11-01 --to 2026-11-08 --partitions
      wattloop account --all --json | jq '.imbalances'
    """
    if everything and from_ms is not None:
        raise click.UsageError("--all and --from exclude each other")
    if from_ms is None and not everything:
        from_ms = (int(time.time() * 1000) if to_ms is None else to_ms) - DAY_MS
    period = Period(from_ms, to_ms)
    settings, _ = load_configuration(flags, os.environ, want_registry=False)
    client = _opened(settings.clickhouse_dsn)
    try:
        proof = prove(client, period)
    except SinkUnavailable as error:
        raise click.ClickException(str(error)) from error
    finally:
        client.close()
    if as_json:
        click.echo(json.dumps(as_document(proof, period), indent=2))
    else:
        click.echo("\n".join(as_text(proof, period, each=each)))
    sys.exit(1 if proof.imbalances else 0)


def _opened(dsn: str) -> Client:
    try:
        path = read_dsn(dsn).path
        if path is not None and not path.exists():
            raise click.ClickException(f"there is no history at {path} yet")
        if path is not None and is_in_use(path):
            raise click.ClickException(
                f"the embedded history at {path} is open in another process (a worker, or `wattloop run`), and only "
                "one can open it: stop that one and run this again, or give the workers a ClickHouse server "
                "(clickhouse_url). While it runs, wattloop_accounted_rows_total on its /metrics says what it counts"
            )
        client = connect(dsn)
    except (SinkUnavailable, SinkMisconfigured) as error:
        raise click.ClickException(str(error)) from error
    if not client.query("EXISTS TABLE accounting").result_rows[0][0]:
        client.close()
        raise click.ClickException("the history has no table `accounting` yet: run `wattloop migrate`")
    return client


def as_text(proof: Proof, period: Period, *, each: bool) -> Iterator[str]:
    """Yield the lines for people.

    Parameters
    ----------
    proof, period
        What was proved.
    each
        A line per partition instead of one per topic.
    """
    if proof.totals.is_empty():
        yield f"nothing was accounted for {_named(period)}"
        return
    by = ["log_id", "station", "topic", "partition"] if each else ["station", "topic"]
    sums = proof.totals.group_by(by).agg(
        pl.col(*_COUNTS, "sent_import_kwh").sum(), pl.col("first_offset").min(), pl.col("last_offset").max()
    )
    flow = ("ingest", "metering", "emissions", "billing", "balance", "anomalies", "advice", "comfort", "savings")
    stations = {station: place for place, station in enumerate(flow)}
    order = pl.col("station").replace_strict(stations, default=len(flow))
    rows = [HEADINGS]
    for row in sums.sort(order, *by).iter_rows(named=True):
        where = (
            f"{row['topic']}[{row['partition']}] {row['first_offset']}-{row['last_offset']}" if each else row["topic"]
        )
        counts = (f"{row[name]:,}" for name in _COUNTS)
        rows.append((row["station"], where, *counts, f"{row['sent_import_kwh']:,.3f}"))
    yield from _aligned(rows)
    received = proof.totals.filter(station="ingest", topic=METER_READINGS.name)
    if proof.replaced:
        yield f"{proof.replaced:,} windows or records were replaced by later ones"
    for (log_id, station), lacking in proof.behind.items():
        yield f"in flight: {lacking:,} rows that {station} has not accounted for yet (log {log_id})"
    for one in proof.in_flight:
        yield f"in flight: {one}"
    for one in proof.imbalances:
        yield f"IMBALANCE {one}"
    if proof.imbalances:
        count = len(proof.imbalances)
        yield f"does not balance: {count} difference{'' if count == 1 else 's'} {_named(period)}"
        return
    total, stored = int(received["received"].sum()), int(received["used"].sum())
    late = int(proof.totals.filter(station="metering")["late"].sum())
    yield (
        f"balances {_named(period)}: {total:,} readings in = {stored:,} accepted ({late:,} of them late) + "
        f"{total - stored:,} rejected{'; some of it is in flight' if proof.in_flight or proof.behind else ''}"
    )


def as_document(proof: Proof, period: Period) -> dict[str, object]:
    """Return the same for programs."""
    return {
        "from": period.from_ms,
        "to": period.to_ms,
        "balances": not proof.imbalances,
        "totals": proof.totals.to_dicts(),
        "imbalances": [_document(one) for one in proof.imbalances],
        "in_flight": [_document(one) for one in proof.in_flight],
        "replaced": proof.replaced,
        "behind": [
            {"log_id": log_id, "station": station, "rows": rows} for (log_id, station), rows in proof.behind.items()
        ],
    }


def _document(one: Imbalance) -> dict[str, object]:
    return {
        "log_id": one.log_id,
        "station": one.station,
        "topic": one.topic,
        "partition": one.partition,
        "first_offset": one.first_offset,
        "last_offset": one.last_offset,
        "what": one.what,
        "unit": "kWh" if one.kwh else "rows",
        "said": one.said,
        "found": one.found,
    }


def _named(period: Period) -> str:
    def moment(at: int) -> str:
        return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="minutes").replace("+00:00", "Z")

    begin = "from the beginning" if period.from_ms is None else f"from {moment(period.from_ms)}"
    return begin if period.to_ms is None else f"{begin} to {moment(period.to_ms)}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEADINGS))]
    for row in rows:
        cells = [
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
