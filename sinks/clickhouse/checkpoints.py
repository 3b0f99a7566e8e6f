"""Checkpoints of the embedded mode, whose broker forgets its topics: complete sets of snapshots."""

from collections.abc import Mapping
from functools import partial

import polars as pl
from clickhouse_connect.driver.client import Client

from sinks.clickhouse.client import insert
from sinks.clickhouse.errors import unavailable_is_named

# The newest complete set and the one before it.
KEPT_SETS = 2

_ITEM = {"key": pl.String(), "value": pl.Binary()}
_SETS = """
SELECT set_number, max(sealed)
FROM checkpoints
WHERE agent = {agent:String}
GROUP BY set_number
"""


def save(client: Client, agent: str, log_id: str, items: Mapping[str, bytes]) -> None:
    """Write one complete set and drop old ones.

    Parameters
    ----------
    client
        A migrated database; one writer per agent.
    agent
        Whose snapshots they are.
    log_id
        Incarnation of the broker's log the snapshots belong to.
    items
        Snapshot by key; may be empty.

    Raises
    ------
    SinkUnavailable
        This set or the one before it counts, whole in either case; save again.
    """
    number = 1 + max(_sets(client, agent), default=0)
    of_set = {"agent": pl.lit(agent), "set_number": pl.lit(number), "log_id": pl.lit(log_id)}

    def is_stored(*, sealed: bool) -> bool:
        # A set that was begun when ClickHouse was killed may leave no row, and its number is then given again.
        return _sets(client, agent).get(number, None) in ((True,) if sealed else (False, True))

    if items:
        rows = pl.DataFrame({"key": list(items), "value": list(items.values())}, schema=_ITEM)
        unsealed = rows.with_columns(**of_set, sealed=pl.lit(0), items=pl.lit(0))
        insert(client, "checkpoints", unsealed, "items", partial(is_stored, sealed=False))
    # Only a set with a seal is ever read, and the seal comes last.
    seal = pl.DataFrame({"key": [""], "value": [b""]}, schema=_ITEM)
    closing = seal.with_columns(**of_set, sealed=pl.lit(1), items=pl.lit(len(items)))
    insert(client, "checkpoints", closing, "seal", partial(is_stored, sealed=True))
    _prune(client, agent)


def load_latest(client: Client, agent: str) -> tuple[str, dict[str, bytes]] | None:
    """Return the log id and the snapshots of the newest complete set, None when there is none.

    Parameters
    ----------
    client
        A migrated database.
    agent
        Whose snapshots to load.

    Raises
    ------
    SinkUnavailable
        When ClickHouse cannot answer now.
    """
    complete = [number for number, sealed in _sets(client, agent).items() if sealed]
    if not complete:
        return None
    with unavailable_is_named(f"loading the checkpoint of {agent}"):
        rows = client.query(
            "SELECT sealed, log_id, key, value, items FROM checkpoints "
            "WHERE agent = {agent:String} AND set_number = {number:UInt64}",
            parameters={"agent": agent, "number": max(complete)},
            column_formats={"value": "bytes"},
        ).result_rows
    loaded = {str(key): bytes(value) for sealed, _, key, value, _ in rows if not sealed}
    log_id, promised = next((str(log_id), items) for sealed, log_id, _, _, items in rows if sealed)
    if len(loaded) != promised:
        raise RuntimeError(f"checkpoint of {agent} is sealed for {promised} items but holds {len(loaded)}")
    return log_id, loaded


def _sets(client: Client, agent: str) -> dict[int, bool]:
    """Return the numbers of an agent's sets, and whether each is sealed."""
    with unavailable_is_named(f"looking for checkpoints of {agent}"):
        rows = client.query(_SETS, parameters={"agent": agent}).result_rows
    return {int(number): bool(sealed) for number, sealed in rows}


def _prune(client: Client, agent: str) -> None:
    sets = _sets(client, agent)
    kept = sorted(number for number, sealed in sets.items() if sealed)[-KEPT_SETS:]
    for number in sets.keys() - set(kept):
        with unavailable_is_named(f"pruning checkpoints of {agent}"):
            client.command(
                "ALTER TABLE checkpoints DROP PARTITION ({agent:String}, {number:UInt64})",
                parameters={"agent": agent, "number": number},
            )
