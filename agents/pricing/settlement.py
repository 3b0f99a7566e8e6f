"""The market-based line of a year: certificates, contracts, supplier and residual mix, none of them allocated twice.

Volumes are settled when a year (or what there is of it) is known, from the energy of its local days. So a settlement
depends on the days alone, not on the order in which they came or were corrected. See docs/adr/0027.
"""

from calendar import isleap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from agents.pricing.carbon import RESIDUAL_KIND, factor_for, location_based_kg
from agents.pricing.carbon_shelf import CarbonShelf
from schemas.instruments import VINTAGE_AGE_YEARS, PowerContract
from schemas.registry import Site, Tenant

DAYS: dict[str, pl.DataType] = {
    "site_id": pl.String(),
    "local_day": pl.Date(),
    "import_kwh": pl.Float64(),
    "self_use_kwh": pl.Float64(),  # of on-site generation; null where none is measured
}

CERTIFICATES, CONTRACTS, SOLD = "certificates", "contracts", "sold"


@dataclass(frozen=True, slots=True)
class Claim:
    """A batch of certificates as one site or several sites claim it.

    Parameters
    ----------
    kwh
        Energy of the batch. [kWh]
    kg_per_kwh
        Emission rate it carries; None if it states none. [kg/kWh]
    market
        Country it is issued for.
    vintage, for_year
        Year it was made in, and reporting year it is claimed for.
    sites
        Who may use it; several share it in proportion to what is left uncovered.
    """

    id: str
    kwh: float
    kg_per_kwh: float | None
    market: str
    vintage: int
    for_year: int
    sites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A part of a site's energy and what it carries.

    Parameters
    ----------
    part
        `certificates`, `contracts`, `supplier`, `residual`, `average`, or `sold`: self-used energy whose certificates
        were sold; it is in no other line, and not part of the import.
    instrument
        Id in the registry; empty for residual mix and grid average.
    kwh, kg
        The energy and its emissions; kg is None without a factor. [kWh], [kg]
    """

    part: str
    instrument: str
    kwh: float
    kg: float | None


@dataclass(frozen=True, slots=True)
class SiteYear:
    """Both Scope 2 lines of a site and year.

    Parameters
    ----------
    import_kwh
        Energy drawn. [kWh]
    location_kg, market_kg
        The two lines; None where a part of the energy has no factor. [kg]
    kwh_without_factor
        Energy without a factor in the market-based line. [kWh]
    lines
        What the market-based line is made of, in the order of the choice.
    """

    site_id: str
    year: int
    import_kwh: float
    location_kg: float | None
    market_kg: float | None
    kwh_without_factor: float
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Settlement:
    """A year of all sites.

    Parameters
    ----------
    sites
        In the order they were given.
    excess_kwh
        What an instrument has beyond what was drawn; it earns nothing. [kWh]
    refused
        Instruments that cannot be used, and why.
    """

    sites: tuple[SiteYear, ...]
    excess_kwh: Mapping[str, float]
    refused: Mapping[str, str]


def claims_of(tenants: Iterable[Tenant], sites: Iterable[Site]) -> list[Claim]:
    """Return all certificates that are claimed: those of single sites first, since nobody else can use them."""
    own = [
        Claim(one.id, one.kwh, one.kg_per_kwh, one.market, one.vintage, one.for_year, (site.id,))
        for site in sites
        for one in site.market_based.certificates
    ]
    shared = [
        Claim(one.id, one.kwh, one.kg_per_kwh, one.market, one.vintage, one.for_year, one.sites)
        for tenant in tenants
        for one in tenant.certificates
    ]
    return own + shared


def refusals(claims: Sequence[Claim], sold: Iterable[str], countries: Mapping[str, str]) -> dict[str, str]:
    """Say which claims cannot be used, and why.

    Parameters
    ----------
    claims
        All claims of a registry.
    sold
        Certificates of on-site generation that were sold.
    countries
        Country of each site.

    Examples
    --------
    >>> batch = Claim("gec-1", 1000.0, 0.0, "CN", 2024, 2026, ("mill",))
    >>> refusals([batch], [], {"mill": "CN"})
    {'gec-1': 'vintage 2024 is not near the reporting year 2026'}
    """
    times = Counter(claim.id for claim in claims)
    gone = set(sold)
    found: dict[str, str] = {}
    for claim in claims:
        abroad = [site for site in claim.sites if countries.get(site, claim.market) != claim.market]
        if times[claim.id] > 1:
            found[claim.id] = f"claimed {times[claim.id]} times"
        elif claim.id in gone:
            found[claim.id] = "claimed although it was sold"
        elif claim.kg_per_kwh is None:
            found[claim.id] = "no emission rate is stated"
        elif abroad:
            found[claim.id] = f"of market {claim.market}, which site {abroad[0]} does not belong to"
        elif not 0 <= claim.for_year - claim.vintage <= VINTAGE_AGE_YEARS:
            found[claim.id] = f"vintage {claim.vintage} is not near the reporting year {claim.for_year}"
    return found


def covered(
    claims: Sequence[Claim], open_kwh: Mapping[str, float]
) -> tuple[dict[tuple[str, str], float], dict[str, float]]:
    """Give certificates to sites: older vintages first, never more than what is open.

    Parameters
    ----------
    claims
        Usable claims, those of single sites before those that are shared.
    open_kwh
        Energy drawn by each site. [kWh]

    Returns
    -------
    tuple
        kWh by claim and site, and kWh left over by claim.

    Examples
    --------
    >>> batch = Claim("gec", 900.0, 0.0, "CN", 2026, 2026, ("a", "b"))
    >>> covered([batch], {"a": 1000.0, "b": 500.0})
    ({('gec', 'a'): 600.0, ('gec', 'b'): 300.0}, {'gec': 0.0})
    """
    left = dict(open_kwh)
    given: dict[tuple[str, str], float] = {}
    excess: dict[str, float] = {}
    for claim in sorted(claims, key=lambda claim: (len(claim.sites) > 1, claim.vintage, claim.id)):
        mine = [site for site in dict.fromkeys(claim.sites) if left.get(site, 0.0) > 0.0]
        total = sum(left[site] for site in mine)
        for site in mine:
            part = left[site] if claim.kwh >= total else claim.kwh * left[site] / total
            given[claim.id, site] = part
            left[site] = max(0.0, left[site] - part)
        excess[claim.id] = max(0.0, claim.kwh - total)
    return given, excess


def settle(
    year: int, days: pl.DataFrame, tenants: Sequence[Tenant], sites: Sequence[Site], factors: pl.DataFrame
) -> Settlement:
    """Settle a reporting year.

    Parameters
    ----------
    year
        Calendar year in local time.
    days
        `DAYS`; other years are left out.
    tenants, sites
        The registry.
    factors
        Rows of `schemas.reference.catalogue.load_factors`.
    """
    mine = days.filter(pl.col("local_day").dt.year() == year).join(
        pl.DataFrame({"site_id": [site.id for site in sites]}, schema={"site_id": pl.String}), on="site_id", how="semi"
    )
    drawn = {
        str(site): float(kwh) for site, kwh in mine.group_by("site_id").agg(pl.col("import_kwh").sum()).iter_rows()
    }
    claims = claims_of(tenants, sites)
    sold = [one.id for site in sites for one in site.market_based.sold]
    refused = refusals(claims, sold, {site.id: site.country for site in sites})
    usable = [claim for claim in claims if claim.id not in refused and claim.for_year == year]
    given, excess = covered(usable, drawn)
    shelf = CarbonShelf(factors)
    numbers = shelf.learn({site.id: (site.region, site.market_based) for site in sites})
    settled = []
    for site in sites:
        own = mine.filter(pl.col("site_id") == site.id)
        if own.is_empty():
            continue
        carbon = shelf.at(pl.repeat(numbers[site.id], own.height, dtype=pl.Int64, eager=True), own["local_day"])
        lines = [
            Line(CERTIFICATES, claim.id, given[claim.id, site.id], given[claim.id, site.id] * (claim.kg_per_kwh or 0.0))
            for claim in usable
            if (claim.id, site.id) in given
        ]
        left = max(0.0, drawn[site.id] - sum(line.kwh for line in lines))
        for line, beyond_kwh in _by_contract(site, year, own, left):
            if line.kwh:
                lines.append(line)
                left = max(0.0, left - line.kwh)
            excess[line.instrument] = beyond_kwh
        lines += _rest(own.hstack(carbon), left)
        lines += _sold(site, year, own, factors)
        location = own["import_kwh"] * carbon["factor_kg_per_kwh"]
        unknown = carbon["factor_kg_per_kwh"].is_null() & (own["import_kwh"] > 0)
        settled.append(
            SiteYear(
                site.id,
                year,
                drawn[site.id],
                None if unknown.any() else float(location.sum()),
                None if any(line.kg is None for line in lines) else sum(line.kg or 0.0 for line in lines),
                sum(line.kwh for line in lines if line.kg is None),
                tuple(lines),
            )
        )
    return Settlement(tuple(settled), {one: kwh for one, kwh in excess.items() if kwh > 0}, refused)


def _by_contract(site: Site, year: int, days: pl.DataFrame, left: float) -> list[tuple[Line, float]]:
    """Give what is left to contracts, those by share first; with what each has beyond it."""
    found = []
    for one in sorted(site.market_based.contracts, key=lambda one: (one.share is None, one.valid_from, one.id)):
        held = [day for day in days["local_day"].to_list() if one.holds_on(day)]
        if not held:
            continue
        drawn = float(days.filter(pl.col("local_day").is_in(held))["import_kwh"].sum())
        bought = drawn * one.share if one.share is not None else _of_year(one, year)
        kwh = min(bought, drawn, left)
        left -= kwh
        found.append((Line(CONTRACTS, one.id, kwh, kwh * one.kg_per_kwh), bought - kwh))
    return found


def _of_year(one: PowerContract, year: int) -> float:
    """Energy of a contract in a year, by the days it is valid. [kWh]"""
    first = max(one.valid_from, date(year, 1, 1))
    last = min(one.valid_to or date.max, date(year, 12, 31))
    return (one.kwh_per_year or 0.0) * ((last - first).days + 1) / (366 if isleap(year) else 365)


def _rest(days: pl.DataFrame, left: float) -> list[Line]:
    """Share what no instrument covers out over the factors of the days, in proportion to what they have open."""
    open_kwh = pl.col("import_kwh") * (1 - pl.col("market_contract_share"))
    parts = (
        days.with_columns(open_kwh=open_kwh)
        .filter(pl.col("open_kwh") > 0)
        .group_by(pl.col("market_rest_kind", "market_rest_source"), maintain_order=True)
        .agg(
            kwh=pl.col("open_kwh").sum(),
            kg=(pl.col("open_kwh") * pl.col("market_rest_kg_per_kwh")).sum(),
            known=pl.col("market_rest_kg_per_kwh").is_not_null().all(),
        )
    )
    total = float(parts["kwh"].sum())
    if left <= 0 or total <= 0:
        return []
    share = left / total
    return [
        Line(
            kind or "unknown",
            source.partition(":")[0] if kind == "supplier" else "",
            kwh * share,
            kg * share if known else None,
        )
        for kind, source, kwh, kg, known in parts.iter_rows()
    ]


def _sold(site: Site, year: int, days: pl.DataFrame, factors: pl.DataFrame) -> list[Line]:
    """Self-used energy whose certificates were sold carries the residual mix; sold ones are taken to be of it first."""
    lines = []
    left = None if days["self_use_kwh"].is_null().all() else float(days["self_use_kwh"].sum())
    factor = factor_for(factors, site.region, year, RESIDUAL_KIND) or factor_for(factors, site.region, year)
    for one in site.market_based.sold:
        if one.vintage != year:
            continue
        kwh = one.kwh if left is None else min(one.kwh, left)
        left = None if left is None else left - kwh
        # Without a meter nobody knows how much of it was used on the site.
        known = left is not None and factor is not None
        kg = location_based_kg(kwh, factor.factor_kg_per_kwh) if known and factor is not None else None
        lines.append(Line(SOLD, one.id, kwh, kg))
    return lines
