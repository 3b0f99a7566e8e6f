"""Sites beside their own past and beside others: on a real engine, and never a figure of one other tenant."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sinks.clickhouse.peers import PeerRules, peers, set_rules, why_no_peers
from tests.sinks.clickhouse.builders import rows_of

JULY = date(2026, 7, 1)
TABLES = ("ledger", "site_profiles", "production", "peer_rules")

Sites = Mapping[tuple[str, str], Mapping[str, object]]


def put(client: Client, sites: Sites, rules: PeerRules | None = None) -> None:
    """Fill the history with sites of whole final Julys: `kwh` and `units` of each day, area, sector, unit."""
    for table in TABLES:
        client.command(f"TRUNCATE TABLE {table}")
    if rules is not None:
        set_rules(client, rules)
    days = [JULY + timedelta(days=number) for number in range(31)]
    bills, made, profiles = [], [], []
    for (tenant, site), about in sites.items():
        of_site = {"tenant_id": tenant, "site_id": site}
        for day in days[: int(str(about.get("days", 31)))]:
            is_final = bool(about.get("final", True))
            bills.append(
                of_site | {"span": "day", "first_day": day, "ts": day, "energy_kwh": about["kwh"], "is_final": is_final}
            )
            if about.get("units") is not None:
                made.append(
                    of_site
                    | {"ts": day, "local_day": day, "units_made": about["units"], "unit": about.get("unit", "t")}
                )
        profiles.append(
            of_site
            | {
                "ts": JULY,
                "sector": about.get("sector", "textiles"),
                "floor_area_m2": about.get("area"),
                "production_unit": about.get("unit", "t"),
                "revision": 1,
            }
        )
    _into(client, "ledger", bills, {"energy_kwh": pl.Float64}, windows=1)
    _into(client, "site_profiles", profiles, {"floor_area_m2": pl.Float64})
    if made:
        _into(client, "production", made, {"units_made": pl.Float64}, interval_s=86_400)


def _into(
    client: Client,
    table: str,
    rows: Sequence[Mapping[str, object]],
    types: Mapping[str, type[pl.DataType]],
    **more: int,
) -> None:
    frame = pl.DataFrame(rows, schema_overrides=types, infer_schema_length=None)
    whole = frame.with_columns(
        pl.col("ts").cast(pl.Datetime("ms", "UTC")), *(pl.lit(value).alias(name) for name, value in more.items())
    )
    client.insert_arrow(table, whole.to_arrow())


def textile_mills(*kwh: float, area: float = 1000.0) -> dict[tuple[str, str], dict[str, object]]:
    return {(f"tenant-{number}", f"mill-{number}"): {"kwh": one, "area": area} for number, one in enumerate(kwh)}


def test_a_site_is_set_beside_the_sum_of_the_others(client: Client) -> None:
    put(client, textile_mills(10, 20, 30, 40, 50, 60))

    found = peers(client, "tenant-0", "mill-0", JULY).rows(named=True)

    # The others: 200 kWh a day on 5,000 m2, 31 days: 1.24 kWh/m2. Its own: 310 kWh on 1,000 m2.
    assert found == [
        {"measure": "kwh_per_m2", "per_unit": "m2", "own": 0.31, "peers": 5, "peers_mean": pytest.approx(1.24)}
    ]


def test_production_is_a_divisor_too_in_the_same_unit_only(client: Client) -> None:
    mills = textile_mills(10, 20, 30, 40, 50, 60, 70)
    for number, about in enumerate(mills.values()):
        about |= {"units": 2.0, "unit": "t" if number < 6 else "m2", "area": None}
    put(client, mills)

    found = peers(client, "tenant-0", "mill-0", JULY).rows(named=True)

    # 200 kWh by 10 t.
    assert found == [{"measure": "kwh_per_unit", "per_unit": "t", "own": 5.0, "peers": 5, "peers_mean": 20.0}]


def test_what_is_told_of_others_has_three_digits(client: Client) -> None:
    put(client, textile_mills(10, 20.123, 30.456, 40.789, 50.1, 60.2))

    assert peers(client, "tenant-0", "mill-0", JULY)["peers_mean"].to_list() == [pytest.approx(1.25)]


@pytest.mark.parametrize(
    ("why", "sites"),
    [
        ("too few others", textile_mills(10, 20, 30, 40, 50)),
        ("too few others", textile_mills(10, 20, 30, 40, 50, 500)),
        (
            "too few others",
            textile_mills(10, 20, 30, 40, 50) | {("tenant-1", f"mill-1{n}"): {"kwh": 20, "area": 9} for n in range(9)},
        ),
        ("no sector", textile_mills(20, 20, 30, 40, 50, 60) | {("tenant-0", "mill-0"): {"kwh": 1, "sector": None}}),
        ("floor area", textile_mills(20, 20, 30, 40, 50, 60) | {("tenant-0", "mill-0"): {"kwh": 1}}),
        ("not over", textile_mills(20, 20, 30, 40, 50, 60) | {("tenant-0", "mill-0"): {"kwh": 1, "days": 30}}),
        ("not over", textile_mills(20, 20, 30, 40, 50, 60) | {("tenant-0", "mill-0"): {"kwh": 1, "final": False}}),
    ],
    ids=["a tenant too few", "one dominates", "many sites of few", "no sector", "no divisor", "a day short", "running"],
)
def test_without_a_group_nothing_is_told(client: Client, why: str, sites: Sites) -> None:
    put(client, sites)

    assert peers(client, "tenant-0", "mill-0", JULY).is_empty()
    assert why in why_no_peers(client, "tenant-0", "mill-0", JULY)


def test_the_rules_can_be_set_but_never_below_three(client: Client) -> None:
    put(client, textile_mills(10, 20, 30, 40), PeerRules(3, 0.5))
    assert peers(client, "tenant-0", "mill-0", JULY)["peers"].to_list() == [3]

    put(client, textile_mills(10, 20, 30), PeerRules(1, 1.0))
    assert peers(client, "tenant-0", "mill-0", JULY).is_empty()

    assert not set_rules(client, PeerRules(1, 1.0))
    assert set_rules(client, PeerRules(5, 0.5))


some_sites = st.dictionaries(
    st.tuples(st.sampled_from([f"tenant-{n}" for n in range(8)]), st.sampled_from([f"site-{n}" for n in range(12)])),
    st.fixed_dictionaries(
        {
            "kwh": st.floats(0.5, 1000),
            "area": st.none() | st.floats(1, 10_000),
            "units": st.none() | st.floats(0, 100),
            "unit": st.sampled_from(["t", "m2"]),
            "sector": st.sampled_from(["textiles", "paper", None]),
        }
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(some_sites, st.integers(1, 6), st.floats(0.2, 1.0))
def test_a_group_never_holds_the_asking_tenant_nor_too_few_nor_one_that_dominates(
    client: Client, sites: Sites, min_tenants: int, max_share: float
) -> None:
    sites = {(tenant, f"{tenant}-{site}"): about for (tenant, site), about in sites.items()}
    put(client, sites, PeerRules(min_tenants, max_share))

    told = rows_of(client, "SELECT tenant_id, site_id, measure, peers, peers_mean FROM v_peers_month")

    expected = {}
    for (tenant, site), about in sites.items():
        for measure in ("kwh_per_m2", "kwh_per_unit"):
            others: dict[str, list[float]] = {}
            for (other, _), theirs in sites.items():
                alike = theirs["sector"] == about["sector"] is not None and other != tenant
                same_unit = measure == "kwh_per_m2" or theirs["unit"] == about["unit"]
                if alike and same_unit and divisor(theirs, measure):
                    sums = others.setdefault(other, [0.0, 0.0])
                    sums[0] += float(str(theirs["kwh"])) * 31
                    sums[1] += divisor(theirs, measure)
            total = [sum(one[place] for one in others.values()) for place in (0, 1)]
            if not divisor(about, measure) or len(others) < max(3, min_tenants):
                continue
            share = max(one[place] / total[place] for one in others.values() for place in (0, 1))
            if abs(share - max_share) > 1e-9 and share < max_share:
                expected[tenant, site, measure] = (len(others), pytest.approx(total[0] / total[1], rel=0.006))
    assert {(row[0], row[1], row[2]): (row[3], row[4]) for row in told} == expected


def divisor(about: Mapping[str, object], measure: str) -> float:
    if measure == "kwh_per_m2":
        return float(str(about["area"] or 0))
    return float(str(about["units"] or 0)) * 31
