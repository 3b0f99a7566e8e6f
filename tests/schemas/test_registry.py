from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.contract import EnergyPrice, Tariff
from schemas.registry import Meter, MeterKind, Shift, Site


def a_meter(meter_id: str = "main", kind: MeterKind = MeterKind.GRID, parent: str | None = None) -> Meter:
    return Meter(id=meter_id, kind=kind, parent=parent)


def a_site(*meters: Meter, tariff: Tariff | None = None, **given: object) -> Site:
    return Site(
        id="mill",
        tenant="demo",
        name="Mill",
        region="CN-ZJ",
        time_zone="Asia/Shanghai",
        tariff=tariff or Tariff(plan="cn-zj-large-industry"),
        meters=meters or (a_meter(),),
        **given,
    )


def a_price(valid_from: date) -> EnergyPrice:
    return EnergyPrice(valid_from=valid_from, floating_base_cny_per_kwh=0.5, fixed_part_cny_per_kwh=0.1)


def test_a_site_survives_its_journey_through_json():
    site = a_site(tariff=Tariff(plan="p", prices=(a_price(date(2026, 7, 1)),)))

    assert Site.model_validate_json(site.model_dump_json()) == site


def test_a_site_can_be_hashed_and_not_changed():
    site = a_site()

    assert hash(site) == hash(a_site())
    with pytest.raises(ValidationError, match="frozen"):
        site.name = "Other"


def test_only_grid_meters_are_grid_meters_whatever_their_order():
    press = a_meter("press", MeterKind.SUB_METER, parent="main")
    roof = a_meter("roof", MeterKind.GENERATION)
    site = a_site(press, roof, a_meter("main"), a_meter("second"))

    assert [meter.id for meter in site.grid_meters] == ["main", "second"]
    assert site.children("main") == (press,)
    assert site.meter("roof") is roof
    with pytest.raises(KeyError):
        site.meter("nowhere")


@pytest.mark.parametrize(
    ("meters", "complaint"),
    [
        ((a_meter("a", MeterKind.SUB_METER),), "at least one"),
        ((a_meter("a"), a_meter("a")), "used twice"),
        ((a_meter("a"), a_meter("b", MeterKind.HVAC, parent="z")), "no meter 'z'"),
        ((a_meter("a"), a_meter("b", MeterKind.HVAC, parent="b")), "circle"),
        ((a_meter("a"), a_meter("b", parent="a")), "counts twice"),
    ],
)
def test_a_site_whose_meters_do_not_fit_together_cannot_be_made(meters, complaint):
    with pytest.raises(ValidationError, match=complaint):
        a_site(*meters)


@pytest.mark.parametrize("wrong", ["", "Mill", "-mill", "mill 1", "m" * 65, "厂", "mill\n"])
def test_an_id_that_breaks_the_rule_is_refused_with_the_rule(wrong):
    with pytest.raises(ValidationError, match="1 to 64 lower-case letters"):
        a_meter(wrong)


@pytest.mark.parametrize("right", ["a", "0", "zj-steel", "a.b_c-d", "m" * 64])
def test_an_id_that_follows_the_rule_is_taken(right):
    assert a_meter(right).id == right


@pytest.mark.parametrize("zone", ["Asia/Shangai", "", "../etc/passwd", "Asia"])
def test_a_time_zone_that_is_none_is_refused(zone):
    with pytest.raises(ValidationError, match="IANA"):
        Site.model_validate(a_site().model_dump() | {"time_zone": zone})


@pytest.mark.parametrize("number", [0, -1, float("nan"), float("inf"), True, "3"])
def test_a_multiplier_is_a_finite_number_above_zero(number):
    with pytest.raises(ValidationError):
        Meter(id="main", kind=MeterKind.GRID, multiplier=number)


def test_prices_must_ascend():
    first, second = a_price(date(2026, 1, 1)), a_price(date(2026, 7, 1))

    assert Tariff(plan="p", prices=(first, second)).prices == (first, second)
    with pytest.raises(ValidationError, match="2026-01-01 follows 2026-07-01"):
        Tariff(plan="p", prices=(second, first))
    with pytest.raises(ValidationError, match="ascend"):
        Tariff(plan="p", prices=(first, first))


@pytest.mark.parametrize(("start", "end"), [("8:00", "17:00"), ("24:00", "06:00"), ("08:00", "24:01")])
def test_a_shift_takes_times_of_day_only(start, end):
    with pytest.raises(ValidationError, match="time of day"):
        Shift(name="day", weekdays=(1,), start=start, end=end)


@pytest.mark.parametrize("weekdays", [(), (1, 1), (0,), (8,)])
def test_a_shift_names_each_of_its_weekdays_once(weekdays):
    with pytest.raises(ValidationError):
        Shift(name="day", weekdays=weekdays, start="08:00", end="17:00")


def test_a_shift_without_length_is_refused():
    with pytest.raises(ValidationError, match="a whole day is '00:00' to '24:00'"):
        Shift(name="day", weekdays=(1,), start="08:00", end="08:00")


@given(parents=st.lists(st.integers(0, 7), min_size=1, max_size=8))
def test_meters_are_accepted_exactly_when_every_chain_of_parents_ends(parents):
    """A number past the last meter stands for no parent."""
    names = [f"m{n}" for n in range(len(parents))]
    chosen = [None if parent >= len(names) else names[parent] for parent in parents]
    ends = all(_ends(name, dict(zip(names, chosen, strict=True))) for name in names)
    meters = [a_meter("grid")]
    meters += [a_meter(name, MeterKind.SUB_METER, parent) for name, parent in zip(names, chosen, strict=True)]

    if ends:
        assert a_site(*meters)
    else:
        with pytest.raises(ValidationError, match="circle"):
            a_site(*meters)


def _ends(name: str, parents: dict[str, str | None]) -> bool:
    above: str | None = name
    for _ in range(len(parents) + 1):
        above = parents[above] if above is not None else None
    return above is None


def test_an_experiment_is_optional_and_says_when_it_begins():
    site = a_site(experiment={"starts_on": "2026-08-03", "block_days": 2}, measure_started_on="2026-01-15")

    assert a_site().experiment is a_site().measure_started_on is None
    assert site.experiment is not None
    assert (site.experiment.starts_on, site.experiment.block_days) == (date(2026, 8, 3), 2)
    assert Site.model_validate_json(site.model_dump_json()) == site


@pytest.mark.parametrize(
    "wrong",
    [{}, {"starts_on": "soon"}, {"starts_on": "2026-08-03", "block_days": 0}, {"starts_on": "2026-08-03", "hours": 6}],
)
def test_an_experiment_that_makes_no_sense_is_refused(wrong: dict[str, object]):
    with pytest.raises(ValidationError):
        a_site(experiment=wrong)
