"""Which edition is in force: the newest that is whole, whatever the order in which its records are read."""

from itertools import permutations

import pytest
from builders import ZHEJIANG, a_site

from schemas.flow import SiteRecord
from schemas.reference.catalogue import load_factors, load_tariffs
from schemas.reference.edition import Factor, RegionFactors, regions_of
from schemas.reference.tariffs import TariffPlan
from schemas.topics import FACTORS, TARIFFS
from streams.reference_state import ReferenceState, Stamp, digest_of
from streams.reference_topic import with_edition

PLAN = load_tariffs()[ZHEJIANG]
Records = list[tuple[str, bytes, bytes | None]]


def a_region(kg_per_kwh: float) -> RegionFactors:
    factor = Factor(year=2024, kind="average", kg_co2_per_kwh=kg_per_kwh, source="test", checked=1, gas="CO2")
    return RegionFactors(id="CN-ZJ", grid_code="CN-GRID-EC", factors=(factor,))


def records(version: str, region: RegionFactors, plan: TariffPlan = PLAN) -> Records:
    stamp = Stamp(version=version, digest=digest_of({region.id: region}, {plan.id: plan}))
    return [
        (FACTORS.name, region.id.encode(), region.model_dump_json().encode()),
        (TARIFFS.name, plan.id.encode(), plan.model_dump_json().encode()),
        (FACTORS.name, b"edition", stamp.model_dump_json().encode()),
    ]


def after(*some: tuple[str, bytes, bytes | None], state: ReferenceState | None = None) -> ReferenceState:
    state = state or ReferenceState()
    for number, record in enumerate(some, state.version * 100 + 1):
        state.take(*record, number)
    return state


def in_force(state: ReferenceState) -> str | None:
    return None if state.in_force is None else state.in_force.version


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_an_edition_is_in_force_once_all_of_it_is_there(order: tuple[int, ...]):
    whole = records("first", a_region(0.5))
    state = ReferenceState()

    known = [state.take(*whole[place], 7) for place in order]

    assert known == [False, False, True]
    assert in_force(state) == "first"


def test_the_former_edition_holds_while_the_next_one_is_being_written():
    state = after(*records("first", a_region(0.5)))
    region, plan, stamp = records("second", a_region(0.4))

    after(region, plan, state=state)
    assert in_force(state) == "first"
    assert state.in_force is not None
    assert state.in_force.factors["kg_co2_per_kwh"].to_list() == [0.5]

    after(stamp, state=state)
    assert in_force(state) == "second"


def test_a_deleted_row_takes_effect_with_the_next_edition_only():
    state = after(*records("first", a_region(0.5)), (FACTORS.name, b"CN-ZJ", None))
    assert in_force(state) == "first"

    empty = Stamp(version="second", digest=digest_of({}, {PLAN.id: PLAN}))
    after((FACTORS.name, b"edition", empty.model_dump_json().encode()), state=state)

    assert in_force(state) == "second"
    assert state.in_force is not None
    assert state.in_force.factors.is_empty()


@pytest.mark.parametrize(
    ("topic", "key", "value"),
    [
        (FACTORS.name, b"CN-ZJ", b"not json"),
        (FACTORS.name, b"CN-JS", a_region(0.5).model_dump_json().encode()),
        (FACTORS.name, b"edition", b'{"version": "", "digest": "1"}'),
        (TARIFFS.name, ZHEJIANG.encode(), b"{}"),
    ],
)
def test_a_record_that_makes_no_sense_changes_nothing(topic: str, key: bytes, value: bytes):
    state = after(*records("first", a_region(0.5)))

    assert not state.take(topic, key, value, 9)
    assert in_force(state) == "first"


def test_site_records_carry_their_part_and_are_as_new_as_the_newer_of_both():
    state = after(*records("first", a_region(0.5)))
    assert state.in_force is not None
    sites = {"old": SiteRecord(a_site("old"), 1), "new": SiteRecord(a_site("new"), 99)}

    found = with_edition(sites, state.in_force)

    assert {name: record.revision for name, record in found.items()} == {"old": state.in_force.revision, "new": 99}
    assert {record.edition_version for record in found.values()} == {"first"}
    assert with_edition(sites, None) == sites


def test_the_whole_release_survives_the_way_through_the_topics():
    regions = {region.id: region for region in regions_of(load_factors())}
    read = [RegionFactors.model_validate_json(region.model_dump_json()) for region in regions.values()]
    plans = {name: TariffPlan.model_validate_json(plan.model_dump_json()) for name, plan in load_tariffs().items()}

    assert digest_of({region.id: region for region in read}, plans) == digest_of(regions, load_tariffs())
    assert len(regions) > 30
