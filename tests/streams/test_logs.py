"""Log lines: for machines and for people."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from streams.logs import Console, JsonLines, Seldom, configure


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back afterwards; libraries too."""
    names = ["", "kafka", "aiokafka", "faust", "mode", "aiohttp", "asyncio", "clickhouse_connect"]
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger.level, logger.handlers[:]) for logger in loggers]
    yield loggers[0]
    for logger, (level, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.handlers[:] = handlers


def a_record(**fields: object) -> logging.LogRecord:
    record = logging.makeLogRecord(
        {"name": "streams.worker", "levelno": logging.WARNING, "levelname": "WARNING", "msg": "partition_opened"}
    )
    record.created = 1_784_088_000.25
    vars(record).update(fields)
    return record


def an_error() -> tuple[type[BaseException], BaseException, None]:
    return ValueError, ValueError("no such thing"), None


def test_a_line_for_machines_is_one_json_object_with_the_fields_of_the_event():
    line = JsonLines().format(a_record(partition=3, agent="metering", site="造纸厂"))

    assert json.loads(line) == {
        "ts": "2026-07-15T04:00:00.250+00:00",
        "level": "warning",
        "logger": "streams.worker",
        "event": "partition_opened",
        "partition": 3,
        "agent": "metering",
        "site": "造纸厂",
    }
    assert "造纸厂" in line


def test_what_json_does_not_know_is_said_as_text():
    assert json.loads(JsonLines().format(a_record(error=ValueError("x"))))["error"] == "x"


def test_an_exception_stays_on_the_line():
    line = JsonLines().format(a_record(exc_info=an_error()))

    assert "\n" not in line
    assert "ValueError: no such thing" in json.loads(line)["exception"]


def test_a_line_for_people_has_time_level_event_and_fields():
    text = Console().format(a_record(partition=3))

    assert text.split(maxsplit=1)[1] == "warning  partition_opened partition=3"
    assert Console().format(a_record()).endswith("partition_opened")


def test_people_see_exceptions_below_the_line():
    assert Console().format(a_record(exc_info=an_error())).endswith("\nValueError: no such thing")


@pytest.mark.parametrize(
    ("log_format", "terminal", "formatter"),
    [
        ("json", True, JsonLines),
        ("console", False, Console),
        ("auto", True, Console),
        ("auto", False, JsonLines),
    ],
)
def test_on_a_terminal_lines_are_for_people(
    root: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    log_format: str,
    terminal: bool,
    formatter: type[logging.Formatter],
):
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stderr", screen)

    configure("info", log_format)

    (handler,) = root.handlers
    assert isinstance(handler.formatter, formatter)


def test_libraries_speak_from_warnings_on(root: logging.Logger):
    configure("debug", "json")

    assert root.level == logging.DEBUG
    assert logging.getLogger("aiokafka").level == logging.WARNING


def test_libraries_are_never_louder_than_asked_for(root: logging.Logger):
    configure("error", "json")

    assert logging.getLogger("aiokafka").level == logging.ERROR


def test_what_a_client_says_over_and_over_passes_once_in_a_while():
    seldom = Seldom(10.0)
    record = logging.makeLogRecord({"name": "aiokafka.conn", "msg": "Unable to connect", "created": 100.0})
    later = logging.makeLogRecord({"name": "aiokafka.conn", "msg": "Unable to connect", "created": 109.9})
    much_later = logging.makeLogRecord({"name": "aiokafka.conn", "msg": "Unable to connect", "created": 110.0})
    assert [seldom.filter(one) for one in (record, later, much_later)] == [True, False, True]


def test_our_own_decisions_all_pass():
    seldom = Seldom(10.0)
    record = logging.makeLogRecord({"name": "streams.ingest", "msg": "partition_opened", "created": 100.0})
    assert seldom.filter(record)
    assert seldom.filter(record)
