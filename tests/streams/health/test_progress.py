"""Liveness is progress: what is red, since when, and what is not."""

from hypothesis import given
from hypothesis import strategies as st

from streams.health.progress import (
    LOOP_STALL_S,
    PARTITION_STALL_S,
    RESTARTS,
    RESTARTS_WITHIN_S,
    STALL_S,
    Progress,
    Sighting,
)


def watched(*sightings: tuple[float, Sighting]) -> Progress:
    """A worker that was seen at these moments, its event loop running."""
    progress = Progress(started_at=0.0)
    for now, sighting in sightings:
        progress.beat(now)
        progress.saw("metering", sighting, now)
    return progress


def is_well(progress: Progress, now: float) -> bool:
    progress.beat(now)
    return progress.alive(now)["metering"].well


def test_a_station_that_takes_nothing_while_records_wait_is_red_after_the_limit() -> None:
    progress = watched((0, Sighting(5, 0)), (1, Sighting(5, 1)), (30, Sighting(5, 400)))

    assert is_well(progress, STALL_S - 1)
    assert not is_well(progress, STALL_S + 1)
    assert progress.alive(45.0)["metering"].reason == "400 records wait, and nothing was taken for 45 s"


def test_one_record_that_waits_for_ever_is_enough() -> None:
    assert not is_well(watched((0, Sighting(5, 0)), (1, Sighting(5, 1))), 60)


def test_an_idle_station_is_green_for_ever() -> None:
    assert is_well(watched((0, Sighting(5, 0))), 1e6)


def test_catching_up_is_green_however_far_behind() -> None:
    progress = watched(*((second, Sighting(second, 1_000_000 + second)) for second in range(0, 600, 30)))

    assert is_well(progress, 600)


def test_waiting_for_the_world_is_green_and_the_patience_begins_when_it_is_back() -> None:
    away = "the broker has not answered for 100 s"
    progress = watched((0, Sighting(5, 9)), (20, Sighting(5, 9, away)), (500, Sighting(5, 9, away)))
    assert is_well(progress, 501)
    assert progress.alive(501)["metering"].reason == f"waits: {away}"

    progress.saw("metering", Sighting(5, 9), 501.0)
    assert is_well(progress, 500 + STALL_S - 1)
    assert not is_well(progress, 501 + STALL_S)


def with_partitions(*sightings: tuple[float, dict[int, Sighting]]) -> Progress:
    """A worker whose partitions of metering were seen at these moments."""
    progress = Progress(started_at=0.0)
    for now, partitions in sightings:
        progress.beat(now)
        progress.saw_partitions("metering", partitions, now)
    return progress


def test_a_partition_that_is_never_fetched_is_named_although_the_others_move() -> None:
    seen = [(at, {2: Sighting(int(at), 1), 3: Sighting(9, int(at))}) for at in (0.0, 1.0, 60.0, 122.0)]
    check = with_partitions(*seen).alive(122.0)["metering_partitions"]

    assert not check.well
    assert check.reason == "partition 3: 122 records wait, and nothing was taken for 122 s"
    assert with_partitions(*seen[:3]).alive(60.0)["metering_partitions"].well


def test_a_partition_of_several_topics_is_named_with_its_topic() -> None:
    progress = Progress(started_at=0.0)
    for now in (0.0, 121.0):
        progress.beat(now)
        moving, stuck = Sighting(int(now), 1), Sighting(0, 7)
        progress.saw_partitions("history", {"telemetry.v1[3]": moving, "energy.v1[3]": stuck}, now)

    check = progress.alive(121.0)["history_partitions"]

    assert (check.well, check.reason) == (
        False,
        "partition energy.v1[3]: 7 records wait, and nothing was taken for 121 s",
    )


def test_a_partition_that_went_to_another_worker_is_not_judged() -> None:
    stuck = Sighting(9, 4)
    progress = with_partitions((0.0, {3: stuck}), (100.0, {}), (101.0, {3: stuck}))

    assert progress.alive(101.0 + PARTITION_STALL_S - 1)["metering_partitions"].well


def test_a_partition_where_nothing_waits_may_stand_still() -> None:
    assert (
        with_partitions((0.0, {3: Sighting(9, 0)}), (500.0, {3: Sighting(9, 0)}))
        .alive(500.0)["metering_partitions"]
        .well
    )


def test_an_event_loop_that_stands_still_is_named_with_its_seconds() -> None:
    progress = Progress(started_at=0.0)
    progress.beat(100.0)

    assert progress.alive(100.0 + LOOP_STALL_S - 1)["event_loop"].well
    stalled = progress.alive(143.0)["event_loop"]
    assert (stalled.well, stalled.reason) == (False, "event loop stalled for 43 s")


def test_restarts_count_when_they_come_close_together() -> None:
    progress = Progress(started_at=0.0)
    for number in range(RESTARTS):
        progress.restarted("metering", now=number * RESTARTS_WITHIN_S)
    assert progress.alive(RESTARTS * RESTARTS_WITHIN_S)["metering_restarts"].well

    for second in (1000, 1001):
        progress.restarted("metering", now=second)
    assert progress.alive(1002)["metering_restarts"].well
    progress.restarted("metering", now=1002)
    assert not progress.alive(1003)["metering_restarts"].well
    assert progress.alive(1001 + RESTARTS_WITHIN_S)["metering_restarts"].well


def test_a_failure_is_red_in_its_own_words() -> None:
    progress = Progress(started_at=0.0)
    progress.failure = "ValueError: not a message of an internal topic"

    assert not progress.alive(1.0)["failure"].well
    assert progress.alive(1.0)["failure"].reason == "ValueError: not a message of an internal topic"


def test_a_worker_that_stops_may_stand_still_because_the_hard_stop_ends_it() -> None:
    progress = watched((0, Sighting(5, 9)))
    progress.stopping = True
    progress.beat(900.0)

    assert all(check.well for check in progress.alive(900.0).values())


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), min_size=1, max_size=200),
    st.integers(1, 60),
)
def test_red_means_that_for_the_whole_limit_something_waited_unexcused_and_nothing_moved(
    seen: list[tuple[int, int, bool]], step_s: int
) -> None:
    progress = Progress(started_at=0.0)
    done, last_well = 0, 0.0
    for number, (moved, behind, excused) in enumerate(seen):
        now = float(number * step_s)
        done += moved
        progress.beat(now)
        progress.saw("metering", Sighting(done, behind, "away" if excused else ""), now)
        if moved or not behind or excused:
            last_well = now
        assert progress.alive(now)["metering"].well == (now - last_well < STALL_S)
