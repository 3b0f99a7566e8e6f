from collections.abc import Mapping

class NewTopic:
    def __init__(
        self,
        name: str,
        num_partitions: int = ...,
        replication_factor: int = ...,
        topic_configs: Mapping[str, str] | None = ...,
    ) -> None: ...
