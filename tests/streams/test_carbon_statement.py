"""The statement of a year from what is stored: two Scope 2 lines, activities, and apart from them what was avoided."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from builders import a_meter, a_site, ms
from clickhouse_connect.driver.client import Client

from agents.pricing.activities import record_of
from schemas.activity import ACTIVITY_RECORD, Activity
from schemas.instruments import MarketBased, SoldCertificate
from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_fuels, load_lifecycle
from schemas.reference.problems import ReferenceDataError
from schemas.registry import Registry, Tenant
from sinks.clickhouse.carbon import store_activities
from sinks.clickhouse.client import connect
from sinks.clickhouse.migrate import migrate
from streams.carbon_statement import Statement, read_intensity, statement

MILL = a_site(
    "mill",
    a_meter(),
    a_meter("pv", kind="generation"),
    market_based=MarketBased(sold=(SoldCertificate(id="pv-1", vintage=2026, kwh=1000),)),
)
REGISTRY = Registry(tenants=(Tenant(id="acme", name="Acme"),), sites=(MILL,))
# Noon: 30 kWh drawn, 100 generated, 20 exported. Night: 50 drawn. The last hour is of 2027 in Zhejiang.
NOON, NIGHT, NEXT_YEAR = ms(2026, 7, 1, 4), ms(2026, 7, 1, 15), ms(2026, 12, 31, 16)
ENERGY = [
    ("main", "grid", NOON, 30.0, 20.0),
    ("pv", "generation", NOON, 100.0, None),
    ("main", "grid", NIGHT, 50.0, 0.0),
    ("pv", "generation", NIGHT, 0.0, None),
    ("main", "grid", NEXT_YEAR, 7.0, 0.0),
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A history with the energy of the hours."""
    client = connect(f"chdb://{tmp_path_factory.mktemp('statement')}")
    migrate(client)
    for meter, kind, start, imported, exported in ENERGY:
        client.command(
            "INSERT INTO energy_hour (tenant_id, site_id, meter_id, window_start, meter_kind, import_kwh, export_kwh,"
            f" windows, version) VALUES ('acme', 'mill', '{meter}', {start // 1000}, '{kind}', {imported},"
            f" {'NULL' if exported is None else exported}, 60, 1)"
        )
        if kind == "grid":
            client.command(
                "INSERT INTO emissions_15min (tenant_id, site_id, window_start, import_kwh, windows, version)"
                f" VALUES ('acme', 'mill', {start // 1000}, {imported}, 15, 1)"
            )
    heat = Activity(
        id="heat-1",
        site_id="mill",
        fuel="heat",
        quantity=10,
        unit="GJ",
        first_day=date(2026, 1, 1),
        last_day=date(2026, 1, 31),
    )
    for quantity in (5.0, 10.0):  # the second one corrects the first
        record = record_of(heat.model_copy(update={"quantity": quantity}), MILL, load_fuels(), REFERENCE_VERSION)
        store_activities(client, pl.DataFrame([record], schema=ACTIVITY_RECORD))
    yield client
    client.close()


def stated(client: Client, intensity: pl.DataFrame | None = None) -> Statement:
    return statement(client, REGISTRY, load_factors(), load_lifecycle(), 2026, intensity=intensity)


def test_a_year_is_that_of_the_site_and_both_lines_are_settled(client: Client):
    mill = stated(client).settlement.sites[0]

    assert mill.import_kwh == 80.0
    assert mill.location_kg == pytest.approx(80 * 0.5153)
    # 100 generated less 20 exported were used on the site; their certificates were sold
    assert [(line.part, line.kwh) for line in mill.lines] == [("residual", 80.0), ("sold", 80.0)]
    assert mill.market_kg == pytest.approx(160 * 0.6096)


def test_avoided_emissions_stay_apart_and_state_their_baseline(client: Client):
    found = stated(client)

    assert found.avoided["mill"].kg == pytest.approx(100 * 0.5153)
    assert found.avoided["mill"].net_kg == pytest.approx(100 * (0.5153 - 0.0545))
    assert found.avoided["mill"].baseline.startswith("grid average of CN-ZJ 2022, 0.5153 kg/kWh")
    assert found.settlement.sites[0].location_kg == pytest.approx(80 * 0.5153)  # nothing was netted


def test_an_activity_that_is_reported_again_replaces_the_former(client: Client):
    rows = stated(client).by_activity.select("scope", "emitted_kg", "activities").rows()

    assert rows == [("2-heat", pytest.approx(1100.0), 1)]


def test_the_carbon_free_score_matches_generation_and_load_of_the_same_hour(client: Client):
    row = stated(client).carbon_free.row(by_predicate=pl.col("period") == "2026", named=True)

    # loads: 30 + 100 - 20 = 110 at noon, 50 at night; 100 were matched
    assert row["strict_score"] == pytest.approx(100 / 160)
    assert (row["score"], row["hours"]) == (None, 2)


def test_with_the_intensity_of_the_grid_by_hour_there_is_a_score_with_its_share(client: Client, tmp_path: Path):
    file = tmp_path / "grid.csv"
    lines = [
        f"CN-ZJ,{datetime.fromtimestamp(at / 1000, UTC).isoformat()},{share},0.5"
        for at, share in ((NOON, 0.4), (NIGHT, 0.2))
    ]
    file.write_text("\n".join(["region_code,hour,grid_share,grid_kg_per_kwh", *lines]), encoding="utf-8")

    row = stated(client, read_intensity(file)).carbon_free.row(by_predicate=pl.col("period") == "2026", named=True)

    assert row["score"] == pytest.approx((100 + 10 * 0.4 + 50 * 0.2) / 160)
    assert row["residual_kg"] == pytest.approx(60 * 0.5)


def test_a_share_that_is_none_is_refused_with_its_line(tmp_path: Path):
    file = tmp_path / "grid.csv"
    file.write_text(
        "region_code,hour,grid_share,grid_kg_per_kwh\nCN-ZJ,2026-07-01T04:00:00Z,40,0.5\n", encoding="utf-8"
    )

    with pytest.raises(ReferenceDataError, match="line 2: grid_share: expected a share from 0 to 1"):
        read_intensity(file)
