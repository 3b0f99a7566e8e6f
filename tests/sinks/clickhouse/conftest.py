"""A real ClickHouse engine: one embedded path for all tests, one database for each."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from sinks.clickhouse.client import connect
from sinks.clickhouse.migrate import migrate

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def history_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of the engine; a process can open only one at a time."""
    return tmp_path_factory.mktemp("history")


@pytest.fixture(scope="module")
def engine(history_path: Path) -> Iterator[Client]:
    """Keep the engine open between the tests of a module, and let go of it after them."""
    client = connect(f"chdb://{history_path}")
    yield client
    client.close()


@pytest.fixture
def empty(engine: Client, history_path: Path) -> Iterator[Client]:
    """A database without tables."""
    database = f"test_{next(_NUMBERS)}"
    client = connect(f"chdb://{history_path}?database={database}")
    yield client
    engine.command(f"DROP DATABASE {database}")
    client.close()


@pytest.fixture
def client(empty: Client) -> Client:
    """A migrated database."""
    migrate(empty)
    return empty
