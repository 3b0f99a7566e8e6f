"""The embedded ClickHouse engine as a server: what of ClickHouse's HTTP interface clickhouse-connect uses.

    python tests/integration/history_server.py --path DIR --port N

So several processes share one history, and it can be killed, frozen and started again like a server. The engine, its
tables and its deduplication are the real ones; users, sessions and parallel queries are not there.
"""

import argparse
import re
import signal
import sys
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from urllib.parse import parse_qsl, urlsplit

import chdb

# What the transport says about a request, and not a setting of the engine.
_TRANSPORT = {
    "query",
    "database",
    "query_id",
    "session_id",
    "wait_end_of_query",
    "client_protocol_version",
    "send_progress_in_http_headers",
    "http_headers_progress_interval_ms",
    "enable_http_compression",
    "compress",
    "decompress",
}
_INSERT = re.compile(rb"\s*(INSERT\s+INTO\s+.+?)\s+FORMAT\s+(\w+)\s*\n?", re.IGNORECASE | re.DOTALL)
_CODE = re.compile(r"Code: (\d+)")
_PARAMETER = "param_"


class Engine:
    """One handle on the engine; one request at a time."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._handle = chdb.connect(str(path))
        self._set: dict[str, str] = {}  # settings in force that are not the defaults
        self._one_at_a_time = Lock()

    def answer(self, options: dict[str, str], body: bytes) -> bytes:
        """Run one request."""
        settings = {name: value for name, value in options.items() if name not in _TRANSPORT}
        parameters = {
            name.removeprefix(_PARAMETER): settings.pop(name) for name in list(settings) if name.startswith(_PARAMETER)
        }
        database = options.get("database", "default")
        sql = options["query"].encode() + b"\n" + body if "query" in options else body
        with self._one_at_a_time:
            self._handle.query(f"USE `{database}`", "TabSeparated")
            inserted = _INSERT.match(sql)
            if inserted is not None and inserted[2].upper() != b"VALUES":
                return self._insert(inserted, sql[inserted.end() :], settings)
            self._want(settings)
            return bytes(self._handle.query(sql.decode(), "TabSeparated", params=parameters).bytes() or b"")

    def _want(self, settings: dict[str, str]) -> None:
        """Put exactly these settings into force; a statement of its own for each that differs from before."""
        for name in [name for name in self._set if name not in settings]:
            self._handle.query(f"SET {name} = DEFAULT", "TabSeparated")
            del self._set[name]
        for name, value in settings.items():
            if self._set.get(name) != value:
                self._handle.query(f"SET {name} = {_quoted(value)}", "TabSeparated")
                self._set[name] = value

    def _insert(self, inserted: re.Match[bytes], data: bytes, settings: dict[str, str]) -> bytes:
        """Run an insert; the embedded engine takes the data of one from a file only."""
        clause = ", ".join(f"{name} = {_quoted(value)}" for name, value in settings.items())
        with tempfile.NamedTemporaryFile(suffix=".block") as block:
            block.write(data)
            block.flush()
            statement = f"{inserted[1].decode()} FROM INFILE {_quoted(block.name)}"
            statement += f" SETTINGS {clause}" if clause else ""
            self._handle.query(f"{statement} FORMAT {inserted[2].decode()}", "TabSeparated")
        return b""


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Handler(BaseHTTPRequestHandler):
    """Answers like ClickHouse."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer is two writes, and the second must not wait 40 ms for the first
    engine: Engine

    def do_GET(self) -> None:
        """Run a query of the address."""
        self._run(b"")

    def do_POST(self) -> None:
        """Run a query of the body, or of the address with data in the body."""
        self._run(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def _run(self, body: bytes) -> None:
        options = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        headers = {"X-ClickHouse-Timezone": "UTC"}
        if urlsplit(self.path).path == "/ping":
            self._say(200, b"Ok.\n", headers)
            return
        try:
            answer = self.engine.answer(options, body)
        except Exception as error:  # whatever the engine says is the client's to judge
            text = str(error)
            code = _CODE.search(text)
            self._say(
                500,
                text[text.find("Code: ") :].encode(),
                {**headers, "X-ClickHouse-Exception-Code": code[1] if code else "1001"},
            )
            return
        if answer:
            headers["X-ClickHouse-Format"] = "TabSeparated"
        self._say(200, answer, headers)

    def _say(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: a worker asks several times a second."""


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="Serve an embedded ClickHouse on loopback.")
    parser.add_argument("--path", type=Path, required=True, help="its directory")
    parser.add_argument("--port", type=int, required=True)
    asked = parser.parse_args()
    Handler.engine = Engine(asked.path)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ThreadingHTTPServer(("127.0.0.1", asked.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
