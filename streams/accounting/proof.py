"""The proof: in = stored + rejected + late, per partition, from segments and tables; or where it is not so.

Segments say what a station made of its messages, tables hold what came of it. Neither is believed: the segments must
form a chain without a hole, and every number on it must be found again among the rows of a table, placed by offset.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl
from clickhouse_connect.driver.client import Client

from schemas.accounting import INGEST, Caused
from schemas.topics import ACTIVITIES, ANOMALY_FEEDBACK, METER_HISTORY, PRODUCTION, WEATHER, ZONE_READINGS
from streams.accounting.chain import FIRST, LAST, chained
from streams.accounting.checks import (
    ALWAYS,
    CHECKS,
    KEY,
    Check,
    Period,
    read_buckets,
    read_replacements,
    read_segments,
    read_stored_until,
)

EXACT = 1e-9  # relative

_GROUP = ("log_id", "station", "topic", "partition")
# Agents do not account for these.
_BESIDE = tuple(
    topic.name for topic in (WEATHER, PRODUCTION, ANOMALY_FEEDBACK, ZONE_READINGS, METER_HISTORY, ACTIVITIES)
)
_COUNTS = ("received", "used", "late", "refused", "flagged", "duplicates", "sent_rows", "sent_import_kwh")


@dataclass(frozen=True, slots=True)
class Imbalance:
    """A difference, and where: `topic` and offsets are those the station reads.

    Parameters
    ----------
    log_id, station, topic, partition, first_offset, last_offset
        The range, both ends included.
    what
        What does not balance, in words.
    said
        What the station says; None where no station says anything.
    found
        What the table holds.
    kwh
        Whether these are kWh and not numbers of rows.
    """

    log_id: str
    station: str
    topic: str
    partition: int
    first_offset: int
    last_offset: int
    what: str
    said: float | None = None
    found: float | None = None
    kwh: bool = False

    def __str__(self) -> str:
        place = f"{self.topic}[{self.partition}] offsets {self.first_offset} to {self.last_offset}"
        if self.said is None or self.found is None:
            return f"{place}: {self.what} (log {self.log_id})"
        digits, unit = (".6f", " kWh") if self.kwh else (",.0f", "")
        return (
            f"{place}: {self.what}: {self.station} says {self.said:{digits}}{unit}, the history has "
            f"{self.found:{digits}}{unit}, difference {self.found - self.said:+{digits}}{unit} (log {self.log_id})"
        )


@dataclass(frozen=True, slots=True)
class Proof:
    """What was proved.

    Parameters
    ----------
    totals
        Per log, station, topic and partition: the sums of the chain, `first_offset`, `last_offset`, `segments`.
    imbalances
        What does not balance.
    in_flight
        What was received, but is not stored yet.
    replaced
        Rows of windows and emission records that a later one has replaced.
    behind
        Rows a station has not accounted for yet, by log and station: what the station before it has, and it has not.
    """

    totals: pl.DataFrame
    imbalances: Sequence[Imbalance]
    in_flight: Sequence[Imbalance]
    replaced: int
    behind: Mapping[tuple[str, str], int]


def prove(client: Client, period: Period = ALWAYS) -> Proof:
    """Prove that what was received in a period is stored, rejected or late.

    Parameters
    ----------
    client
        A migrated history.
    period
        Arrival times.

    Raises
    ------
    SinkUnavailable
        When ClickHouse cannot answer now.
    """
    segments = read_segments(client, period)
    imbalances: list[Imbalance] = []
    chains: list[pl.DataFrame] = [segments.clear()]
    for key, mine in sorted(segments.partition_by(_GROUP, as_dict=True).items()):
        path = chained(mine)
        chains.append(path.segments)
        log_id, station, topic, partition = key
        imbalances += [
            Imbalance(
                log_id, station, topic, partition, hole.first_offset, hole.last_offset, f"{station} does not account"
            )
            for hole in path.holes
        ]
    chain = pl.concat(chains)
    judge = _Judge(client, period, read_stored_until(client))
    for check in CHECKS:
        mine = chain.filter(station=check.station, topic=check.topic)
        if not mine.is_empty():
            judge.judge(check, mine)
    totals = chain.group_by(_GROUP).agg(
        pl.col(FIRST).min(), pl.col(LAST).max(), pl.col(*_COUNTS).sum(), segments=pl.len()
    )
    return Proof(
        totals.sort(_GROUP),
        [*imbalances, *_joined(judge.imbalances)],
        list(_joined(judge.in_flight)),
        sum(judge.replaced.values()),
        {} if period.to_ms is not None else _behind(totals),
    )


def _behind(totals: pl.DataFrame) -> dict[tuple[str, str], int]:
    """Return what a station lacks of what the one before it passed on; what is between them has no segment yet."""
    rows: dict[tuple[str, str], int] = {}
    for log_id, station, used, received, sent in (
        totals.filter(~pl.col("topic").is_in(_BESIDE))
        .group_by("log_id", "station")
        .agg(pl.col("used", "received", "sent_rows").sum())
        .iter_rows()
    ):
        rows[log_id, f"{station} passed on"] = used if station == INGEST else sent
        rows[log_id, f"{station} received"] = received
    after_metering = ("emissions", "billing", "balance", "anomalies", "advice")
    pairs = ((INGEST, "metering"), *(("metering", station) for station in after_metering))
    lacking = {
        (log_id, after): rows.get((log_id, f"{before} passed on"), 0) - rows.get((log_id, f"{after} received"), 0)
        for log_id in totals["log_id"].unique(maintain_order=True)
        for before, after in pairs
    }
    return {place: count for place, count in lacking.items() if count > 0}


class _Judge:
    """Runs checks one after the other, and sorts what differs."""

    def __init__(self, client: Client, period: Period, stored_until: Mapping[tuple[str, str, int], int]) -> None:
        self._client = client
        self._period = period
        self._stored_until = stored_until
        self.imbalances: list[Imbalance] = []
        self.in_flight: list[Imbalance] = []
        self.replaced: dict[tuple[str, str, int], int] = {}  # table, log, partition -> rows

    def judge(self, check: Check, chain: pl.DataFrame) -> None:
        """Compare what segments say with what a table holds."""
        found = _found(chain, read_buckets(self._client, check, self._period))
        compared = (
            chain.with_columns(said=pl.sum_horizontal(check.said), said_kwh=pl.col(check.kwh or "sent_import_kwh"))
            .join(found, on=[*KEY, FIRST], how="left", maintain_order="left")
            .with_columns(pl.col("rows").fill_null(0), pl.col("kwh").fill_null(0.0), pl.col("said_kwh").fill_null(0.0))
        )
        apart = pl.col("rows") != pl.col("said")
        if check.kwh is not None:
            size = pl.max_horizontal(pl.col("kwh").abs(), pl.col("said_kwh").abs())
            apart |= (pl.col("kwh") - pl.col("said_kwh")).abs() > EXACT * size
        differing = compared.filter(apart).sort(*KEY, FIRST)
        if not differing.is_empty():
            self._sort_out(check, differing)

    def _sort_out(self, check: Check, differing: pl.DataFrame) -> None:
        replacements = self._replacements(check, differing)
        for row in differing.iter_rows(named=True):
            log_id, station, topic, partition = (row[name] for name in _GROUP)
            by_kwh = row["rows"] == row["said"]
            said, found = (row["said_kwh"], row["kwh"]) if by_kwh else (row["said"], row["rows"])
            one = Imbalance(
                log_id, station, topic, partition, row[FIRST], row[LAST], check.what, float(said), float(found), by_kwh
            )
            missing = row["said"] - row["rows"]
            if missing > 0 and check.replaced and self._was_replaced(check, row, missing, replacements):
                continue
            if missing > 0 and self._is_in_flight(check, row):
                self.in_flight.append(one)
            else:
                self.imbalances.append(one)

    def _is_in_flight(self, check: Check, row: Mapping[str, object]) -> bool:
        """Return whether something of the segment may still be on its way to the table."""
        log_id = str(row["log_id"])
        if check.by_place:
            places = {(check.stored_from, _whole(row["partition"])): _whole(row["rows_until"])}
        else:
            places = {key: at for key, at in Caused.parse(str(row["caused"])).items() if key[0] == check.stored_from}
        return any(at > self._stored_until.get((log_id, *place), -1) for place, at in places.items())

    def _replacements(self, check: Check, differing: pl.DataFrame) -> pl.DataFrame | None:
        times = differing.select(pl.col("sent_from").min(), pl.col("sent_until").max()).row(0)
        if check.replaced is None or check.by_place or None in times:
            return None
        return read_replacements(self._client, *check.replaced, *times)

    def _was_replaced(
        self, check: Check, row: Mapping[str, object], missing: int, replacements: pl.DataFrame | None
    ) -> bool:
        """Return whether as many rows as are missing can have been replaced by later ones of the same minutes."""
        table = check.replaced[0] if check.replaced else ""
        key = (table, str(row["log_id"]), _whole(row["partition"]))
        if check.by_place:  # what the check by origin found replaced is missing here as well
            return missing <= self.replaced.get(key, 0)
        if replacements is None:
            return False
        same_log = (pl.col("log_id") == row["log_id"]) & (pl.col("partition") == row["partition"])
        candidates = replacements.filter(
            pl.col("at").is_between(_whole(row["sent_from"]), _whole(row["sent_until"]))
        ).select(pl.when(same_log).then("revised").when(pl.col("log_id") != row["log_id"]).then("rows").sum())
        if missing > (candidates.item() or 0):
            return False
        self.replaced[key] = self.replaced.get(key, 0) + missing
        return True


def _found(chain: pl.DataFrame, buckets: pl.DataFrame) -> pl.DataFrame:
    """Add up the buckets that lie within each segment of the chain."""
    segments = chain.select(*KEY, FIRST, LAST, begin=FIRST).sort("begin")
    return (
        buckets.with_columns(pl.col("partition").cast(chain.schema["partition"]))
        .sort("node")
        .join_asof(segments, left_on="node", right_on="begin", by=list(KEY), check_sortedness=False)
        .filter(pl.col("node") <= pl.col(LAST))
        .group_by(*KEY, FIRST)
        .agg(pl.col("rows").sum(), pl.col("kwh").sum())
    )


def _joined(imbalances: Sequence[Imbalance]) -> Iterator[Imbalance]:
    """Join differences of the same kind in segments that follow each other: one line says what one cause did."""
    open_one: Imbalance | None = None
    for one in imbalances:
        if open_one is not None and one == replace(
            open_one, first_offset=open_one.last_offset + 1, last_offset=one.last_offset, said=one.said, found=one.found
        ):
            said, found = (open_one.said or 0.0) + (one.said or 0.0), (open_one.found or 0.0) + (one.found or 0.0)
            open_one = replace(open_one, last_offset=one.last_offset, said=said, found=found)
            continue
        if open_one is not None:
            yield open_one
        open_one = one
    if open_one is not None:
        yield open_one


def _whole(value: object) -> int:
    return value if isinstance(value, int) else -1
