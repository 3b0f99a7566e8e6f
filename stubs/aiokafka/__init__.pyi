from asyncio import Future
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import NamedTuple

from aiokafka.consumer.fetcher import Fetcher

class TopicPartition(NamedTuple):
    topic: str
    partition: int

class RecordMetadata(NamedTuple):
    topic: str
    partition: int
    topic_partition: TopicPartition
    offset: int
    timestamp: int | None
    timestamp_type: int
    log_start_offset: int | None

class ConsumerRecord:
    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]

class ConsumerRebalanceListener:
    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> Awaitable[None] | None: ...
    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None: ...

class AIOKafkaConsumer:
    _fetch_max_wait_ms: int
    _fetcher: Fetcher
    def __init__(
        self,
        *topics: str,
        bootstrap_servers: str | Sequence[str] = ...,
        client_id: str = ...,
        group_id: str | None = ...,
        group_instance_id: str | None = ...,
        auto_offset_reset: str = ...,
        enable_auto_commit: bool = ...,
        fetch_max_wait_ms: int = ...,
        fetch_max_bytes: int = ...,
        max_partition_fetch_bytes: int = ...,
        max_poll_records: int | None = ...,
        metadata_max_age_ms: int = ...,
        request_timeout_ms: int = ...,
        retry_backoff_ms: int = ...,
        session_timeout_ms: int = ...,
        heartbeat_interval_ms: int = ...,
        isolation_level: str = ...,
    ) -> None: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def topics(self) -> set[str]: ...
    def partitions_for_topic(self, topic: str) -> set[int] | None: ...
    def assign(self, partitions: Iterable[TopicPartition]) -> None: ...
    def assignment(self) -> set[TopicPartition]: ...
    async def position(self, partition: TopicPartition) -> int: ...
    def highwater(self, partition: TopicPartition) -> int | None: ...
    def seek(self, partition: TopicPartition, offset: int) -> None: ...
    async def seek_to_beginning(self, *partitions: TopicPartition) -> bool: ...
    async def seek_to_end(self, *partitions: TopicPartition) -> bool: ...
    async def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]: ...
    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]: ...
    def subscribe(
        self,
        topics: Sequence[str] = ...,
        pattern: str | None = ...,
        listener: ConsumerRebalanceListener | None = ...,
    ) -> None: ...
    def unsubscribe(self) -> None: ...
    async def commit(self, offsets: Mapping[TopicPartition, int] | None = ...) -> None: ...
    async def committed(self, partition: TopicPartition) -> int | None: ...
    def last_poll_timestamp(self, partition: TopicPartition) -> int | None: ...
    def pause(self, *partitions: TopicPartition) -> None: ...
    def resume(self, *partitions: TopicPartition) -> None: ...
    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = ..., max_records: int | None = ...
    ) -> dict[TopicPartition, list[ConsumerRecord]]: ...

class BatchBuilder:
    def append(
        self,
        *,
        timestamp: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = ...,
    ) -> object | None: ...

class AIOKafkaProducer:
    def __init__(
        self,
        *,
        bootstrap_servers: str | Sequence[str] = ...,
        client_id: str | None = ...,
        acks: int | str = ...,
        compression_type: str | None = ...,
        enable_idempotence: bool = ...,
        linger_ms: int = ...,
        max_batch_size: int = ...,
        max_request_size: int = ...,
        metadata_max_age_ms: int = ...,
        request_timeout_ms: int = ...,
        retry_backoff_ms: int = ...,
    ) -> None: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def flush(self) -> None: ...
    async def send(
        self,
        topic: str,
        value: bytes | None = ...,
        key: bytes | None = ...,
        partition: int | None = ...,
        timestamp_ms: int | None = ...,
        headers: list[tuple[str, bytes]] | None = ...,
    ) -> Future[RecordMetadata]: ...
    async def send_and_wait(
        self,
        topic: str,
        value: bytes | None = ...,
        key: bytes | None = ...,
        partition: int | None = ...,
        timestamp_ms: int | None = ...,
        headers: list[tuple[str, bytes]] | None = ...,
    ) -> RecordMetadata: ...
    def create_batch(self) -> BatchBuilder: ...
    async def send_batch(self, batch: BatchBuilder, topic: str, *, partition: int) -> Future[RecordMetadata]: ...
