"""The agents over what a period was made from: the same messages in the same order, at the ticks of the live run.

Ticks at which nothing can happen are left out: no message came since the one before, and no agent has anything due.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from agents.metering.step import Metering
from agents.pricing.pricing import Reference
from schemas.correction import CORRECTION_RECORD
from schemas.flow import Kind, Message, SiteRecord
from schemas.reading import TELEMETRY_ROWS
from schemas.reference.charges import Charges
from schemas.topics import CORRECTIONS
from sinks.clickhouse.origins import MESSAGE
from sinks.parquet.manifest import Part
from sinks.parquet.reader import LogReader
from sinks.parquet.rows import READING_ROWS
from streams.replay.following import Agent, Followed, Following
from streams.replay.period import Allowances, Period
from streams.replay.selection import PLACE, Selection, place

CHUNK_ROWS = 1_000_000


class NoSiteRecord(Exception):
    """The configuration of a site is not held, so its readings mean nothing."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A range of a log that is read at once.

    Parameters
    ----------
    log
        Number of the log in its partition.
    first_offset, last_offset
        The range, both ends included.
    rows
        About how many readings are in it.
    """

    log: int
    first_offset: int
    last_offset: int
    rows: int


@dataclass(frozen=True, slots=True)
class Produced:
    """What a chunk led to, within the period.

    Parameters
    ----------
    log_id
        The log it is of.
    partition
        The partition.
    read
        Readings the agents took.
    readings
        `READING_ROWS` of the period.
    corrections
        `CORRECTION_RECORD`.
    followed
        Windows and what follows from them.
    """

    log_id: str
    partition: int
    read: int
    readings: pl.DataFrame
    corrections: pl.DataFrame
    followed: Followed


@dataclass(slots=True)
class _Ticks:
    """The ticks of a chunk, and which is next."""

    offsets: list[int]
    arrivals: list[int]
    next: int = 0


@dataclass(slots=True)
class Lane:
    """One partition of a replay.

    Parameters
    ----------
    partition
        Its number.
    logs
        Its logs, in their order.
    period
        What is wanted.
    selection
        What it was made from.
    allowances
        Settings of the pipeline.
    references
        Reference data to price with; what-if has two.
    registry
        Site records to fall back on where the log has none.
    with_editions
        Whether a site is priced with the published edition its records carried; what-if prices all with `references`.
    chunk_rows
        About how many readings are read at once.
    charges
        Charges beside the energy price, where the selection begins early enough for demand and ledger; None leaves
        them out.
    """

    partition: int
    logs: Sequence[LogReader]
    period: Period
    selection: Selection
    allowances: Allowances
    references: Sequence[Reference]
    registry: Mapping[str, SiteRecord] = field(default_factory=dict)
    with_editions: bool = True
    chunk_rows: int = CHUNK_ROWS
    charges: Charges | None = None
    _metering: Metering = field(init=False)
    _following: Following = field(init=False)
    _pending: bool = True
    _kept: list[dict[str, bytes]] = field(default_factory=list)
    _zones: dict[str, str] = field(default_factory=dict)
    _corrections: list[pl.DataFrame] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin without any state."""
        self._metering = Metering(self.allowances.lateness_ms // 1000, self.allowances.horizon_ms // 1000, live=False)
        self._following = Following(self.period, self.references, self.charges, self.with_editions)
        self._kept = [{} for _ in self._agents]
        self._zones = {site: record.site.time_zone for site, record in self.registry.items()}
        for text in self._site_records(self.selection.spans["site_id"].to_list())["record"].unique():
            site = _record(text).site
            self._zones[site.id] = site.time_zone

    @property
    def _agents(self) -> tuple[Metering | Agent, ...]:
        return (self._metering, *self._following.agents)

    def chunks(self) -> list[Chunk]:
        """Return what has to be read, in order."""
        spans = self.selection.spans
        if spans.is_empty():
            return []
        start, until = spans.select(pl.col("start").min(), pl.col("until").max()).row(0)
        found: list[Chunk] = []
        for number, log in enumerate(self.logs):
            newest = log.held.newest
            if newest is None or place(number, newest.last_offset) < start:
                continue
            first = max(start - place(number, 0), 0)
            arrived = log.rows(Part.TICKS, offsets=(first, newest.last_offset)).filter(
                pl.col("arrived_at").dt.epoch("ms") > until
            )
            after = arrived.sort(MESSAGE)[MESSAGE].head(1).to_list()
            found.extend(self._cut(number, log, first, after[0] if after else newest.last_offset))
            if after:
                break
        return found

    def snapshots(self) -> list[dict[str, bytes]]:
        """Return the state of every agent, by site: metering first."""
        for kept, agent in zip(self._kept, self._agents, strict=True):
            kept.update(agent.snapshot())
        return self._kept

    def restore(self, snapshots: Sequence[Mapping[str, bytes]]) -> None:
        """Take up the state another process left."""
        for kept, agent, found in zip(self._kept, self._agents, snapshots, strict=True):
            kept.update(found)
            if found:
                agent.restore(found)

    def begin(self) -> None:
        """Tell the agents the sites as they were, and the last readings of silent meters."""
        starts = dict(self.selection.spans.select("site_id", "start").iter_rows())
        records = self._site_records(list(starts))
        for site, start in starts.items():
            mine = records.filter(pl.col("site_id") == site)
            earlier = mine.filter(pl.col(PLACE) < start)
            # Where the log begins after the record was sent, the next one is the best there is.
            chosen = earlier.tail(1) if earlier.height else mine.head(1)
            record = _record(chosen["record"][0]) if chosen.height else self.registry.get(site)
            if record is None:
                raise NoSiteRecord(f"there is no record of site {site} in what is held, nor in the registry")
            self._step(Message(Kind.SITE, 0, record=record))
        before = self.selection.before.with_columns(arrived=pl.col("arrived_at").dt.epoch("ms"))
        for rows in before.partition_by("arrived", maintain_order=True):
            self._step(Message(Kind.READINGS, int(rows["arrived"][0]), rows.select(*TELEMETRY_ROWS)))
        self._pending = True

    def run(self, chunk: Chunk) -> Produced:
        """Apply a chunk."""
        log = self.logs[chunk.log]
        offsets = (chunk.first_offset, chunk.last_offset)
        spans = self.selection.spans.with_columns(pl.col("start") - place(chunk.log, 0))
        sites = spans["site_id"].to_list()
        rows = (
            log.rows(Part.READINGS, offsets=offsets, sites=sites)
            .join(spans, on="site_id", how="inner", maintain_order="left")
            .filter((pl.col(MESSAGE) >= pl.col("start")) & (pl.col("arrived_at").dt.epoch("ms") <= pl.col("until")))
            .sort(MESSAGE, "raw_partition", "raw_offset", "ts", maintain_order=True)
        )
        found = log.rows(Part.TICKS, offsets=offsets).sort(MESSAGE)
        ticks = _Ticks(found[MESSAGE].to_list(), found["arrived_at"].dt.epoch("ms").cum_max().to_list())
        records = list(self._records_within(log, offsets, sites))
        for offset, message in _messages(rows, ticks.offsets, records):
            self._advance(ticks, bisect_left(ticks.offsets, offset))
            self._step(message)
            self._pending = True
        self._advance(ticks, len(ticks.offsets))
        within = pl.col("ts").dt.epoch("ms").is_between(self.period.first_ms, self.period.end_ms - 1)
        readings = rows.filter(within).select(*READING_ROWS)
        corrections, self._corrections = pl.concat([pl.DataFrame(schema=CORRECTION_RECORD), *self._corrections]), []
        followed = self._following.taken(self._zones)
        return Produced(log.manifest.log_id, self.partition, rows.height, readings, corrections, followed)

    def _advance(self, ticks: _Ticks, until: int) -> None:
        """Apply the ticks up to one, leaving out those at which nothing can happen."""
        while ticks.next < until:
            if not self._pending:
                due = [at for agent in self._agents if (at := agent.due_at()) is not None]
                ticks.next = until if not due else max(ticks.next, bisect_left(ticks.arrivals, min(due)))
                if ticks.next >= until:
                    ticks.next = until
                    return
            self._pending = False
            self._step(Message(Kind.TICK, ticks.arrivals[ticks.next]))
            ticks.next += 1

    def _step(self, message: Message) -> None:
        """Let metering take a message, and the agents behind it what follows from it."""
        for output in self._metering.step(message).outputs:
            if output.topic is CORRECTIONS and output.rows is not None:
                within = pl.col("ts").is_between(self.period.first_ms, self.period.end_ms - 1)
                self._corrections.append(output.rows.filter(within))
            if output.kind is not None:
                self._following.take(Message(output.kind, message.arrived_at, output.rows, output.record))

    def _cut(self, number: int, log: LogReader, first: int, last: int) -> Iterator[Chunk]:
        sites = self.selection.spans["site_id"].to_list()
        held = 0.0
        for file in log.files(Part.READINGS, offsets=(first, last), sites=sites):
            common = min(file.offset_last, last) - max(file.offset_first, first) + 1
            held += file.rows * common / (file.offset_last - file.offset_first + 1)
        parts = max(1, -(-int(held) // self.chunk_rows))
        size = -(-(last - first + 1) // parts)
        for begin in range(first, last + 1, size):
            end = min(begin + size - 1, last)
            yield Chunk(number, begin, end, int(held * (end - begin + 1) / (last - first + 1)))

    def _site_records(self, sites: list[str]) -> pl.DataFrame:
        parts = [
            log.rows(Part.SITES, sites=sites).with_columns((pl.col(MESSAGE) + place(number, 0)).alias(PLACE))
            for number, log in enumerate(self.logs)
        ]
        return pl.concat(parts).sort(PLACE)

    def _records_within(
        self, log: LogReader, offsets: tuple[int, int], sites: list[str]
    ) -> Iterator[tuple[int, Message]]:
        found = log.rows(Part.SITES, offsets=offsets, sites=sites).sort(MESSAGE)
        for offset, arrived_at, text in found.select(
            MESSAGE, pl.col("arrived_at").dt.epoch("ms"), "record"
        ).iter_rows():
            yield offset, Message(Kind.SITE, arrived_at, record=_record(text))


def _messages(
    rows: pl.DataFrame, ticks: list[int], records: list[tuple[int, Message]]
) -> Iterator[tuple[int, Message]]:
    """Yield what lies between ticks in the order of the log; readings that arrived together in one piece."""
    marks = pl.DataFrame({"mark": sorted([*ticks, *(offset for offset, _ in records)])}, schema={"mark": pl.Int64()})
    between = marks["mark"].search_sorted(rows[MESSAGE])
    pieces = (
        rows.with_columns(between=pl.Series(between))
        .with_columns(piece=pl.struct("between", "arrived_at").rle_id())
        .group_by("piece", maintain_order=True)
        .agg(pl.col(MESSAGE).first(), pl.col("arrived_at").first().dt.epoch("ms"), size=pl.len())
    )
    waiting = list(reversed(records))
    begin = 0
    for _, offset, arrived_at, size in pieces.iter_rows():
        while waiting and waiting[-1][0] < offset:
            yield waiting.pop()
        yield offset, Message(Kind.READINGS, arrived_at, rows.slice(begin, size).select(*TELEMETRY_ROWS))
        begin += size
    yield from reversed(waiting)


def _record(text: str) -> SiteRecord:
    return SiteRecord.of_json(text)
