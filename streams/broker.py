"""The broker as Wattloop sees it: address, partition of a site, topics that must exist, identity of the log."""

import logging
from collections.abc import Iterable
from functools import lru_cache

from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from kafka.errors import TopicAlreadyExistsError
from kafka.partitioner.default import murmur2

from schemas.topics import CATALOGUE, Cleanup, Topic
from streams.settings import broker_addresses

log = logging.getLogger(__name__)

TOPICS_CLIENT_ID = "wattloop-topics"
_POSITIVE = 0x7FFFFFFF
_BOOTSTRAP_MS = 5_000  # whoever waits for a broker tries again, and must hear a signal in between


@lru_cache(maxsize=1 << 20)
def partition_for(site_id: str, partitions: int) -> int:
    """Partition of a site: murmur2 as Java's default partitioner computes it, chosen by us and not by a client library.

    Examples
    --------
    >>> partition_for("zj-steel", 8) == partition_for("zj-steel", 8) < 8
    True
    """
    return (murmur2(site_id.encode()) & _POSITIVE) % partitions


class PartitionCountMismatch(Exception):
    """A topic exists with another partition count than configured; sites would change their partition."""


def changelog_topic(prefix: str, app_id: str, agent: str) -> str:
    """Name of the changelog Faust keeps for an agent's table."""
    return f"{prefix}{app_id}-{agent}-changelog"


def ensure_topics(
    kafka_url: str, prefix: str, partitions: int, replication_factor: int, changelogs: Iterable[str]
) -> list[str]:
    """Create the topics that are missing; never change or delete one.

    Returns
    -------
    list[str]
        Names of the topics that were created.

    Raises
    ------
    PartitionCountMismatch
        When a topic of the catalogue has another number of partitions than configured.
    """
    admin = KafkaAdminClient(
        bootstrap_servers=list(broker_addresses(kafka_url)),
        client_id=TOPICS_CLIENT_ID,
        bootstrap_timeout_ms=_BOOTSTRAP_MS,
    )
    try:
        wanted = {prefix + topic.name: (topic.partitions(partitions), topic_config(topic)) for topic in CATALOGUE}
        wanted |= {name: (partitions, {"cleanup.policy": "compact"}) for name in changelogs}
        existing = set(admin.list_topics())
        _check(admin, {name: count for name, (count, _) in wanted.items() if name in existing})
        missing = [name for name in wanted if name not in existing]
        for name in missing:
            count, config = wanted[name]
            new = NewTopic(name, num_partitions=count, replication_factor=replication_factor, topic_configs=config)
            try:
                admin.create_topics([new])
            except TopicAlreadyExistsError:
                continue  # another worker was faster
        if missing:
            log.info("topics_created", extra={"topics": missing})
        return missing
    finally:
        admin.close()


def _check(admin: KafkaAdminClient, expected: dict[str, int]) -> None:
    described: dict[str, int] = {}
    for found in admin.describe_topics(sorted(expected)):
        places = found["partitions"]
        if isinstance(places, list):
            described[str(found["name"])] = len(places)
    wrong = [
        f"topic {name} has {described[name]} partitions, but {count} are configured"
        for name, count in expected.items()
        if described.get(name, count) != count
    ]
    if wrong:
        advice = "a site would change its partition: set partitions to what the topics have, or use another prefix"
        raise PartitionCountMismatch("; ".join(wrong) + f" ({advice})")


def topic_config(topic: Topic) -> dict[str, str]:
    """Return how the broker shall keep a topic."""
    config = {"cleanup.policy": topic.cleanup.value, "max.message.bytes": str(topic.max_message_bytes)}
    if topic.cleanup is Cleanup.DELETE:
        config["retention.ms"] = str(-1 if topic.retention_ms is None else topic.retention_ms)
        config["retention.bytes"] = str(-1 if topic.retention_bytes is None else topic.retention_bytes)
    if topic.broker_timestamp:
        config["message.timestamp.type"] = "LogAppendTime"
    return config


def log_id(kafka_url: str) -> str:
    """Return the identity of the broker's log: offsets mean something within one of these only."""
    admin = KafkaAdminClient(
        bootstrap_servers=list(broker_addresses(kafka_url)),
        client_id=TOPICS_CLIENT_ID,
        bootstrap_timeout_ms=_BOOTSTRAP_MS,
    )
    try:
        return str(admin.describe_cluster()["cluster_id"])
    finally:
        admin.close()
