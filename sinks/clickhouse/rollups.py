"""Rollups: sums per 15 minutes, hour and day, computed anew for the buckets a block has touched.

What a bucket is, the views `computed_*` say: 15 minutes are made of the base table, hours of 15 minutes, days of hours.
Of several computations of a bucket its table keeps the one with the most windows and the newest versions, whatever
the order they arrive in. So computing once more is always safe: after a crash, by a writer that was left behind, or
when the base no longer holds all it once held. See ADR 0017.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
from clickhouse_connect.driver.client import Client

from sinks.clickhouse.errors import unavailable_is_named

# Buckets of one statement: their keys stand in its text.
_BUCKETS = 10_000

# All buckets of some meters and times are computed as long as they are not more than twice those that were touched:
# their names are a short text, their keys a long one, and reading it was most of the work.
_SPARE = 2

_SETTINGS = (
    " SETTINGS async_insert = 0, max_insert_threads = 1, max_partitions_per_insert_block = 0, "
    "min_insert_block_size_rows = 2147483648"
)

# What a longer statement needs cannot stand in it. On the embedded engine each is a statement of its own, and another
# one afterwards.
_LONG_STATEMENT: Mapping[str, str | int] = {
    "max_query_size": 16 << 20,
    "max_ast_elements": 10_000_000,
    "max_expanded_ast_elements": 10_000_000,
}
_SHORT_VALUES = 2_000  # of at most 66 characters, where 262144 are allowed


@dataclass(frozen=True, slots=True)
class Level:
    """One length of buckets.

    Parameters
    ----------
    every
        Length, as polars writes it.
    statement
        Computes the buckets `touched` and stores them.
    """

    every: str
    statement: str


@dataclass(frozen=True, slots=True)
class Rollups:
    """The rollups of one table.

    Parameters
    ----------
    key
        Columns that name a bucket besides its time.
    levels
        Shortest first: each is made of the one before it.
    """

    key: tuple[str, ...]
    levels: tuple[Level, ...]

    def touched(self, level: Level, rows: pl.DataFrame, time_column: str) -> pl.DataFrame:
        """Return the buckets that rows fall into, in the order of the tables.

        Parameters
        ----------
        level
            Length of the buckets.
        rows
            Rows of the base table.
        time_column
            Their event time.

        Examples
        --------
        >>> from datetime import UTC, datetime
        >>> rows = pl.DataFrame({"tenant_id": "acme", "site_id": "mill", "ts": datetime(2026, 6, 1, 8, 29, tzinfo=UTC)})
        >>> EMISSION_ROLLUPS.touched(EMISSION_ROLLUPS.levels[0], rows, "ts").rows()
        [('acme', 'mill', 1780301700)]
        """
        start = pl.col(time_column).dt.truncate(level.every).dt.epoch("s").alias("window_start")
        return rows.select(*self.key, start).unique().sort(pl.all())

    def renew(self, client: Client, rows: pl.DataFrame, time_column: str) -> None:
        """Compute anew every bucket that rows fall into.

        Parameters
        ----------
        client
            A migrated database that holds the rows.
        rows
            Rows of the base table that were stored just now, or perhaps before.
        time_column
            Their event time.

        Raises
        ------
        SinkUnavailable
            When it is unknown whether all buckets are stored: do it again.
        """
        for level in self.levels:
            for some in self.touched(level, rows, time_column).iter_slices(_BUCKETS):
                values, count = _parameters(some)
                settings = dict(_LONG_STATEMENT) if count > _SHORT_VALUES else None
                with unavailable_is_named(f"summing {some.height} buckets of {level.every}"):
                    client.command(level.statement + _SETTINGS, parameters=values, settings=settings)


def _parameters(touched: pl.DataFrame) -> tuple[dict[str, object], int]:
    """Return what names the buckets in a statement, and how many values that are."""
    names = {column: touched[column].unique().sort().to_list() for column in touched.columns}
    times = len(names["window_start"])
    whole = touched.drop("window_start").n_unique() * times <= _SPARE * touched.height
    keys = touched.head(1) if whole else touched
    count = sum(map(len, names.values())) + keys.height * keys.width
    return {**names, "whole": int(whole), "touched": keys.rows()}, count


ENERGY_ROLLUPS = Rollups(
    ("tenant_id", "site_id", "meter_id"),
    (
        Level(
            "15m",
            "INSERT INTO energy_15min SELECT * FROM computed_energy_15min "
            "WHERE tenant_id IN %(tenant_id)s AND site_id IN %(site_id)s AND meter_id IN %(meter_id)s "
            "AND window_start IN %(window_start)s "
            "AND (%(whole)s OR (tenant_id, site_id, meter_id, window_start) IN %(touched)s)",
        ),
        Level(
            "1h",
            "INSERT INTO energy_hour SELECT * FROM computed_energy_hour "
            "WHERE tenant_id IN %(tenant_id)s AND site_id IN %(site_id)s AND meter_id IN %(meter_id)s "
            "AND window_start IN %(window_start)s "
            "AND (%(whole)s OR (tenant_id, site_id, meter_id, window_start) IN %(touched)s)",
        ),
        Level(
            "1d",
            "INSERT INTO energy_day SELECT * FROM computed_energy_day "
            "WHERE tenant_id IN %(tenant_id)s AND site_id IN %(site_id)s AND meter_id IN %(meter_id)s "
            "AND window_start IN %(window_start)s "
            "AND (%(whole)s OR (tenant_id, site_id, meter_id, window_start) IN %(touched)s)",
        ),
    ),
)
EMISSION_ROLLUPS = Rollups(
    ("tenant_id", "site_id"),
    (
        Level(
            "15m",
            "INSERT INTO emissions_15min SELECT * FROM computed_emissions_15min "
            "WHERE tenant_id IN %(tenant_id)s AND site_id IN %(site_id)s AND window_start IN %(window_start)s "
            "AND (%(whole)s OR (tenant_id, site_id, window_start) IN %(touched)s)",
        ),
        Level(
            "1h",
            "INSERT INTO emissions_hour SELECT * FROM computed_emissions_hour "
            "WHERE tenant_id IN %(tenant_id)s AND site_id IN %(site_id)s AND window_start IN %(window_start)s "
            "AND (%(whole)s OR (tenant_id, site_id, window_start) IN %(touched)s)",
        ),
        Level(
            "1d",
            "INSERT INTO emissions_day SELECT * FROM computed_emissions_day "
            "WHERE tenant_id IN %(tenant_id)s AND site_id IN %(site_id)s AND window_start IN %(window_start)s "
            "AND (%(whole)s OR (tenant_id, site_id, window_start) IN %(touched)s)",
        ),
    ),
)
