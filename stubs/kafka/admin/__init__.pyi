from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import TypedDict

class PartitionDescription(TypedDict):
    error_code: int
    partition_index: int
    leader_id: int
    replica_nodes: list[int]
    isr_nodes: list[int]

class TopicDescription(TypedDict):
    error_code: int
    name: str
    is_internal: bool
    partitions: list[PartitionDescription]

class BrokerDescription(TypedDict):
    broker_id: int
    host: str
    port: int

class ClusterDescription(TypedDict):
    cluster_id: str
    controller_id: int
    brokers: list[BrokerDescription]

class GroupListing(TypedDict):
    group_id: str

class NewTopic:
    def __init__(
        self,
        name: str,
        *,
        num_partitions: int = ...,
        replication_factor: int = ...,
        topic_configs: Mapping[str, str] | None = ...,
    ) -> None: ...

class ConfigResourceType(IntEnum):
    BROKER = 4
    TOPIC = 2

class ConfigResource:
    def __init__(
        self,
        resource_type: ConfigResourceType,
        name: str,
        configs: Mapping[str, str] | Sequence[str] | None = ...,
    ) -> None: ...
