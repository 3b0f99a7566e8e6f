import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.cli.lag import as_document, by_partition, by_topic
from streams.lag import PartitionLag, Reader, TopicLag, made_from, readers
from streams.settings import Settings

READER = Reader("wattloop", "telemetry.v1")
OFFSETS = st.integers(min_value=0, max_value=1 << 40)


def a_partition(number=0, *, committed=100, begin=0, end=100, arrived_at=None):
    return PartitionLag(READER, number, committed, begin, end, arrived_at)


def a_topic(*partitions):
    return TopicLag(READER, partitions)


def test_records_behind_are_those_from_the_committed_offset_to_the_end():
    assert a_partition(committed=70, end=100).records == 30


def test_a_group_that_has_committed_nothing_is_behind_by_everything_the_broker_holds():
    assert a_partition(committed=None, begin=40, end=100).records == 60


def test_records_deleted_before_they_were_committed_are_counted_apart():
    lag = a_partition(committed=30, begin=40, end=100)

    assert (lag.deleted, lag.records) == (10, 60)


def test_a_commit_beyond_the_end_is_told_and_is_no_negative_lag():
    lag = a_partition(committed=500, end=100)

    assert lag.beyond_end
    assert lag.records == 0


def test_seconds_are_the_age_of_the_oldest_unread_record():
    assert a_partition(committed=70, arrived_at=2_000).seconds(now=5_500) == 3.5


def test_a_partition_read_to_its_end_is_no_second_behind():
    assert a_partition(committed=100, end=100, arrived_at=None).seconds(now=5_500) == 0.0


def test_an_arrival_in_the_future_of_this_clock_is_no_negative_age():
    assert a_partition(committed=70, arrived_at=9_000).seconds(now=5_500) == 0.0


def test_a_topic_is_behind_by_all_records_and_by_its_oldest():
    lag = a_topic(a_partition(0, committed=70, arrived_at=2_000), a_partition(1, committed=95, arrived_at=5_000))

    assert lag.records == 35
    assert lag.seconds(now=6_000) == 4.0


def test_seconds_are_unknown_when_one_partition_does_not_know_them():
    lag = a_topic(a_partition(0, committed=70), a_partition(1, committed=95, arrived_at=5_000))

    assert lag.seconds(now=6_000) is None


def test_an_empty_partition_nobody_committed_on_is_no_news():
    assert a_topic(a_partition(committed=None, end=0)).uncommitted == 0
    assert a_topic(a_partition(committed=None, end=5)).uncommitted == 1


@given(st.none() | OFFSETS, OFFSETS, OFFSETS)
def test_what_is_behind_never_exceeds_what_the_broker_holds(committed, begin, held):
    lag = a_partition(committed=committed, begin=begin, end=begin + held)

    assert 0 <= lag.records <= held


def test_every_group_of_a_worker_is_asked_for_what_it_reads():
    asked = readers(Settings(topic_prefix="t."))

    assert [(one.group, one.topic) for one in asked[:8]] == [
        ("t.wattloop-ingest", "t.meter.readings.v1"),
        ("t.wattloop-ingest-weather", "t.weather.v1"),
        ("t.wattloop-ingest-production", "t.production.v1"),
        ("t.wattloop-ingest-feedback", "t.anomaly.feedback.v1"),
        ("t.wattloop-ingest-zones", "t.zone.readings.v1"),
        ("t.wattloop-ingest-history", "t.meter.history.v1"),
        ("t.wattloop", "t.telemetry.v1"),
        ("t.wattloop", "t.energy.v1"),
    ]
    assert Reader("t.wattloop-history", "t.emissions.v1") in asked


def test_a_topic_that_several_agents_of_a_group_read_is_counted_once():
    asked = readers(Settings())

    assert len(set(asked)) == len(asked)


def test_records_that_carry_event_time_are_dated_by_what_they_were_made_from():
    sources = made_from(Settings(topic_prefix="t."))

    assert sources["t.emissions.v1"] == "t.energy.v1"
    assert sources["t.site.live.v1"] == "t.energy.v1"
    assert "t.energy.v1" not in sources
    assert "t.dead-letters.v1" not in sources


def test_a_topic_that_does_not_exist_is_said_so():
    (line,) = by_topic([a_topic()], now=0)

    assert line[2:] == ("-", "-", "the topic does not exist: wattloop topics plan")


@pytest.mark.parametrize(
    ("partition", "remark"),
    [
        (a_partition(committed=30, begin=40), "10 RECORDS DELETED before they were committed as read"),
        (a_partition(committed=500), "committed beyond the end: was the topic made anew?"),
        (a_partition(committed=None), "nothing committed yet on 1 of 1 partitions"),
        (a_partition(), ""),
    ],
)
def test_what_is_remarkable_stands_at_the_end_of_the_line(partition, remark):
    (line,) = by_topic([a_topic(partition)], now=0)

    assert line[4] == remark


def test_each_partition_can_be_shown_with_its_offsets():
    lines = list(by_partition([a_topic(a_partition(0, committed=None), a_partition(1, committed=90, begin=7))], now=0))

    assert [line[1] for line in lines] == ["telemetry.v1[0]", "telemetry.v1[1]"]
    assert [line[4] for line in lines] == ["committed nothing, end 100", "committed 90, end 100; begins at 7"]


def test_programs_get_numbers_and_null_for_what_is_not_known():
    document = as_document([a_topic(a_partition(committed=70))], now=5)

    (topic,) = document["topics"]
    assert (topic["records"], topic["seconds"], topic["exists"]) == (30, None, True)
    assert topic["partitions"][0]["committed"] == 70
