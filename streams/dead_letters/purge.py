"""Deleting letters: Kafka deletes from the front of a partition only, so up to the first letter that must stay."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from kafka import KafkaAdminClient
from kafka.errors import KafkaConnectionError, KafkaError
from kafka.structs import TopicPartition as AdminPartition

from streams.dead_letters.letter import Filters, Letter, Note, Place
from streams.dead_letters.topic import CLIENT_ID, DeadLetters, DeadLettersError

_DELETE_MS = 20_000


@dataclass(slots=True)
class Purge:
    """What can be deleted.

    Parameters
    ----------
    until
        Partition -> the first offset that stays. Only partitions with something to delete.
    deleted
        Letters before it, by reason.
    held
        Letters that are meant and have to stay, because a letter in front of them does.
    held_by
        The first such letter of each partition.
    unstored
        Letters that are meant and have to stay, because the history has not stored them.
    """

    until: dict[int, int] = field(default_factory=dict)
    deleted: Counter[str] = field(default_factory=Counter)
    held: int = 0
    held_by: list[Place] = field(default_factory=list)
    unstored: int = 0


async def plan(topic: DeadLetters, filters: Filters, history_group: str) -> Purge:
    """Find out what can be deleted, and delete nothing.

    Parameters
    ----------
    topic
        Where the letters are.
    filters
        Which letters are meant.
    history_group
        Consumer group that stores them: a worker refuses to go on where letters it has not stored are gone.
    """
    ends = await topic.ends()
    stored = await _committed(topic, ends, history_group)
    purge = Purge()
    stop: set[int] = set()
    meant: Counter[int] = Counter()
    async for one in topic.messages(ends):
        partition, offset = one.place
        wanted = isinstance(one, Letter) and filters.take(one)
        if offset >= stored[partition]:
            stop.add(partition)
            purge.unstored += wanted
        elif partition in stop:
            purge.held += wanted
            meant[partition] += wanted
        elif isinstance(one, Note):
            # Its letters are in front of it, so it goes when they do.
            if partition in purge.until:
                purge.until[partition] = offset + 1
        elif isinstance(one, Letter) and wanted:
            purge.until[partition] = offset + 1
            purge.deleted[one.reason] += 1
        else:
            stop.add(partition)
            purge.held_by.append(one.place)
    purge.held_by = sorted(place for place in purge.held_by if meant[place.partition])
    return purge


async def _committed(topic: DeadLetters, ends: Mapping[int, int], group: str) -> dict[int, int]:
    async with topic.consumer(group) as consumer:
        places = [TopicPartition(topic.name, partition) for partition in ends]
        return {place.partition: await consumer.committed(place) or 0 for place in places}


def delete(brokers: Sequence[str], topic: str, until: Mapping[int, int]) -> None:
    """Delete the records before these offsets.

    Parameters
    ----------
    brokers
        Addresses, as `host:port`.
    topic
        Full name.
    until
        Partition -> the first offset that stays.

    Raises
    ------
    DeadLettersError
        If the broker does not do it.
    """
    admin = KafkaAdminClient(bootstrap_servers=list(brokers), client_id=CLIENT_ID)
    try:
        places = {AdminPartition(topic, partition): offset for partition, offset in until.items()}
        admin.delete_records(places, timeout_ms=_DELETE_MS)
    except KafkaConnectionError as error:
        raise DeadLettersError(
            "the broker hung up instead of deleting. The embedded broker has no DeleteRecords: it keeps letters until "
            "it restarts, and then forgets every topic"
        ) from error
    except KafkaError as error:
        raise DeadLettersError(f"the broker did not delete: {type(error).__name__}: {error}") from error
    finally:
        admin.close()
