"""Savings: records to rows, and what is asked of them."""

from collections.abc import Sequence

import polars as pl
from clickhouse_connect.driver.client import Client

from schemas.saving import SAVING_RECORD
from schemas.topics import SAVINGS
from sinks.clickhouse.errors import unavailable_is_named
from sinks.clickhouse.origins import OFFSET
from sinks.clickhouse.records import Record, Source
from sinks.clickhouse.rows import TableSpec, flat_rows

_NEEDED = (
    "id",
    "tenant_id",
    "site_id",
    "ts",
    "method",
    "state",
    "reason",
    "from_day",
    "to_day",
    "message_en",
    "message_zh",
    "model_version",
)


def saving_rows(source: Source, records: Sequence[Record]) -> pl.DataFrame:
    """Return the records of savings.v1, one row each."""
    rows = flat_rows(source, records, columns=SAVING_RECORD, required=_NEEDED, times=("ts",))
    return rows if rows.is_empty() else rows.with_columns(pl.col("from_day", "to_day").str.to_date())


SAVINGS_TABLE = TableSpec(SAVINGS.name, "savings", "ts", (*SAVING_RECORD, OFFSET), saving_rows)

_NEWEST = """
SELECT *
FROM v_savings
WHERE tenant_id = {tenant:String} AND site_id = {site:String}
ORDER BY zone_id NULLS FIRST
"""


def newest(client: Client, tenant: str, site: str) -> pl.DataFrame:
    """Return what is known now of a site, and then of its zones.

    Parameters
    ----------
    client
        A migrated database.
    tenant, site
        Whose.
    """
    with unavailable_is_named("reading savings"):
        found = client.query(_NEWEST, parameters={"tenant": tenant, "site": site})
    return pl.DataFrame(found.result_rows, schema=list(found.column_names), orient="row", infer_schema_length=None)
