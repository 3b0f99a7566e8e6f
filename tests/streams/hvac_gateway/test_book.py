"""Which commands are written, for how long, and what is said of them; everything by hand, without a plant."""

import pytest
from commanded import MINUTE, MORNING, POINTS, SECOND, a_command, a_zone, an_override

from schemas.ack import Ack
from schemas.hvac import BacnetPoints
from streams.hvac_gateway.book import Book, Kept
from streams.hvac_gateway.lease import Served, Shown

ZONE = a_zone()
TAKEN = Shown(25.5, 19.0, 10)


def said(acks: list[Ack]) -> list[tuple[str, str]]:
    return [(ack.state.value, ack.reason.value) for ack in acks]


def a_book(began_s: float = -3600) -> Book:
    return Book(MORNING + round(began_s * SECOND))


def holding(command=None, zone=ZONE) -> Book:
    """A book whose plant has taken a command."""
    book = a_book()
    given = command or a_command()
    book.take(given, zone, given.issued_at)
    for lease in list(book.to_write()):
        book.held(lease, TAKEN, given.issued_at)
    return book


def stages(book: Book) -> list[tuple[str, str]]:
    return [(lease.command_id, lease.stage.value) for lease in book.leases]


def test_a_command_is_written_and_given_back_when_its_lease_ends():
    book, command = a_book(), a_command()

    assert said(book.take(command, ZONE, MORNING)) == [("accepted", "to_be_written")]
    (lease,) = book.to_write()
    (applied,) = book.held(lease, TAKEN, MORNING)
    assert (applied.state, applied.measured_cooling_c, applied.measured_heating_c) == ("applied", 25.5, 19.0)
    book.close_due(MORNING + 30 * MINUTE - 1, lambda *_: ZONE)
    assert not list(book.to_give_back())
    book.close_due(MORNING + 30 * MINUTE, lambda *_: ZONE)
    (over,) = book.to_give_back()
    assert said(book.gave_back(over, Shown(24.0, 21.0, None), MORNING + 30 * MINUTE)) == [("expired", "lease_ended")]
    assert book.leases == ()


def test_a_command_that_was_begun_late_ends_no_later():
    book, command = a_book(), a_command()
    book.take(command, ZONE, MORNING + 4 * MINUTE)

    assert [lease.ends_at for lease in book.to_write()] == [MORNING + 30 * MINUTE]


def test_the_same_command_again_is_not_written_again():
    book = holding()

    assert book.take(a_command(), ZONE, MORNING + SECOND) == []
    assert not list(book.to_write())


def test_the_same_command_again_is_not_written_again_after_its_lease_nor_after_a_restart():
    book = holding()
    book.close_due(MORNING + 30 * MINUTE, lambda *_: ZONE)
    (over,) = book.to_give_back()
    book.gave_back(over, None, MORNING + 30 * MINUTE)
    again = Book.of_kept(Kept.model_validate_json(book.kept().model_dump_json()))

    assert again.take(a_command(), ZONE, MORNING + 31 * MINUTE) == []
    assert not list(again.to_write())


@pytest.mark.parametrize(
    ("change", "zone", "came_s", "answer"),
    [
        ({}, ZONE, 301, ("expired", "too_late")),
        ({"not_after": MORNING + 30 * MINUTE}, ZONE, 1800, ("expired", "too_late")),
        ({}, ZONE, -61, ("rejected", "from_the_future")),
        ({}, None, 0, ("rejected", "unknown_zone")),
        ({"tenant_id": "other"}, ZONE, 0, ("rejected", "wrong_tenant")),
        ({}, a_zone(bacnet=None), 0, ("rejected", "no_address")),
        ({"cooling_c": 30.5}, ZONE, 0, ("rejected", "outside_limits")),
        ({"heating_c": 14.5}, ZONE, 0, ("rejected", "outside_limits")),
        ({"cooling_c": 20.0, "heating_c": 19.5}, ZONE, 0, ("rejected", "dead_band")),
        ({"mode": "advise"}, ZONE, 0, ("accepted", "advice_only")),
        ({"mode": "off"}, ZONE, 0, ("accepted", "advice_only")),
        ({}, a_zone(mode="advise"), 0, ("accepted", "advice_only")),
        ({}, a_zone(mode="off"), 0, ("accepted", "advice_only")),
        ({}, Served("acme", None), 0, ("accepted", "advice_only")),
    ],
)
def test_a_command_that_may_not_be_written_is_answered_and_not_written(change, zone, came_s, answer):
    book = a_book()

    assert said(book.take(a_command(**change), zone, MORNING + came_s * SECOND)) == [answer]
    assert book.leases == ()


def test_the_answer_says_the_number_that_was_wrong_and_what_was_expected():
    (ack,) = a_book().take(a_command(cooling_c=30.5), ZONE, MORNING)

    assert ack.message == "cooling_c is 30.5 °C; expected 15 to 30 °C"


def test_the_newer_command_takes_the_place_of_the_older_one_without_a_gap():
    book = holding()
    acks = book.take(a_command(900, cooling_c=26.0), ZONE, MORNING + 15 * MINUTE)

    assert said(acks) == [("accepted", "to_be_written"), ("expired", "superseded")]
    assert [lease.cooling_c for lease in book.to_write()] == [26.0]
    assert not list(book.to_give_back())


def test_a_newer_command_at_another_priority_leaves_nothing_behind_at_the_old_one():
    book = holding()
    book.take(a_command(900, priority=12), ZONE, MORNING + 15 * MINUTE)

    assert [lease.priority for lease in book.to_write()] == [12]
    assert [(lease.priority, lease.ending) for lease in book.to_give_back()] == [(10, "superseded")]


def test_an_older_command_that_comes_late_changes_nothing():
    book = holding(a_command(60))

    assert said(book.take(a_command(0), ZONE, MORNING + 61 * SECOND)) == [("rejected", "not_the_newest")]
    assert stages(book) == [(a_command(60).command_id, "held")]


@pytest.mark.parametrize("mode", ["advise", "off"])
def test_a_newer_command_that_is_not_to_act_ends_what_is_in_force(mode):
    book = holding()
    book.take(a_command(900, mode=mode), ZONE, MORNING + 15 * MINUTE)

    assert [lease.ending for lease in book.to_give_back()] == ["withdrawn"]


def test_a_zone_that_leaves_mode_act_in_the_registry_is_given_back():
    book = holding()
    book.close_due(MORNING + MINUTE, lambda *_: a_zone(mode="advise"))

    assert [lease.ending for lease in book.to_give_back()] == ["withdrawn"]


def test_a_zone_that_moves_to_another_device_is_given_back_at_the_old_one():
    book = holding()
    moved = a_zone(bacnet=BacnetPoints(device=7, address="192.0.2.77", cooling_object="analog-value,1"))
    book.close_due(MORNING + MINUTE, lambda *_: moved)

    assert [lease.points for lease in book.to_give_back()] == [POINTS]


def test_while_nobody_knows_the_registry_leases_end_by_time_only():
    book = holding()
    book.close_due(MORNING + MINUTE, None)
    assert not list(book.to_give_back())

    book.close_due(MORNING + 30 * MINUTE, None)
    assert [lease.ending for lease in book.to_give_back()] == ["lease_ended"]


def test_a_plant_that_takes_a_part_of_a_command_has_to_give_it_back():
    book = a_book()
    book.take(a_command(), ZONE, MORNING)
    (lease,) = book.to_write()

    assert said(book.not_held(lease, "no answer", MORNING)) == [("failed", "plant_refused")]
    (ending,) = book.to_give_back()
    assert book.gave_back(ending, None, MORNING) == []
    assert book.leases == ()


def test_a_higher_priority_at_the_plant_is_an_override():
    book = a_book()
    book.take(a_command(), ZONE, MORNING)
    (lease,) = book.to_write()

    assert said(book.held(lease, Shown(22.0, 19.0, 8), MORNING)) == [("overridden", "at_the_plant")]
    assert stages(book) == [(lease.command_id, "held")]


def test_an_operator_who_takes_over_at_the_plant_in_the_middle_of_a_lease_is_seen_once():
    book = holding()
    (lease,) = book.leases
    assert book.seen(lease, TAKEN, MORNING + MINUTE) == []
    assert said(book.seen(lease, Shown(22.0, 19.0, 8), MORNING + MINUTE)) == [("overridden", "at_the_plant")]

    (lease,) = book.leases
    assert book.seen(lease, Shown(22.0, 19.0, 8), MORNING + 2 * MINUTE) == []
    assert stages(book) == [(lease.command_id, "held")]


def test_a_device_that_lost_what_it_was_given_is_not_written_to_again():
    book = holding()
    (lease,) = book.leases

    assert said(book.seen(lease, Shown(24.0, 21.0, None), MORNING + MINUTE)) == [("failed", "lost_at_the_plant")]
    assert not list(book.to_write())
    assert [one.ending for one in book.to_give_back()] == [None]


def test_what_was_seen_of_a_lease_that_is_over_by_now_counts_no_more():
    book = holding()
    (lease,) = book.leases
    book.close_all()

    assert book.seen(lease, Shown(22.0, 19.0, 8), MORNING + MINUTE) == []


def test_an_override_without_set_points_gives_the_zone_back_and_keeps_commands_out_until_it_ends():
    book = holding()
    assert said(book.take_override(an_override(60), ZONE, MORNING + MINUTE)) == [("accepted", "in_force")]
    (lease,) = book.to_give_back()
    assert said(book.gave_back(lease, None, MORNING + MINUTE)) == [("overridden", "override")]

    assert said(book.take(a_command(900), ZONE, MORNING + 15 * MINUTE)) == [("overridden", "override")]
    assert said(book.take(a_command(3660), ZONE, MORNING + 61 * MINUTE)) == [("accepted", "to_be_written")]


def test_an_override_with_set_points_is_written_until_it_ends():
    book = holding()
    acks = book.take_override(an_override(60, cooling_c=22.0), ZONE, MORNING + MINUTE)
    (lease,) = book.to_write()
    book.held(lease, Shown(22.0, 21.0, 10), MORNING + MINUTE)

    assert said(acks) == [("accepted", "in_force"), ("overridden", "override")]
    assert (lease.cooling_c, lease.heating_c, lease.ends_at) == (22.0, None, MORNING + 61 * MINUTE)
    book.close_due(MORNING + 61 * MINUTE, lambda *_: ZONE)
    assert [one.ending for one in book.to_give_back()] == ["lease_ended"]


def test_an_override_outside_the_limits_is_not_written_but_still_gives_the_zone_back():
    book = holding()

    assert said(book.take_override(an_override(60, cooling_c=31.0), ZONE, MORNING + MINUTE)) == [
        ("rejected", "outside_limits")
    ]
    assert [lease.ending for lease in book.to_give_back()] == ["override"]
    assert said(book.take(a_command(900), ZONE, MORNING + 15 * MINUTE)) == [("overridden", "override")]


def test_an_operator_can_end_an_override_before_its_time():
    book = a_book()
    book.take_override(an_override(), ZONE, MORNING)
    book.take_override(an_override(60, until=MORNING + MINUTE), ZONE, MORNING + MINUTE)

    assert said(book.take(a_command(61), ZONE, MORNING + 61 * SECOND)) == [("accepted", "to_be_written")]


def test_the_older_of_two_overrides_that_came_in_the_wrong_order_does_not_count():
    book = a_book()
    book.take_override(an_override(60), ZONE, MORNING + MINUTE)

    assert said(book.take_override(an_override(0), ZONE, MORNING + MINUTE)) == [("rejected", "not_the_newest")]


@pytest.mark.parametrize(
    ("change", "zone", "reason"),
    [
        ({}, None, "unknown_zone"),
        ({"tenant_id": "other"}, ZONE, "wrong_tenant"),
        ({"ts": MORNING + 2 * MINUTE}, ZONE, "from_the_future"),
    ],
)
def test_an_override_of_somebody_elses_zone_does_not_count(change, zone, reason):
    book = a_book()

    assert said(book.take_override(an_override(**change), zone, MORNING)) == [("rejected", reason)]
    assert said(book.take(a_command(), ZONE, MORNING)) == [("accepted", "to_be_written")]


def test_a_gateway_that_was_killed_while_it_wrote_takes_back_and_does_not_write_again():
    book = a_book()
    book.take(a_command(), ZONE, MORNING)
    again = Book.of_kept(Kept.model_validate_json(book.kept().model_dump_json()))

    assert said(again.go_on(MORNING + MINUTE)) == [("failed", "interrupted")]
    assert not list(again.to_write())
    assert len(list(again.to_give_back())) == 1


def test_a_lease_that_ended_while_the_gateway_was_down_is_given_back_when_it_starts():
    again = Book.of_kept(Kept.model_validate_json(holding().kept().model_dump_json()))
    assert again.go_on(MORNING + 45 * MINUTE) == []
    again.close_due(MORNING + 45 * MINUTE, None)

    assert [lease.ending for lease in again.to_give_back()] == ["lease_ended"]


def test_a_lease_that_still_runs_after_a_restart_is_left_alone():
    again = Book.of_kept(Kept.model_validate_json(holding().kept().model_dump_json()))
    again.go_on(MORNING + MINUTE)
    again.close_due(MORNING + MINUTE, lambda *_: ZONE)

    assert stages(again) == [(a_command().command_id, "held")]


def test_a_gateway_that_stops_gives_everything_back():
    book = holding()
    book.close_all()

    assert [lease.ending for lease in book.to_give_back()] == ["shut_down"]


def test_what_was_over_before_the_gateway_began_is_not_answered():
    book = a_book(began_s=600)

    assert book.take(a_command(), ZONE, MORNING + 10 * MINUTE) == []
    assert book.take_override(an_override(until=MORNING + MINUTE), ZONE, MORNING + 10 * MINUTE) == []


def test_an_override_from_before_the_gateway_began_that_still_holds_counts():
    book = a_book(began_s=600)
    book.take_override(an_override(), ZONE, MORNING + 10 * MINUTE)

    assert said(book.take(a_command(600), ZONE, MORNING + 10 * MINUTE)) == [("overridden", "override")]


def test_ids_are_forgotten_an_hour_after_their_lease_and_a_command_that_still_comes_again_is_too_late():
    book = holding()
    book.close_due(MORNING + 90 * MINUTE - 1, None)
    assert book.kept().handled
    book.close_due(MORNING + 90 * MINUTE, None)
    assert not book.kept().handled

    assert said(book.take(a_command(), ZONE, MORNING + 90 * MINUTE)) == [("expired", "too_late")]
