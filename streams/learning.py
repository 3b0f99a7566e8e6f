"""What the history holds of a site, as messages from which agents learn: meter.history.v1."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

import polars as pl
from clickhouse_connect.driver.client import Client

from schemas.history import HISTORY_FIELD
from schemas.registry import Site
from sinks.clickhouse.quarters import quarters

MESSAGE_ROWS = 8_000  # keeps a message well below a broker's limit, and an agent's step short


def history_of(client: Client, site: Site, today: date, days: int) -> pl.DataFrame:
    """Return the quarter hours of a site up to a local midnight, and the row that ends them.

    Parameters
    ----------
    client
        A migrated database.
    site
        The site.
    today
        Its local day; the history ends where it begins.
    days
        How many days before it are read.

    Returns
    -------
    pl.DataFrame
        `schemas.history.HISTORY_FIELD`; empty where nothing is stored.
    """
    start, end = (_midnight(site, day) for day in (today - timedelta(days), today))
    found = quarters(client, site.tenant, site.id, start, end)
    known = found.filter(pl.col("meter_id").is_in([meter.id for meter in site.meters]))
    if known.is_empty():
        return pl.DataFrame(schema=HISTORY_FIELD)
    until = round(end.timestamp() * 1000)
    ends = pl.DataFrame({"meter_id": [None], "ts": [until], "power_kw": [None]}, schema=known.schema)
    rows = pl.concat([known, ends]).with_columns(site_id=pl.lit(site.id), until=pl.lit(until, pl.Int64))
    return rows.select(*HISTORY_FIELD)


def messages_of(history: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield what goes into one message each, in the order in which they have to be sent."""
    yield from history.iter_slices(MESSAGE_ROWS)


def _midnight(site: Site, day: date) -> datetime:
    return datetime.combine(day, time(), site.zone_info).astimezone(UTC)
