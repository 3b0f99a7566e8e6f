"""What can go wrong between us and ClickHouse, and whose fault it is.

    SinkError
    ├── SinkUnavailable     the world's fault: wait and try the same again, commit nothing
    ├── SinkMisconfigured   the operator's fault: a DSN, password or path that cannot work
    │   └── MigrationRefused    the database was not made by these migrations
    ├── Fenced              another process writes this partition now: give it up, or open it anew
    └── LogMismatch         the topic no longer holds what the table says was next
    Undecodable, OffsetGap  our fault: stop, loudly

Everything ClickHouse answers that is not listed as transient is our fault too and is raised as it came.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from clickhouse_connect.driver.exceptions import ClickHouseError, Error, OperationalError
from urllib3.exceptions import HTTPError


class SinkError(Exception):
    """Any failure of a sink that has a name."""


class SinkUnavailable(SinkError):
    """ClickHouse cannot take it now: retry the same, without committing."""


class SinkMisconfigured(SinkError):
    """The connection can never work as it is configured."""


class MigrationRefused(SinkMisconfigured):
    """The database was not made by the migrations of this release."""


class Fenced(SinkError):
    """Another writer has gone on from the same place: this one's view of the partition is old."""


class LogMismatch(SinkError):
    """The broker's log no longer holds the offsets that have to be stored next."""


class Undecodable(Exception):
    """A message on one of our own topics does not hold what its contract says."""


class OffsetGap(Exception):
    """The messages handed over are not contiguous: seek back to `expected_offset`."""

    def __init__(self, place: str, expected_offset: int, got_offset: int) -> None:
        super().__init__(f"{place}: offset {expected_offset} is next, but {got_offset} was handed over")
        self.expected_offset = expected_offset


# Error codes of ClickHouse that say "not now" and not "never".
TRANSIENT_CODES: dict[int, str] = {
    24: "CANNOT_WRITE_TO_OSTREAM",
    75: "CANNOT_WRITE_TO_FILE_DESCRIPTOR",
    95: "CANNOT_READ_FROM_SOCKET",
    96: "CANNOT_WRITE_TO_SOCKET",
    159: "TIMEOUT_EXCEEDED",
    160: "TOO_SLOW",
    173: "CANNOT_ALLOCATE_MEMORY",
    201: "QUOTA_EXCEEDED",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    203: "NO_FREE_CONNECTION",
    204: "CANNOT_FSYNC",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    225: "NO_ZOOKEEPER",
    236: "ABORTED",
    241: "MEMORY_LIMIT_EXCEEDED",
    242: "TABLE_IS_READ_ONLY",
    243: "NOT_ENOUGH_SPACE",
    252: "TOO_MANY_PARTS",
    254: "NO_ACTIVE_REPLICAS",
    265: "NO_AVAILABLE_REPLICA",
    279: "ALL_CONNECTION_TRIES_FAILED",
    285: "TOO_FEW_LIVE_REPLICAS",
    286: "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE",
    289: "REPLICA_IS_NOT_IN_QUORUM",
    297: "SHARD_HAS_NO_CONNECTIONS",
    319: "UNKNOWN_STATUS_OF_INSERT",
    364: "RECEIVED_ERROR_TOO_MANY_REQUESTS",
    369: "ALL_REPLICAS_ARE_STALE",
    373: "SESSION_IS_LOCKED",
    384: "PART_IS_TEMPORARILY_LOCKED",
    394: "QUERY_WAS_CANCELLED",
    425: "SYSTEM_ERROR",
    439: "CANNOT_SCHEDULE_TASK",
    473: "DEADLOCK_AVOIDED",
    499: "S3_ERROR",
    500: "AZURE_BLOB_STORAGE_ERROR",
    677: "THREAD_WAS_CANCELED",
    692: "TOO_MANY_MUTATIONS",
    700: "USER_SESSION_LIMIT_EXCEEDED",
    735: "QUERY_WAS_CANCELLED_BY_CLIENT",
    745: "SERVER_OVERLOADED",
    749: "TCP_CONNECTION_LIMIT_REACHED",
    762: "HTTP_CONNECTION_LIMIT_REACHED",
    776: "RESOURCE_LIMIT_EXCEEDED",
    777: "MEMORY_RESERVATION_KILLED",
    778: "MEMORY_RESERVATION_FAILED",
    999: "KEEPER_EXCEPTION",
    1000: "POCO_EXCEPTION",
    1019: "QUERY_SLOT_ACQUISITION_TIMEOUT",
    1020: "MEMORY_RESERVATION_ACQUISITION_TIMEOUT",
}

# What a proxy or load balancer in front of ClickHouse answers while there is none behind it.
_PROXY_ANSWER = re.compile(r"HTTP status (408|429|502|503|504)\b")
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


def is_unavailable(error: BaseException) -> bool:
    """Return whether an error is the world's fault, so that the same request may succeed later.

    Parameters
    ----------
    error
        What the ClickHouse client, urllib3 or the operating system raised.

    Examples
    --------
    >>> from clickhouse_connect.driver.exceptions import DatabaseError
    >>> is_unavailable(DatabaseError("too many parts", code=252))
    True
    >>> is_unavailable(DatabaseError("no such table", code=60)), is_unavailable(ConnectionResetError())
    (False, True)
    """
    if isinstance(error, Error):
        if error.code is not None:
            return error.code in TRANSIENT_CODES
        return isinstance(error, OperationalError) or bool(_PROXY_ANSWER.search(str(error)))
    if isinstance(error, HTTPError | ConnectionError | TimeoutError):
        return True
    return isinstance(error, OSError) and error.errno in _DISK_FULL


@contextmanager
def unavailable_is_named(doing: str) -> Iterator[None]:
    """Raise `SinkUnavailable` for errors that are the world's fault; let all others through.

    Parameters
    ----------
    doing
        What is being done, for the message: "recording a cut".
    """
    try:
        yield
    except (ClickHouseError, HTTPError, OSError) as error:
        if is_unavailable(error):
            raise SinkUnavailable(f"ClickHouse is unavailable ({doing}): {first_line(error)}") from error
        raise


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type when it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
