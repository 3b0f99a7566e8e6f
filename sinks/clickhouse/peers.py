"""When sites are compared with others; the view `v_peers_month` holds the rule, and this what it is set to."""

from dataclasses import dataclass
from datetime import date

import polars as pl
from clickhouse_connect.driver.client import Client

from sinks.clickhouse.errors import unavailable_is_named

_IN_FORCE = "SELECT argMax((min_tenants, max_share), set_at) FROM peer_rules HAVING count() > 0"
_SET = "INSERT INTO peer_rules VALUES ({min_tenants:UInt32}, {max_share:Float64}, now64(3))"
_PEERS = """
SELECT measure, per_unit, own, peers, peers_mean
FROM v_peers_month
WHERE tenant_id = {tenant:String} AND site_id = {site:String} AND month = {month:Date}
ORDER BY measure
"""
_KNOWN = """
SELECT sector, floor_area_m2 > 0 AS has_area, units_made > 0 AS has_units
FROM v_site_month
WHERE tenant_id = {tenant:String} AND site_id = {site:String} AND month = {month:Date}
"""


@dataclass(frozen=True, slots=True)
class PeerRules:
    """The least a group of others must be.

    Parameters
    ----------
    min_tenants
        Tenants in it, beside the one that asks; the view never takes fewer than 3.
    max_share
        Largest share one of them may have of the energy, or of what it is divided by.
    """

    min_tenants: int
    max_share: float


def set_rules(client: Client, rules: PeerRules) -> bool:
    """Set the rules, and return whether they were others before.

    Raises
    ------
    SinkUnavailable
        When ClickHouse cannot answer now: call it again.
    """
    with unavailable_is_named("setting when sites are compared"):
        found = client.query(_IN_FORCE).result_rows
        if found and tuple(found[0][0]) == (rules.min_tenants, rules.max_share):
            return False
        client.command(_SET, parameters={"min_tenants": rules.min_tenants, "max_share": rules.max_share})
    return True


def peers(client: Client, tenant: str, site: str, month: date) -> pl.DataFrame:
    """Return a site beside others in a month: `measure`, `per_unit`, `own`, `peers` (tenants), `peers_mean`."""
    return _asked(client, _PEERS, tenant, site, month)


def why_no_peers(client: Client, tenant: str, site: str, month: date) -> str:
    """Return why a site has no peers in a month, in words; nothing is told of how many others there are."""
    known = _asked(client, _KNOWN, tenant, site, month)
    if known.is_empty():
        return "the month is not over and settled, or the history does not know the site's registry entry yet"
    row = known.row(0, named=True)
    if not row["sector"]:
        return "the registry says no sector of the site"
    if not (row["has_area"] or row["has_units"]):
        return "neither the floor area nor the production of the site is known"
    return "too few others of the sector are known, or one of them would shine through"


def _asked(client: Client, query: str, tenant: str, site: str, month: date) -> pl.DataFrame:
    with unavailable_is_named("reading what sites are compared with"):
        found = client.query(query, parameters={"tenant": tenant, "site": site, "month": month})
    return pl.DataFrame(found.result_rows, schema=list(found.column_names), orient="row", infer_schema_length=None)
