"""Dead letters as a tool, on a real broker: nothing is sent twice, whoever is killed and whoever is faster."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence

import pytest
from aiokafka import AIOKafkaProducer
from pipeline import PARTITIONS, Pipeline, Raw, wait_for

from schemas.rejection import Reason
from schemas.topics import ACTIVITIES, DEAD_LETTERS, METER_READINGS, PRODUCTION, TELEMETRY, WEATHER
from streams.broker import ensure_topics, partition_for
from streams.dead_letters.letter import BEGUN, Filters, Letter, Note, Place, headers_again
from streams.dead_letters.replay import LEASE_S, Replay, Replayed
from streams.dead_letters.topic import DeadLetters
from streams.demo import DEMO_REGISTRY
from streams.frame.codec import Headers, Origin
from streams.frame.letters import headers_of

pytestmark = pytest.mark.integration

ON_APACHE = os.environ.get("WATTLOOP_TEST_BROKER") == "apache"
SITES = ("zj-steel", "gd-panels", "js-textiles")
ARRIVED = 1_784_011_500_600
MANY = 30_000


def now() -> int:
    return int(time.time() * 1000)


def later() -> int:
    return now() + 2 * LEASE_S * 1000


def letter_headers(reason: Reason, number: int, stage: str = "ingest", source: str = METER_READINGS.name) -> Headers:
    origin = Origin(source, 0, number)
    ours = headers_of(reason, stage, origin, index=0, arrived_at=ARRIVED + number, content_type="application/json")
    return [*ours, ("gateway", b"g-7")]


def value_of(number: int) -> bytes:
    return json.dumps({"meter_id": "mian", "ts": number, "import_kwh": 1.5}).encode()


async def write(pipeline: Pipeline, topic: str, sent: Sequence[tuple[int, bytes | None, bytes, Headers]]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=pipeline.broker, acks="all")
    await producer.start()
    try:
        name = pipeline.prefix + topic
        answers = [
            await producer.send(name, value, key, partition=partition, headers=headers)
            for partition, key, value, headers in sent
        ]
        await asyncio.gather(*answers)
    finally:
        await producer.stop()


def with_letters(
    pipeline: Pipeline,
    count: int,
    stage: str = "ingest",
    reason: Reason = Reason.UNKNOWN_METER,
    source: str = METER_READINGS.name,
) -> None:
    """Topics of a deployment, and letters of three sites as ingest writes them; no worker runs."""
    ensure_topics(f"kafka://{pipeline.broker}", pipeline.prefix, PARTITIONS, 1, ())
    sent = [
        (
            partition_for(site, PARTITIONS),
            site.encode(),
            value_of(number),
            letter_headers(reason, number, stage, source),
        )
        for number in range(count)
        for site in [SITES[number % 3]]
    ]
    asyncio.run(write(pipeline, DEAD_LETTERS.name, sent))


def letters_of(pipeline: Pipeline) -> DeadLetters:
    return DeadLetters([pipeline.broker], pipeline.prefix)


def replayed(pipeline: Pipeline, run: str, filters: Filters | None = None, at: int | None = None) -> Replayed:
    replay = Replay(letters_of(pipeline), run, lambda: at or now())
    return asyncio.run(replay.run_once(filters or Filters()))


def raw_messages(
    pipeline: Pipeline, of: str = METER_READINGS.name
) -> list[tuple[int, bytes | None, bytes | None, dict[str, bytes]]]:
    async def read() -> list[tuple[int, bytes | None, bytes | None, dict[str, bytes]]]:
        topic, name = letters_of(pipeline), pipeline.prefix + of
        ends = await topic.ends(name)
        return [(one.partition, one.key, one.value, dict(one.headers)) async for one in topic.records(name, ends)]

    return asyncio.run(read())


def sent_again(pipeline: Pipeline) -> Counter[bytes]:
    """How often each letter was sent again."""
    return Counter(headers["dlq_replayed_from"] for *_, headers in raw_messages(pipeline))


def run(pipeline: Pipeline, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "streams.cli.main", "dlq", *words]
    return subprocess.run(command, env=pipeline.environment, capture_output=True, text=True, check=False)


def test_a_letter_goes_back_as_it_came_and_only_once(pipeline: Pipeline) -> None:
    with_letters(pipeline, 12)

    assert run(pipeline, "replay", "--dry-run").stdout == "12 letters would be sent (12 unknown_meter)\n"
    assert raw_messages(pipeline) == []
    assert run(pipeline, "replay").stdout == "12 letters sent (12 unknown_meter)\n"
    again = run(pipeline, "replay")

    assert again.stdout == "0 letters sent\n12 letters left out: sent by an earlier replay\n"
    found = raw_messages(pipeline)
    assert sorted(value or b"" for _, _, value, _ in found) == sorted(map(value_of, range(12)))
    for partition, key, _, headers in found:
        assert partition == partition_for((key or b"").decode(), PARTITIONS)
        assert set(headers) == {"gateway", "content-type", "dlq_replayed_from"}


def test_letters_are_chosen_by_site_reason_and_time(pipeline: Pipeline) -> None:
    with_letters(pipeline, 9)
    with_letters(pipeline, 3, reason=Reason.TOO_OLD)

    listed = run(pipeline, "list", "--site", "zj-steel", "--reason", "unknown_meter", "--json")
    assert [json.loads(line)["arrived_at"] - ARRIVED for line in listed.stdout.splitlines()] == [0, 3, 6]
    assert listed.stderr == "3 letters (3 unknown_meter)\n"
    some = run(
        pipeline, "list", "--from", "2026-07-14T06:45:00.601Z", "--to", "2026-07-14T06:45:00.603+00:00", "--json"
    )
    assert [json.loads(line)["arrived_at"] - ARRIVED for line in some.stdout.splitlines()] == [1, 1, 2, 2]
    table = run(pipeline, "list", "--limit", "2").stdout
    assert table.endswith("12 letters (9 unknown_meter, 3 too_old), the newest 2 shown\n")


def test_one_letter_is_shown_with_everything(pipeline: Pipeline) -> None:
    with_letters(pipeline, 1)
    place = f"{partition_for('zj-steel', PARTITIONS)}:0"

    shown = run(pipeline, "show", place).stdout

    for part in ("unknown_meter", "expected a meter of this site", "meter.readings.v1 partition 0 offset 0", "g-7"):
        assert part in shown
    assert shown.endswith(f"\n\n{value_of(0).decode()}\n")
    assert run(pipeline, "show", place, "--raw").stdout == value_of(0).decode()
    assert "is no letter 0:99" in run(pipeline, "show", "0:99").stderr.replace("there is", "is")


def test_letters_of_metering_are_refused(pipeline: Pipeline) -> None:
    with_letters(pipeline, 2, stage="metering", reason=Reason.LATE, source=TELEMETRY.name)

    refused = run(pipeline, "replay")

    assert refused.returncode == 1
    assert "2 letters (2 late) refused: letters of metering hold rows" in refused.stdout
    assert raw_messages(pipeline) == []
    assert run(pipeline, "replay", "--force").stdout.startswith("2 letters sent")


def test_letters_of_every_topic_of_the_field_go_back_where_they_came_from(pipeline: Pipeline) -> None:
    for topic in (WEATHER, PRODUCTION):
        with_letters(pipeline, 3, reason=Reason.UNKNOWN_SITE, source=topic.name)
    with_letters(pipeline, 3, reason=Reason.NO_FACTOR, stage="activities", source=ACTIVITIES.name)
    with_letters(pipeline, 3)

    assert replayed(pipeline, "a").sent.total() == 12
    for topic in (WEATHER, PRODUCTION, ACTIVITIES, METER_READINGS):
        sent = raw_messages(pipeline, topic.name)
        assert sorted(value or b"" for _, _, value, _ in sent) == sorted(map(value_of, range(3)))
    assert replayed(pipeline, "b").before == 12


def test_a_replay_of_weather_that_was_killed_is_completed_from_the_topic_of_weather(pipeline: Pipeline) -> None:
    with_letters(pipeline, 3, reason=Reason.UNKNOWN_SITE, source=WEATHER.name)
    partition = partition_for("zj-steel", PARTITIONS)
    note = Note(Place(partition, -1), BEGUN, "killed", now(), (0,), WEATHER.name, {partition: 0})

    async def die_behind_the_sending() -> None:
        letter = await letters_of(pipeline).message(Place(partition, 0))
        assert isinstance(letter, Letter)
        await write(pipeline, DEAD_LETTERS.name, [(partition, None, note.value, note.headers)])
        await write(pipeline, WEATHER.name, [(partition, b"zj-steel", letter.value, headers_again(letter))])

    asyncio.run(die_behind_the_sending())

    after = replayed(pipeline, "after", at=later())
    assert (after.sent.total(), after.before) == (2, 1)
    assert len(raw_messages(pipeline, WEATHER.name)) == 3


def test_two_replays_at_once_send_every_letter_once(pipeline: Pipeline) -> None:
    with_letters(pipeline, 60)

    async def both() -> list[Replayed]:
        runs = [Replay(letters_of(pipeline), name, now) for name in ("a", "b", "c")]
        return await asyncio.gather(*(one.run_once(Filters()) for one in runs))

    done = asyncio.run(both())

    assert sum(one.sent.total() for one in done) == 60
    assert set(sent_again(pipeline).values()) == {1}
    assert len(sent_again(pipeline)) == 60


def test_a_replay_that_was_killed_half_way_is_completed_by_the_next_and_nothing_is_sent_twice(
    pipeline: Pipeline,
) -> None:
    with_letters(pipeline, 9)
    partition = partition_for("zj-steel", PARTITIONS)
    mine = [Place(partition, offset) for offset in range(3)]
    note = Note(
        Place(partition, -1),
        BEGUN,
        "killed",
        now(),
        tuple(one.offset for one in mine),
        METER_READINGS.name,
        {partition: 0},
    )

    async def die_half_way() -> None:
        topic = letters_of(pipeline)
        first = await topic.message(mine[0])
        assert isinstance(first, Letter)
        await write(pipeline, DEAD_LETTERS.name, [(partition, None, note.value, note.headers)])
        await write(pipeline, METER_READINGS.name, [(partition, b"zj-steel", first.value, headers_again(first))])

    asyncio.run(die_half_way())

    at_once = replayed(pipeline, "b", Filters(site="zj-steel"))
    assert (at_once.sent.total(), at_once.busy) == (0, 3)
    after = replayed(pipeline, "c", at=later())
    assert (after.sent.total(), after.before) == (8, 1)
    assert set(sent_again(pipeline).values()) == {1}
    assert replayed(pipeline, "d", at=later()).before == 9


def test_a_replay_that_is_killed_at_any_moment_loses_and_doubles_nothing(pipeline: Pipeline) -> None:
    with_letters(pipeline, MANY)
    command = [sys.executable, "-m", "streams.cli.main", "dlq", "replay"]
    with subprocess.Popen(command, env=pipeline.environment, stdout=subprocess.DEVNULL) as process:
        wait_for(lambda: bool(pipeline.messages_on(METER_READINGS.name)))
        process.kill()
    assert process.returncode == -signal.SIGKILL, "it was done before it could be killed"

    after = replayed(pipeline, "after", at=later())

    counts = sent_again(pipeline)
    assert len(counts) == MANY
    assert set(counts.values()) == {1}
    assert 0 < after.sent.total() < MANY


def test_what_was_sent_again_is_taken_once_the_meter_is_registered(pipeline: Pipeline) -> None:
    ensure_topics(f"kafka://{pipeline.broker}", pipeline.prefix, PARTITIONS, 1, ())
    reading = {"site_id": "zj-steel", "meter_id": "main", "ts": now() - 60_000, "import_kwh": 1.0}
    pipeline.start()
    pipeline.send([Raw("zj-steel", json.dumps(reading).encode())])
    wait_for(lambda: pipeline.metric("wattloop_sink_rows_total", table="dead_letters") >= 1)
    pipeline.command("registry", "apply", str(DEMO_REGISTRY))
    wait_for(lambda: pipeline.metric("wattloop_ingest_readings_total") >= 1 or replay_once(pipeline))
    wait_for(lambda: pipeline.metric("wattloop_sink_rows_total", table="readings") >= 1)
    pipeline.stop()

    assert pipeline.query("SELECT count() AS rows FROM v_readings")["rows"].item() == 1
    assert pipeline.query("SELECT DISTINCT reason FROM v_dead_letters").rows() == [("unknown_meter",)]


def replay_once(pipeline: Pipeline) -> bool:
    """Replay; a worker that does not know the registry yet makes a new letter of it, which is replayed in its turn."""
    pipeline.command("dlq", "replay")
    return False


def test_letters_are_deleted_up_to_the_first_that_stays(pipeline: Pipeline) -> None:
    pipeline.command("registry", "apply", str(DEMO_REGISTRY))
    pipeline.start()
    pipeline.send([Raw("zj-steel", text) for text in (b"one", b'{"meter_id":"main","ts":1}', b"three")])
    wait_for(lambda: pipeline.metric("wattloop_sink_rows_total", table="dead_letters") >= 3)
    pipeline.command("dlq", "replay", "--reason", "missing_field")
    wait_for(lambda: pipeline.metric("wattloop_sink_rows_total", table="dead_letters") >= 4)
    before = ("--before", "2100-01-01")

    unsure = run(pipeline, "purge", *before, "--reason", "undecodable")
    assert unsure.returncode == 1
    assert unsure.stdout.startswith("1 letter can be deleted (1 undecodable)\n1 letter cannot be: in front of them")
    assert "--yes" in unsure.stderr
    done = run(pipeline, "purge", *before, "--reason", "undecodable", "--yes")
    if not ON_APACHE:
        assert done.returncode == 1
        assert "The embedded broker has no DeleteRecords" in done.stderr
        return
    assert done.stdout.endswith("1 letter deleted\n")
    assert "3 letters (2 missing_field, 1 undecodable)" in run(pipeline, "list").stdout
    assert run(pipeline, "purge", *before, "--yes").stdout.endswith("3 letters deleted\n")
    assert run(pipeline, "list").stdout == "0 letters\n"
    pipeline.stop()
    pipeline.start()  # it goes on although what it has stored is gone from the topic
    pipeline.send([Raw("zj-steel", b"four")])
    wait_for(lambda: pipeline.metric("wattloop_sink_rows_total", table="dead_letters") >= 1)
    pipeline.stop()
    assert pipeline.query("SELECT count() AS rows FROM v_dead_letters")["rows"].item() == 5


def test_letters_the_history_has_not_stored_are_not_deleted(pipeline: Pipeline) -> None:
    with_letters(pipeline, 3)

    kept = run(pipeline, "purge", "--before", "2100-01-01", "--yes")

    assert kept.returncode == 0
    assert "3 letters cannot be: the history has not stored them" in kept.stdout


def test_a_broker_that_is_not_there_is_said_in_a_sentence(pipeline: Pipeline) -> None:
    pipeline.settings["WATTLOOP_KAFKA_URL"] = "kafka://127.0.0.1:1"

    for words in (["list"], ["show", "0:1"], ["replay"], ["purge", "--before", "2100-01-01"]):
        failed = run(pipeline, *words)
        assert failed.returncode == 1
        assert failed.stderr.startswith("Error: cannot use the broker at 127.0.0.1:1")
        assert "Traceback" not in failed.stderr
