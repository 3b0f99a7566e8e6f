"""The newest records a broker should have stamped itself: what they say about its clock."""

from collections.abc import Mapping

from schemas.topics import CATALOGUE
from streams.broker_admin import PATIENCE_S, named_trouble
from streams.lag import records_at, single_records, true_ends
from streams.settings import Settings, broker_addresses
from streams.topic_plan import FoundTopic


async def newest_stamps(
    settings: Settings, kafka_url: str, topics: Mapping[str, FoundTopic], patience_s: float = PATIENCE_S
) -> list[tuple[int, int]]:
    """Read the timestamp [ms UTC] and timestamp type of the newest record of each partition the broker should stamp.

    Parameters
    ----------
    settings
        Prefix of the topics.
    kafka_url
        The broker.
    topics
        The topics it has.
    patience_s
        How long it may take for one answer. [s]

    Raises
    ------
    BrokerTrouble
        If the broker cannot be reached, does not answer in time, or refuses.
    """
    bootstrap = ",".join(broker_addresses(kafka_url))
    stamped = {settings.topic_name(topic) for topic in CATALOGUE if topic.broker_timestamp} & topics.keys()
    places = [(topic, number) for topic in sorted(stamped) for number in range(topics[topic].partitions)]
    with named_trouble(kafka_url):
        async with single_records(bootstrap) as consumer:
            ends = await true_ends(consumer, places, patience_s)
            newest = [(topic, partition, end - 1) for (topic, partition), end in ends.items() if end]
            found = await records_at(consumer, newest, patience_s)
    return [(record.timestamp, record.timestamp_type) for record in found.values()]
