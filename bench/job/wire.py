"""The broker as the bench sees it: topics, loading, sending at a rate, and watching the output."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka import Message as Record
from confluent_kafka.admin import AdminClient, NewTopic

from bench.job.workload import CONTENT_TYPES, Message

PACE_S = 0.005
_QUEUE = 4_000_000


def create_topics(broker: str, names: Iterable[str], partitions: int) -> None:
    """Create topics whose record timestamps the broker writes."""
    config = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(4 << 20)}
    new = [NewTopic(name, num_partitions=partitions, replication_factor=1, config=config) for name in names]
    admin = AdminClient({"bootstrap.servers": broker, "log_level": 4})  # named, for what it began ends with it
    for made in admin.create_topics(new).values():
        made.result()


def delete_topics(broker: str, prefix: str) -> None:
    """Delete the topics of a run, so that the broker of the next one is as empty as that of the first."""
    admin = AdminClient({"bootstrap.servers": broker, "log_level": 4})
    mine = [name for name in admin.list_topics(timeout=10).topics if name.startswith(prefix)]
    if mine:
        for gone in admin.delete_topics(mine).values():
            gone.result()


class Sender:
    """Sends messages; a site's partition is that of Java's default partitioner."""

    def __init__(self, broker: str, topic: str, encoding: str, linger_ms: int) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": broker,
                "partitioner": "murmur2_random",
                "linger.ms": linger_ms,
                "batch.size": 1_000_000,
                "queue.buffering.max.messages": _QUEUE,
                "queue.buffering.max.kbytes": 2 << 20,
                "log_level": 4,
            }
        )
        self._topic = topic
        self._headers = [("content-type", CONTENT_TYPES[encoding].encode())]

    def load(self, messages: Iterable[Message]) -> None:
        """Send as fast as possible, and wait until the broker has all of it."""
        produce, poll = self._producer.produce, self._producer.poll
        for number, one in enumerate(messages):
            produce(self._topic, one.value, one.key, headers=self._headers)
            if number % 50_000 == 0:
                poll(0)
        self.flush()

    def at_rate(
        self, messages: Sequence[Message], per_second: float, stamped: Mapping[int, Callable[[int], None]]
    ) -> None:
        """Send messages evenly; call `stamped[number]` with the broker's timestamp of a message. [ms UTC]."""
        produce, poll = self._producer.produce, self._producer.poll
        started, sent = time.monotonic(), 0
        while sent < len(messages):
            due = min(len(messages), int((time.monotonic() - started) * per_second) + 1)
            for number in range(sent, due):
                one = messages[number]
                wanted = stamped.get(number)
                if wanted is None:
                    produce(self._topic, one.value, one.key, headers=self._headers)
                else:
                    produce(self._topic, one.value, one.key, headers=self._headers, on_delivery=_telling(wanted))
            sent = due
            poll(0)
            time.sleep(PACE_S)
        self.flush()

    def flush(self) -> None:
        """Wait until the broker has everything."""
        if self._producer.flush(120):
            raise TimeoutError("the broker did not take all messages")


def _telling(wanted: Callable[[int], None]) -> Callable[[object, Record], None]:
    def told(error: object, record: Record) -> None:
        if error is not None:
            raise RuntimeError(f"a message was not delivered: {error}")
        wanted(record.timestamp()[1])

    return told


def publish_registry(broker: str, topic: str, sites: Mapping[str, Mapping[str, object]]) -> None:
    """Write the records `wattloop registry apply` would write."""
    producer = Producer({"bootstrap.servers": broker, "linger.ms": 20, "queue.buffering.max.messages": _QUEUE})
    headers = [("content-type", b"application/json")]
    producer.produce(topic, orjson.dumps({"id": "bench", "name": "bench"}), "tenant/bench", headers=headers)
    for site, record in sites.items():
        producer.produce(topic, orjson.dumps(record), f"site/{site}", headers=headers)
    if producer.flush(120):
        raise TimeoutError("the broker did not take the registry")


@dataclass
class Watcher:
    """Reads the output topic from its beginning, in a thread, and notes when each record became visible."""

    broker: str
    topic: str
    partitions: int
    seen: dict[tuple[str, int], tuple[float, dict[str, object]]] = field(default_factory=dict)
    repeated: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _consumer: Consumer | None = None

    def __enter__(self) -> "Watcher":
        """Start."""
        self._consumer = Consumer(
            {
                "bootstrap.servers": self.broker,
                "group.id": "bench-watcher",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 20,
            }
        )
        self._consumer.assign([TopicPartition(self.topic, number, 0) for number in range(self.partitions)])
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self._consumer is not None:
            self._consumer.close()

    def _watch(self) -> None:
        assert self._consumer is not None
        while not self._stop.is_set():
            for record in self._consumer.consume(num_messages=10_000, timeout=0.02):
                if record.error() is not None:
                    continue
                now, value = time.time(), orjson.loads(record.value())
                place = (value["site_id"], value["ts"])
                self.repeated += place in self.seen
                self.seen.setdefault(place, (now, value))

    def count(self, site_prefix: str, horizon_ms: int) -> int:
        """Return how many site minutes before the horizon were seen."""
        return sum(site.startswith(site_prefix) and ts < horizon_ms for site, ts in list(self.seen))
