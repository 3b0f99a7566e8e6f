import pytest

from schemas.topics import CATALOGUE
from streams.settings import Settings
from streams.topic_plan import (
    ConfigChange,
    FoundTopic,
    WantedTopic,
    carry_out,
    co_partitioned_topics,
    planned,
    wanted_topics,
)

CONFIG = {"cleanup.policy": "delete", "retention.ms": "1000"}


def a_topic(name="t.a.v1", partitions=4, copies=1, config=CONFIG):
    return WantedTopic(name, partitions, copies, config)


def found(partitions=4, copies=1, **changed):
    return FoundTopic(partitions, copies, {**CONFIG, "segment.ms": "7", **changed})


def test_a_topic_that_is_as_it_should_be_needs_nothing():
    plan = planned([a_topic()], {"t.a.v1": found()}, "t.")

    assert plan.current == ("t.a.v1",)
    assert not plan.pending


def test_a_missing_topic_is_to_be_created():
    plan = planned([a_topic()], {}, "t.")

    assert plan.missing == (a_topic(),)
    assert plan.pending


def test_a_setting_that_differs_is_to_be_changed_and_others_are_the_operators():
    plan = planned([a_topic()], {"t.a.v1": found(**{"retention.ms": "5", "segment.ms": "9"})}, "t.")

    assert plan.changes == (ConfigChange("t.a.v1", "retention.ms", "5", "1000"),)
    assert plan.current == ()


def test_a_setting_the_broker_does_not_have_is_to_be_set():
    plan = planned([a_topic()], {"t.a.v1": FoundTopic(4, 1, {"cleanup.policy": "delete"})}, "t.")

    assert plan.changes == (ConfigChange("t.a.v1", "retention.ms", None, "1000"),)


def test_another_partition_count_is_refused_with_the_way_out_and_nothing_else_is_planned_for_it():
    plan = planned([a_topic()], {"t.a.v1": found(8, **{"retention.ms": "5"})}, "t.")

    (why,) = plan.refused
    assert "t.a.v1 has 8 partitions, but 4 are configured" in why
    assert "WATTLOOP_PARTITIONS) to 8" in why
    assert not plan.pending


def test_topics_refused_for_the_same_reason_share_a_sentence():
    plan = planned([a_topic(), a_topic("t.b.v1")], {"t.a.v1": found(8), "t.b.v1": found(8)}, "t.")

    (why,) = plan.refused
    assert why.startswith("t.a.v1, t.b.v1 have 8 partitions")


def test_a_topic_that_must_have_one_partition_does_not_advise_another_partition_count():
    plan = planned([a_topic(partitions=1)], {"t.a.v1": found(8)}, "t.")

    assert "must have 1" in plan.refused[0]
    assert "WATTLOOP_PARTITIONS" not in plan.refused[0]


def test_another_replication_factor_is_noted_and_left_alone():
    plan = planned([a_topic(copies=3)], {"t.a.v1": found(copies=1)}, "t.")

    assert "kept 1 times, 3 are configured" in plan.notes[0]
    assert not plan.pending


def test_a_configuration_the_broker_does_not_show_is_noted_and_not_changed():
    plan = planned([a_topic()], {"t.a.v1": FoundTopic(4, 1)}, "t.")

    assert "does not show the configuration of t.a.v1" in plan.notes[0]
    assert not plan.pending


def test_only_topics_under_our_prefix_are_said_not_to_be_ours():
    plan = planned([a_topic()], {"t.a.v1": found(), "t.z": found(), "other": found()}, "t.")

    assert plan.foreign == ("t.z",)


def test_a_plan_with_refusals_is_never_carried_out():
    plan = planned([a_topic(), a_topic("t.b.v1")], {"t.a.v1": found(8)}, "t.")

    with pytest.raises(ValueError, match="refusals"):
        list(carry_out(None, plan))


def test_the_topics_of_a_deployment_are_the_catalogue_and_a_changelog_per_agent():
    settings = Settings(topic_prefix="t.", partitions=16, replication_factor=3)

    wanted = {topic.name: topic for topic in wanted_topics(settings)}

    assert {"t." + topic.name for topic in CATALOGUE} < wanted.keys()
    assert wanted["t.telemetry.v1"].partitions == 16
    assert wanted["t.registry.v1"].partitions == 1
    assert wanted["t.wattloop-metering-changelog"].config == {"cleanup.policy": "compact"}
    assert {topic.copies for topic in wanted.values()} == {3}


def test_every_topic_but_the_registry_must_have_the_same_partition_count():
    settings = Settings(topic_prefix="t.", partitions=16)

    together = set(co_partitioned_topics(settings))

    assert {topic.name for topic in wanted_topics(settings) if topic.partitions == 16} == together
    assert "t.registry.v1" not in together
