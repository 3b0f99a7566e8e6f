"""Leaving a broker without being cancelled by it."""

import asyncio
import logging

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

log = logging.getLogger(__name__)


async def leave(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Stop a client, whatever state its broker is in.

    While the broker is away, `stop()` of a consumer can raise the CancelledError of a task of its own, which would then
    end ours. In a task of its own it ends nothing but itself.
    """
    stopping = asyncio.create_task(client.stop())
    await asyncio.wait([stopping])
    if not stopping.cancelled() and (error := stopping.exception()) is not None:
        log.info("left_a_broker_that_was_away", extra={"error": f"{type(error).__name__}: {error}"})
