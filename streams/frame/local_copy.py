"""A table of snapshots with a copy on disk (RocksDB), which is always exactly a beginning of the changelog.

Faust's own RocksDB store puts a value on disk before the changelog has it, and the offset of the changelog record after
that. A killed worker then finds sites on disk that the changelog never got. It skips what they include, so they do not
change, so no later checkpoint writes them, and the next owner, who has only the changelog, lacks them. So this copy
takes a value when the broker has acknowledged it, in one write with its offset, and stops at the first offset that
somebody else wrote. What is on disk plus the rest of the changelog is so the same as the changelog from its beginning
(docs/adr/0019).
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from faust.stores.rocksdb import Store
from faust.tables.table import Table
from faust.types import TP, EventT, FutureMessage
from rocksdict import Rdict, WriteBatch

log = logging.getLogger(__name__)

# There is one database per agent and partition, and each is written in order and read once. Faust's defaults (three
# write buffers of 64 MiB, a cache of 2 GiB, nearly all file handles) are meant for one large table.
_MIB = 1 << 20
_OPTIONS = {
    "driver": "rocksdict",
    "write_buffer_size": 8 * _MIB,
    "max_write_buffer_number": 2,
    "target_file_size_base": 32 * _MIB,
    "block_cache_size": 4 * _MIB,
    "max_open_files": 64,
}


class LocalCopy(Store):
    """What the changelog says up to an offset, one database per partition."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **{**named, "options": dict(_OPTIONS)})
        self._ends: dict[int, int] = {}  # partition -> offset of the last record in the copy
        self._left: set[int] = set()  # partitions whose copy stopped following until they are read again

    def acknowledged(self, partition: int, offset: int, key: bytes, value: bytes | None) -> None:
        """Take a record the broker has acknowledged.

        Parameters
        ----------
        partition
            Partition of the changelog.
        offset
            Its offset there. One that is not the next shows that another worker wrote in between: the copy stays at
            what it has, and the rest is read when the partition is opened again.
        key, value
            The record.
        """
        if partition not in self._dbs or partition in self._left:
            return  # revoked meanwhile: whoever opens it again reads this record from the changelog
        end = self._end(partition)
        if offset <= end:
            return
        if offset != end + 1:
            self._left.add(partition)
            facts = {"table": self.table_name, "partition": partition, "expected": end + 1, "got": offset}
            log.warning("local_copy_stopped_following", extra=facts)
            return
        self._write(partition, [(key, value)], offset)

    def apply_changelog_batch(
        self, batch: Iterable[EventT[Any]], to_key: Callable[[Any], Any], to_value: Callable[[Any], Any]
    ) -> None:
        """Take what was read from the changelog."""
        records: dict[int, list[tuple[bytes, bytes | None]]] = {}
        ends: dict[int, int] = {}
        for event in batch:
            message = event.message
            if message.key is not None:
                records.setdefault(message.partition, []).append((message.key, message.value))
                ends[message.partition] = message.offset
        for partition, read in records.items():
            if ends[partition] > self._end(partition):
                self._write(partition, read, ends[partition])

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Open and close databases, and follow again where the changelog is about to be read."""
        self._ends.clear()
        self._left.clear()
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)

    def _write(self, partition: int, records: Iterable[tuple[bytes, bytes | None]], end: int) -> None:
        batch = WriteBatch(raw_mode=True)
        for key, value in records:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(self.offset_key, str(end).encode())
        self._db_for_partition(partition).write(batch)
        self._ends[partition] = end

    def _end(self, partition: int) -> int:
        if partition not in self._ends:
            found = self._db_for_partition(partition).get(self.offset_key)
            self._ends[partition] = -1 if found is None else int(found)
        return self._ends[partition]

    def _set(self, key: bytes, value: bytes | None) -> None:
        """Do nothing yet: the record counts when it is acknowledged."""

    def _del(self, key: bytes) -> None:
        """Do nothing yet: the record counts when it is acknowledged."""


class CopiedTable(Table[bytes, bytes]):
    """A table of bytes whose store is a `LocalCopy`."""

    local_copy: LocalCopy

    def _new_store_by_url(self, url: Any) -> LocalCopy:
        self.local_copy = LocalCopy(
            url,
            self.app,
            self,
            table_name=self.name,
            key_type=self.key_type,
            value_type=self.value_type,
            key_serializer=self.key_serializer,
            value_serializer=self.value_serializer,
            loop=self.loop,
        )
        return self.local_copy

    def _on_changelog_sent(self, fut: FutureMessage) -> None:
        place, message = fut.result(), fut.message
        if not isinstance(message.key, bytes) or not isinstance(message.value, bytes | None):
            raise TypeError(f"{self.name}: a table of bytes was given {type(message.value).__name__}")
        self.local_copy.acknowledged(place.partition, place.offset, message.key, message.value)


def copied_end(path: str) -> int | None:
    """Return the offset of the last changelog record in a partition's database, None when it is empty.

    Parameters
    ----------
    path
        Directory of the database, which nobody else may have open.
    """
    database = Rdict(path)
    try:
        found = database.get(LocalCopy.offset_key)
        return None if found is None else int(found)
    finally:
        database.close()
