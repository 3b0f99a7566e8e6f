import json
import logging

import pytest

from schemas.contract import Tariff
from schemas.registry import Meter, MeterKind, Registry, Site, Tenant
from streams.registry_state import Changes, RegistryState, changes

DEMO = Tenant(id="demo", name="Demo")


def a_site(name: str = "Mill", site_id: str = "mill") -> Site:
    return Site(
        id=site_id,
        tenant="demo",
        name=name,
        region="CN-ZJ",
        time_zone="Asia/Shanghai",
        tariff=Tariff(plan="cn-zj-large-industry"),
        meters=(Meter(id="main", kind=MeterKind.GRID),),
    )


def a_registry(*sites: Site) -> Registry:
    return Registry(tenants=(DEMO,), sites=sites)


def state_after(*records: tuple[str, str | None]) -> RegistryState:
    state = RegistryState()
    for offset, (key, value) in enumerate(records):
        state.take(key.encode(), None if value is None else value.encode(), offset)
    return state


def record(site: Site) -> tuple[str, str]:
    return f"site/{site.id}", site.model_dump_json()


def test_the_newest_record_of_a_site_counts_and_gives_the_revision():
    state = state_after(record(a_site("Old")), record(a_site("New")))

    assert state.sites["mill"].site.name == "New"
    assert state.sites["mill"].revision == 1
    assert state.version == 2


def test_a_tombstone_deletes_what_its_key_names_and_nothing_else():
    state = state_after(record(a_site()), ("tenant/mill", None), ("other/mill", None), ("mill", None))
    assert list(state.sites) == ["mill"]
    assert state.version == 1

    assert state.take(b"site/mill", None, 4)
    assert state.sites == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"site/mill", b"\xff"),
        (b"site/mill", b"{"),
        (b"site/mill", b"[]"),
        (b"site/mill", b'{"id": "mill"}'),
        (b"site/mill", a_site(site_id="yard").model_dump_json().encode()),
        (b"tenant/demo", a_site().model_dump_json().encode()),
        (b"meter/main", b"{}"),
        (b"", b"{}"),
        (None, b"{}"),
        (b"\xff", b"{}"),
        (b"\xff", None),
    ],
)
def test_a_record_that_makes_no_sense_is_logged_and_changes_nothing(key, value, caplog):
    state = state_after(record(a_site()))

    with caplog.at_level(logging.WARNING):
        assert not state.take(key, value, 7)

    assert state.sites["mill"].revision == 0
    assert state.version == 1
    assert [logged.message for logged in caplog.records] == ["registry_record_skipped"]


def test_what_publishing_would_do_is_told_apart():
    state = state_after(
        ("tenant/demo", DEMO.model_dump_json()),
        record(a_site()),
        record(a_site("Old name", "yard")),
        record(a_site(site_id="gone")),
    )
    wanted = a_registry(a_site(), a_site("New name", "yard"), a_site(site_id="fresh"))

    expected = Changes(
        added=("site/fresh",),
        changed=("site/yard",),
        unchanged=("tenant/demo", "site/mill"),
        kept=("site/gone",),
    )
    assert changes(state, wanted, prune=False) == expected
    assert changes(state, wanted, prune=True).deleted == ("site/gone",)


def test_a_record_written_in_another_order_or_without_defaults_is_unchanged():
    sparse = json.dumps(dict(reversed(a_site().model_dump(mode="json", exclude_defaults=True).items())))
    state = state_after(("tenant/demo", DEMO.model_dump_json()), ("site/mill", sparse))

    assert changes(state, a_registry(a_site()), prune=True).changed == ()


def test_an_unreadable_record_is_written_anew_or_pruned():
    state = state_after(("site/mill", "{"), ("site/gone", "{"), ("tenant/demo", DEMO.model_dump_json()))

    found = changes(state, a_registry(a_site()), prune=True)

    assert (found.changed, found.deleted) == (("site/mill",), ("site/gone",))
