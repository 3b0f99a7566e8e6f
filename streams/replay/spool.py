"""What telemetry.v1 holds now, as a scratch archive: so a replay reads both sources in the same way."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.flow import SiteRecord
from schemas.topics import REGISTRY, TELEMETRY
from sinks.clickhouse.records import Record
from sinks.parquet.writer import ArchiveWriter
from streams.embedded.ends import end_offsets
from streams.leaving import leave
from streams.registry_topic import RegistryView

CLIENT_ID = "wattloop-replay"
CUT_ROWS = 1_000_000
_STUCK_S = 60.0


class TopicUnreadable(Exception):
    """The topic is not there, or stops giving what it said it holds."""


async def spool(
    brokers: Sequence[str], prefix: str, log_id: str, root: Path, progress: Callable[[int, int], None]
) -> None:
    """Read telemetry.v1 to its present end.

    Parameters
    ----------
    brokers
        Addresses, as `host:port`.
    prefix
        Put in front of topic names.
    log_id
        Identity of the log.
    root
        An empty directory.
    progress
        Called with the messages read and those there are.

    Raises
    ------
    TopicUnreadable
        When there is no such topic, or it does not give what it holds.
    """
    name = prefix + TELEMETRY.name
    ends = await end_offsets(",".join(brokers), [name], CLIENT_ID)
    if not ends:
        raise TopicUnreadable(f"there is no topic {name} on {', '.join(brokers)}")
    consumer = AIOKafkaConsumer(
        bootstrap_servers=list(brokers),
        client_id=CLIENT_ID,
        group_id=None,
        enable_auto_commit=False,
        max_partition_fetch_bytes=8 << 20,
        fetch_max_bytes=64 << 20,
    )
    writer = ArchiveWriter(root, log_id)
    await consumer.start()
    try:
        left = {TopicPartition(name, partition): end for (_, partition), end in ends.items()}
        begins = await consumer.beginning_offsets(list(left))
        left = {place: end for place, end in left.items() if begins[place] < end}
        total = sum(end - begins[place] for place, end in left.items())
        consumer.assign(list(left))
        for place in left:
            consumer.seek(place, writer.open(place.partition, log_start=begins[place]).next_offset)
        done, moved_at = 0, time.monotonic()
        while left:
            polled = await consumer.getmany(*left, timeout_ms=200, max_records=10_000)
            if not polled and time.monotonic() - moved_at > _STUCK_S:
                raise TopicUnreadable(f"{name} gives nothing more, {total - done} messages before its end")
            for place, records in polled.items():
                moved_at = time.monotonic()
                wanted = [one for one in records if one.offset < left[place]]
                done += len(wanted)
                writer.add(
                    place.partition,
                    [Record(one.offset, one.timestamp, one.key, one.value or b"", dict(one.headers)) for one in wanted],
                )
                if writer.rows_pending(place.partition) >= CUT_ROWS:
                    writer.flush(place.partition)
                if await consumer.position(place) >= left[place]:
                    writer.flush(place.partition)
                    del left[place]
                    consumer.pause(place)
            progress(done, total)
    finally:
        await leave(consumer)


async def registered(brokers: Sequence[str], prefix: str) -> Mapping[str, SiteRecord]:
    """Return the sites of registry.v1 as they are now."""
    view = RegistryView(list(brokers), topic=prefix + REGISTRY.name)
    await view.start()
    try:
        return dict(view.sites)
    finally:
        await view.stop()
