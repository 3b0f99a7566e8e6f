"""Virtual meters: what a registry may declare, with all that is wrong said at once."""

from builders import a_meter, a_site

from schemas.registry import VirtualMeter
from schemas.registry_checks import site_faults


def faults(*virtual: dict[str, object]) -> list[tuple[tuple[str | int, ...], str]]:
    site = {"meters": [{"id": "main", "kind": "grid"}, {"id": "press", "kind": "sub_meter", "parent": "main"}]}
    return [(fault.location, fault.text) for fault in site_faults(site | {"virtual_meters": list(virtual)})]


def test_sums_and_differences_of_meters_and_of_each_other_are_taken():
    assert not faults({"id": "rest", "plus": ["main"], "minus": ["press"]}, {"id": "twice", "plus": ["rest", "main"]})
    assert a_site("mill", a_meter("main"), virtual_meters=(VirtualMeter(id="v", plus=("main",)),)).virtual_meters


def test_all_that_is_wrong_is_said_at_once():
    found = faults(
        {"id": "main", "plus": ["press"]},
        {"id": "a", "plus": ["mian"], "minus": ["nowhere"]},
        {"id": "a", "plus": []},
        {"id": "b", "plus": ["main"], "equipment": "kiln"},
    )

    assert [location for location, _ in found] == [
        ("virtual_meters", 2, "id"),
        ("virtual_meters", 3, "equipment"),
        ("virtual_meters", 0, "id"),
        ("virtual_meters", 1, "plus", 0),
        ("virtual_meters", 1, "minus", 0),
        ("virtual_meters", 2, "plus"),
    ]
    assert found[3][1] == "there is no meter 'mian' at this site; did you mean 'main'?"


def test_a_virtual_meter_cannot_be_made_of_itself():
    found = faults(
        {"id": "a", "plus": ["b"]}, {"id": "b", "plus": ["main"], "minus": ["a"]}, {"id": "c", "plus": ["a"]}
    )

    assert found == [
        (("virtual_meters", 0), "'a' is made of itself; expected meters and other sums of them"),
        (("virtual_meters", 1), "'b' is made of itself; expected meters and other sums of them"),
    ]
