"""`wattloop dlq`: what was refused: list it, look at it, send it again, delete it."""

import asyncio
import heapq
import json
import logging
import os
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

import click
from rich.console import Console

from schemas.problem import ConfigurationError
from schemas.rejection import Reason
from streams.cli.flags import Flags, settings_flags
from streams.cli.registry import NO_BROKER
from streams.configuration import effective_settings
from streams.dead_letters.letter import Filters, Foreign, Letter, Note, Place
from streams.dead_letters.purge import Purge, delete, plan
from streams.dead_letters.replay import LEASE_S, Replay, Replayed
from streams.dead_letters.text import as_json, page, row, table
from streams.dead_letters.topic import DeadLetters, DeadLettersError, Journal, broker_errors
from streams.topology import APP_ID

Answer = TypeVar("Answer")
Command = Callable[..., None]

STAGES = ("ingest", "activities", "metering")
FIELDS = ("config", "kafka_url", "topic_prefix")
_OF_METERING = (
    "letters of metering hold rows, not the bytes that came (values may be multiplied already), "
    "and would mostly be refused again"
)


class Time(click.ParamType):
    """A moment, given as ISO 8601 and taken as ms since 1970 UTC."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it; without an offset it is UTC."""
        if isinstance(value, int):
            return value
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            return self.fail(f"expected ISO 8601 such as 2026-11-22T06:00:00Z, got {value!r}", param, ctx)
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


class LetterPlace(click.ParamType):
    """A place on dead-letters.v1."""

    name = "place"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        """Read it."""
        if isinstance(value, Place):
            return value
        try:
            return Place.parse(str(value))
        except ValueError as wrong:
            return self.fail(str(wrong), param, ctx)


def _filters(command: Command) -> Command:
    reasons = [reason.value for reason in Reason]
    options = (
        click.option("--reason", "reasons", multiple=True, type=click.Choice(reasons), help="Only this reason."),
        click.option("--site", help="Only letters whose key, or a site_id in their bytes, is this."),
        click.option("--stage", "stages", multiple=True, type=click.Choice(STAGES), help="Only refused by this stage."),
        click.option("--from", "from_ms", type=Time(), metavar="TIME", help="Arrived then or later (ISO 8601)."),
    )
    for option in reversed(options):
        command = option(command)
    return command


_TO = click.option("--to", "to_ms", type=Time(), metavar="TIME", help="Arrived before then (ISO 8601).")
_AS_JSON = click.option("--json", "as_lines", is_flag=True, help="One JSON object per letter.")


@click.group("dlq")
def command() -> None:
    """Dead letters: list and show what was refused, send it again, delete it.

    \b
    Example:
      wattloop dlq list --reason unknown_meter --site zj-steel
    """


@command.command("list")
@_filters
@_TO
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="The newest so many.")
@_AS_JSON
@settings_flags(FIELDS)
def list_letters(flags: Flags, limit: int, as_lines: bool, **chosen: object) -> None:
    """List letters in the order of their arrival, and count them by reason.

    \b
    Example:
      wattloop dlq list --from 2026-11-22T06:00Z --json --kafka-url kafka://broker.example:9092
    """
    topic = _topic(flags)
    newest, counts, journal, foreign = _answer(topic, _listed(topic, _chosen(chosen), limit))
    if as_lines:
        for letter in newest:
            click.echo(json.dumps(as_json(letter, journal.state_of(letter.place)), ensure_ascii=False))
    elif newest:
        lines = table()
        for letter in newest:
            lines.add_row(*row(letter, journal.state_of(letter.place)))
        console = Console(highlight=False)
        console.print(lines) if console.is_terminal else Console(highlight=False, width=200).print(lines)
    total = counts.total()
    shown = "" if len(newest) == total else f", the newest {len(newest)} shown"
    click.echo(f"{_letters(total)}{_by_reason(counts)}{shown}", err=as_lines)
    if foreign:
        text = (
            f"{len(foreign)} messages on {topic.name} are no letters; the first: {foreign[0].place}: {foreign[0].why}"
        )
        click.echo(text, err=True)


@command.command("show")
@click.argument("place", type=LetterPlace())
@click.option("--raw", is_flag=True, help="Only the bytes that came, as they came.")
@settings_flags(FIELDS)
def show(flags: Flags, place: Place, raw: bool) -> None:
    """Show everything about one letter; PLACE is partition:offset as `list` prints it.

    \b
    Example:
      wattloop dlq show 3:1207
    """
    topic = _topic(flags)
    found, journal = _answer(topic, _looked_up(topic, place))
    if not isinstance(found, Letter):
        kind = f"no letter: {found.why}" if isinstance(found, Foreign) else "a note of a replay, no letter"
        raise click.ClickException(f"{place} is {kind}")
    if raw:
        click.get_binary_stream("stdout").write(found.value)
        return
    click.echo("\n".join(page(found, journal.state_of(place))))


@command.command("replay")
@_filters
@_TO
@click.option("--limit", type=click.IntRange(1), help="Send no more than so many.")
@click.option("--dry-run", is_flag=True, help="Only say what would be sent.")
@click.option("--force", is_flag=True, help="Also letters of metering, and letters that may have been sent before.")
@settings_flags(FIELDS)
def replay(flags: Flags, limit: int | None, dry_run: bool, force: bool, **chosen: object) -> None:
    """Send letters to the topic they came from again, as they came; each only once, however often this is run.

    \b
    Example:
      wattloop dlq replay --reason unknown_meter --site zj-steel --dry-run
    """
    topic = _topic(flags)
    one = Replay(topic, uuid.uuid4().hex, lambda: int(time.time() * 1000), force)
    try:
        done = _answer(topic, one.run_once(_chosen(chosen), limit=limit, dry_run=dry_run))
    except click.ClickException as broken:
        again = f"nothing is lost: run it again after {LEASE_S} s, and it finds out what was sent"
        raise click.ClickException(f"{broken.message} ({_letters(one.sent)} known to be sent; {again})") from broken
    click.echo("\n".join(_told(done, dry_run=dry_run)))
    if not done.sent and (done.of_metering or done.busy or done.unsure or done.too_large):
        sys.exit(1)


@command.command("purge")
@_filters
@click.option("--before", "to_ms", type=Time(), metavar="TIME", required=True, help="Arrived before then (ISO 8601).")
@click.option("--yes", is_flag=True, help="Do it.")
@settings_flags(FIELDS)
def purge(flags: Flags, yes: bool, **chosen: object) -> None:
    """Delete letters from the topic; the history keeps its copies.

    Kafka deletes from the front of a partition only, so letters behind one that has to stay are not deleted.

    \b
    Example:
      wattloop dlq purge --before 2026-11-01 --yes
    """
    topic = _topic(flags)
    found = _answer(topic, plan(topic, _chosen(chosen), f"{topic.prefix}{APP_ID}-history"))
    click.echo("\n".join(_planned(found)))
    if not found.until:
        return
    if not yes:
        raise click.ClickException("nothing was deleted: what is deleted cannot be sent again; --yes does it")
    try:
        delete(topic.brokers, topic.name, found.until)
    except DeadLettersError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{_letters(found.deleted.total())} deleted")


def _topic(flags: Flags) -> DeadLetters:
    found = effective_settings(flags, os.environ)
    brokers = found.settings.brokers
    problems = [*found.problems, *([NO_BROKER] if brokers is None and not found.problems else [])]
    if problems or brokers is None:
        raise ConfigurationError(problems)
    return DeadLetters(brokers, found.settings.topic_prefix)


def _chosen(given: Mapping[str, object]) -> Filters:
    def moment(name: str) -> int | None:
        value = given.get(name)
        return value if isinstance(value, int) else None

    def words(name: str) -> tuple[str, ...]:
        value = given[name]
        return tuple(map(str, value)) if isinstance(value, tuple) else ()

    site = given["site"]
    return Filters(
        words("reasons"), words("stages"), None if site is None else str(site), moment("from_ms"), moment("to_ms")
    )


def _answer(topic: DeadLetters, question: Coroutine[object, object, Answer]) -> Answer:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it would log is in the error
    try:
        with broker_errors(topic.brokers):
            return asyncio.run(question)
    except DeadLettersError as error:
        raise click.ClickException(str(error)) from error


async def _listed(
    topic: DeadLetters, filters: Filters, limit: int
) -> tuple[list[Letter], Counter[str], Journal, list[Foreign]]:
    """Return the newest letters, counts by reason of all, what was sent again, and what is no letter."""
    newest: list[tuple[int, Place, Letter]] = []
    counts: Counter[str] = Counter()
    journal = Journal()
    foreign: list[Foreign] = []
    async for one in topic.messages(await topic.ends()):
        if isinstance(one, Note):
            journal.take(one)
        elif isinstance(one, Foreign):
            foreign.append(one)
        elif filters.take(one):
            counts[one.reason] += 1
            keep = heapq.heappushpop if len(newest) >= limit else heapq.heappush
            keep(newest, (one.arrived_at, one.place, one))
    return [letter for _, _, letter in sorted(newest)], counts, journal, foreign


async def _looked_up(topic: DeadLetters, place: Place) -> tuple[Letter | Note | Foreign, Journal]:
    found = await topic.message(place)
    journal = Journal()
    ends = await topic.ends()
    async for one in topic.messages({place.partition: ends[place.partition]}, {place.partition: place.offset}):
        if isinstance(one, Note):
            journal.take(one)
    return found, journal


def _told(done: Replayed, *, dry_run: bool) -> Iterable[str]:
    yield f"{_letters(done.sent.total())} {'would be sent' if dry_run else 'sent'}{_by_reason(done.sent)}"
    if done.before:
        yield f"{_letters(done.before)} left out: sent by an earlier replay"
    if done.busy:
        yield (
            f"{_letters(done.busy)} left out: another replay has begun with them; if it is no longer running, "
            f"try again in {LEASE_S} s"
        )
    if done.of_metering:
        yield f"{_letters(done.of_metering.total())}{_by_reason(done.of_metering)} refused: {_OF_METERING}; --force"
    if done.unsure:
        yield (
            f"{_letters(done.unsure)} refused: a replay broke off with them, and what it sent is no longer on the "
            "topic, so they may have been sent; --force sends them"
        )
    if done.too_large:
        yield f"{_letters(len(done.too_large))} refused by the broker as too large: {_some(done.too_large)}"


def _planned(found: Purge) -> Iterable[str]:
    yield f"{_letters(found.deleted.total())} can be deleted{_by_reason(found.deleted)}"
    if found.held:
        yield (
            f"{_letters(found.held)} cannot be: in front of them are letters that have to stay "
            f"({_some(found.held_by)}), and Kafka deletes from the front only"
        )
    if found.unstored:
        yield (
            f"{_letters(found.unstored)} cannot be: the history has not stored them, and a worker refuses to go on "
            "where letters it has not stored are gone"
        )


def _letters(count: int) -> str:
    return f"{count} letter{'' if count == 1 else 's'}"


def _by_reason(counts: Counter[str]) -> str:
    return f" ({', '.join(f'{count} {reason}' for reason, count in counts.most_common())})" if counts else ""


def _some(places: list[Place]) -> str:
    return ", ".join(map(str, places[:5])) + (" …" if len(places) > 5 else "")
