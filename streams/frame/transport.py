"""Faust's Kafka transport, with three faults of a rebalance and of a crash mended, and without waiting for nothing.

A rebalance can take every partition away between Faust's decision to commit and the commit itself. Faust then commits
nothing, which aiokafka refuses, and Faust takes the refusal for a crash. And a producer that went down with such a
crash refuses to flush what waits in its buffer, which ends the stopping of the app before its parts are stopped.

A fetch that began before a rebalance ends after it. By then Faust has paused everything, so the fetch asks for nothing
in particular, which aiokafka takes for everything; Faust's flow is still stopped, so it throws away what came, and its
seek to what was committed brings back what has a commit. A changelog has none: where the state of a partition was just
being asked for, the recovery waited for it for ever.

A consumer asks a broker once at a time, for all partitions of which it has nothing in its hands. What arrives for the
others waits until that request is answered, so the time a broker may keep a request without an answer is time that
everything in the pipeline waits, once a hop. Faust sets it to 1.5 s and has no setting for it.
"""

import logging
from collections.abc import Mapping
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.transport.drivers import aiokafka
from faust.types import TP

log = logging.getLogger(__name__)

FETCH_MAX_WAIT_MS = 50


class _ConsumerThread(aiokafka.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: aiokafka.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        return consumer

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: set[TP],
        *limits: Any,  # timeout and number of records, as Faust hands them over
        **named_limits: Any,
    ) -> Mapping[TP, list[Any]]:
        fetched = await super()._fetch_records(consumer, active_partitions, *limits, **named_limits)
        if self.consumer.flow_active and active_partitions:
            return fetched
        # Nothing has run since they were taken, so this puts each partition exactly where it was.
        for partition, records in fetched.items():
            consumer.seek(TopicPartition(*partition), records[0].offset)
        if fetched:
            log.info("fetched_too_late", extra={"partitions": len(fetched)})
        return {}

    def topic_partitions(self, topic: str) -> int | None:
        # Of a topic it has not heard of yet, such as a changelog made just now, aiokafka says 0 partitions. Faust takes
        # that for a changelog that does not fit its topic, and stops.
        return super().topic_partitions(topic) or None

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        if self.assignment().isdisjoint(offsets):
            log.info("commit_left_to_the_next_owner", extra={"partitions": len(offsets)})
            return False
        return await super()._commit(offsets)


class _Consumer(aiokafka.Consumer):
    def _new_consumer_thread(self) -> aiokafka.AIOKafkaConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)


class _Producer(aiokafka.Producer):
    async def flush(self) -> None:
        if self.crashed:
            # Nothing is lost: what an agent did not get acknowledged it makes again.
            log.info("nothing_flushed_after_a_crash", extra={"messages": self.buffer.size})
            return
        await super().flush()


class Transport(aiokafka.Transport):
    """The transport of Wattloop's Faust app."""

    Consumer = _Consumer
    Producer = _Producer


def use_transport(app: faust.App) -> None:
    """Let an app that has not started yet talk to its broker through this transport."""
    app.transport = Transport(app.conf.broker_consumer, app)
