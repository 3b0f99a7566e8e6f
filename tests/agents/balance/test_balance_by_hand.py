"""The balance of a site against hand-computed numbers."""

from datetime import datetime

import pytest
from builders import NOON, a_meter, a_site, fed, rows_at, sent, site_at, tick_at, windows

from agents.balance.step import HOLD_MS, KEEP_MS, Balance
from agents.pricing.pricing import Reference
from schemas.flow import Kind, Message, Outcome
from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_tariffs
from schemas.registry import Equipment, Meter, VirtualMeter, Zone

HOLD_S = HOLD_MS / 1000
KEEP_MIN = KEEP_MS // 60_000
FACTOR_KG_PER_KWH = 0.5153  # Zhejiang


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference(load_factors(), load_tariffs(), REFERENCE_VERSION)


@pytest.fixture
def agent(reference: Reference) -> Balance:
    return Balance(reference)


def pv(name: str = "roof", **given: object) -> Meter:
    return a_meter(name, kind="generation", **given)


def sub(name: str, parent: str | None = "main", **given: object) -> Meter:
    return a_meter(name, kind="sub_meter", parent=parent, **given)


def closed(s: float = 0, **kwh: float | None) -> Message:
    """Windows of a minute, by meter; the roof generates, everything else draws."""
    kinds = {"main": "grid", "second": "grid", "roof": "generation"}
    rows = [
        {"meter_id": meter, "meter_kind": kinds.get(meter, "sub_meter"), "import_kwh": energy}
        for meter, energy in kwh.items()
    ]
    return rows_at(Kind.WINDOWS, s, windows(*rows))


def row(outcomes: list[Outcome], name: str = "") -> dict[str, object]:
    return [one for one in sent(outcomes, Kind.BALANCE) if one["name"] == name][-1]


def test_load_is_import_and_generation_less_export_and_self_use_is_what_was_not_exported(agent: Balance):
    site = a_site("mill", a_meter("main"), pv())
    exporting = windows(
        {"import_kwh": 2.0, "export_kwh": 1.0}, {"meter_id": "roof", "meter_kind": "generation", "import_kwh": 5.0}
    )

    found = row(fed(agent, [site_at(site), rows_at(Kind.WINDOWS, 0, exporting), tick_at(0)]))

    assert (found["import_kwh"], found["export_kwh"], found["generation_kwh"]) == (2.0, 1.0, 5.0)
    assert (found["load_kwh"], found["self_use_kwh"], found["flag"]) == (6.0, 4.0, None)


def test_a_site_without_generation_uses_what_it_draws_and_has_no_self_use(agent: Balance):
    found = row(fed(agent, [site_at(a_site()), closed(main=2.5), tick_at(0)]))

    assert (found["load_kwh"], found["generation_kwh"], found["self_use_kwh"], found["export_kwh"]) == (
        2.5,
        None,
        None,
        None,
    )


def test_the_rest_of_a_meter_is_what_the_meters_below_it_leave(agent: Balance):
    site = a_site("mill", a_meter("main"), pv(), sub("hall"), sub("press", "hall"), sub("pump", "hall"))

    outcomes = fed(agent, [site_at(site), closed(main=10.0, roof=4.0, hall=9.0, press=5.0, pump=1.5), tick_at(0)])

    assert [(row(outcomes, name)["rest_kwh"], row(outcomes, name)["own_kwh"]) for name in ("main", "hall")] == [
        (5.0, 5.0),  # 10 drawn and 4 generated, less 9
        (2.5, 2.5),
    ]
    assert (row(outcomes, "press")["rest_kwh"], row(outcomes, "press")["own_kwh"]) == (None, 5.0)
    assert row(outcomes)["load_kwh"] == 14.0


def test_a_negative_rest_is_shown_and_flagged(agent: Balance):
    site = a_site("mill", a_meter("main"), sub("press"))

    found = row(fed(agent, [site_at(site), closed(main=1.0, press=1.25), tick_at(0)]), "main")

    assert (found["rest_kwh"], found["own_kwh"], found["flag"]) == (-0.25, -0.25, "negative_rest")


def test_a_silent_meter_leaves_the_rest_above_it_unknown_and_its_energy_with_the_next_known_one(agent: Balance):
    site = a_site("mill", a_meter("main"), sub("hall"), sub("press", "hall"))
    messages = [site_at(site), closed(main=10.0, press=4.0), tick_at(0), tick_at(HOLD_S + 1)]

    outcomes = fed(agent, messages)

    main = row(outcomes, "main")
    assert (main["rest_kwh"], main["own_kwh"], main["meters_missing"]) == (None, 6.0, 1)
    assert [one["name"] for one in sent(outcomes, Kind.BALANCE)] == ["main", "press", ""]


def test_without_a_grid_meter_the_load_is_not_known_and_never_0(agent: Balance):
    site = a_site("mill", a_meter("main"), sub("press"))

    outcomes = fed(agent, [site_at(site), closed(press=4.0), tick_at(0), tick_at(HOLD_S + 1)])

    found = row(outcomes)
    assert (found["load_kwh"], found["import_kwh"], found["meters_missing"], found["cost_cny"]) == (None, None, 1, None)
    assert (row(outcomes, "press")["load_kwh"], row(outcomes, "press")["own_kwh"]) == (4.0, None)


def test_generation_without_a_window_leaves_the_load_unknown(agent: Balance):
    site = a_site("mill", a_meter("main"), pv())

    found = row(fed(agent, [site_at(site), closed(main=4.0), tick_at(0), tick_at(HOLD_S + 1)]))

    assert (found["import_kwh"], found["load_kwh"], found["self_use_kwh"]) == (4.0, None, None)


def test_virtual_meters_are_sums_and_differences_also_of_each_other(agent: Balance):
    virtual = (
        VirtualMeter(id="both", plus=("press", "pump")),
        VirtualMeter(id="others", plus=("main", "roof"), minus=("both",), equipment="rest"),
    )
    machines = (Equipment(id="rest", name="Rest", kind="lights"),)
    meters = (a_meter("main"), pv(), sub("press"), sub("pump"))
    site = a_site("mill", *meters, virtual_meters=virtual, equipment=machines)

    whole = fed(agent, [site_at(site), closed(main=10.0, roof=2.0, press=3.0, pump=4.0), tick_at(0)])

    assert (row(whole, "both")["load_kwh"], row(whole, "others")["load_kwh"]) == (7.0, 5.0)
    assert (row(whole, "others")["equipment_class"], row(whole, "both")["part"]) == ("lights", "virtual")


def test_a_virtual_meter_of_which_a_part_is_missing_is_not_known(agent: Balance):
    virtual = (VirtualMeter(id="both", plus=("press", "pump")),)
    site = a_site("mill", a_meter("main"), sub("press"), sub("pump"), virtual_meters=virtual)

    outcomes = fed(agent, [site_at(site), closed(main=9.0, press=3.0), tick_at(0), tick_at(HOLD_S + 1)])

    assert (row(outcomes, "both")["load_kwh"], row(outcomes, "both")["meters_missing"]) == (None, 1)


def test_what_is_paid_and_emitted_is_shared_by_use_and_generation_costs_nothing(agent: Balance):
    site = a_site("mill", a_meter("main"), pv(), sub("press"))

    outcomes = fed(agent, [site_at(site), closed(main=6.0, roof=2.0, press=2.0), tick_at(0)])

    press, main = row(outcomes, "press"), row(outcomes, "main")
    assert (press["own_from_grid_kwh"], press["own_from_generation_kwh"]) == (1.5, 0.5)
    assert (main["own_from_grid_kwh"], main["own_from_generation_kwh"]) == (4.5, 1.5)
    assert press["emitted_kg"] == pytest.approx(1.5 * FACTOR_KG_PER_KWH)
    assert main["cost_cny"] == pytest.approx(3 * press["cost_cny"])


def test_rows_carry_equipment_class_area_and_tariff_period(agent: Balance):
    site = a_site(
        "mill",
        a_meter("main"),
        sub("press", equipment="p1"),
        equipment=(Equipment(id="p1", name="Press 1", kind="press"),),
        zones=(Zone(id="hall-a", name="Hall A", area_m2=100.0, meter="press"),),
    )

    found = row(fed(agent, [site_at(site), closed(main=2.0, press=1.0), tick_at(0)]), "press")

    assert (found["equipment_class"], found["area"], str(found["local_day"])) == ("press", "hall-a", "2026-07-15")
    assert found["period"] is not None


def test_a_revised_window_revises_the_balance_of_its_minute(agent: Balance):
    site = a_site("mill", a_meter("main"), sub("press"))
    first = windows(
        {"import_kwh": 4.0},
        {"meter_id": "press", "meter_kind": "sub_meter", "import_kwh": 1.0, "quality": "estimated"},
    )
    later = windows(
        {
            "meter_id": "press",
            "meter_kind": "sub_meter",
            "import_kwh": 3.0,
            "previous_import_kwh": 1.0,
            "revision": 1,
        }
    )

    messages = [site_at(site), rows_at(Kind.WINDOWS, 0, first), tick_at(0), rows_at(Kind.WINDOWS, 1, later), tick_at(1)]
    rows = [one for one in sent(fed(agent, messages), Kind.BALANCE) if one["name"] == "main"]

    assert [(one["revision"], one["rest_kwh"], one["quality"]) for one in rows] == [
        (0, 3.0, "estimated"),
        (1, 1.0, "measured"),
    ]


def test_a_meter_that_comes_late_completes_the_minute(agent: Balance):
    site = a_site("mill", a_meter("main"), sub("press"))
    messages = [
        site_at(site),
        closed(main=4.0),
        tick_at(0),
        tick_at(HOLD_S + 1),
        closed(s=200, press=1.0),
        tick_at(200),
    ]

    rows = [one for one in sent(fed(agent, messages), Kind.BALANCE) if one["name"] == "main"]

    assert [(one["revision"], one["rest_kwh"]) for one in rows] == [(0, None), (1, 3.0)]


def test_a_revision_of_a_minute_that_is_no_longer_held_says_nothing_of_the_whole(agent: Balance):
    site = a_site("mill", a_meter("main"), sub("press"))
    lone = windows({"import_kwh": 3.0, "previous_import_kwh": 2.0, "revision": 1})

    assert sent(fed(agent, [site_at(site), rows_at(Kind.WINDOWS, 0, lone), tick_at(0), tick_at(999)]), None) == []


def of_minute(minute: int, s: float, **kwh: float) -> Message:
    """Windows of a later minute, by meter."""
    rows = [
        {"meter_id": meter, "meter_kind": "grid" if meter == "main" else "sub_meter", "import_kwh": energy}
        for meter, energy in kwh.items()
    ]
    return rows_at(Kind.WINDOWS, s, windows(*({"minute": minute} | row for row in rows)))


def _ms(moment: object) -> int:
    assert isinstance(moment, datetime)
    return round(moment.timestamp() * 1000)


def balanced_minutes(outcomes: list[Outcome]) -> list[object]:
    return [
        (_ms(one["window_start"]), one["rest_kwh"]) for one in sent(outcomes, Kind.BALANCE) if one["name"] == "main"
    ]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_meter_that_reports_after_its_minute_was_let_go_does_not_undo_it(
    agent: Balance, reference: Reference, restarted: bool
):
    site = a_site("mill", a_meter("main"), sub("press"))
    late = KEEP_MIN * 60 + 200
    first = fed(agent, [site_at(site), of_minute(0, 60, main=4.0), tick_at(60), tick_at(HOLD_S + 61)])
    fed(agent, [of_minute(KEEP_MIN, late, main=4.0, press=1.0), tick_at(late)])
    if restarted:
        kept, agent = agent.snapshot(["mill"]), Balance(reference)
        agent.restore(kept)

    after = fed(agent, [of_minute(0, late + 1, press=1.0), tick_at(late + 1), tick_at(late + HOLD_S + 2)])
    whole = fed(agent, [of_minute(0, late + 500, main=4.0, press=1.0), tick_at(late + 500)])

    assert balanced_minutes(first) == [(NOON, None)]
    assert balanced_minutes(after) == []
    assert balanced_minutes(whole) == [(NOON, 3.0)]


def test_an_old_minute_that_was_never_balanced_is_not_lost_to_newer_ones(agent: Balance):
    site = a_site("mill", a_meter("main"), sub("press"))
    late = KEEP_MIN * 60 + 200
    outcomes = fed(
        agent,
        [
            site_at(site),
            of_minute(KEEP_MIN + 1, late, main=4.0, press=1.0),
            tick_at(late),
            of_minute(0, late + 1, main=4.0),
            tick_at(late + 1),
            of_minute(KEEP_MIN + 2, late + 60, main=4.0, press=1.0),
            tick_at(late + 60),
            tick_at(late + HOLD_S + 2),
        ],
    )

    assert (NOON, None) in balanced_minutes(outcomes)


def test_export_above_generation_is_flagged_and_self_use_is_not_negative(agent: Balance):
    site = a_site("mill", a_meter("main"), pv())
    rows = windows(
        {"import_kwh": 3.0, "export_kwh": 2.0}, {"meter_id": "roof", "meter_kind": "generation", "import_kwh": 1.0}
    )

    found = row(fed(agent, [site_at(site), rows_at(Kind.WINDOWS, 0, rows), tick_at(0)]))

    assert (found["load_kwh"], found["self_use_kwh"], found["flag"]) == (2.0, 0.0, "export_above_generation")


def test_what_is_held_of_a_meter_that_left_the_registry_stays_part_of_its_minute(reference: Reference):
    before, after = (
        a_site("mill", a_meter("main"), sub("press"), sub("pump")),
        a_site("mill", a_meter("main"), sub("pump")),
    )
    messages = [
        site_at(before),
        closed(main=10.0, press=4.0),
        tick_at(0),
        site_at(after, 2, s=1),
        tick_at(1),
    ]
    agent, told = Balance(reference), Balance(reference)

    (*_, last) = fed(agent, messages)
    fed(told, messages[:3])
    restarted = Balance(reference)
    restarted.restore(told.snapshot())
    (*_, again) = fed(restarted, messages[3:])

    # Two windows, and the site has two meters now: the minute is complete, and nothing hangs where the press was.
    assert (row([last])["load_kwh"], row([last], "main")["own_kwh"]) == (10.0, 10.0)
    assert [one["name"] for one in sent([last], Kind.BALANCE)] == ["main", ""]
    assert sent([again], Kind.BALANCE) == sent([last], Kind.BALANCE)
