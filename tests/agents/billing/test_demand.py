"""Closed quarter hours: which are sent when, what they say, and which can be the month's maximum."""

import pytest
from billed import a_billed_site, after, billing, demands, minutes_at
from builders import NOON, a_meter, a_site, fed, site_at, tick_at
from hypothesis import given
from hypothesis import strategies as st

from agents.billing.step import HOLD_MS
from schemas.flow import Message

QUARTER_MS = 900_000


def what(record: dict[str, object]) -> tuple[object, ...]:
    return tuple(record[name] for name in ("demand_kw", "quality", "counts_as_peak", "month_max_kw", "revision"))


def test_a_quarter_hour_is_sent_when_its_last_minute_closed_and_is_the_mean_power() -> None:
    outcomes = fed(
        billing(),
        [site_at(a_billed_site()), minutes_at(850, range(14)), after(14), minutes_at(910, [14]), tick_at(911)],
    )

    (record,) = demands(outcomes)
    assert not demands(outcomes[:3])
    assert record == {
        "id": f"demand/mill/{NOON}/0",
        "tenant_id": "acme",
        "site_id": "mill",
        "ts": NOON,
        "window_s": 900,
        "import_kwh": 37.5,
        "demand_kw": 150.0,
        "quality": "measured",
        "counts_as_peak": True,
        "windows": 15,
        "windows_missing": 0,
        "billing_month": "2026-07",
        "month_max_kw": 150.0,
        "month_max_at": NOON,
        "revision": 0,
    }


def test_the_demand_of_a_site_is_that_of_all_its_grid_meters_together() -> None:
    outcomes = fed(
        billing(),
        [
            site_at(a_billed_site("mill", "main", "second")),
            minutes_at(900, range(15)),
            minutes_at(900, range(15), meter_id="second", import_kwh=1.0),
            minutes_at(900, range(15), meter_id="press", meter_kind="sub_meter", import_kwh=9.0),
            after(15),
        ],
    )

    (record,) = demands(outcomes)
    assert (record["demand_kw"], record["windows"]) == (210.0, 30)


@pytest.mark.parametrize(
    ("quality", "minute", "kwh", "demand_kw", "said"),
    [
        ("estimated", 7, 50.0, 340.0, "estimated"),  # 14 x 2.5 + 50 = 85 kWh
        ("partial", 7, 50.0, 340.0, "partial"),
        ("measured", 7, None, None, "partial"),  # the energy of a minute is not known
    ],
)
def test_what_is_not_measured_all_along_says_so_and_is_never_the_maximum(
    quality: str, minute: int, kwh: float | None, demand_kw: float | None, said: str
) -> None:
    others = [n for n in range(15) if n != minute]
    outcomes = fed(
        billing(),
        [
            site_at(a_billed_site()),
            minutes_at(900, others),
            minutes_at(900, [minute], quality=quality, import_kwh=kwh),
            minutes_at(1800, range(15, 30), import_kwh=1.0),
            after(30),
        ],
    )

    first, second = demands(outcomes)
    assert what(first) == (demand_kw, said, False, None, 0)
    assert what(second) == (60.0, "measured", True, 60.0, 0)


def test_a_missing_minute_leaves_the_demand_unknown_and_its_energy_as_far_as_it_is_known() -> None:
    outcomes = fed(billing(), [site_at(a_billed_site()), minutes_at(900, [*range(7), *range(8, 16)]), after(16)])

    (record,) = demands(outcomes)
    assert what(record) == (None, "partial", False, None, 0)
    assert (record["import_kwh"], record["windows"], record["windows_missing"]) == (35.0, 14, 1)


def test_a_silent_meter_is_waited_for_and_then_left_out_and_its_share_is_a_revision() -> None:
    agent = billing()
    fed(agent, [site_at(a_billed_site("mill", "main", "second")), minutes_at(900, range(15)), tick_at(901)])

    assert agent.due_at() == NOON + 901_000 + HOLD_MS + 1
    assert not demands(fed(agent, [tick_at(901 + HOLD_MS / 1000)]))
    (without,) = demands(fed(agent, [tick_at(902 + HOLD_MS / 1000)]))
    assert what(without) == (None, "partial", False, None, 0)
    assert (without["import_kwh"], without["windows_missing"]) == (37.5, 15)

    (whole,) = demands(fed(agent, [minutes_at(2000, range(15), meter_id="second"), tick_at(2001)]))
    assert what(whole) == (300.0, "measured", True, 300.0, 1)
    assert whole["id"] == f"demand/mill/{NOON}/1"


def test_a_revised_window_replaces_the_former_one_and_an_older_revision_changes_nothing() -> None:
    agent = billing()
    fed(agent, [site_at(a_billed_site()), minutes_at(900, range(15)), after(15)])

    (revised,) = demands(fed(agent, [minutes_at(1000, [3], import_kwh=10.0, revision=2), tick_at(1000)]))
    assert what(revised) == (180.0, "measured", True, 180.0, 1)  # 14 x 2.5 + 10 = 45 kWh

    assert not demands(fed(agent, [minutes_at(1001, [3], import_kwh=99.0, revision=1), tick_at(1001)]))
    (later,) = demands(fed(agent, [minutes_at(1002, [4], import_kwh=2.5, revision=1), tick_at(1002)]))
    assert later["demand_kw"] == 180.0


def test_a_maximum_that_is_revised_away_gives_place_to_the_next_largest() -> None:
    agent = billing()
    fed(
        agent,
        [
            site_at(a_billed_site()),
            minutes_at(900, range(15), import_kwh=3.0),
            minutes_at(1800, range(15, 30), import_kwh=5.0),
            minutes_at(2700, range(30, 45), import_kwh=4.0),
            after(45),
        ],
    )

    (revised,) = demands(fed(agent, [minutes_at(2800, range(15, 30), import_kwh=1.0, revision=1), tick_at(2801)]))
    assert (revised["month_max_kw"], revised["month_max_at"]) == (240.0, NOON + 2 * QUARTER_MS)


def test_of_equal_demands_the_first_is_the_maximum() -> None:
    outcomes = fed(billing(), [site_at(a_billed_site()), minutes_at(1800, range(30)), after(30)])

    assert [record["month_max_at"] for record in demands(outcomes)] == [NOON, NOON]


def test_a_new_month_begins_at_local_midnight_without_a_maximum() -> None:
    # 12:00 on 15 July is 16.5 days before August in Shanghai.
    august = (16 * 24 + 12) * 60
    outcomes = fed(
        billing(),
        [
            site_at(a_billed_site()),
            minutes_at(august * 60, range(august - 15, august), import_kwh=9.0),
            minutes_at(august * 60 + 900, range(august, august + 15), import_kwh=2.0),
            after(august + 15),
        ],
    )

    assert [(record["billing_month"], record["month_max_kw"]) for record in demands(outcomes)] == [
        ("2026-07", 540.0),
        ("2026-08", 120.0),
    ]


def test_days_of_silence_and_then_all_of_it_at_once_lose_no_quarter_hour() -> None:
    days = 9 * 24 * 60
    outcomes = fed(billing(), [site_at(a_billed_site()), minutes_at(days * 60, range(days)), after(days)])

    records = demands(outcomes)
    assert [record["ts"] for record in records] == [NOON + n * QUARTER_MS for n in range(days // 15)]
    assert {record["demand_kw"] for record in records} == {150.0}
    assert {record["revision"] for record in records} == {0}


def test_a_site_that_lies_days_behind_another_is_not_hurried() -> None:
    day = 24 * 60
    agent = billing()
    fed(agent, [site_at(a_billed_site()), site_at(a_billed_site("loom")), minutes_at(0, range(7)), tick_at(0)])

    hurried = fed(agent, [minutes_at(1, range(3 * day, 3 * day + 7), site_id="loom"), tick_at(1)])
    (record,) = demands(fed(agent, [minutes_at(2, range(7, 15)), tick_at(2)]))

    assert not demands(hurried)
    assert what(record) == (150.0, "measured", True, 150.0, 0)


def test_a_maximum_stays_when_it_is_too_old_to_be_revised() -> None:
    days = 3 * 24 * 60
    agent = billing()
    outcomes = fed(
        agent,
        [
            site_at(a_billed_site()),
            minutes_at(900, range(15), import_kwh=7.0),
            minutes_at(days * 60, range(15, days), import_kwh=1.0),
            after(days),
        ],
    )

    assert demands(outcomes)[-1]["month_max_kw"] == 420.0


@given(
    qualities=st.lists(st.sampled_from(["measured", "measured", "estimated", "partial"]), min_size=60, max_size=60),
    energies=st.lists(st.one_of(st.none(), st.floats(0.0, 100.0)), min_size=60, max_size=60),
    left_out=st.sets(st.integers(0, 58), max_size=4),
)
def test_no_window_that_was_not_measured_is_ever_in_the_maximum(
    qualities: list[str], energies: list[float | None], left_out: set[int]
) -> None:
    messages: list[Message] = [site_at(a_billed_site())]
    for minute, (quality, kwh) in enumerate(zip(qualities, energies, strict=True)):
        if minute not in left_out:
            messages.append(minutes_at(60 * minute, [minute], quality=quality, import_kwh=kwh))
    measured = []
    for begin in range(0, 60, 15):
        quarter = range(begin, begin + 15)
        known = [energies[n] for n in quarter if n not in left_out and qualities[n] == "measured"]
        energy = [kwh for kwh in known if kwh is not None]
        if len(energy) == 15:
            measured.append(sum(energy) * 4)

    records = demands(fed(billing(), [*messages, after(60)]))

    assert records[-1]["month_max_kw"] == (pytest.approx(max(measured)) if measured else None)
    assert [record["demand_kw"] for record in records if record["counts_as_peak"]] == [
        pytest.approx(kw) for kw in measured
    ]


def test_a_meter_that_leaves_the_grid_connection_is_waited_for_no_longer() -> None:
    agent = billing()
    fed(agent, [site_at(a_billed_site("mill", "main", "second")), minutes_at(900, range(15)), tick_at(901)])

    (record,) = demands(fed(agent, [site_at(a_billed_site(), revision=2), tick_at(902)]))
    assert (record["demand_kw"], record["windows_missing"]) == (150.0, 0)


def test_a_plan_that_is_not_in_the_reference_data_stops_the_agent() -> None:
    site = a_site("mill", a_meter())
    unknown = site.model_copy(update={"tariff": site.tariff.model_copy(update={"plan": "cn-xx"})})

    with pytest.raises(ValueError, match="cn-xx is not in the reference data"):
        fed(billing(), [site_at(unknown)])
