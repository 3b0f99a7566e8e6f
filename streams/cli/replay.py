"""`wattloop replay`: the readings of a period through the agents again, into the same tables under the same ids."""

import asyncio
import json
import logging
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
import polars as pl
from aiokafka import AIOKafkaProducer
from rich.console import Console

from agents.pricing.pricing import Reference
from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_tariffs
from schemas.reference.problems import ReferenceDataError
from sinks.clickhouse.client import connect
from sinks.clickhouse.errors import SinkError
from sinks.clickhouse.migrate import migrate
from sinks.parquet.reader import lanes_of
from streams import logs
from streams.broker import log_id
from streams.broker_admin import BrokerTrouble, named_trouble
from streams.cli.dlq import Time
from streams.cli.flags import Flags, settings_flags
from streams.cli.topics import quiet_clients
from streams.configuration import load_configuration
from streams.leaving import leave
from streams.reference_topic import read_all as read_reference
from streams.registry_topic import RegistryTopicError
from streams.replay.engine import NoSiteRecord, Produced
from streams.replay.outputs import Again, History, Written
from streams.replay.period import Allowances, NotCovered, Period, shown
from streams.replay.position import load, position_path
from streams.replay.progress import Reporter
from streams.replay.run import Done, Held, Wanted, covering, replay
from streams.replay.spool import TopicUnreadable, registered, spool
from streams.replay.told import as_bills, as_document, as_table, done_as_document, done_as_text
from streams.replay.what_if import BY, FACTORS, TARIFFS, bill_differences, differences, with_files
from streams.settings import Settings, broker_addresses

log = logging.getLogger(__name__)

FIELDS = (
    "config",
    "kafka_url",
    "clickhouse_url",
    "data_dir",
    "archive_dir",
    "topic_prefix",
    "allowed_lateness_s",
    "revision_horizon_s",
    "future_allowance_s",
    "log_level",
    "log_format",
)
ARCHIVE, KAFKA, AUTO = "archive", "kafka", "auto"
STOPPED = 130


class OtherReference(click.ParamType):
    """`factors=FILE` or `tariffs=FILE`."""

    name = "what-if"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Path]:
        """Read it."""
        if isinstance(value, tuple):
            return str(value[0]), Path(str(value[1]))
        kind, _, name = str(value).partition("=")
        if kind not in (FACTORS, TARIFFS) or not name:
            return self.fail(f"expected {FACTORS}=FILE or {TARIFFS}=FILE, got {value!r}", param, ctx)
        if not Path(name).is_file():
            return self.fail(f"there is no file {name}", param, ctx)
        return kind, Path(name)


@click.command("replay")
@click.option("--from", "from_ms", type=Time(), required=True, metavar="TIME", help="First minute (ISO 8601).")
@click.option("--to", "to_ms", type=Time(), required=True, metavar="TIME", help="The minute after the last.")
@click.option("--only", multiple=True, metavar="SITE", help="Only this site; may be given again.")
@click.option(
    "--source",
    type=click.Choice([AUTO, ARCHIVE, KAFKA]),
    default=AUTO,
    show_default=True,
    help="Where the readings are taken from; auto takes the archive if it covers the period.",
)
@click.option(
    "--what-if",
    "other",
    multiple=True,
    type=OtherReference(),
    metavar="factors=FILE|tariffs=FILE",
    help="Show what would change with this reference data, and write nothing.",
)
@click.option("--by", type=click.Choice(BY), default="day", show_default=True, help="Periods that --what-if shows.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--to-topics", is_flag=True, help="Also send the records to emissions.v1 again, with the same ids.")
@click.option("--rate", type=click.FloatRange(min=1), help="Readings per second at most.")
@click.option("--replace-editions", is_flag=True, help="Replace figures that were computed with another edition.")
@click.option(
    "--without-bills", is_flag=True, help="Leave demand and ledger as they are, and do not read their month up to here."
)
@click.option("--resume", is_flag=True, help="Go on where the same replay was stopped.")
@settings_flags(FIELDS)
def command(
    flags: Flags,
    *,
    from_ms: int,
    to_ms: int,
    only: tuple[str, ...],
    source: str,
    other: tuple[tuple[str, Path], ...],
    by: str,
    as_json: bool,
    to_topics: bool,
    rate: float | None,
    resume: bool,
    replace_editions: bool,
    without_bills: bool,
) -> None:
    """Run the readings of a period through the agents again and write the same rows under the same ids.

    Windows, emissions, balance, corrections, demand and ledger of the period are written again; readings are added
    where they are missing. Nothing is sent to the topics the agents read, and never a command. A second replay changes
    nothing.

    Read ahead: a bill and the month's maximum count from the beginning of the local month, so everything from there on
    (and an hour before it) is read, though only the period is written. If that is not held, demand and ledger are left
    as they are, and it says so. Written are quarter hours, days and months that lie wholly in the period.

    Give it the allowed_lateness_s of the workers: what was refused as late is refused again.

    Exit code: 0, 1 if it could not be done (a period that is not wholly held is an error that says what is),
    130 if it was stopped; --resume then goes on.

    \b
    Examples:
      wattloop replay --from 2026-07-14T00:00Z --to 2026-07-15T00:00Z
      wattloop replay --from 2026-07-01 --to 2026-08-01 --only zj-steel --source archive
      wattloop replay --from 2026-07-01 --to 2026-08-01 --what-if factors=new.csv --by month
    """
    settings, _ = load_configuration(flags, os.environ, want_registry=False)
    logs.configure(settings.log_level, settings.log_format)
    quiet_clients()
    try:
        wanted = Wanted(
            Period(from_ms, to_ms),
            only or None,
            Allowances(
                settings.allowed_lateness_s * 1000,
                settings.future_allowance_s * 1000,
                settings.revision_horizon_s * 1000,
            ),
            rate,
            not without_bills,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if other and (to_topics or resume):
        raise click.UsageError("--what-if writes nothing: there is nothing to send or to resume")
    if to_topics and settings.kafka_url is None:
        raise click.UsageError("--to-topics needs --kafka-url")
    console = Console(stderr=True)
    try:
        with ExitStack() as stack:
            report = stack.enter_context(Reporter(console, time.monotonic))
            chosen, held = _source(settings, wanted, source, report, stack)
            click.echo(f"readings are taken from {chosen}", err=True)
            if held.has_months:
                click.echo(f"for demand and ledger it is read from {shown(held.read_from)} on", err=True)
            elif held.lacking:
                click.echo(f"without demand and ledger, as their month is not wholly held: {held.lacking}", err=True)
            if other:
                _what_if(held, wanted, _in_force(settings), dict(other), by=by, report=report, as_json=as_json)
                return
            done = _again(
                settings,
                held,
                wanted,
                chosen=chosen,
                report=report,
                stack=stack,
                resume=resume,
                to_topics=to_topics,
                replace_editions=replace_editions,
            )
    except KeyboardInterrupt:
        click.echo("stopped; the same command with --resume goes on", err=True)
        sys.exit(STOPPED)
    except (
        NotCovered,
        NoSiteRecord,
        TopicUnreadable,
        SinkError,
        BrokerTrouble,
        ReferenceDataError,
        RegistryTopicError,
    ) as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(done_as_document(done, wanted)) if as_json else done_as_text(done, wanted))


def _source(settings: Settings, wanted: Wanted, source: str, report: Reporter, stack: ExitStack) -> tuple[str, Held]:
    """Find a source that covers what is wanted, or say of each why it does not."""
    root = settings.archive_dir or settings.data_dir / "archive"
    reasons = []
    if source in (AUTO, ARCHIVE):
        name = f"the archive {root}"
        if root.is_dir():
            try:
                return name, covering(lanes_of(root), wanted)
            except NotCovered as error:
                reasons.append(f"{name}: {error}")
        else:
            reasons.append(f"{name}: there is none; archive_dir says where it is")
    if source in (AUTO, KAFKA):
        if settings.kafka_url is None:
            reasons.append("Kafka: kafka_url is not set")
        else:
            name = f"Kafka, {settings.topic_prefix}telemetry.v1"
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wattloop-replay-")))
            try:
                return name, _spooled(settings, settings.kafka_url, wanted, scratch, report)
            except NotCovered as error:
                reasons.append(f"{name}: {error}")
    raise NotCovered("\n".join([f"{wanted.period} is not wholly held", *reasons]))


def _spooled(settings: Settings, url: str, wanted: Wanted, scratch: Path, report: Reporter) -> Held:
    brokers, prefix = broker_addresses(url), settings.topic_prefix
    with named_trouble(url):
        of_log = f"{log_id(url)}/{prefix}"
        report.begin("telemetry.v1")
        asyncio.run(spool(brokers, prefix, of_log, scratch, report.report))
        registry = asyncio.run(registered(brokers, prefix))
    return covering(lanes_of(scratch), wanted, registry)


def _again(
    settings: Settings,
    held: Held,
    wanted: Wanted,
    *,
    chosen: str,
    report: Reporter,
    stack: ExitStack,
    resume: bool,
    to_topics: bool,
    replace_editions: bool,
) -> Done:
    path = position_path(
        settings.data_dir, wanted.period, wanted.sites, wanted.allowances, chosen, to_topics, held.read_from
    )
    begun = load(path) if resume else None
    if resume and begun is None:
        click.echo("there is nothing to resume: beginning", err=True)
    run = uuid.uuid4().hex[:12] if begun is None else begun.run
    client = connect(settings.clickhouse_dsn)
    stack.callback(client.close)
    migrate(client)
    history = History(client, run)
    found = history.other_editions(wanted.period.first_ms, wanted.period.end_ms, wanted.sites or (), REFERENCE_VERSION)
    carried = held.editions()
    others = [name for name in found if name not in carried]
    if others and not replace_editions:
        raise click.ClickException(
            f"figures of the period were computed with {', '.join(others)}, and a replay would put those of "
            f"{REFERENCE_VERSION} in their place; wattloop restate puts them beside, --replace-editions replaces them"
        )
    send = stack.enter_context(_sender(settings)) if to_topics else None

    def write(number: int, produced: Produced) -> Written:
        written = history.write(number, produced)
        return written if send is None else written + Written(sent=send(produced))

    return replay(
        held,
        wanted,
        [_of_release()],
        write,
        report,
        run=run,
        keep_at=path,
        begun=begun,
        clock=time.monotonic,
        sleep=time.sleep,
    )


@contextmanager
def _sender(settings: Settings) -> Iterator[Callable[[Produced], int]]:
    """A function that sends what a chunk led to, and returns when the broker has it."""
    url = settings.kafka_url or ""
    with named_trouble(url), asyncio.Runner() as runner:

        async def started() -> AIOKafkaProducer:
            producer = AIOKafkaProducer(
                bootstrap_servers=list(broker_addresses(url)), client_id="wattloop-replay", acks="all", linger_ms=20
            )
            await producer.start()
            return producer

        producer = runner.run(started())
        again = Again(producer, settings.topic_prefix)
        try:
            yield lambda produced: runner.run(again.send(produced))
        finally:
            runner.run(leave(producer))


def _what_if(
    held: Held,
    wanted: Wanted,
    mine: Reference,
    files: dict[str, Path],
    *,
    by: str,
    report: Reporter,
    as_json: bool,
) -> None:
    """Compute with both, and write nothing anywhere."""
    found: list[tuple[pl.DataFrame, pl.DataFrame]] = []
    ledgers: list[tuple[pl.DataFrame, ...]] = []

    def take(_number: int, produced: Produced) -> Written:
        mine, other = produced.followed.emissions
        found.append((mine, other))
        ledgers.append(produced.followed.ledger)
        return Written()

    replay(
        held,
        wanted,
        [mine, with_files(mine, files)],
        take,
        report,
        run="what-if",
        keep_at=None,
        begun=None,
        clock=time.monotonic,
        sleep=time.sleep,
        with_editions=False,
    )
    rows = differences(found, held.zones(), by)
    bills = bill_differences(ledgers, by)
    if as_json:
        click.echo(json.dumps(as_document(rows, bills, wanted), indent=2))
        return
    for line in as_table(rows):
        click.echo(line)
    if bills:
        click.echo()
        for line in as_bills(bills):
            click.echo(line)


def _of_release() -> Reference:
    return Reference(load_factors(), load_tariffs(), REFERENCE_VERSION)


def _in_force(settings: Settings) -> Reference:
    """Return the edition workers price with now."""
    if settings.kafka_url is None:
        return _of_release()
    with named_trouble(settings.kafka_url):
        brokers = list(broker_addresses(settings.kafka_url))
        published = asyncio.run(read_reference(brokers, prefix=settings.topic_prefix)).in_force
    if published is None:
        return _of_release()
    return Reference(published.factors, published.plans, published.version)
