"""Emissions of a site's minutes: by hand, with meters that are late, silent, or not at the grid."""

import random

import pytest
from builders import NOON, ZHEJIANG, a_meter, a_site, fed, ms, rows_at, sent, site_at, tick_at, windows

from agents.emissions.minutes import KEEP_MS
from agents.emissions.step import HOLD_MS, Emissions
from agents.pricing.pricing import Reference
from schemas.contract import Tariff
from schemas.emission import EMISSION_RECORD
from schemas.flow import Kind, Message, Outcome
from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_tariffs
from schemas.topics import EMISSIONS, MIB
from schemas.window import LIVE_ROWS

HOLD_S = HOLD_MS / 1000
TWO_METERS = a_site("mill", a_meter("main"), a_meter("second"), a_meter("press", kind="sub_meter", parent="main"))


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference(load_factors(), load_tariffs(), REFERENCE_VERSION)


@pytest.fixture
def agent(reference: Reference) -> Emissions:
    return Emissions(reference)


def records(outcomes: list[Outcome]) -> list[dict[str, object]]:
    return sent(outcomes, None, EMISSIONS.name)


def closed(*rows: dict[str, object], s: float = 0) -> Message:
    return rows_at(Kind.WINDOWS, s, windows(*rows))


def test_a_july_evening_in_zhejiang_is_sharp(agent: Emissions):
    at = ms(2026, 7, 15, 10, 30)  # 18:30 there

    outcomes = fed(agent, [site_at(a_site()), closed({"window_start": at, "import_kwh": 2.5}), tick_at(0)])

    (record,) = records(outcomes)
    assert (record["period"], record["tariff_id"]) == ("sharp", "cn-zj-2026-large-industry")
    assert record["price_cny_per_kwh"] == pytest.approx(1.23176, rel=1e-12)  # 0.1551 + 2.05 * 0.5252
    assert record["cost_cny"] == pytest.approx(3.0794, rel=1e-12)  # 2.5 * 1.23176
    assert record["factor_kg_per_kwh"] == 0.5153
    assert record["emitted_kg"] == pytest.approx(1.28825, rel=1e-12)  # 2.5 * 0.5153


def test_the_same_hour_in_june_is_flat_by_the_tariff_before(agent: Emissions):
    at = ms(2026, 6, 17, 10, 30)

    outcomes = fed(agent, [site_at(a_site()), closed({"window_start": at, "import_kwh": 2.5}), tick_at(0)])

    (record,) = records(outcomes)
    assert (record["period"], record["tariff_id"]) == ("flat", "cn-zj-2024-large-industry")
    assert record["cost_cny"] == pytest.approx(1.70075, rel=1e-12)  # 2.5 * (0.1551 + 0.5252)
    assert record["emitted_kg"] == pytest.approx(1.28825, rel=1e-12)


def test_a_record_has_every_column_and_says_what_it_was_computed_with(agent: Emissions):
    outcomes = fed(agent, [site_at(a_site()), closed({"minute": 3, "export_kwh": 0.5}), tick_at(0)])

    (output,) = [one for outcome in outcomes for one in outcome.outputs if one.topic is EMISSIONS]
    assert dict(output.rows.schema) == EMISSION_RECORD
    (record,) = output.rows.to_dicts()
    expected = {
        "id": f"emissions/mill/{NOON + 180_000}/0",
        "tenant_id": "acme",
        "ts": NOON + 180_000,
        "window_s": 60,
        "export_kwh": 0.5,
        "factor_region": "CN-ZJ",
        "factor_year": 2022,
        "quality": "measured",
        "meters": 1,
        "meters_missing": 0,
        "revision": 0,
        "reference_version": REFERENCE_VERSION,
    }
    assert {name: record[name] for name in expected} == expected


def test_nothing_is_sent_before_a_tick(agent: Emissions):
    assert records(fed(agent, [site_at(a_site()), closed({})])) == []


def test_a_minute_is_sent_once_when_all_grid_meters_reported(agent: Emissions):
    outcomes = fed(
        agent,
        [
            site_at(TWO_METERS),
            closed({"import_kwh": 1.0}),
            tick_at(1),
            closed({"import_kwh": 2.0, "meter_id": "second"}, s=2),
            tick_at(2),
            tick_at(HOLD_S + 9),
        ],
    )

    (record,) = records(outcomes)
    assert record["import_kwh"] == 3.0
    assert (record["meters"], record["meters_missing"], record["revision"]) == (2, 0, 0)


def test_a_silent_meter_is_waited_for_and_its_share_follows_as_a_revision(agent: Emissions):
    fed(agent, [site_at(TWO_METERS), closed({"import_kwh": 1.0})])

    assert records(fed(agent, [tick_at(0), tick_at(HOLD_S)])) == []
    (without,) = records(fed(agent, [tick_at(HOLD_S + 0.001), tick_at(HOLD_S + 5)]))
    (revised,) = records(
        fed(agent, [closed({"import_kwh": 2.0, "meter_id": "second"}, s=500), tick_at(500), tick_at(900)])
    )

    assert (without["import_kwh"], without["meters"], without["meters_missing"]) == (1.0, 1, 1)
    assert (revised["import_kwh"], revised["meters"], revised["meters_missing"]) == (3.0, 2, 0)
    assert [one["id"] for one in (without, revised)] == [f"emissions/mill/{NOON}/0", f"emissions/mill/{NOON}/1"]


def test_a_meter_below_another_one_does_not_count(agent: Emissions):
    press = {"meter_id": "press", "meter_kind": "sub_meter", "import_kwh": 9.0}
    outcomes = fed(agent, [site_at(TWO_METERS), closed({}, {"meter_id": "second"}, press), tick_at(0)])

    assert [(one["import_kwh"], one["meters"]) for one in records(outcomes)] == [(5.0, 2)]


def test_of_a_site_with_sub_meters_alone_nothing_is_sent(agent: Emissions):
    outcomes = fed(agent, [site_at(a_site()), closed({"meter_kind": "sub_meter"}), tick_at(0), tick_at(999)])

    assert [output for outcome in outcomes for output in outcome.outputs] == []


def test_minutes_of_several_sites_are_priced_by_their_own_contract(agent: Emissions):
    guangdong = a_site(
        "panels",
        region="CN-GD",
        tariff=Tariff.model_validate(
            {
                "plan": "cn-gd-industry",
                "prices": [
                    {
                        "valid_from": "2026-01-01",
                        "floating_base_cny_per_kwh": 0.6206,
                        "fixed_part_cny_per_kwh": 0.0277,
                    }
                ],
            }
        ),
    )
    at = ms(2026, 9, 1, 3, 30)  # 11:30 there: sharp in Guangdong, ratio 1.7 * 1.25

    outcomes = fed(
        agent,
        [
            site_at(a_site()),
            site_at(guangdong),
            closed({"window_start": at}, {"window_start": at, "site_id": "panels"}),
            tick_at(0),
        ],
    )

    mill, panels = records(outcomes)
    assert (mill["site_id"], mill["period"], panels["site_id"], panels["period"]) == (
        "mill",
        "valley",
        "panels",
        "sharp",
    )
    assert panels["price_cny_per_kwh"] == pytest.approx(0.0277 + 0.6206 * 1.7 * 1.25, rel=1e-12)


@pytest.mark.parametrize(
    ("qualities", "worst"),
    [
        (("measured", "measured"), "measured"),
        (("measured", "estimated"), "estimated"),
        (("estimated", "partial"), "partial"),
        (("partial", "measured"), "partial"),
    ],
)
def test_a_minute_is_as_good_as_the_worst_of_its_meters(agent: Emissions, qualities: tuple[str, str], worst: str):
    first, second = (
        {"meter_id": name, "quality": one} for name, one in zip(("main", "second"), qualities, strict=True)
    )

    outcomes = fed(agent, [site_at(TWO_METERS), closed(first), closed(second), tick_at(0)])

    assert [one["quality"] for one in records(outcomes)] == [worst]


def test_without_a_price_the_cost_is_unknown_and_not_zero(agent: Emissions):
    unpriced = a_site(tariff=Tariff(plan=ZHEJIANG))

    (record,) = records(fed(agent, [site_at(unpriced), closed({}), tick_at(0)]))

    assert record["cost_cny"] is None
    assert record["price_cny_per_kwh"] is None
    assert record["period"] is not None
    assert record["emitted_kg"] == pytest.approx(2.5 * 0.5153)


def test_without_energy_there_is_neither_cost_nor_carbon(agent: Emissions):
    (record,) = records(fed(agent, [site_at(a_site()), closed({"import_kwh": None, "export_kwh": 1.0}), tick_at(0)]))

    assert (record["import_kwh"], record["cost_cny"], record["emitted_kg"]) == (None, None, None)


@pytest.mark.parametrize("kind", [Kind.WINDOWS, Kind.LIVE])
def test_data_of_a_site_without_record_is_a_bug(agent: Emissions, kind: Kind):
    rows = windows({"site_id": "ghost"})
    if kind is Kind.LIVE:
        rows = rows.rename({"window_start": "ts"}).with_columns(power_kw=1.0, open_import_kwh=0.0).select(*LIVE_ROWS)

    with pytest.raises(ValueError, match=r"no site record came before the data of .*ghost"):
        fed(agent, [site_at(a_site()), rows_at(kind, 0, rows)])


def test_a_plan_that_is_not_in_the_reference_data_is_a_bug(agent: Emissions):
    with pytest.raises(ValueError, match="no-such-plan"):
        agent.step(site_at(a_site(tariff=Tariff(plan="no-such-plan"))))


def test_an_older_record_of_a_site_changes_nothing(agent: Emissions):
    fed(agent, [site_at(a_site(), 5), site_at(TWO_METERS, 4)])

    assert [one["meters_missing"] for one in records(fed(agent, [closed({}), tick_at(0)]))] == [0]


def test_minutes_that_wait_as_long_as_they_may_fit_into_a_message(agent: Emissions):
    fed(agent, [site_at(TWO_METERS)])
    chance = random.Random(7)
    for start_s in range(0, KEEP_MS // 1000 + 86_400, 86_400):
        minutes = range(start_s // 60, start_s // 60 + 1440)
        rows = windows(
            *({"minute": one, "import_kwh": chance.random(), "export_kwh": chance.random()} for one in minutes)
        )
        fed(agent, [rows_at(Kind.WINDOWS, start_s, rows), tick_at(start_s), tick_at(start_s + HOLD_S + 1)])

    assert len(agent.snapshot()["mill"]) < MIB * 0.9


def test_what_waits_at_one_site_is_left_alone_when_another_site_is_sent(agent: Emissions):
    fed(agent, [site_at(TWO_METERS), site_at(a_site("weaver")), closed({"minute": 0}), tick_at(0)])
    before = dict(agent.snapshot())

    outcomes = fed(agent, [closed({"site_id": "weaver"}), tick_at(1)])

    assert [one["site_id"] for one in records(outcomes)] == ["weaver"]
    assert set(agent.snapshot()) == {"weaver"}
    assert set(before) == {"mill", "weaver"}
