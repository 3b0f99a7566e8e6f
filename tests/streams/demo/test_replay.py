import asyncio
import json

import polars as pl
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.broker import partition_for
from streams.demo.recorded import METERS, STEP_MS, readings_between
from streams.demo.replay import FieldProducer, Replay, as_messages
from streams.embedded.broker import EmbeddedBroker
from streams.embedded.ends import end_offsets

START_MS = 1_790_000_100_000 // STEP_MS * STEP_MS
HOUR_MS = 3_600_000


class OverError(Exception):
    """The scenario has run its course."""


class Wall:
    """A wall clock that moves when somebody sleeps, and ends the scenario at some time."""

    def __init__(self, now_ms: int, until_ms: int) -> None:
        self.now_s, self.until_s = now_ms / 1_000, until_ms / 1_000

    def clock(self) -> float:
        return self.now_s

    async def sleep(self, wait_s: float) -> None:
        assert wait_s > 0
        self.now_s += wait_s
        if self.now_s >= self.until_s:
            raise OverError
        await asyncio.sleep(0)


class Sent:
    """Where readings go, with the wall time of their sending."""

    def __init__(self, wall: Wall) -> None:
        self.wall = wall
        self.batches: list[tuple[float, pl.DataFrame]] = []
        self.begun = asyncio.Event()

    async def send(self, readings: pl.DataFrame) -> None:
        self.batches.append((self.wall.now_s, readings))
        self.begun.set()

    def all(self) -> pl.DataFrame:
        return pl.concat([readings for _, readings in self.batches])

    def delays_s(self) -> list[float]:
        """How long after its event time each instant was sent."""
        return [now_s - readings["ts"].max() / 1_000 for now_s, readings in self.batches]


def played(replay: Replay, wall: Wall) -> Sent:
    sent = Sent(wall)
    with pytest.raises(OverError):
        asyncio.run(replay.run(sent.send, wall.clock, wall.sleep))
    return sent


def test_the_past_is_sent_at_speed_and_the_present_at_its_own_pace():
    now_ms = START_MS + 24 * HOUR_MS
    wall = Wall(now_ms, until_ms=now_ms + 2 * HOUR_MS)
    replay = Replay(START_MS, speed=3_600)

    sent = played(replay, wall)

    # 24 h at 3600 times take 24 s, and a little more because time goes on meanwhile.
    past = [(now_s, batch) for now_s, batch in sent.batches if batch["ts"].max() <= now_ms]
    assert past[-1][0] - now_ms / 1_000 == pytest.approx(24, abs=1.1)
    assert replay.caught_up
    present = sent.all().filter(pl.col("ts") > now_ms)
    assert present["ts"].n_unique() == 2 * HOUR_MS // STEP_MS - 1
    assert all(delay_s < 1.1 for delay_s in sent.delays_s()[-7:])


def test_what_is_sent_is_what_the_meters_show_each_instant_once():
    now_ms = START_MS + 6 * HOUR_MS
    wall = Wall(now_ms, until_ms=now_ms + HOUR_MS)
    replay = Replay(START_MS, speed=10_000)

    sent = played(replay, wall).all()

    assert sent.rows() == readings_between(START_MS, int(sent["ts"].max()) + 1).rows()
    assert replay.sent == len(sent)


def test_a_reading_is_never_sent_before_its_time():
    now_ms = START_MS + HOUR_MS + 1
    wall = Wall(now_ms, until_ms=now_ms + 3 * HOUR_MS)

    sent = played(Replay(START_MS, speed=1e9), wall)

    assert all(delay_s >= 0 for delay_s in sent.delays_s())


def test_a_long_past_goes_out_a_day_at_a_time():
    now_ms = START_MS + 10 * 24 * HOUR_MS
    wall = Wall(now_ms, until_ms=now_ms + 10_000)

    sent = played(Replay(START_MS, speed=1e9), wall)

    assert max(len(batch) for _, batch in sent.batches) == 96 * len(METERS)
    assert sent.all()["ts"].is_sorted()


def test_a_wall_clock_set_back_neither_repeats_nor_stops_anything():
    now_ms = START_MS + HOUR_MS
    wall = Wall(now_ms, until_ms=now_ms + 5 * HOUR_MS)
    replay, sent = Replay(START_MS, speed=100_000), Sent(wall)

    async def send(readings: pl.DataFrame) -> None:
        await sent.send(readings)
        if len(sent.batches) == 3:
            wall.now_s -= 1_800

    with pytest.raises(OverError):
        asyncio.run(replay.run(send, wall.clock, wall.sleep))

    assert sent.all().rows() == readings_between(START_MS, int(sent.all()["ts"].max()) + 1).rows()
    assert sent.all()["ts"].max() > now_ms + 4 * HOUR_MS


def test_nothing_is_sent_during_a_pause_and_nothing_is_left_out_because_of_it():
    async def scenario():
        wall = Wall(START_MS + HOUR_MS, until_ms=START_MS + 10 * HOUR_MS)
        replay, sent = Replay(START_MS, speed=2), Sent(wall)
        running = asyncio.create_task(replay.run(sent.send, wall.clock, wall.sleep))
        await sent.begun.wait()

        await replay.pause()
        before = len(sent.batches)
        wall.now_s += 2 * 3_600
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(sent.batches) == before

        replay.resume()
        with pytest.raises(OverError):
            await running
        assert sent.all().rows() == readings_between(START_MS, int(sent.all()["ts"].max()) + 1).rows()

    asyncio.run(scenario())


def test_a_pause_in_the_middle_of_a_long_past_repeats_nothing_and_skips_nothing():
    async def scenario():
        now_ms = START_MS + 10 * 24 * HOUR_MS
        wall = Wall(now_ms, until_ms=now_ms + 10_000)
        replay, sent = Replay(START_MS, speed=1e9), Sent(wall)

        async def send(readings: pl.DataFrame) -> None:
            await sent.send(readings)
            await asyncio.sleep(0)

        running = asyncio.create_task(replay.run(send, wall.clock, wall.sleep))
        await sent.begun.wait()
        await replay.pause()
        assert 0 < len(sent.batches) < 10

        replay.resume()
        with pytest.raises(OverError):
            await running
        assert sent.all().rows() == readings_between(START_MS, now_ms + 1).rows()

    asyncio.run(scenario())


def test_a_pause_waits_for_what_is_on_its_way():
    async def scenario():
        wall = Wall(START_MS + HOUR_MS, until_ms=START_MS + 9 * HOUR_MS)
        replay = Replay(START_MS, speed=1e6)
        reached, acknowledged = asyncio.Event(), asyncio.Event()

        async def send(readings: pl.DataFrame) -> None:
            reached.set()
            await acknowledged.wait()

        running = asyncio.create_task(replay.run(send, wall.clock, wall.sleep))
        await reached.wait()
        pausing = asyncio.create_task(replay.pause())
        await asyncio.sleep(0)
        assert not pausing.done()
        assert replay.sent == 0

        acknowledged.set()
        await pausing
        assert replay.sent > 0
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scenario())


def test_a_failed_batch_is_not_counted_and_is_sent_again_by_the_next_run():
    wall = Wall(START_MS + HOUR_MS, until_ms=START_MS + 2 * HOUR_MS)
    replay = Replay(START_MS, speed=1e6)

    async def fail(readings: pl.DataFrame) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        asyncio.run(replay.run(fail, wall.clock, wall.sleep))

    assert (replay.sent, replay.position_ms) == (0, START_MS)


def test_a_rewound_replay_sends_again_what_a_broker_forgot():
    async def scenario():
        wall = Wall(START_MS + HOUR_MS, until_ms=START_MS + 2 * HOUR_MS)
        replay, sent = Replay(START_MS, speed=1e6), Sent(wall)
        with pytest.raises(RuntimeError, match="pause"):
            replay.rewind(START_MS)
        running = asyncio.create_task(replay.run(sent.send, wall.clock, wall.sleep))
        await sent.begun.wait()
        await replay.pause()
        replay.rewind(START_MS)
        replay.rewind(START_MS + HOUR_MS)
        replay.resume()
        with pytest.raises(OverError):
            await running

        times = sent.all().filter(site_id="zj-steel")["ts"].to_list()
        assert times.count(START_MS) == 2
        assert set(range(START_MS, START_MS + HOUR_MS + 1, STEP_MS)) <= set(times)

    asyncio.run(scenario())


def test_a_speed_of_nothing_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        Replay(START_MS, speed=0)


def test_a_message_is_one_flat_object_with_real_numbers():
    (message, *_) = as_messages(readings_between(START_MS, START_MS + STEP_MS))

    reading = json.loads(message)
    assert set(reading) == {"site_id", "meter_id", "ts", "import_kwh", "power_kw"}
    assert reading["ts"] == START_MS
    assert isinstance(reading["import_kwh"], float)


@pytest.mark.parametrize(
    ("key", "java_murmur2"),
    # From the tests of Apache Kafka, org.apache.kafka.common.utils.UtilsTest.testMurmur2.
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("abc", 479470107),
    ],
)
def test_the_partition_is_the_one_javas_default_partitioner_takes(key, java_murmur2):
    for partitions in (1, 3, 8, 12):
        assert partition_for(key, partitions) == (java_murmur2 & 0x7FFFFFFF) % partitions


@pytest.mark.integration
def test_readings_arrive_keyed_by_site_on_its_partition_with_their_event_time():
    async def scenario():
        broker = EmbeddedBroker()
        bootstrap = str(await broker.start())
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic("meter.readings.v1", 8, 1)])
        await admin.close()
        readings = readings_between(START_MS, START_MS + 24 * HOUR_MS)
        async with FieldProducer(bootstrap, partitions=8) as producer:
            await producer.send(readings)

        ends = await end_offsets(bootstrap, ["meter.readings.v1"])
        assert sum(ends.values()) == len(readings)
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None)
        await consumer.start()
        places = [TopicPartition(*place) for place in ends]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        messages = []
        while len(messages) < len(readings):
            for some in (await consumer.getmany(timeout_ms=200)).values():
                messages += some
        await consumer.stop()
        await broker.stop()

        rows = [json.loads(message.value) for message in messages]
        assert sorted(map(str, rows)) == sorted(str(json.loads(value)) for value in as_messages(readings))
        for message, row in zip(messages, rows, strict=True):
            assert message.key.decode() == row["site_id"]
            assert message.timestamp == row["ts"]
            assert message.partition == partition_for(row["site_id"], 8)

    asyncio.run(scenario())
