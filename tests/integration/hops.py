"""Waits until what was sent has gone the whole way, hop by hop: what a group has committed, it has also passed on."""

from chaos.wire import ends_of, has_committed
from pipeline import Pipeline, wait_for

from schemas.topics import ACTIVITIES, ENERGY, TELEMETRY
from streams.ingest.field import FIELD_TOPICS
from streams.topology import APP_ID, STORED

HOPS = (
    *((one.topic, f"-{one.group}") for one in FIELD_TOPICS),
    (ACTIVITIES, "-activities"),
    (TELEMETRY, ""),
    (ENERGY, ""),
)
_HOP_S = 180.0


def wait_until_stored_to_the_end(pipeline: Pipeline) -> None:
    """Wait until every hop has read its topic to the end it has when the hop before it is through.

    A quiet time would be no proof: a worker on a busy machine may pause for longer than any quiet time one would wait.
    """
    group = pipeline.prefix + APP_ID
    for topic, reader in HOPS:
        _wait_until_read(pipeline, group + reader, topic.name)
    _wait_until_read(pipeline, f"{group}-history", *(table.topic for table in STORED))


def _wait_until_read(pipeline: Pipeline, group: str, *topics: str) -> None:
    ends = ends_of(pipeline.broker, [pipeline.prefix + topic for topic in topics])
    assert ends
    try:
        wait_for(lambda: has_committed(pipeline.broker, group, ends), _HOP_S)
    except AssertionError as failed:
        live, lag = pipeline.get("/livez")[1], pipeline.command("lag")
        raise AssertionError(f"{group} has not committed {ends} within {_HOP_S} s:\n{live}\n{lag}") from failed
