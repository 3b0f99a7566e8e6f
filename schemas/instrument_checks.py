"""How instruments of the market-based line must fit together: nothing is claimed twice, nor where it cannot be.

As in `schemas.registry_checks` the checks work on plain data, and say the place and the reason.
"""

from collections.abc import Iterator, Mapping
from datetime import date

from schemas.instruments import VINTAGE_AGE_YEARS
from schemas.registry_checks import Fault, Location, entries_of

_FULL_SHARE = 1 + 1e-9  # shares are decimal fractions: 0.1 + 0.2 + 0.7 is all of it


def instrument_faults(registry: object) -> Iterator[Fault]:
    """Yield what does not fit among the instruments of a registry.

    Parameters
    ----------
    registry
        The registry as plain data: mappings, lists and scalars.

    Examples
    --------
    >>> batch = {"id": "gec-7", "market": "US", "vintage": 2026, "for_year": 2026}
    >>> site = {"id": "mill", "tenant": "acme", "region": "CN-ZJ", "market_based": {"certificates": [batch]}}
    >>> [fault.text for fault in instrument_faults({"sites": [site]})]
    ["a certificate of market US cannot be claimed in CN; expected market 'CN'"]
    """
    yield from _claimed_twice(registry)
    countries: dict[str, str] = {}
    owners: dict[str, str] = {}
    for index, site in entries_of(registry, "sites"):
        name, tenant, country = site.get("id"), site.get("tenant"), _country(site)
        if isinstance(name, str):
            if country is not None:
                countries[name] = country
            if isinstance(tenant, str):
                owners[name] = tenant
        market_based = site.get("market_based")
        place: Location = ("sites", index, "market_based")
        for kind, noun in (("certificates", "certificate"), ("contracts", "contract")):
            for number, one in entries_of(market_based, kind):
                if country is not None:
                    yield from _of_market(one, country, noun, (*place, kind, number, "market"))
        for number, one in entries_of(market_based, "certificates"):
            yield from _near_its_year(one, (*place, "certificates", number, "vintage"))
        yield from _too_much_by_contract(market_based, place)
        yield from _suppliers_overlap(market_based, place)
    for index, tenant_entry in entries_of(registry, "tenants"):
        for number, one in entries_of(tenant_entry, "certificates"):
            where: Location = ("tenants", index, "certificates", number)
            yield from _near_its_year(one, (*where, "vintage"))
            yield from _sites_of(one, tenant_entry.get("id"), owners, countries, where)


def _claimed_twice(registry: object) -> Iterator[Fault]:
    """Yield certificates that are claimed more than once, or claimed although they were sold."""
    seen: dict[str, str] = {}
    for location, certificate_id, holder in _certificates(registry):
        if certificate_id in seen:
            text = f"certificate '{certificate_id}' is used by {seen[certificate_id]} and by {holder}"
            yield Fault((*location, "id"), f"{text}; expected one claim to it in the whole registry")
        else:
            seen[certificate_id] = holder


def _certificates(registry: object) -> Iterator[tuple[Location, str, str]]:
    for index, tenant in entries_of(registry, "tenants"):
        for number, one in entries_of(tenant, "certificates"):
            if isinstance(name := one.get("id"), str):
                yield ("tenants", index, "certificates", number), name, f"tenant {tenant.get('id')}"
    for index, site in entries_of(registry, "sites"):
        for kind, how in (("certificates", "site"), ("sold", "the buyer of site")):
            for number, one in entries_of(site.get("market_based"), kind):
                if isinstance(name := one.get("id"), str):
                    place: Location = ("sites", index, "market_based", kind, number)
                    yield place, name, f"{how} {site.get('id')}"


def _country(site: Mapping[str, object]) -> str | None:
    region = site.get("region")
    return region.partition("-")[0] if isinstance(region, str) else None


def _of_market(one: Mapping[str, object], country: str, noun: str, place: Location) -> Iterator[Fault]:
    market = one.get("market")
    if isinstance(market, str) and market != country:
        yield Fault(place, f"a {noun} of market {market} cannot be claimed in {country}; expected market '{country}'")


def _near_its_year(one: Mapping[str, object], place: Location) -> Iterator[Fault]:
    vintage, for_year = one.get("vintage"), one.get("for_year")
    if isinstance(vintage, int) and isinstance(for_year, int) and not 0 <= for_year - vintage <= VINTAGE_AGE_YEARS:
        expected = f"{for_year - VINTAGE_AGE_YEARS} or {for_year}"
        yield Fault(place, f"vintage {vintage} is not near the reporting year {for_year}; expected {expected}")


def _sites_of(
    one: Mapping[str, object], tenant: object, owners: Mapping[str, str], countries: Mapping[str, str], place: Location
) -> Iterator[Fault]:
    named = one.get("sites")
    for number, site in enumerate(named if isinstance(named, list | tuple) else ()):
        if not isinstance(site, str):
            continue
        if owners.get(site) != tenant:
            text = f"there is no site '{site}' of this tenant; expected the id of one of its own"
            yield Fault((*place, "sites", number), text)
        elif site in countries:
            yield from _of_market(one, countries[site], "certificate", (*place, "market"))


def _too_much_by_contract(market_based: object, place: Location) -> Iterator[Fault]:
    """Yield contracts whose shares are more than everything on some day."""
    shares = [
        (number, one, float(share))
        for number, one in entries_of(market_based, "contracts")
        if isinstance(share := one.get("share"), int | float)
    ]
    for number, one, _ in shares:
        if (first := _day(one.get("valid_from"))) is None:
            continue
        total = sum(share for _, other, share in shares if _holds(other, first))
        if total > _FULL_SHARE:
            text = f"the contracts valid on {first} cover {total:g} of what is drawn; expected at most 1 together"
            yield Fault((*place, "contracts", number, "share"), text)


def _suppliers_overlap(market_based: object, place: Location) -> Iterator[Fault]:
    listed = list(entries_of(market_based, "suppliers"))
    for number, one in listed:
        if (first := _day(one.get("valid_from"))) is None:
            continue
        others = [other.get("id") for at, other in listed if at != number and _holds(other, first)]
        if others:
            text = f"'{others[0]}' is valid on {first} too; expected one supplier rate a day"
            yield Fault((*place, "suppliers", number, "valid_from"), text)


def _holds(one: Mapping[str, object], day: date) -> bool:
    first, last = _day(one.get("valid_from")), _day(one.get("valid_to"))
    return first is not None and first <= day and (last is None or day <= last)


def _day(written: object) -> date | None:
    try:
        return date.fromisoformat(str(written))
    except ValueError:
        return None
