"""Numbered SQL migrations: applied in order, once, and never changed afterwards."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import resources
from itertools import pairwise

import polars as pl
from clickhouse_connect.driver.client import Client

from sinks.clickhouse.client import insert
from sinks.clickhouse.errors import MigrationRefused, SinkUnavailable, unavailable_is_named

_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_COMMENT_TEXT_OR_END = re.compile(
    r"""(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<text>'(?:[^'\\]|\\.|'')*'|`[^`]*`|"[^"]*")|(?P<end>;)""",
    re.DOTALL,
)

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    number UInt32,
    name String,
    sha256 String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY number
SETTINGS non_replicated_deduplication_window = 1000
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file `NNNN_name.sql`."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Hash of the file's text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.number:04}_{self.name}"


def packaged_migrations() -> list[Migration]:
    """Return the migrations of this release, in order."""
    folder = resources.files("sinks.clickhouse").joinpath("migrations")
    migrations = [
        Migration(int(match[1]), match[2], file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if (match := _FILE_NAME.fullmatch(file.name))
    ]
    return sorted(migrations, key=lambda migration: migration.number)


def statements(sql: str) -> Iterator[str]:
    """Split SQL at semicolons that are neither in a text nor in a comment; comments are dropped.

    Examples
    --------
    >>> list(statements("SELECT ';' AS a; -- one; two\\nSELECT 2;"))
    ["SELECT ';' AS a", 'SELECT 2']
    """
    pieces: list[str] = []
    position = 0
    for match in _COMMENT_TEXT_OR_END.finditer(sql):
        pieces.append(sql[position : match.start()])
        position = match.end()
        if match["text"]:
            pieces.append(match["text"])
        elif match["end"]:
            if statement := "".join(pieces).strip():
                yield statement
            pieces.clear()
    if statement := ("".join(pieces) + sql[position:]).strip():
        yield statement


def migrate(client: Client, migrations: Sequence[Migration] | None = None) -> list[Migration]:
    """Bring a database to the newest version.

    Parameters
    ----------
    client
        The database.
    migrations
        All migrations there are, in order; those of this release when None.

    Returns
    -------
    list[Migration]
        Those that were applied now.

    Raises
    ------
    MigrationRefused
        When the database knows a migration that is missing or different here. Nothing is changed then.
    SinkUnavailable
        When ClickHouse cannot answer now: run it again.
    """
    now = _pending(client, packaged_migrations() if migrations is None else list(migrations))
    for migration in now:
        with unavailable_is_named(f"applying migration {migration}"):
            for statement in statements(migration.sql):
                client.command(statement)
        record = {"number": [migration.number], "name": [migration.name], "sha256": [migration.sha256]}
        insert(
            client,
            "schema_migrations",
            pl.DataFrame(record),
            f"migration {migration.number}",
            partial(_is_applied, client, migration),
        )
    return now


def check_migrated(client: Client) -> None:
    """Check that somebody has brought a database to the newest version: two who migrate meet halfway.

    Raises
    ------
    MigrationRefused
        When the database knows a migration that is missing or different here.
    SinkUnavailable
        When something has yet to be applied, or ClickHouse cannot answer now: look again.
    """
    pending = _pending(client, packaged_migrations())
    if pending:
        raise SinkUnavailable(f"another process has yet to apply {len(pending)} migrations, from {pending[0]} on")


def _is_applied(client: Client, migration: Migration) -> bool:
    with unavailable_is_named(f"looking for migration {migration}"):
        found = client.query(
            "SELECT 1 FROM schema_migrations WHERE number = {number:UInt32}", parameters={"number": migration.number}
        )
    return bool(found.result_rows)


def _pending(client: Client, wanted: Sequence[Migration]) -> list[Migration]:
    """Return the migrations that have yet to be applied."""
    for before, after in pairwise([0, *(migration.number for migration in wanted)]):
        if after != before + 1:
            raise MigrationRefused(f"migration {after:04} follows {before:04}: numbers must be 1, 2, 3, …")
    with unavailable_is_named("migrating"):
        client.command(_LEDGER)
        rows = client.query("SELECT number, name, sha256 FROM schema_migrations ORDER BY number").result_rows
    applied = {int(number): (str(name), str(sha256)) for number, name, sha256 in rows}
    _check_history(applied, {migration.number: migration for migration in wanted})
    return [migration for migration in wanted if migration.number not in applied]


def _check_history(applied: dict[int, tuple[str, str]], wanted: dict[int, Migration]) -> None:
    for number, (name, sha256) in applied.items():
        if number not in wanted:
            raise MigrationRefused(
                f"the database was migrated by a newer release: it has {number:04}_{name}, "
                f"the newest migration here is {max(wanted, default=0):04}"
            )
        if wanted[number].sha256 != sha256:
            raise MigrationRefused(
                f"migration {wanted[number]} was changed after it had been applied; "
                "put it back as it was and write a new one"
            )
