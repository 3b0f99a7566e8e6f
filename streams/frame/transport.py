"""Faust's Kafka transport, with two faults of a rebalance and of a crash mended, and without waiting for nothing.

A rebalance can take every partition away between Faust's decision to commit and the commit itself. Faust then commits
nothing, which aiokafka refuses, and Faust takes the refusal for a crash. And a producer that went down with such a
crash refuses to flush what waits in its buffer, which ends the stopping of the app before its parts are stopped.

A consumer asks a broker once at a time, for all partitions of which it has nothing in its hands. What arrives for the
others waits until that request is answered, so the time a broker may keep a request without an answer is time that
everything in the pipeline waits, once a hop. Faust sets it to 1.5 s and has no setting for it.
"""

import logging
from collections.abc import Mapping

import faust
from aiokafka import AIOKafkaConsumer
from faust.transport.drivers import aiokafka
from faust.types import TP

log = logging.getLogger(__name__)

FETCH_MAX_WAIT_MS = 50


class _ConsumerThread(aiokafka.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: aiokafka.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        return consumer

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
