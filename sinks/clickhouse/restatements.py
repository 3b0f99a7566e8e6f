"""Restatements in the history: editions and since when they are known, quarter hours as they stand, new figures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from clickhouse_connect.driver.client import Client

from schemas.restatement import RESTATED_ROW, RESTATEMENT_RECORD
from sinks.clickhouse.client import insert
from sinks.clickhouse.errors import unavailable_is_named

_NOW = "SELECT toUnixTimestamp64Milli(now64(3))"
_KNOWN_FROM = """
SELECT toUnixTimestamp64Milli(min(known_from))
FROM reference_editions
WHERE reference_version = {version:String}
HAVING count() > 0
"""
_MONTHS = """
SELECT DISTINCT toYYYYMM(window_start) AS month
FROM emissions_15min
WHERE site_id IN {sites:Array(String)} AND toYYYYMM(window_start) BETWEEN {first:UInt32} AND {last:UInt32}
ORDER BY month
"""
# The two halves of v_site_15min_as_of, put together here: the view groups by rows of both, which took 10 times as long.
_AT_FIRST = """
SELECT
    tenant_id, site_id, toInt64(toUnixTimestamp(t.window_start)) * 1000 AS window_start,
    toFloat64(t.import_kwh) AS import_kwh,
    CAST(NULL, 'Nullable(String)') AS former_version,
    if(t.windows_without_factor = 0, toFloat64(t.emitted_kg), NULL) AS former_emitted_kg,
    if(t.windows_without_market_factor = 0, toFloat64(t.market_emitted_kg), NULL) AS former_market_emitted_kg,
    if(t.windows_without_price = 0, toFloat64(t.cost_cny), NULL) AS former_cost_cny
FROM emissions_15min AS t FINAL
WHERE site_id IN {sites:Array(String)}
    AND t.window_start >= toDateTime({month:String}, 'UTC')
    AND t.window_start < toDateTime({month:String}, 'UTC') + INTERVAL 1 MONTH
ORDER BY tenant_id, site_id, t.window_start
"""
_RESTATED = """
SELECT
    tenant_id, site_id, toInt64(toUnixTimestamp(t.window_start)) * 1000 AS window_start,
    CAST(t.reference_version, 'Nullable(String)') AS former_version,
    t.emitted_kg AS former_emitted_kg, t.market_emitted_kg AS former_market_emitted_kg,
    t.cost_cny AS former_cost_cny
FROM restated_15min AS t FINAL
WHERE site_id IN {sites:Array(String)}
    AND t.window_start >= toDateTime({month:String}, 'UTC')
    AND t.window_start < toDateTime({month:String}, 'UTC') + INTERVAL 1 MONTH
    AND t.known_from <= fromUnixTimestamp64Milli({before:Int64}, 'UTC')
ORDER BY t.known_from
"""
_QUARTER = ["tenant_id", "site_id", "window_start"]


@dataclass(frozen=True, slots=True)
class Restatements:
    """The tables of restatements.

    Parameters
    ----------
    client
        A migrated database.
    """

    client: Client

    def publish(self, version: str, files: Mapping[str, str]) -> int:
        """Make an edition known, and return since when it is; one that is known stays known since then. [ms UTC]

        Parameters
        ----------
        version
            Name of the edition.
        files
            Its files, as they are.
        """
        with unavailable_is_named("publishing an edition"):
            held = self.client.query(_KNOWN_FROM, parameters={"version": version}).result_rows
            if held:
                return int(held[0][0])
        now = self._now()
        stamped = pl.from_epoch(pl.Series([now] * len(files), dtype=pl.Int64), "ms").dt.replace_time_zone("UTC")
        rows = pl.DataFrame({"file": list(files), "text": list(files.values()), "known_from": stamped}).with_columns(
            reference_version=pl.lit(version)
        )
        insert(self.client, "reference_editions", rows, f"edition:{version}")
        return now

    def former(self, sites: Sequence[str], months: tuple[int, int], before: int) -> Iterator[pl.DataFrame]:
        """Yield quarter hours and the figures that stood before a moment, a UTC month at a time.

        Parameters
        ----------
        sites
            Their ids.
        months
            First and last UTC month, as YYYYMM.
        before
            The moment. [ms UTC]
        """
        about = {"sites": list(sites), "first": months[0], "last": months[1]}
        with unavailable_is_named("looking for what is stored"):
            held = [int(row[0]) for row in self.client.query(_MONTHS, parameters=about).result_rows]
        for month in held:
            with unavailable_is_named("reading what is stored"):
                about = {
                    "sites": list(sites),
                    "month": f"{month // 100}-{month % 100:02}-01 00:00:00",
                    "before": before - 1,
                }
                first = self._asked(_AT_FIRST, about)
                restated = self._asked(_RESTATED, about)
            yield _newest(first, restated)

    def write(self, rows: pl.DataFrame, version: str) -> None:
        """Store restated quarter hours, all of one UTC month."""
        now = self._now()
        month = rows["window_start"][0].strftime("%Y%m")
        # Few different words in many rows: as a dictionary they are a fraction of the bytes.
        words = [name for name, kind in RESTATED_ROW.items() if kind == pl.String()]
        stamped = rows.select(*RESTATED_ROW, written_at=_moment(now)).with_columns(pl.col(words).cast(pl.Categorical))
        insert(self.client, "restated_15min", stamped, f"restated:{version}:{month}:{now}")

    def tell(self, differences: pl.DataFrame) -> None:
        """Store the differences."""
        if differences.is_empty():
            return
        now = self._now()
        stamped = differences.select(*RESTATEMENT_RECORD, written_at=_moment(now)).with_columns(
            pl.col("ts", "known_from").cast(pl.Datetime("ms", "UTC"))
        )
        insert(self.client, "restatements", stamped, f"restatements:{differences['reference_version'][0]}:{now}")

    def _asked(self, query: str, about: Mapping[str, object]) -> pl.DataFrame:
        return pl.DataFrame(pl.from_arrow(self.client.query_arrow(query, parameters=dict(about))))

    def _now(self) -> int:
        with unavailable_is_named("asking for the time"):
            return int(self.client.query(_NOW).result_rows[0][0])


def _newest(first: pl.DataFrame, restated: pl.DataFrame) -> pl.DataFrame:
    """Put the restatement that was known last in the place of what was computed at first.

    Parameters
    ----------
    first
        Every quarter hour.
    restated
        Restatements in the order in which they became known.
    """
    if restated.is_empty():
        return first
    last = restated.unique(_QUARTER, keep="last", maintain_order=True)
    figures = [name for name in last.columns if name not in _QUARTER]
    joined = first.drop(figures).join(
        last.with_columns(is_restated=True), on=_QUARTER, how="left", maintain_order="left"
    )
    is_restated = joined["is_restated"].fill_null(value=False)
    return joined.drop("is_restated").with_columns(
        pl.when(is_restated).then(pl.col(name)).otherwise(first[name]).alias(name) for name in figures
    )


def _moment(at: int) -> pl.Expr:
    return pl.lit(at, pl.Int64()).cast(pl.Datetime("ms", "UTC"))
