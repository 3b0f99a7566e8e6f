import errno

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError, ProgrammingError
from urllib3.exceptions import ProtocolError

from sinks.clickhouse.errors import TRANSIENT_CODES, SinkUnavailable, is_unavailable, unavailable_is_named


@pytest.mark.parametrize(
    "error",
    [
        DatabaseError("too many parts", code=252),
        DatabaseError("memory limit", code=241),
        OperationalError("Error executing HTTP request"),
        DatabaseError("HTTP driver received HTTP status 503, server response: no healthy upstream"),
        ProtocolError("connection broken"),
        ConnectionRefusedError(),
        TimeoutError(),
        OSError(errno.ENOSPC, "no space left on device"),
    ],
)
def test_the_worlds_fault_is_to_be_retried(error):
    assert is_unavailable(error)
    with pytest.raises(SinkUnavailable, match="storing"), unavailable_is_named("storing"):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        DatabaseError("unknown table", code=60),
        OperationalError("syntax error, retried", code=62),
        DatabaseError("HTTP driver received HTTP status 404"),
        ProgrammingError("closed client"),
        OSError(errno.EACCES, "permission denied"),
        ValueError("ours"),
    ],
)
def test_our_own_fault_is_raised_as_it_came(error):
    assert not is_unavailable(error)
    with pytest.raises(type(error)) as raised, unavailable_is_named("storing"):
        raise error
    assert raised.value is error


def test_the_transient_codes_have_the_names_the_engine_gives_them(engine):
    codes = ", ".join(f"errorCodeToName(toUInt32({code}))" for code in TRANSIENT_CODES)

    names = engine.query(f"SELECT {codes}").result_rows[0]

    assert list(names) == list(TRANSIENT_CODES.values())
