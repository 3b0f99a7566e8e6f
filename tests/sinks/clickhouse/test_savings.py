"""Savings are stored record by record, the view says what is known now, and tenants add up what is shown."""

import json

import pytest

from bench.savings import a_site, an_agent, messages
from schemas.saving import SAVING_RECORD
from sinks.clickhouse.records import Record
from sinks.clickhouse.savings import SAVINGS_TABLE, newest
from tests.agents.savings.test_step import FIRST, days_of, said
from tests.sinks.clickhouse.builders import rows_of
from tests.sinks.clickhouse.test_views import store


def a_record(site: str, zone: str | None, day: int, **given: object) -> dict[str, object]:
    """What is said of a site or zone on a day of March."""
    about: dict[str, object] = dict.fromkeys(SAVING_RECORD)
    about |= {"id": f"savings/{site}/{zone}/{day}", "tenant_id": "acme", "site_id": site, "zone_id": zone}
    about |= {"ts": 1_772_467_200_000 + day * 86_400_000, "method": "switchback", "state": "shown", "reason": "x"}
    about |= {"from_day": "2026-03-02", "to_day": f"2026-03-{day:02}", "message_en": "e", "message_zh": "z"}
    about |= {"saved_kwh": 100.0, "saved_kwh_low": 70.0, "saved_kwh_high": 130.0, "saved_cny": 60.0, "saved_kg": 50.0}
    return about | {"market_saved_kg": 55.0, "model_version": "savings/1"} | given


def stored(client, *rows: dict[str, object]) -> None:
    sent = [
        Record(number, int(str(row["ts"])), b"k", json.dumps(row).encode(), {"origin": f"0:{number}:0".encode()})
        for number, row in enumerate(rows)
    ]
    store(client, SAVINGS_TABLE, *sent)


def test_what_the_agent_says_is_a_row_and_the_view_has_the_newest_of_site_and_zone(client):
    site = a_site("mill", experiment={"starts_on": FIRST.isoformat()})
    rows = said(an_agent(), messages([site], days_of(site, FIRST, 4)))
    stored(client, *rows)

    assert rows_of(client, "SELECT count() FROM savings") == [(6,)]
    columns = [name for name in SAVING_RECORD if name not in {"ts", "from_day", "to_day"}]
    found = rows_of(client, f"SELECT {', '.join(columns)} FROM v_savings ORDER BY zone_id NULLS FIRST")
    assert found == [tuple(row[name] for name in columns) for row in rows[-2:]]
    assert newest(client, "bench", "mill")["zone_id"].to_list() == [None, "office"]
    assert newest(client, "other", "mill").is_empty()
    assert rows_of(client, "SELECT toString(from_day), toString(to_day) FROM v_savings LIMIT 1") == [
        ("2026-02-02", "2026-02-04")
    ]


def test_a_tenant_has_what_is_shown_of_its_sites_and_of_zones_only_where_their_site_shows_nothing(client):
    stored(
        client,
        a_record("mill", None, 9, saved_kwh=1.0),
        a_record("mill", None, 10),
        a_record("mill", "hall", 10, saved_kwh=90.0),
        a_record("dye", None, 10, state="not_shown_yet", saved_kwh=None, saved_kwh_low=None, saved_kwh_high=None),
        a_record("dye", "office", 10, saved_kwh=20.0, saved_kwh_low=-20.0, saved_kwh_high=60.0, saved_cny=None),
        a_record("loom", None, 10, state="not_shown_yet", saved_kwh=None),
    )

    ((tenant, sites, kwh, low, high, cny, kg, market_kg),) = rows_of(
        client, "SELECT tenant_id, sites, kwh, kwh_low, kwh_high, cny, kg, market_kg FROM v_savings_by_tenant"
    )
    assert (tenant, sites, kwh) == ("acme", 2, 120.0)
    assert (low, high) == pytest.approx((70.0, 170.0))  # 30 and 40 kWh, in squares
    assert (cny, kg, market_kg) == (None, 100.0, 110.0)
