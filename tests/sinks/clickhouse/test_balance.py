"""The balance and its distribution agree at every zoom, to the last digit."""

from datetime import date
from decimal import Decimal

import pytest
from builders import a_meter, a_site, fed, rows_at, site_at, tick_at, windows

from agents.balance.step import HOLD_MS, Balance
from agents.pricing.pricing import Reference
from schemas.balance import BALANCE_ROWS
from schemas.flow import Kind
from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_tariffs
from schemas.registry import Equipment, Zone
from sinks.clickhouse.balance import BALANCE_TABLE
from sinks.clickhouse.records import Record
from streams.frame.codec import batch_value
from tests.sinks.clickhouse.builders import rows_of
from tests.sinks.clickhouse.test_views import store

MINUTES = range(0, 60 * 30, 7)  # over midnight of the site
SITE = a_site(
    "mill",
    a_meter("main"),
    a_meter("roof", kind="generation"),
    a_meter("hall", kind="sub_meter", parent="main"),
    a_meter("press", kind="sub_meter", parent="hall", equipment="p1"),
    equipment=(Equipment(id="p1", name="Press 1", kind="press"),),
    zones=(Zone(id="north", name="North", area_m2=10.0, meter="hall"),),
)
KINDS = {"main": "grid", "roof": "generation", "hall": "sub_meter", "press": "sub_meter"}


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference(load_factors(), load_tariffs(), REFERENCE_VERSION)


def kwh(meter: str, minute: int) -> float:
    """Energies that no binary number holds exactly."""
    return {"main": 7.1, "roof": 2.3, "hall": 5.7, "press": 1.9}[meter] / (1 + minute % 11)


def balance_messages(reference: Reference, tenant: str = "acme") -> list[Record]:
    site = SITE.model_copy(update={"tenant": tenant})
    rows = [
        {
            "tenant_id": tenant,
            "meter_id": meter,
            "meter_kind": kind,
            "minute": minute,
            "import_kwh": kwh(meter, minute),
            "export_kwh": 0.1 if meter == "main" and minute % 2 else None,
        }
        for minute in MINUTES
        for meter, kind in KINDS.items()
    ]
    outcomes = fed(Balance(reference), [site_at(site), rows_at(Kind.WINDOWS, 0, windows(*rows)), tick_at(HOLD_MS)])
    made = [output.rows for outcome in outcomes for output in outcome.outputs if output.rows is not None]
    return [
        Record(n, 0, None, batch_value(frame), {"kind": b"balance", "origin": f"0:{n}:0".encode()})
        for n, frame in enumerate(made)
    ]


def test_every_row_of_the_topic_is_stored_as_it_was(client, reference):
    store(client, BALANCE_TABLE, *balance_messages(reference))

    rows = rows_of(client, "SELECT count(), countIf(part = 'site'), count(DISTINCT name) FROM v_balance")

    assert rows == [(4 * len(MINUTES), len(MINUTES), 4)]
    assert set(BALANCE_ROWS) < {str(name) for name, *_ in rows_of(client, "DESCRIBE TABLE balance")}


def test_a_minute_a_quarter_an_hour_a_day_and_a_month_have_the_same_sums(client, reference):
    store(client, BALANCE_TABLE, *balance_messages(reference))
    columns = "import_kwh, export_kwh, generation_kwh, self_use_kwh, load_kwh, own_kwh, cost_cny, emitted_kg, minutes"
    sums = ", ".join(f"sum({name})" for name in columns.split(", "))

    found = [
        rows_of(client, f"SELECT part, name, {sums} FROM v_balance_{zoom} GROUP BY part, name ORDER BY part, name")
        for zoom in ("15min", "hour", "day", "month")
    ]

    assert found[0] == found[1] == found[2] == found[3]
    loads = [round(kwh("main", m) * 1e9) + round(kwh("roof", m) * 1e9) - (10**8 if m % 2 else 0) for m in MINUTES]
    site = next(row for row in found[3] if row[0] == "site")
    assert site[6] == Decimal(sum(loads)).scaleb(-9)


@pytest.mark.parametrize("zoom", ["hour", "day", "month"])
def test_each_dimension_adds_up_to_the_site(client, reference, zoom):
    store(client, BALANCE_TABLE, *balance_messages(reference))
    time = {"hour": "window_start", "day": "local_day", "month": "local_month"}[zoom]

    parts = rows_of(
        client,
        f"SELECT dimension, {time}, sum(kwh), sum(cost_cny), sum(emitted_kg), abs(sum(share) - 1) < 1e-12 "
        f"FROM v_distribution_{zoom} GROUP BY dimension, {time} ORDER BY ALL",
    )
    whole = rows_of(
        client,
        f"SELECT s.{time}, s.load_kwh, c.cost, c.kg FROM v_balance_{zoom} AS s JOIN "
        f"(SELECT {time}, sum(cost_cny) AS cost, sum(emitted_kg) AS kg FROM v_balance_{zoom} "
        f"WHERE part != 'virtual' GROUP BY {time}) AS c ON s.{time} = c.{time} WHERE s.part = 'site' ORDER BY ALL",
    )

    by_dimension = {name: [row[1:] for row in parts if row[0] == name] for name in {row[0] for row in parts}}
    assert set(by_dimension) == {"meter", "equipment_class", "area", "period", "source"}
    for found in by_dimension.values():
        assert found == [(*row, True) for row in whole]


def test_the_distribution_names_meters_classes_areas_and_sources(client, reference):
    store(client, BALANCE_TABLE, *balance_messages(reference))

    names = rows_of(
        client,
        "SELECT dimension, arraySort(groupUniqArray(name)) FROM v_distribution_month WHERE dimension != 'period' "
        "GROUP BY dimension ORDER BY dimension",
    )

    assert names == [
        ("area", ["", "north"]),
        ("equipment_class", ["", "press"]),
        ("meter", ["hall", "main", "press"]),
        ("source", ["generation", "grid"]),
    ]
    months = rows_of(client, "SELECT DISTINCT local_month FROM v_distribution_month")
    assert months == [(date(2026, 7, 1),)]


def test_tenants_with_the_same_site_are_kept_apart(client, reference):
    store(client, BALANCE_TABLE, *balance_messages(reference))
    store(client, BALANCE_TABLE, *balance_messages(reference, "other"), log_id="log-2")

    for view in ("v_balance_month", "v_distribution_month"):
        found = rows_of(client, f"SELECT tenant_id, count() FROM {view} GROUP BY tenant_id ORDER BY tenant_id")
        assert [row[0] for row in found] == ["acme", "other"]
        assert found[0][1] == found[1][1]


def test_a_revision_replaces_the_row_in_every_sum(client, reference):
    first = balance_messages(reference)
    store(client, BALANCE_TABLE, *first)
    before = rows_of(client, "SELECT load_kwh FROM v_balance_month WHERE part = 'site'")

    client.command(
        "INSERT INTO balance SELECT * REPLACE (revision + 1 AS revision, load_kwh + 1 AS load_kwh) "
        "FROM balance WHERE part = 'site' LIMIT 1"
    )

    after = rows_of(client, "SELECT load_kwh FROM v_balance_month WHERE part = 'site'")
    assert after == [(before[0][0] + 1,)]
