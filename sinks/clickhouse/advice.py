"""Advice: records to rows, and what is asked of them."""

from functools import partial

import polars as pl
from clickhouse_connect.driver.client import Client

from schemas.advice import ADVICE_RECORD
from schemas.topics import ADVICE
from sinks.clickhouse.errors import unavailable_is_named
from sinks.clickhouse.origins import OFFSET
from sinks.clickhouse.rows import TableSpec, flat_rows

_ALWAYS = (
    "id",
    "tenant_id",
    "site_id",
    "ts",
    "advice_id",
    "sequence",
    "kind",
    "status",
    "proposed_at",
    "evidence_from",
    "evidence_until",
    "evidence_days",
    "saved_kwh_low",
    "saved_kwh_high",
    "evidence",
    "assumptions_en",
    "assumptions_zh",
    "rule_version",
    "message_en",
    "message_zh",
)

ADVICE_TABLE = TableSpec(
    ADVICE.name,
    "advice",
    "ts",
    (*ADVICE_RECORD, OFFSET),
    partial(
        flat_rows,
        columns=ADVICE_RECORD,
        required=_ALWAYS,
        times=("ts", "proposed_at", "answered_at", "evidence_from", "evidence_until"),
    ),
)

_MEASURES = """
SELECT *
FROM v_advice
WHERE tenant_id = {tenant:String} AND site_id = {site:String} AND (status != 'withdrawn' OR {ended:Bool})
ORDER BY status IN ('declined', 'verified', 'not_shown', 'withdrawn'), saved_cny_high DESC NULLS LAST, advice_id
"""


def measures(client: Client, tenant: str, site: str, *, ended: bool = False) -> pl.DataFrame:
    """Return the newest record of each measure of a site, those that may still be done first.

    Parameters
    ----------
    client
        A migrated database.
    tenant, site
        Whose.
    ended
        Also those the load gave no more reason for.
    """
    with unavailable_is_named("reading advice"):
        found = client.query(_MEASURES, parameters={"tenant": tenant, "site": site, "ended": ended})
    return pl.DataFrame(found.result_rows, schema=list(found.column_names), orient="row", infer_schema_length=None)
