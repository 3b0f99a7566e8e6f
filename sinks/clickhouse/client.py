"""One DSN for a ClickHouse server and for the embedded engine, and inserts that can be repeated."""

import io
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import clickhouse_connect
import polars as pl
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, Error

from sinks.clickhouse.errors import (
    SinkMisconfigured,
    SinkUnavailable,
    first_line,
    is_unavailable,
    unavailable_is_named,
)

log = logging.getLogger(__name__)

DEFAULT_DATABASE = "wattloop"

_SCHEMES = ("http", "https", "chdb")
_DATABASE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_OPTIONS = ("password", "access_token")
_UNKNOWN_DATABASE = 81
_ONE_BLOCK_ROWS = 1 << 31
_ENGINE = "SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = {table:String}"
_FORGOTTEN_BLOCKS = 9  # each needs a kill within the same microseconds of the same block
_CONNECT_TIMEOUT_S = 10
_ANSWER_TIMEOUT_S = 60  # a server that is stuck is as good as one that is away

# One insert is one block of one table partition, so that it is stored whole or not at all, and a repetition
# of it (same token) is dropped by the server.
_INSERT_SETTINGS: Mapping[str, str | int] = {
    "async_insert": 0,
    "insert_deduplicate": 1,
    "deduplicate_insert": "enable",  # supersedes the one above since ClickHouse 26
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "max_insert_threads": 1,
    "max_insert_block_size": _ONE_BLOCK_ROWS,
    "min_insert_block_size_rows": _ONE_BLOCK_ROWS,
    "min_insert_block_size_bytes": 0,
    "input_format_null_as_default": 0,  # a missing value is an error or null, never 0
}


@dataclass(frozen=True, slots=True)
class Address:
    """A DSN taken apart; its text form holds no password.

    Parameters
    ----------
    dsn
        The DSN without user, password and secret options.
    database
        Name of the database.
    path
        Directory of the embedded engine, None for a server.
    username, secrets
        Who connects, and with what.
    """

    dsn: str
    database: str
    path: Path | None
    username: str | None
    secrets: Mapping[str, str] = field(repr=False)

    def __str__(self) -> str:
        return self.dsn


def read_dsn(dsn: str) -> Address:
    """Take a DSN apart.

    Parameters
    ----------
    dsn
        `http://user:password@host:8123/database`, `https://…`, or `chdb:///absolute/path` for the embedded
        engine (`?database=name` chooses another database than `wattloop` there).

    Raises
    ------
    SinkMisconfigured
        With a sentence that does not repeat the DSN, because it may hold a password.

    Examples
    --------
    >>> address = read_dsn("https://writer:s3cret@example.org/energy?compress=lz4")
    >>> str(address), address.database, address.username
    ('https://example.org/energy?compress=lz4', 'energy', 'writer')
    >>> read_dsn("chdb:///var/lib/wattloop/history").path
    PosixPath('/var/lib/wattloop/history')
    """
    try:
        parts = urlsplit(dsn)
        host, port, username, password = parts.hostname, parts.port, parts.username, parts.password
    except ValueError:
        # the reason may quote a part of the password
        raise SinkMisconfigured(
            "the ClickHouse URL cannot be read; special characters in the password must be percent-encoded"
        ) from None
    if parts.scheme not in _SCHEMES:
        raise SinkMisconfigured("the ClickHouse URL must begin with http://, https:// or chdb:///")
    options = parse_qs(parts.query)
    if parts.scheme == "chdb":
        if parts.netloc or not parts.path.strip("/"):
            raise SinkMisconfigured("the URL of the embedded ClickHouse must be chdb:///absolute/path")
        database = options.get("database", [DEFAULT_DATABASE])[0]
        return Address(f"chdb://{parts.path}", _checked_name(database), Path(unquote(parts.path)), None, secrets={})
    if host is None:
        raise SinkMisconfigured("the ClickHouse URL has no host")
    secrets = {name: options[name][0] for name in _SECRET_OPTIONS if name in options}
    if password is not None:
        secrets["password"] = unquote(password)
    netloc = f"[{host}]" if ":" in host else host
    plain = urlunsplit(
        (
            parts.scheme,
            f"{netloc}:{port}" if port else netloc,
            parts.path,
            urlencode([(name, value) for name, value in parse_qsl(parts.query) if name not in _SECRET_OPTIONS]),
            "",
        )
    )
    database = unquote(parts.path.strip("/")) or DEFAULT_DATABASE
    return Address(plain, _checked_name(database), None, unquote(username) if username else None, secrets)


def connect(dsn: str) -> Client:
    """Connect to a ClickHouse server or open the embedded engine; the database is created when absent.

    Parameters
    ----------
    dsn
        See `read_dsn`. Only one process at a time can open a path of the embedded engine, and a process can
        open only one path.

    Returns
    -------
    Client
        A client whose default database is the DSN's.

    Raises
    ------
    SinkUnavailable
        When the server cannot be reached now.
    SinkMisconfigured
        When it will never work like this: refused user, unreadable DSN, a path another process has open.
    """
    address = read_dsn(dsn)
    try:
        client = _embedded(address.path) if address.path else _server(address)
        if client.database != address.database:
            client.command(f"CREATE DATABASE IF NOT EXISTS `{address.database}`", use_database=False)
            client.database = address.database
    except (ClickHouseError, OSError, ValueError) as error:
        # No cause is kept: a chain of driver errors may quote the request.
        reason = _without(address.secrets, first_line(error))
        if is_unavailable(error):
            raise SinkUnavailable(f"ClickHouse at {address} cannot be reached: {reason}") from None
        hint = "; is it open in another process?" if address.path else ""
        raise SinkMisconfigured(f"ClickHouse at {address} refuses the connection: {reason}{hint}") from None
    return client


def insert(
    client: Client, table: str, rows: pl.DataFrame, token: str, is_stored: Callable[[], bool] | None = None
) -> None:
    """Store rows as one block; repeating it with the same token changes nothing.

    Parameters
    ----------
    client
        Where to.
    table
        A table with a deduplication window. All rows must be of one table partition.
    rows
        Columns named as in the table.
    token
        Names the block: a second block with a token the table remembers is dropped.
    is_stored
        Asks the table for the block. Needed where a block may be sent again after ClickHouse was killed: a plain
        MergeTree writes a token down before the block is in place, so one that was killed in between remembers a block
        it does not have, and drops it whenever it comes (adr/0043).

    Raises
    ------
    SinkUnavailable
        When it is unknown whether the rows are stored, or they are not: repeat with the same token.
    RuntimeError
        When the table drops a block it does not have, whatever its token.
    """
    _send(client, table, rows, token)
    if is_stored is None or is_stored() or not _remembers_by_itself(client, table):
        return
    # Everyone who is met by this counts alike, so of two rivals for one token still only one gets through.
    for attempt in range(1, _FORGOTTEN_BLOCKS + 1):
        log.warning("block_remembered_but_not_stored", extra={"table": table, "token": token, "attempt": attempt})
        _send(client, table, rows, f"{token}:again {attempt}")
        if is_stored():
            return
    raise RuntimeError(f"{table} drops the block {token!r} as one it has stored, but does not have it")


def _send(client: Client, table: str, rows: pl.DataFrame, token: str) -> None:
    buffer = io.BytesIO()
    rows.rechunk().write_ipc_stream(buffer, compat_level=pl.CompatLevel.oldest())
    settings = {name: value for name, value in _INSERT_SETTINGS.items() if name in client.server_settings}
    with unavailable_is_named(f"inserting {rows.height} rows into {table}"):
        client.raw_insert(
            table,
            rows.columns,
            buffer.getvalue(),
            {**settings, "insert_deduplication_token": token},
            fmt="ArrowStream",
        )


def _remembers_by_itself(client: Client, table: str) -> bool:
    """Return whether a table keeps its tokens beside its blocks, and not with them in a keeper that replicas share.

    What a replicated table was given may only not be visible here yet.
    """
    with unavailable_is_named(f"asking for the engine of {table}"):
        rows = client.query(_ENGINE, parameters={"table": table}).result_rows
    return bool(rows) and not str(rows[0][0]).startswith(("Replicated", "Shared"))


def _embedded(path: Path) -> Client:
    path.mkdir(parents=True, exist_ok=True)
    return clickhouse_connect.get_client(interface="chdb", path=str(path))


def _server(address: Address) -> Client:
    # Without a session id requests may overlap, and a lost answer leaves no locked session behind.
    def opened(database: str) -> Client:
        return clickhouse_connect.get_client(
            dsn=address.dsn,
            interface=urlsplit(address.dsn).scheme,  # the client would speak http to an https DSN without a port
            database=database,
            username=address.username,
            autogenerate_session_id=False,
            connect_timeout=_CONNECT_TIMEOUT_S,
            send_receive_timeout=_ANSWER_TIMEOUT_S,
            password=address.secrets.get("password", ""),
            access_token=address.secrets.get("access_token"),
        )

    try:
        return opened(address.database)
    except Error as error:
        if error.code != _UNKNOWN_DATABASE:
            raise
        return opened("default")


def _checked_name(database: str) -> str:
    if not _DATABASE_NAME.fullmatch(database):
        raise SinkMisconfigured("the database in the ClickHouse URL must be letters, digits and underscores")
    return database


def _without(secrets: Mapping[str, str], text: str) -> str:
    for secret in secrets.values():
        if secret:
            text = text.replace(secret, "***")
    return text
