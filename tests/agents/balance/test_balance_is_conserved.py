"""Whatever the meters say: energy is in exactly one place, and parts make up the whole."""

from collections import defaultdict

import pytest
from builders import a_meter, a_site, fed, rows_at, sent, site_at, tick_at, windows
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.balance.step import HOLD_MS, Balance
from agents.pricing.pricing import Reference
from schemas.flow import Kind
from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_tariffs
from schemas.registry import Meter, Site, VirtualMeter

REFERENCE = Reference(load_factors(), load_tariffs(), REFERENCE_VERSION)
UNITS = 1e9


@st.composite
def sites(draw: st.DrawFn) -> Site:
    grids = [a_meter(f"grid-{n}") for n in range(draw(st.integers(1, 2)))]
    meters: list[Meter] = [*grids]
    for number in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(["sub_meter", "sub_meter", "hvac", "generation"]))
        parent = draw(st.sampled_from([None, *(meter.id for meter in meters)]))
        meters.append(a_meter(f"m{number}", kind=kind, parent=parent))
    plus = tuple(meter.id for meter in meters if draw(st.booleans())) or ("grid-0",)
    minus = tuple(meter.id for meter in meters if draw(st.booleans()))
    virtual = (VirtualMeter(id="v", plus=plus, minus=minus), VirtualMeter(id="w", plus=("v", "grid-0")))
    return a_site("mill", *meters, virtual_meters=virtual)


ENERGY = st.one_of(st.none(), st.floats(0, 500, allow_nan=False), st.just(0.0))


def whole(value: object) -> int | None:
    return None if value is None else round(float(str(value)) * UNITS)


@st.composite
def balances(draw: st.DrawFn) -> tuple[Site, list[dict[str, object]], list[dict[str, object]]]:
    site = draw(sites())
    said: list[dict[str, object]] = []
    for minute in range(2):
        for meter in site.meters:
            if draw(st.integers(0, 9)):
                energy = {"import_kwh": draw(ENERGY), "export_kwh": draw(ENERGY)}
                said.append({"meter_id": meter.id, "meter_kind": meter.kind.value, "minute": minute} | energy)
    messages = [site_at(site), rows_at(Kind.WINDOWS, 0, windows(*said)), tick_at(0), tick_at(HOLD_MS / 1000 + 1)]
    return site, said, sent(fed(Balance(REFERENCE), messages), Kind.BALANCE)


def by_minute(rows: list[dict[str, object]]) -> dict[object, dict[str, dict[str, object]]]:
    found: dict[object, dict[str, dict[str, object]]] = defaultdict(dict)
    for row in rows:
        found[row["window_start"]][str(row["name"])] = row
    return found


@settings(max_examples=60, deadline=None)
@given(balances())
def test_what_all_parts_own_is_the_load_of_the_site_to_the_last_digit(made: tuple[object, ...]):
    _, _, rows = made
    for minute in by_minute(rows).values():
        site = minute[""]
        parts = [row for row in minute.values() if row["part"] != "virtual"]
        if site["load_kwh"] is None:
            assert all(row["own_kwh"] is None for row in parts)
            continue
        assert sum(whole(row["own_kwh"]) for row in parts) == whole(site["load_kwh"])
        assert sum(whole(row["own_from_generation_kwh"]) for row in parts) == (whole(site["self_use_kwh"]) or 0)
        for row in parts:
            shares = whole(row["own_from_grid_kwh"]) + whole(row["own_from_generation_kwh"])
            assert shares == whole(row["own_kwh"])


@settings(max_examples=60, deadline=None)
@given(balances())
def test_load_and_export_are_import_and_generation(made: tuple[object, ...]):
    _, _, rows = made
    for minute in by_minute(rows).values():
        site = minute[""]
        if site["load_kwh"] is not None:
            into = whole(site["import_kwh"]) + (whole(site["generation_kwh"]) or 0)
            assert whole(site["load_kwh"]) + (whole(site["export_kwh"]) or 0) == into


@settings(max_examples=60, deadline=None)
@given(balances())
def test_self_use_is_neither_above_generation_nor_above_load(made: tuple[object, ...]):
    _, _, rows = made
    for minute in by_minute(rows).values():
        site = minute[""]
        if site["self_use_kwh"] is not None:
            assert whole(site["self_use_kwh"]) >= 0
            assert whole(site["self_use_kwh"]) <= max(0, whole(site["generation_kwh"]))
            assert whole(site["self_use_kwh"]) <= max(0, whole(site["load_kwh"]))


@settings(max_examples=60, deadline=None)
@given(balances())
def test_money_and_carbon_of_the_parts_are_those_of_what_the_site_drew(made: tuple[object, ...]):
    _, _, rows = made
    for minute in by_minute(rows).values():
        site = minute[""]
        if site["load_kwh"] is not None:
            kg = sum(whole(row["emitted_kg"]) for row in minute.values() if row["part"] != "virtual")
            assert kg == pytest.approx(whole(site["import_kwh"]) * 0.5153, abs=2.0)


@settings(max_examples=60, deadline=None)
@given(balances())
def test_a_virtual_meter_is_the_sum_of_its_parts(made: tuple[object, ...]):
    site, said, rows = made
    assert isinstance(site, Site)
    virtual = site.virtual_meters[0]
    for start, minute in by_minute(rows).items():
        net = {}
        for one in said:
            if windows(one)["window_start"][0] == start:
                drawn, exported = whole(one["import_kwh"]), whole(one["export_kwh"])
                net[one["meter_id"]] = None if drawn is None else drawn - (exported or 0)
                if drawn is None and one["meter_kind"] == "generation":
                    net[one["meter_id"]] = exported
        counted = [
            name for name in (*virtual.plus, *virtual.minus) if virtual.plus.count(name) != virtual.minus.count(name)
        ]
        if not counted:
            continue
        known = [net.get(name) for name in counted]
        found = minute["v"]["load_kwh"]
        if None in known:
            assert found is None
        else:
            signs = [1 if name in virtual.plus else -1 for name in counted]
            assert whole(found) == sum(sign * value for sign, value in zip(signs, known, strict=True))
