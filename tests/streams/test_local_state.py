from pathlib import Path

import pytest
from rocksdict import Options, Rdict

from streams.checkup.disk import check_local_state
from streams.checkup.finding import Level
from streams.frame.local_copy import LocalCopy
from streams.local_state import LocalState, StateInUse, abandoned_states, state_root

TOPIC = "wattloop-metering-changelog"


def with_a_copy(state: LocalState, partition: int, last: int) -> Path:
    place = state.directory / "v1" / "tables" / f"metering-{partition}.db"
    place.parent.mkdir(parents=True, exist_ok=True)
    database = Rdict(str(place), options=Options(raw_mode=True))
    database.put(LocalCopy.offset_key, str(last).encode())
    database.close()
    return place


def test_a_directory_belongs_to_one_process_until_it_ends(tmp_path):
    state = LocalState.take(tmp_path, "cluster/")

    with pytest.raises(StateInUse, match="give each worker a data_dir of its own"):
        LocalState.take(tmp_path, "cluster/")

    state.release()
    LocalState.take(tmp_path, "cluster/").release()


def test_another_broker_or_prefix_has_another_directory(tmp_path):
    taken = [LocalState.take(tmp_path, log_id) for log_id in ("one/", "one/..", "two/")]

    assert len({one.directory for one in taken}) == 3
    assert {one.directory.parent.parent for one in taken} == {state_root(tmp_path).absolute()}
    for one in taken:
        one.release()


def test_only_copies_that_are_ahead_of_their_changelog_are_removed(tmp_path):
    state = LocalState.take(tmp_path, "one/")
    good, ahead = with_a_copy(state, 0, 9), with_a_copy(state, 1, 10)

    removed = state.check({"metering": TOPIC}, {(TOPIC, 0): 10, (TOPIC, 1): 10, (TOPIC, 2): 10})

    assert removed == [ahead]
    assert good.exists()
    assert not ahead.exists()
    state.release()


def test_what_another_version_left_is_named_and_what_is_in_use_is_not(tmp_path):
    old = LocalState.take(tmp_path, "one/")
    (state_root(tmp_path) / "0.0.1").mkdir()
    left = old.directory.rename(state_root(tmp_path) / "0.0.1" / "one%2F")
    old.release()
    assert abandoned_states(tmp_path) == []  # the newest may be opened again

    in_use = LocalState.take(tmp_path, "two/")
    newest = LocalState.take(tmp_path, "one/")
    newest.release()

    assert abandoned_states(tmp_path) == [left]
    finding = check_local_state(tmp_path)
    assert finding.level is Level.WARN
    assert str(left) in finding.sentence
    in_use.release()


def test_a_data_directory_without_state_is_fine(tmp_path):
    assert check_local_state(tmp_path).level is Level.OK
