"""`wattloop lag`: how far every consumer group is behind, in records and in seconds."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence

import click

from streams.broker_admin import BrokerTrouble
from streams.cli.flags import Flags, settings_flags
from streams.cli.topics import with_broker
from streams.lag import TopicLag, read_lag
from streams.settings import Settings

LAG_FIELDS = ("config", "kafka_url", "topic_prefix", "checkpoint_interval_s", "archive_dir")
DELETED = "RECORDS DELETED before they were committed as read"
BEYOND = "committed beyond the end: was the topic made anew?"
HEADINGS = ("group", "topic", "records", "seconds", "")


@click.command("lag")
@click.option("--partitions", "each", is_flag=True, help="One line per partition, with its offsets.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, partitions included.")
@settings_flags(LAG_FIELDS)
def command(flags: Flags, each: bool, as_json: bool) -> None:
    """Show how far every consumer group is behind, in records and in seconds.

    Records are counted from the offset the group has committed to the end of the topic.

    Seconds say how long ago the oldest record of those arrived, by the clock of this machine. Of emissions.v1, whose
    records carry event time, the arrival of the message they were made from counts. A "?" means that the broker does
    not hold that message any more. Where the broker does not stamp arrivals (the embedded one does not), the arrival
    on meter.readings.v1 is what its sender said.

    The agents (group `wattloop`) commit at checkpoints. What they have applied since is not counted as read, so up to
    checkpoint_interval_s of lag is normal there, and so is the last tick. The history store knows itself how far it
    is; its commits are for this command.

    Exit code: 0, or 1 if the broker cannot be used.

    \b
    Examples:
      wattloop lag --kafka-url kafka://broker.example:9092
      wattloop lag --partitions
      wattloop lag --json | jq '.topics[] | select(.seconds > 60)'
    """
    settings, url = with_broker(flags)
    try:
        found = asyncio.run(read_lag(settings, url))
    except BrokerTrouble as error:
        raise click.ClickException(str(error)) from error
    now = int(time.time() * 1000)
    if as_json:
        click.echo(json.dumps(as_document(found, now), indent=2))
        return
    rows = list(by_partition(found, now) if each else by_topic(found, now))
    for line in columns([HEADINGS, *rows]):
        click.echo(line)
    click.echo(_footnote(settings))


def by_topic(found: Sequence[TopicLag], now: int) -> Iterator[tuple[str, ...]]:
    """Yield a line per group and topic."""
    for one in found:
        if not one.partitions:
            yield (one.reader.group, one.reader.topic, "-", "-", "the topic does not exist: wattloop topics plan")
            continue
        seconds = shown_seconds(one.seconds(now))
        yield (one.reader.group, one.reader.topic, str(one.records), seconds, "; ".join(_remarks(one)))


def by_partition(found: Sequence[TopicLag], now: int) -> Iterator[tuple[str, ...]]:
    """Yield a line per group, topic and partition."""
    for topic in found:
        if not topic.partitions:
            yield from by_topic([topic], now)
        for one in topic.partitions:
            remarks = [f"committed {'nothing' if one.committed is None else one.committed}, end {one.end}"]
            if one.begin:
                remarks.append(f"begins at {one.begin}")
            if one.deleted:
                remarks.append(f"{one.deleted} {DELETED}")
            if one.beyond_end:
                remarks.append(BEYOND)
            yield (
                one.reader.group,
                f"{one.reader.topic}[{one.partition}]",
                str(one.records),
                shown_seconds(one.seconds(now)),
                "; ".join(remarks),
            )


def _remarks(one: TopicLag) -> Iterator[str]:
    if one.deleted:
        yield f"{one.deleted} {DELETED}"
    if one.beyond_end:
        yield BEYOND
    if one.uncommitted:
        yield f"nothing committed yet on {one.uncommitted} of {len(one.partitions)} partitions"


def as_document(found: Sequence[TopicLag], now: int) -> dict[str, object]:
    """Return the lag for programs: records and seconds as numbers, null where not known."""
    return {
        "at": now,
        "topics": [
            {
                "group": topic.reader.group,
                "topic": topic.reader.topic,
                "exists": bool(topic.partitions),
                "records": topic.records,
                "seconds": topic.seconds(now),
                "deleted_unread": topic.deleted,
                "partitions": [
                    {
                        "partition": one.partition,
                        "committed": one.committed,
                        "begin": one.begin,
                        "end": one.end,
                        "records": one.records,
                        "seconds": one.seconds(now),
                        "deleted_unread": one.deleted,
                    }
                    for one in topic.partitions
                ],
            }
            for topic in found
        ],
    }


def shown_seconds(seconds: float | None) -> str:
    """Return seconds for people.

    Examples
    --------
    >>> shown_seconds(None), shown_seconds(0.0), shown_seconds(7.25), shown_seconds(7200.4)
    ('?', '0', '7.2', '7200')
    """
    if seconds is None:
        return "?"
    return f"{seconds:.1f}" if 0 < seconds < 100 else f"{seconds:.0f}"


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield rows with their columns aligned; numbers (the third and fourth) to the right."""
    widths = [max(len(row[place]) for row in rows) for place in range(4)]
    for row in rows:
        cells = [
            row[place].rjust(width) if place in (2, 3) else row[place].ljust(width)
            for place, width in enumerate(widths)
        ]
        yield "  ".join([*cells, row[4]]).rstrip()


def _footnote(settings: Settings) -> str:
    return (
        "seconds: since the oldest unread record arrived. Agents commit at checkpoints, so about "
        f"{settings.checkpoint_interval_s:g} s are normal; `wattloop lag --help` says more."
    )
