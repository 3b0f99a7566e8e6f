"""Editions travel in the site's record: what a minute costs and causes follows the log, not the release."""

from dataclasses import replace

import polars as pl
import pytest
from builders import NOON, ZHEJIANG, a_site, fed, rows_at, sent, tick_at, windows

from agents.emissions.step import Emissions
from agents.metering.step import Metering
from agents.pricing.editions import EditionPricing
from agents.pricing.pricing import Reference
from schemas.flow import Kind, Message, SiteRecord
from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_tariffs
from schemas.reference.edition import SiteEdition
from schemas.registry import Site
from schemas.topics import EMISSIONS

RELEASE = Reference(load_factors(), load_tariffs(), REFERENCE_VERSION)


def an_edition(version: str, kg_per_kwh: float) -> SiteEdition:
    """An edition in which Zhejiang has another factor for 2022."""
    mine = (pl.col("region_code") == "CN-ZJ") & (pl.col("kind") == "average")
    factors = load_factors().with_columns(kg_co2_per_kwh=pl.when(mine).then(kg_per_kwh).otherwise("kg_co2_per_kwh"))
    part = SiteEdition.of(version, factors, load_tariffs()[ZHEJIANG], "CN-ZJ")
    assert part is not None
    return part


def the_site(name: str = "mill", revision: int = 1, edition: SiteEdition | None = None) -> Message:
    return Message(Kind.SITE, NOON, record=SiteRecord(a_site(name), revision, edition))


def minute(number: int, site: str = "mill") -> list[Message]:
    at = number * 60 + 61
    return [rows_at(Kind.WINDOWS, at, windows({"minute": number, "site_id": site})), tick_at(at)]


def said(messages: list[Message]) -> list[tuple[object, ...]]:
    rows = sent(fed(Emissions(RELEASE), messages), None, EMISSIONS.name)
    return [(row["site_id"], row["emitted_kg"], row["reference_version"]) for row in rows]


def test_minutes_are_priced_with_the_edition_that_came_before_them_and_name_it():
    published = an_edition("2026-12-28+abc", 0.4)

    found = said([the_site(), *minute(0), the_site(revision=2, edition=published), *minute(1)])

    assert found == [
        ("mill", pytest.approx(2.5 * 0.5153), REFERENCE_VERSION),
        ("mill", pytest.approx(2.5 * 0.4), "2026-12-28+abc"),
    ]


def test_an_older_record_does_not_bring_back_the_edition_before():
    published = an_edition("2026-12-28+abc", 0.4)

    found = said([the_site(revision=2, edition=published), the_site(revision=1), *minute(0)])

    assert [version for *_, version in found] == ["2026-12-28+abc"]


def test_a_replay_by_another_release_gives_the_same_figures():
    messages = [the_site(edition=an_edition("2026-12-28+abc", 0.4)), *minute(0)]
    other_release = replace(RELEASE, factors=RELEASE.factors.with_columns(kg_co2_per_kwh=0.9), version="later")

    first, again = (sent(fed(Emissions(one), messages), None, EMISSIONS.name) for one in (RELEASE, other_release))

    assert first == again


def test_sites_with_different_editions_are_priced_each_by_its_own():
    first, second = an_edition("a", 0.1), an_edition("b", 0.2)
    pricing = EditionPricing(RELEASE)
    pricing.learn(
        [SiteRecord(a_site(name), 1, edition) for name, edition in (("one", first), ("two", second), ("three", None))]
    )
    minutes = pl.DataFrame(
        {"site_id": ["two", "three", "one", "two"], "window_start": [NOON] * 4, "import_kwh": [10.0] * 4}
    )

    priced = pricing.priced(minutes)

    assert priced["site_id"].to_list() == ["two", "three", "one", "two"]
    assert priced["emitted_kg"].to_list() == pytest.approx([2.0, 5.153, 1.0, 2.0])
    assert priced["reference_version"].to_list() == ["b", REFERENCE_VERSION, "a", "b"]
    assert pricing.terms({"one": NOON, "two": NOON})["two"].factor_kg_per_kwh == 0.2


def test_snapshots_and_records_keep_the_edition():
    record = SiteRecord(a_site(), 7, an_edition("a", 0.1))
    assert SiteRecord.of_json(record.to_json()) == record
    before, after = Emissions(RELEASE), Emissions(RELEASE)
    before.step(Message(Kind.SITE, NOON, record=record))

    after.restore(before.snapshot())

    assert sent(fed(after, minute(0)), None, EMISSIONS.name)[0]["reference_version"] == "a"


def test_metering_passes_the_edition_on():
    outputs = Metering(60).step(the_site(edition=an_edition("a", 0.1))).outputs
    (passed_on,) = [output for output in outputs if output.kind is Kind.SITE]
    assert passed_on.record is not None
    assert passed_on.record.edition_version == "a"


def test_an_edition_without_the_plan_of_a_site_is_a_bug():
    site = Site.model_validate(a_site().model_dump() | {"tariff": {"plan": "cn-js-two-part-industry-315kva"}})
    with pytest.raises(ValueError, match="not in the reference data"):
        Emissions(RELEASE).step(Message(Kind.SITE, NOON, record=SiteRecord(site, 1, an_edition("a", 0.1))))
