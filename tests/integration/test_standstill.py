"""The group's offset follows its agents, also when Faust waits for acknowledgements that never come."""

import pytest
from chaos.wire import ends_of, has_committed
from pipeline import PARTITIONS, Pipeline, wait_for
from test_health import plant, readings_coming

from streams.topology import APP_ID

pytestmark = pytest.mark.integration


def test_messages_that_are_never_acknowledged_do_not_hold_the_groups_offset(pipeline: Pipeline) -> None:
    group, topic = pipeline.prefix + APP_ID, f"{pipeline.prefix}telemetry.v1"
    sign = plant(pipeline, "unacknowledged")
    with readings_coming(pipeline):
        first = {(topic, partition): 1 for partition in range(PARTITIONS)}
        wait_for(lambda: has_committed(pipeline.broker, group, first))
        sign.touch()
        wait_for(lambda: pipeline.metric("wattloop_group_offset_standstills_total") > 0)
        ends = ends_of(pipeline.broker, [topic])
        wait_for(lambda: has_committed(pipeline.broker, group, ends))
    pipeline.stop()

    assert pipeline.imbalances() == []
