import socket
import subprocess
import sys
import threading
import traceback
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import polars as pl
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from sinks.clickhouse.client import connect, insert, read_dsn
from sinks.clickhouse.errors import SinkMisconfigured, SinkUnavailable
from tests.sinks.clickhouse.builders import kill_between_token_and_block, rows_of

HIDDEN = "s3cr3t-pa55"


@contextmanager
def a_server_that_answers(status, code=None):
    class Answer(BaseHTTPRequestHandler):
        def do_POST(self):
            body = f"Code: {code}. DB::Exception: not today".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if code:
                self.send_header("X-ClickHouse-Exception-Code", str(code))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self.do_POST()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def a_free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_an_unreachable_server_is_unavailable_and_its_password_is_not_told():
    with pytest.raises(SinkUnavailable) as raised:
        connect(f"http://writer:{HIDDEN}@127.0.0.1:{a_free_port()}/energy")

    assert HIDDEN not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(("status", "code"), [(503, None), (500, 202), (500, 241)])
def test_a_busy_server_is_unavailable(status, code):
    with a_server_that_answers(status, code) as port, pytest.raises(SinkUnavailable):
        connect(f"http://127.0.0.1:{port}/energy")


@pytest.mark.parametrize(("status", "code"), [(403, 516), (404, None)])
def test_a_server_that_refuses_us_is_a_matter_of_configuration(status, code):
    with a_server_that_answers(status, code) as port, pytest.raises(SinkMisconfigured) as raised:
        connect(f"http://writer:{HIDDEN}@127.0.0.1:{port}/energy")

    assert HIDDEN not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    "dsn",
    [
        f"http://writer:{HIDDEN}/@host:8123/energy",
        f"http://writer:{HIDDEN}]@[host:8123/energy",
        f"tcp://writer:{HIDDEN}@host:9000/energy",
        f"https://writer:{HIDDEN}@/energy",
        f"https://writer:{HIDDEN}@host/energy;drop",
        f"chdb://writer:{HIDDEN}@history",
        "chdb:///",
        "",
    ],
)
def test_an_unreadable_url_is_refused_without_repeating_it(dsn):
    with pytest.raises(SinkMisconfigured) as raised:
        read_dsn(dsn)

    assert HIDDEN not in "".join(traceback.format_exception(raised.value))


def test_the_text_of_an_address_holds_no_secret():
    address = read_dsn(f"https://writer:{HIDDEN}@host:8443/energy?access_token=t0ken&compress=lz4")

    assert HIDDEN not in repr(address)
    assert "t0ken" not in repr(address)
    assert address.secrets == {"password": HIDDEN, "access_token": "t0ken"}
    assert str(address) == "https://host:8443/energy?compress=lz4"


def test_percent_encoded_passwords_are_decoded():
    assert read_dsn("http://writer:a%2Fb%40c@host/energy").secrets == {"password": "a/b@c"}


def test_a_path_that_another_process_has_open_is_refused_with_a_sentence(engine, history_path):
    script = (
        "from sinks.clickhouse.client import connect\n"
        "from sinks.clickhouse.errors import SinkMisconfigured\n"
        f"try: connect('chdb://{history_path}')\n"
        "except SinkMisconfigured as refused: print(refused)"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)

    assert "is it open in another process?" in done.stdout


def test_connecting_again_finds_what_was_stored(engine, history_path):
    dsn = f"chdb://{history_path}?database=reopened"
    first = connect(dsn)
    first.command("CREATE TABLE kept (a Int32) ENGINE = MergeTree ORDER BY a")
    insert(first, "kept", pl.DataFrame({"a": [7]}), "one")
    first.close()

    second = connect(dsn)

    assert rows_of(second, "SELECT a FROM kept") == [(7,)]
    second.command("DROP DATABASE reopened")
    second.close()


def test_a_repeated_token_is_stored_once_and_another_token_again(empty):
    empty.command(
        "CREATE TABLE kept (a Int32) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 9"
    )
    rows = pl.DataFrame({"a": [1, 2]})

    for token in ("one", "one", "two"):
        insert(empty, "kept", rows, token)

    assert rows_of(empty, "SELECT count() FROM kept") == [(4,)]


def test_a_block_whose_token_outlived_it_is_stored_once_if_the_table_can_be_asked(empty):
    empty.command(
        "CREATE TABLE kept (a Int32) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 9"
    )
    rows = pl.DataFrame({"a": [1, 2]})
    insert(empty, "kept", rows, "one")
    kill_between_token_and_block(empty, "kept")

    insert(empty, "kept", rows, "one")
    assert rows_of(empty, "SELECT count() FROM kept") == [(0,)]  # what the engine does by itself
    for _ in range(2):
        insert(empty, "kept", rows, "one", lambda: bool(rows_of(empty, "SELECT 1 FROM kept WHERE a = 1")))

    assert rows_of(empty, "SELECT count() FROM kept") == [(2,)]


def test_a_table_that_never_has_what_it_is_given_is_our_fault(empty):
    empty.command("CREATE TABLE kept (a Int32) ENGINE = MergeTree ORDER BY a")

    with pytest.raises(RuntimeError, match="'one'"):
        insert(empty, "kept", pl.DataFrame({"a": [1]}), "one", lambda: False)


def test_a_large_insert_is_one_part(empty):
    empty.command("CREATE TABLE kept (a Int64) ENGINE = MergeTree ORDER BY a")

    insert(empty, "kept", pl.DataFrame({"a": range(1_200_000)}), "large")

    parts = "SELECT rows FROM system.parts WHERE database = currentDatabase() AND table = 'kept' AND active"
    assert rows_of(empty, parts) == [(1_200_000,)]


def test_a_missing_value_is_never_stored_as_zero(empty):
    empty.command("CREATE TABLE kept (a Int32) ENGINE = MergeTree ORDER BY a")

    with pytest.raises(DatabaseError, match="NULL"):
        insert(empty, "kept", pl.DataFrame({"a": [1, None]}), "one")


def test_a_missing_table_is_our_fault(empty):
    with pytest.raises(DatabaseError) as raised:
        insert(empty, "nowhere", pl.DataFrame({"a": [1]}), "one")

    assert raised.value.code == 60
