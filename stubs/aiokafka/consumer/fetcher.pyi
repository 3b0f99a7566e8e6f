from asyncio import Future
from collections.abc import Iterator

from aiokafka import ConsumerRecord, TopicPartition

class RecordBatch(Iterator[ConsumerRecord]):
    base_offset: int
    next_offset: int
    is_control_batch: bool
    def validate_crc(self) -> bool: ...

class MemoryRecords:
    def __init__(self, bytes_data: bytes) -> None: ...
    def has_next(self) -> bool: ...
    def next_batch(self) -> RecordBatch: ...

READ_UNCOMMITTED: int

class PartitionRecords:
    next_fetch_offset: int
    _tp: TopicPartition
    _records: MemoryRecords
    _records_iterator: Iterator[ConsumerRecord] | None
    _check_crcs: bool
    _isolation_level: int
    def __init__(
        self,
        tp: TopicPartition,
        records: MemoryRecords,
        aborted_transactions: None,
        fetch_offset: int,
        key_deserializer: None,
        value_deserializer: None,
        check_crcs: bool,
        isolation_level: int,
    ) -> None: ...
    def __iter__(self) -> Iterator[ConsumerRecord]: ...
    def __next__(self) -> ConsumerRecord: ...

class FetchResult:
    _partition_records: object

class Fetcher:
    _records: dict[TopicPartition, object]
    def _create_fetch_waiter(self) -> Future[None]: ...
