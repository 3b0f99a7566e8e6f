"""A real ClickHouse engine, with a database for each test."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from sinks.clickhouse.client import connect
from sinks.clickhouse.migrate import migrate

_NUMBERS = count(1)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Path]]:
    path = tmp_path_factory.mktemp("accounting")
    client = connect(f"chdb://{path}")
    yield client, path
    client.close()


@pytest.fixture
def client(engine: tuple[Client, Path]) -> Iterator[Client]:
    """A migrated database."""
    keeper, path = engine
    database = f"accounting_{next(_NUMBERS)}"
    client = connect(f"chdb://{path}?database={database}")
    migrate(client)
    client.command("ALTER TABLE accounting REMOVE TTL")  # the arrivals of the tests are as old as they like
    yield client
    keeper.command(f"DROP DATABASE {database}")
    client.close()
