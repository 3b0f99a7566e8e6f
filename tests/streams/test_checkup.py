import fcntl
import json
from pathlib import Path

import pytest

from schemas.contract import Tariff
from schemas.registry import Meter, MeterKind, Site
from schemas.topics import DAY_MS
from sinks.clickhouse.migrate import Migration, packaged_migrations
from streams.checkup.broker import (
    judge_co_partitioning,
    judge_registry,
    judge_retention,
    judge_stamps,
    judge_topics,
)
from streams.checkup.disk import check_space, judge_space
from streams.checkup.doctor import guarded
from streams.checkup.finding import Finding, Level
from streams.checkup.history import (
    Table,
    check_history,
    created_tables,
    is_locked,
    judge_clock,
    judge_migrations,
    judge_windows,
)
from streams.lag import PartitionLag, Reader, TopicLag
from streams.registry_state import RegistryState
from streams.topic_plan import FoundTopic, WantedTopic, planned

NOW = 1_790_000_000_000
MIB = 1 << 20
GIB = 1 << 30
CONFIG = {"retention.ms": "1000"}
TOPIC = WantedTopic("a.v1", 4, 1, CONFIG)
DEFAULTS = {"non_replicated_deduplication_window": 0, "replicated_deduplication_window": 10_000}


def a_lag(behind_s=0.0, *, committed=10, begin=0):
    arrived_at = NOW - int(behind_s * 1000)
    reader = Reader("wattloop", "telemetry.v1")
    return TopicLag(reader, (PartitionLag(reader, 0, committed, begin, 20, arrived_at),))


def a_table(settings="non_replicated_deduplication_window = 10000", engine="MergeTree"):
    return Table(engine, f"{engine} ORDER BY x SETTINGS {settings}, index_granularity = 8192")


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        ({"a.v1": FoundTopic(4, 1, CONFIG)}, Level.OK, "all 1 topics are there"),
        ({}, Level.WARN, "missing: a.v1"),
        ({"a.v1": FoundTopic(4, 1, {"retention.ms": "5"})}, Level.WARN, "a.v1 has retention.ms = 5, not 1000"),
        ({"a.v1": FoundTopic(4, 3, CONFIG)}, Level.WARN, "kept 3 times"),
        ({"a.v1": FoundTopic(8, 1, CONFIG)}, Level.FAIL, "has 8 partitions"),
    ],
)
def test_topics_are_judged_by_their_plan(found, level, words):
    finding = judge_topics(planned([TOPIC], found, ""))

    assert finding.level is level
    assert words in finding.sentence
    assert bool(finding.advice) == (level is not Level.OK)


def test_topics_with_different_partition_counts_are_named():
    found = {"a": FoundTopic(4, 1), "b": FoundTopic(8, 1), "c": FoundTopic(4, 1), "other": FoundTopic(1, 1)}

    finding = judge_co_partitioning(found, ["a", "b", "c", "missing"])

    assert finding.level is Level.FAIL
    assert "4 partitions: a, c; 8 partitions: b" in finding.sentence


def test_equal_partition_counts_are_well_whatever_is_configured():
    found = {"a": FoundTopic(4, 1), "b": FoundTopic(4, 1)}

    assert judge_co_partitioning(found, ["a", "b"]).sentence == "2 topics have 4 partitions each"


@pytest.mark.parametrize(
    ("days", "level"), [(3.4, Level.OK), (3.5, Level.WARN), (6.2, Level.WARN), (6.3, Level.FAIL), (9, Level.FAIL)]
)
def test_a_backlog_is_judged_by_its_share_of_what_the_broker_keeps(days, level):
    finding = judge_retention([a_lag(days * 86_400)], {"telemetry.v1": 7 * DAY_MS}, NOW)

    assert finding.level is level
    assert f"{days:.1f} days behind" in finding.sentence


def test_records_deleted_unread_are_a_failure_however_short_the_backlog():
    finding = judge_retention([a_lag(1, committed=5, begin=9)], {"telemetry.v1": 7 * DAY_MS}, NOW)

    assert finding.level is Level.FAIL
    assert "4 records were deleted before wattloop on telemetry.v1" in finding.sentence


def test_a_topic_kept_by_size_is_in_no_danger_by_age():
    assert judge_retention([a_lag(1e9)], {}, NOW).level is Level.OK


def test_an_empty_registry_is_a_warning_and_says_what_becomes_of_readings():
    finding = judge_registry(RegistryState())

    assert finding.level is Level.WARN
    assert "unknown_meter" in finding.advice


def test_a_record_that_makes_no_sense_is_named():
    state = RegistryState()
    state.take(b"site/mill", b"{}", 1)

    finding = judge_registry(state)

    assert finding.level is Level.WARN
    assert "site/mill" in finding.sentence


def test_a_registry_is_counted():
    state = RegistryState()
    state.take(b"tenant/demo", json.dumps({"id": "demo", "name": "Demo"}).encode(), 1)
    meters = (Meter(id="main", kind=MeterKind.GRID), Meter(id="press", kind=MeterKind.SUB_METER, parent="main"))
    site = Site(
        id="mill",
        tenant="demo",
        name="Mill",
        region="CN-ZJ",
        time_zone="Asia/Shanghai",
        tariff=Tariff(plan="cn-zj-large-industry"),
        meters=meters,
    )
    state.take(b"site/mill", site.model_dump_json().encode(), 2)

    assert judge_registry(state) == Finding("registry", Level.OK, "1 tenant, 1 site, 2 meters")


@pytest.mark.parametrize(
    ("stamps", "level", "words"),
    [
        ([], Level.OK, "not known"),
        ([(NOW - 5_000, 1)], Level.OK, "5.0 s old"),
        ([(NOW - 5_000, 1), (NOW + 5_000, 1)], Level.WARN, "at least 5.0 s ahead"),
        ([(NOW + 60_000, 1)], Level.FAIL, "at least 60.0 s ahead"),
        ([(NOW - 5_000, 1), (NOW - 5_000, 0)], Level.WARN, "does not stamp arrivals"),
    ],
)
def test_the_clock_of_a_broker_is_judged_by_what_it_stamped(stamps, level, words):
    finding = judge_stamps(stamps, NOW)

    assert finding.level is level
    assert words in finding.sentence


def test_a_database_with_all_migrations_is_well():
    release = packaged_migrations()

    assert judge_migrations({one.number: (one.name, one.sha256) for one in release}, release).level is Level.OK


@pytest.mark.parametrize(
    ("applied", "level", "words"),
    [
        ({}, Level.WARN, "2 of 2 migrations are not applied: 0001_a, 0002_b"),
        ({1: ("a", "changed")}, Level.FAIL, "0001_a differs"),
        ({3: ("c", "x")}, Level.FAIL, "does not know 0003_c"),
    ],
)
def test_a_database_of_another_release_is_told(applied, level, words):
    finding = judge_migrations(applied, [Migration(1, "a", "SELECT 1"), Migration(2, "b", "SELECT 2")])

    assert finding.level is level
    assert words in finding.sentence


def test_the_tables_of_this_release_are_found_in_its_migrations():
    assert {"readings", "energy_windows", "emissions", "dead_letters", "sink_blocks"} <= set(
        created_tables(packaged_migrations())
    )


def test_every_table_with_a_window_is_well():
    finding = judge_windows({"a": a_table(), "b": a_table(engine="ReplacingMergeTree")}, ["a", "b"], DEFAULTS)

    assert finding == Finding("dedup-windows", Level.OK, "2 tables remember their last 10000 blocks or more")


@pytest.mark.parametrize("settings", ["index_granularity = 8192", "non_replicated_deduplication_window = 0"])
def test_a_table_without_a_window_is_a_failure_and_the_setting_is_named(settings):
    finding = judge_windows({"a": a_table(), "b": a_table(settings)}, ["a", "b"], DEFAULTS)

    assert finding.level is Level.FAIL
    assert "no deduplication window on b:" in finding.sentence
    assert "non_replicated_deduplication_window = 10000" in finding.advice


@pytest.mark.parametrize("engine", ["ReplicatedMergeTree", "SharedReplacingMergeTree"])
def test_a_replicated_table_is_judged_by_its_own_setting(engine):
    tables = {"a": a_table(engine=engine)}

    assert judge_windows(tables, ["a"], DEFAULTS).level is Level.OK
    assert judge_windows(tables, ["a"], {"replicated_deduplication_window": 0}).level is Level.FAIL


def test_a_table_that_is_gone_is_a_failure():
    assert "missing although their migration was applied: b" in judge_windows({"a": a_table()}, ["a", "b"], {}).sentence


@pytest.mark.parametrize(
    ("theirs_s", "level", "words"),
    [
        (100.1, Level.OK, "0.0 s from"),
        (95.0, Level.WARN, "5.0 s behind"),
        (160.2, Level.FAIL, "60.0 s ahead of"),
    ],
)
def test_the_clock_of_a_server_is_compared_within_the_time_the_answer_took(theirs_s, level, words):
    finding = judge_clock(100.0, theirs_s, 100.2)

    assert finding.level is level
    assert words in finding.sentence


def test_a_file_another_has_locked_is_seen_as_locked(tmp_path: Path):
    file = tmp_path / "status"
    assert not is_locked(file)
    file.touch()
    assert not is_locked(file)

    with file.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert is_locked(file)


def test_an_embedded_history_in_use_is_a_warning_and_is_not_opened(tmp_path: Path):
    (tmp_path / "status").touch()
    with (tmp_path / "status").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        (finding,) = check_history(f"chdb://{tmp_path}")

    assert finding.level is Level.WARN
    assert "open in another process" in finding.sentence


def test_a_history_that_is_not_there_is_not_made(tmp_path: Path):
    (finding,) = check_history(f"chdb://{tmp_path / 'history'}")

    assert finding.level is Level.WARN
    assert not (tmp_path / "history").exists()


def test_a_server_that_is_not_there_is_a_failure_without_its_password():
    (finding,) = check_history("http://loop:hunter2@127.0.0.1:1/energy")

    assert finding.level is Level.FAIL
    assert "hunter2" not in finding.sentence


@pytest.mark.parametrize(
    ("free", "total", "level"),
    [
        (200 * MIB, 1 * GIB, Level.FAIL),
        (400 * MIB, 1 * GIB, Level.OK),
        (100 * GIB, 4000 * GIB, Level.OK),
        (9 * GIB, 4000 * GIB, Level.FAIL),
        (40 * GIB, 1000 * GIB, Level.WARN),
    ],
)
def test_space_is_judged_by_its_share_and_by_its_size(free, total, level):
    assert judge_space(free, total, Path("/data")).level is level


def test_a_data_directory_that_is_not_there_yet_is_judged_by_where_it_will_be(tmp_path: Path):
    finding = check_space(tmp_path / "not" / "yet")

    assert str(tmp_path / "not" / "yet") in finding.sentence
    assert not (tmp_path / "not").exists()


def test_a_check_that_breaks_is_a_failure_and_keeps_what_it_had_found():
    def breaking():
        yield Finding("one", Level.OK, "well")
        raise RuntimeError("no such thing\nwith details")

    first, second = guarded("broker", breaking())

    assert first.level is Level.OK
    assert second == Finding(
        "broker",
        Level.FAIL,
        "the check itself broke: RuntimeError: no such thing",
        "what it would have found is unknown; please report this",
    )
