"""What is right and wrong with the history store: version, migrations, deduplication windows, clock."""

import fcntl
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clickhouse_connect.driver.client import Client

from sinks.clickhouse.client import connect, read_dsn
from sinks.clickhouse.errors import SinkMisconfigured, SinkUnavailable
from sinks.clickhouse.migrate import Migration, packaged_migrations, statements
from streams.checkup.clocks import CLOCK_ADVICE, level_of_skew
from streams.checkup.finding import Finding, Level

_CREATED = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?`?(\w+)`?", re.IGNORECASE)
_SETTING = re.compile(r"(\w+) = (\d+)")
_REPLICATED = ("Replicated", "Shared")
_LOCK = "status"  # the file an engine keeps locked as long as it has its directory open
LEDGER = "schema_migrations"


@dataclass(frozen=True, slots=True)
class Table:
    """A table as ClickHouse describes it: engine, and engine with its settings in full."""

    engine: str
    engine_full: str


def check_history(dsn: str) -> Iterator[Finding]:
    """Look at the history store; whatever cannot be looked at is said, never raised.

    Parameters
    ----------
    dsn
        As `sinks.clickhouse.client.read_dsn` takes it.
    """
    try:
        address = read_dsn(dsn)
        refused = None if address.path is None else _why_not_opened(address.path)
        if refused is not None:
            yield refused
            return
        client = connect(dsn)
    except SinkUnavailable as error:
        advice = "workers wait and hold what they have read; topics keep it meanwhile. Look at ClickHouse itself"
        yield Finding("history", Level.FAIL, str(error), advice)
        return
    except SinkMisconfigured as error:
        yield Finding("history", Level.FAIL, str(error), "correct clickhouse_url (WATTLOOP_CLICKHOUSE_URL)")
        return
    try:
        yield Finding("history", Level.OK, f"{address} answers (ClickHouse {client.server_version})")
        tables = _tables(client)
        applied = _applied(client) if LEDGER in tables else {}
        release = packaged_migrations()
        yield judge_migrations(applied, release)
        done = [one for one in release if one.number in applied]
        yield judge_windows(tables, created_tables(done), _defaults(client))
        if address.path is None:
            yield judge_clock(*_clock(client, time.time))
    finally:
        client.close()


def _why_not_opened(path: Path) -> Finding | None:
    """Say why an embedded engine is better left alone; None if it can be opened."""
    if not path.exists():
        advice = "the first `wattloop run` or `wattloop worker` makes it; nothing to do if none has been run here"
        return Finding("history", Level.WARN, f"there is no history at {path} yet", advice)
    if is_in_use(path):
        sentence = (
            f"the embedded history at {path} is open in another process (a worker, or `wattloop run`), and only one "
            "can open it, so its version, migrations and deduplication windows were not checked"
        )
        advice = "ask the worker's /readyz whether its history_store is true, or stop it and run this again"
        return Finding("history", Level.WARN, sentence, advice)
    return None


def is_in_use(path: Path) -> bool:
    """Return whether another process has the embedded engine of a directory open."""
    return is_locked(path / _LOCK)


def is_locked(file: Path) -> bool:
    """Return whether another process holds a lock on a file; a file that is not there is not locked."""
    try:
        with file.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def judge_migrations(applied: Mapping[int, tuple[str, str]], release: Sequence[Migration]) -> Finding:
    """Judge whether the database is that of this release.

    Parameters
    ----------
    applied
        Name and hash of each migration the database says was applied, by number.
    release
        The migrations of this release.
    """
    newer = sorted(number for number in applied if number > len(release))
    if newer:
        names = ", ".join(f"{number:04}_{applied[number][0]}" for number in newer)
        sentence = f"the database was migrated by a newer release: this one does not know {names}"
        return Finding("migrations", Level.FAIL, sentence, "run the newer release; migrations are not undone")
    changed = [one for one in release if one.number in applied and applied[one.number][1] != one.sha256]
    if changed:
        sentence = f"{', '.join(map(str, changed))} differs from what was applied to the database"
        advice = "this is not the release that made the database: workers refuse to start on it"
        return Finding("migrations", Level.FAIL, sentence, advice)
    pending = [one for one in release if one.number not in applied]
    if pending:
        sentence = f"{len(pending)} of {len(release)} migrations are not applied: {', '.join(map(str, pending))}"
        return Finding("migrations", Level.WARN, sentence, "run `wattloop migrate`; a worker does it at its start")
    return Finding("migrations", Level.OK, f"all {len(release)} migrations of this release are applied")


def created_tables(migrations: Sequence[Migration]) -> tuple[str, ...]:
    """Return the tables that migrations create, the ledger of migrations included.

    Examples
    --------
    >>> created_tables([Migration(1, "first", "CREATE TABLE IF NOT EXISTS a (x Int8); SELECT 1")])
    ('schema_migrations', 'a')
    """
    sql = (statement for one in migrations for statement in statements(one.sql))
    found = [match[1] for statement in sql if (match := _CREATED.match(statement))]
    return (LEDGER, *dict.fromkeys(found)) if migrations else ()


def judge_windows(tables: Mapping[str, Table], ours: Sequence[str], defaults: Mapping[str, int]) -> Finding:
    """Judge whether every table of ours drops a block that is sent twice.

    Parameters
    ----------
    tables
        The tables of the database.
    ours
        Those that must have a deduplication window.
    defaults
        Windows of tables that do not set one: `replicated_deduplication_window` and the `non_replicated_` one.
    """
    name = "dedup-windows"
    missing = [table for table in ours if table not in tables]
    if missing:
        sentence = f"tables are missing although their migration was applied: {', '.join(missing)}"
        return Finding(name, Level.FAIL, sentence, "restore them from a backup; they are not made again by themselves")
    windows = {table: _window(tables[table], defaults) for table in ours if "MergeTree" in tables[table].engine}
    without = [table for table, window in windows.items() if window == 0]
    if without:
        sentence = f"no deduplication window on {', '.join(without)}: a block that is sent again would be stored twice"
        settings = ", ".join(sorted({_setting(tables[table]) for table in without}))
        return Finding(name, Level.FAIL, sentence, f"ALTER TABLE … MODIFY SETTING {settings} = 10000, on each of them")
    if not windows:
        return Finding(name, Level.OK, "there are no tables yet")
    least = min(windows.values())
    return Finding(name, Level.OK, f"{len(windows)} tables remember their last {least} blocks or more")


def _setting(table: Table) -> str:
    kind = "replicated" if table.engine.startswith(_REPLICATED) else "non_replicated"
    return f"{kind}_deduplication_window"


def _window(table: Table, defaults: Mapping[str, int]) -> int:
    said = dict(_SETTING.findall(table.engine_full.partition(" SETTINGS ")[2]))
    setting = _setting(table)
    return int(said.get(setting, defaults.get(setting, 0)))


def judge_clock(before_s: float, theirs_s: float, after_s: float) -> Finding:
    """Judge the clock of the server against ours.

    Parameters
    ----------
    before_s, after_s
        Our clock when the question was sent, and when the answer was there. [s since 1970]
    theirs_s
        The server's clock in between. [s since 1970]

    Examples
    --------
    >>> judge_clock(100.0, 100.15, 100.2).sentence
    'ClickHouse is 0.0 s from this machine, give or take 0.1 s'
    """
    skew_s = max(before_s - theirs_s, theirs_s - after_s, 0.0)
    level = level_of_skew(skew_s)
    direction = "behind" if theirs_s < before_s else "ahead of" if theirs_s > after_s else "from"
    sentence = f"ClickHouse is {skew_s:.1f} s {direction} this machine, give or take {(after_s - before_s) / 2:.1f} s"
    return Finding("clickhouse-clock", level, sentence, "" if level is Level.OK else CLOCK_ADVICE)


def _clock(client: Client, clock: Callable[[], float]) -> tuple[float, float, float]:
    before = clock()
    theirs = client.query("SELECT toUnixTimestamp64Milli(now64(3))").result_rows[0][0]
    return before, int(theirs) / 1000, clock()


def _tables(client: Client) -> dict[str, Table]:
    rows = client.query(
        "SELECT name, engine, engine_full FROM system.tables WHERE database = currentDatabase()"
    ).result_rows
    return {str(name): Table(str(engine), str(full)) for name, engine, full in rows}


def _applied(client: Client) -> dict[int, tuple[str, str]]:
    rows = client.query("SELECT number, name, sha256 FROM schema_migrations").result_rows
    return {int(number): (str(name), str(sha256)) for number, name, sha256 in rows}


def _defaults(client: Client) -> dict[str, int]:
    rows = client.query(
        "SELECT name, value FROM system.merge_tree_settings WHERE name = 'non_replicated_deduplication_window' "
        "UNION ALL "
        "SELECT name, value FROM system.replicated_merge_tree_settings WHERE name = 'replicated_deduplication_window'"
    ).result_rows
    return {str(name): int(value) for name, value in rows}
