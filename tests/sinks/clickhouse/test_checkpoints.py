import pytest

from sinks.clickhouse.checkpoints import KEPT_SETS, load_latest, save
from tests.sinks.clickhouse.builders import CutShort, PowerCutError, kill_between_token_and_block, rows_of

EVERY_BYTE = bytes(range(256))


def test_there_is_nothing_to_load_at_first(client):
    assert load_latest(client, "metering") is None


def test_the_newest_set_comes_back_byte_for_byte(client):
    save(client, "metering", "log-1", {"zj-paper": b"old", "gone": b""})
    save(client, "metering", "log-2", {"zj-paper": EVERY_BYTE, "": b"\x00", "泵": b""})

    assert load_latest(client, "metering") == ("log-2", {"zj-paper": EVERY_BYTE, "": b"\x00", "泵": b""})


def test_an_empty_set_is_a_set(client):
    save(client, "metering", "log-1", {"zj-paper": b"1"})
    save(client, "metering", "log-2", {})

    assert load_latest(client, "metering") == ("log-2", {})


def test_agents_do_not_see_each_others_sets(client):
    save(client, "metering", "log-1", {"zj-paper": b"metering's"})
    for number in range(5):
        save(client, "emissions", "log-2", {"zj-paper": str(number).encode()})

    assert load_latest(client, "metering") == ("log-1", {"zj-paper": b"metering's"})


@pytest.mark.parametrize(
    ("insert_number", "stored", "found"),
    [(1, False, b"1"), (1, True, b"1"), (2, False, b"1"), (2, True, b"2")],
)
def test_a_set_without_its_seal_is_never_taken(client, insert_number, stored, found):
    save(client, "metering", "log-1", {"zj-paper": b"1"})

    with pytest.raises(PowerCutError):
        save(CutShort(client, insert_number, stored=stored), "metering", "log-2", {"zj-paper": b"2"})

    assert load_latest(client, "metering")[1] == {"zj-paper": found}
    save(client, "metering", "log-3", {"zj-paper": b"3"})
    assert load_latest(client, "metering") == ("log-3", {"zj-paper": b"3"})


def test_old_sets_and_half_written_ones_are_dropped(client):
    for number in range(6):
        save(client, "metering", "log-1", {"zj-paper": str(number).encode()})
    with pytest.raises(PowerCutError):
        save(CutShort(client, 2, stored=False), "metering", "log-1", {"zj-paper": b"half"})
    save(client, "metering", "log-1", {"zj-paper": b"last"})

    sets = rows_of(client, "SELECT set_number, count() FROM checkpoints GROUP BY set_number ORDER BY set_number")

    assert sets == [(6, 2), (8, 2)]
    assert len(sets) == KEPT_SETS


@pytest.mark.parametrize("insert_number", [1, 2])
def test_a_kill_of_the_engine_itself_costs_only_the_set_it_was_in(client, insert_number):
    save(client, "metering", "log-1", {"zj-paper": b"1"})
    with pytest.raises(PowerCutError):
        save(CutShort(client, insert_number, stored=True), "metering", "log-2", {"zj-paper": b"2"})
    kill_between_token_and_block(client, "checkpoints")

    save(client, "metering", "log-3", {"zj-paper": b"3"})

    assert load_latest(client, "metering") == ("log-3", {"zj-paper": b"3"})
