"""Running sums equal those of a single pass over what was true in the end (Hypothesis)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
from billed import REFERENCE, a_billed_site, billing, demands, ledgers
from builders import a_window, ms, site_at
from hypothesis import given
from hypothesis import strategies as st

from agents.billing.step import Billing
from agents.pricing.tariff import tariff_calendar
from schemas.emission import PERIODS
from schemas.flow import Kind, Message, Outcome
from schemas.window import WINDOW_ROWS

SHANGHAI = ZoneInfo("Asia/Shanghai")
BEGIN = ms(2026, 6, 30, 13)  # 21:00 of the last day of June in Shanghai
MINUTES = 5 * 60  # until 2:00 of the first of July
SITES = {"mill": ("main", "second"), "loom": ("main",)}


@dataclass(frozen=True)
class Minute:
    """One window as it arrives; the highest revision of a meter's minute is what is true."""

    site: str
    meter: str
    minute: int
    kwh: float | None
    quality: str
    revision: int


_MINUTE = st.builds(
    Minute,
    site=st.sampled_from(["mill", "mill", "loom"]),
    meter=st.sampled_from(["main", "second"]),
    minute=st.integers(0, MINUTES - 1),
    kwh=st.one_of(st.none(), st.floats(0.0, 50.0), st.sampled_from([0.1, 1 / 3, 2.5])),
    quality=st.sampled_from(["measured", "measured", "estimated", "partial"]),
    revision=st.integers(1, 4),
)


@st.composite
def histories(draw: st.DrawFn) -> list[list[Minute]]:
    """Minutes in batches: all of revision 0, some left out, some revised, in any order."""
    left_out = draw(st.sets(st.integers(0, MINUTES - 2), max_size=20))  # the last one closes the last quarter hour
    kwh = draw(st.lists(st.sampled_from([0.1, 1 / 3, 2.5, 7.7]), min_size=7, max_size=7))
    first = [
        Minute(site, meter, minute, kwh[(minute + number) % 7], "measured", 0)
        for site, meters in SITES.items()
        for number, meter in enumerate(meters)
        for minute in range(MINUTES)
        if minute not in left_out
    ]
    revised = [one for one in draw(st.lists(_MINUTE, max_size=25)) if one.meter in SITES[one.site]]
    found = [*first, *dict.fromkeys(revised)]
    if draw(st.booleans()):
        found = draw(st.permutations(found))
    cuts = sorted(draw(st.lists(st.integers(0, len(found)), max_size=8)))
    return [found[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(found)], strict=True)]


def message(batch: list[Minute], arrived_at: int) -> Message:
    rows = [
        a_window(
            site_id=one.site,
            meter_id=one.meter,
            window_start=BEGIN + one.minute * 60_000,
            import_kwh=one.kwh,
            quality=one.quality,
            revision=one.revision,
        )
        for one in batch
    ]
    return Message(Kind.WINDOWS, arrived_at, pl.DataFrame(rows, schema=WINDOW_ROWS, orient="row"))


def run(batches: list[list[Minute]], restarts: set[int]) -> list[Outcome]:
    """Feed batches with a tick after each, restarting from snapshots after some."""
    agent = billing()
    sites = [site_at(a_billed_site(name, *meters)) for name, meters in SITES.items()]
    outcomes = [agent.step(site) for site in sites]
    kept: dict[str, bytes] = {}
    for number, batch in enumerate(batches):
        arrived_at = BEGIN + (MINUTES + number) * 60_000
        outcomes.append(agent.step(message(batch, arrived_at)))
        if number in restarts:
            agent, kept = restarted(agent, kept)
        outcomes.append(agent.step(Message(Kind.TICK, arrived_at)))
        if number in restarts:
            agent, kept = restarted(agent, kept)
    outcomes.append(agent.step(Message(Kind.TICK, BEGIN + 2 * MINUTES * 60_000)))
    return outcomes


def restarted(agent: Billing, kept: dict[str, bytes]) -> tuple[Billing, dict[str, bytes]]:
    kept = kept | dict(agent.snapshot())
    fresh = billing()
    fresh.restore(kept)
    return fresh, kept


def truth(batches: list[list[Minute]]) -> dict[tuple[str, str, int], Minute]:
    """The newest revision of each minute; of equal ones the first to arrive."""
    found: dict[tuple[str, str, int], Minute] = {}
    for batch in batches:
        for one in sorted(batch, key=lambda one: -one.revision):
            held = found.get((one.site, one.meter, one.minute))
            if held is None or one.revision > held.revision:
                found[one.site, one.meter, one.minute] = one
    return found


def pico(one: Minute) -> int:
    return round((one.kwh or 0.0) * 10**12)


def newest(rows: list[dict[str, object]], *key: str) -> Mapping[tuple[object, ...], dict[str, object]]:
    return {tuple(row[name] for name in key): row for row in sorted(rows, key=lambda row: int(str(row["revision"])))}


PLAN = REFERENCE.plans["cn-js-two-part-industry-315kva"]
CALENDAR = tariff_calendar(PLAN, (), SHANGHAI, date(2026, 6, 30), date(2026, 7, 1))


def local(minute: int) -> datetime:
    return (datetime.fromtimestamp(BEGIN / 1000, UTC) + timedelta(minutes=minute)).astimezone(SHANGHAI)


def period(minute: int) -> str:
    at = BEGIN + minute * 60_000
    return str(CALENDAR.filter(pl.col("starts_at") <= at, pl.col("ends_at") > at)["period"].item())


PERIOD_OF = [period(minute) for minute in range(MINUTES)]


@given(batches=histories(), restarts=st.sets(st.integers(0, 8)))
def test_the_ledger_equals_a_single_pass_through_shuffles_revisions_and_restarts(
    batches: list[list[Minute]], restarts: set[int]
) -> None:
    outcomes = run(batches, restarts)

    true = truth(batches)
    for span, length in (("day", 10), ("month", 7)):
        said = newest(ledgers(outcomes, span), "site_id", "first_day")
        assert len(said) == 2 * len(SITES)
        for (site, first_day), row in said.items():
            mine = [
                one
                for one in true.values()
                if one.site == site and local(one.minute).date().isoformat()[:length] == str(first_day)[:length]
            ]
            by_period = dict.fromkeys(PERIODS, 0)
            for one in mine:
                by_period[PERIOD_OF[one.minute]] += pico(one)
            assert row["energy_kwh"] == sum(map(pico, mine)) / 10**12
            assert {name: row[f"{name}_kwh"] for name in PERIODS} == {
                name: energy / 10**12 for name, energy in by_period.items()
            }
            assert (row["windows"], row["windows_not_measured"], row["windows_without_energy"]) == (
                len(mine),
                sum(one.quality != "measured" for one in mine),
                sum(one.kwh is None for one in mine),
            )


@given(batches=histories(), restarts=st.sets(st.integers(0, 8)))
def test_demands_equal_a_single_pass_and_their_sum_is_the_energy_of_the_ledger(
    batches: list[list[Minute]], restarts: set[int]
) -> None:
    outcomes = run(batches, restarts)

    true = truth(batches)
    said = newest(demands(outcomes), "site_id", "ts")
    assert {site for site, _ in said} == set(SITES)
    for (site, ts), row in said.items():
        first = (int(str(ts)) - BEGIN) // 60_000
        mine = [one for one in true.values() if one.site == site and first <= one.minute < first + 15]
        known = [one for one in mine if one.kwh is not None]
        whole = len(known) == 15 * len(SITES[str(site)])
        energy = sum(map(pico, known))
        assert row["import_kwh"] == (energy / 10**12 if known else None)
        assert row["demand_kw"] == (4 * energy / 10**12 if whole else None)
        assert row["counts_as_peak"] == (whole and all(one.quality == "measured" for one in mine))
    for site in SITES:
        peaks = [float(str(row["demand_kw"])) for key, row in said.items() if key[0] == site and row["counts_as_peak"]]
        july = [row for key, row in said.items() if key[0] == site and row["billing_month"] == "2026-07"]
        assert all(float(str(row["month_max_kw"] or 0.0)) <= max(peaks, default=0.0) for row in july)
        last = newest(ledgers(outcomes, "month"), "site_id", "first_day")
        of_july = [float(str(row["demand_kw"])) for row in july if row["counts_as_peak"]]
        if (site, "2026-07-01") in last:
            assert last[site, "2026-07-01"]["max_demand_kw"] == max(of_july, default=None)
