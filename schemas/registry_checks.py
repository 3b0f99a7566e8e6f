"""How the entries of a registry must fit together.

The checks work on plain data as it was written, so they find what they can even where single entries are
wrong: a file with ten mistakes is reported in one go.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import pairwise

from schemas.hvac import COMFORT_MAX_C, COMFORT_MIN_C, DEAD_BAND_K, SETPOINT_MAX_C, SETPOINT_MIN_C

Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that does not fit, and the place in the data where it shows."""

    location: Location
    text: str
    rests_on: str = ""  # a field below the place; where that is wrong itself, the fault says nothing new


def site_faults(site: object) -> Iterator[Fault]:
    """Yield what does not fit within one site.

    Parameters
    ----------
    site
        A site as plain data: mappings, lists and scalars.

    Examples
    --------
    >>> main = {"id": "main", "kind": "grid"}
    >>> site = {"meters": [main, {"id": "press", "kind": "sub_meter", "parent": "mian"}]}
    >>> [(fault.location, fault.text) for fault in site_faults(site)]
    [(('meters', 1, 'parent'), "there is no meter 'mian' at this site; did you mean 'main'?")]
    """
    for kind in ("meters", "equipment", "zones"):
        yield from _repeated(kind, _ids(site, kind), "at this site")
    meters = _ids(site, "meters")
    machines = _ids(site, "equipment")
    yield from _dangling(site, "meters", "parent", "meter", meters)
    yield from _dangling(site, "meters", "equipment", "equipment", machines)
    yield from _dangling(site, "zones", "meter", "meter", meters)
    yield from _cycles(site)
    yield from _grid_meters(site)
    yield from _virtual_meters(site)
    yield from _hvac(site)


def registry_faults(registry: object, known_regions: Collection[str], known_plans: Collection[str]) -> Iterator[Fault]:
    """Yield what does not fit across a whole registry, the faults within each site included.

    Parameters
    ----------
    registry
        The registry as plain data: mappings, lists and scalars.
    known_regions
        Region codes of the reference data.
    known_plans
        Tariff plans of the reference data.
    """
    tenants = _ids(registry, "tenants")
    yield from _repeated("tenants", tenants, "in this registry")
    yield from _repeated("sites", _ids(registry, "sites"), "in this registry")
    yield from _dangling(registry, "sites", "tenant", "tenant", tenants, where="in this registry")
    yield from _shared_points(
        (("sites", number, *place), address, name)
        for number, site in entries_of(registry, "sites")
        for place, address, name in _points(site)
    )
    for index, site in entries_of(registry, "sites"):
        yield from _unknown(site, ("region",), known_regions, "a region of the reference data", index)
        yield from _unknown(site, ("tariff", "plan"), known_plans, "a tariff plan of the reference data", index)
        for fault in site_faults(site):
            yield replace(fault, location=("sites", index, *fault.location))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint to the closest known word, or nothing when none is close.

    Examples
    --------
    >>> did_you_mean("mulitplier", ["multiplier", "parent"])
    "; did you mean 'multiplier'?"
    >>> did_you_mean("colour", ["multiplier", "parent"])
    ''
    """
    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def entries_of(holder: object, field: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield the entries of a list that are mappings, with their places."""
    listed = holder.get(field) if isinstance(holder, Mapping) else None
    if isinstance(listed, list | tuple):
        for index, entry in enumerate(listed):
            if isinstance(entry, Mapping):
                yield index, entry


def _ids(holder: object, field: str) -> list[tuple[int, str]]:
    named = ((index, entry.get("id")) for index, entry in entries_of(holder, field))
    return [(index, name) for index, name in named if isinstance(name, str)]


def _repeated(field: str, ids: list[tuple[int, str]], where: str) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, name in ids:
        if name in seen:
            yield Fault((field, index, "id"), f"'{name}' is used twice {where}; expected ids to be unique")
        seen.add(name)


def _dangling(
    holder: object,
    field: str,
    reference: str,
    target: str,
    targets: list[tuple[int, str]],
    *,
    where: str = "at this site",
) -> Iterator[Fault]:
    known = {name for _, name in targets}
    for index, entry in entries_of(holder, field):
        name = entry.get(reference)
        if isinstance(name, str) and name not in known:
            hint = did_you_mean(name, sorted(known)) or f"; expected the id of {_with_article(target)}"
            yield Fault((field, index, reference), f"there is no {target} '{name}' {where}{hint}")


def _with_article(noun: str) -> str:
    return "a piece of equipment" if noun == "equipment" else f"a {noun}"


def _cycles(site: object) -> Iterator[Fault]:
    parents: dict[str, str] = {}
    places: dict[str, int] = {}
    for index, meter in entries_of(site, "meters"):
        name, parent = meter.get("id"), meter.get("parent")
        if isinstance(name, str) and isinstance(parent, str):
            parents[name] = parent
            places[name] = index
    reported: set[str] = set()
    for start in parents:
        chain = [start]
        while (above := parents.get(chain[-1])) is not None and above not in chain:
            chain.append(above)
        if above == start and start not in reported:
            reported.update(chain)
            circle = " -> ".join([*chain, start])
            yield Fault(
                ("meters", places[start], "parent"),
                f"the meters go in a circle ({circle}); expected a tree with a grid meter on top",
            )


def _grid_meters(site: object) -> Iterator[Fault]:
    listed = site.get("meters") if isinstance(site, Mapping) else None
    if not isinstance(listed, list | tuple):
        return
    grid = [(index, meter) for index, meter in entries_of(site, "meters") if meter.get("kind") == "grid"]
    if not grid:
        text = "no meter is of kind 'grid'; expected at least one: it is what the site pays for"
        yield Fault(("meters",), text, rests_on="kind")
    for index, meter in grid:
        if meter.get("parent") is not None:
            yield Fault(
                ("meters", index, "parent"),
                "a grid meter has no parent, or its energy counts twice; expected kind 'sub_meter'",
            )


def _virtual_meters(site: object) -> Iterator[Fault]:
    meters = {name for _, name in _ids(site, "meters")}
    virtual = _ids(site, "virtual_meters")
    yield from _repeated("virtual_meters", virtual, "at this site")
    yield from _dangling(site, "virtual_meters", "equipment", "equipment", _ids(site, "equipment"))
    known = meters | {name for _, name in virtual}
    parts: dict[str, list[str]] = {}
    for index, entry in entries_of(site, "virtual_meters"):
        name = entry.get("id")
        if isinstance(name, str) and name in meters:
            yield Fault(("virtual_meters", index, "id"), f"'{name}' is a meter of this site; expected an id of its own")
        if entry.get("plus") in ([], ()):
            yield Fault(("virtual_meters", index, "plus"), "adds nothing; expected at least one meter")
        for field in ("plus", "minus"):
            listed = entry.get(field)
            for place, part in enumerate(listed if isinstance(listed, list | tuple) else ()):
                if not isinstance(part, str):
                    continue
                if isinstance(name, str):
                    parts.setdefault(name, []).append(part)
                if part not in known:
                    hint = did_you_mean(part, sorted(known)) or "; expected the id of a meter"
                    yield Fault(
                        ("virtual_meters", index, field, place), f"there is no meter '{part}' at this site{hint}"
                    )
    for index, name in virtual:
        if name in _below(name, parts):
            yield Fault(
                ("virtual_meters", index), f"'{name}' is made of itself; expected meters and other sums of them"
            )


def _below(name: str, parts: Mapping[str, list[str]]) -> set[str]:
    found: set[str] = set()
    left = list(parts.get(name, ()))
    while left:
        part = left.pop()
        if part not in found:
            found.add(part)
            left += parts.get(part, ())
    return found


# Of a zone: the field, what it is where it is not given, and by how much the next one has to lie above it at least.
_LADDER = (
    ("setpoint_min_c", SETPOINT_MIN_C),
    ("comfort_min_c", COMFORT_MIN_C),
    ("comfort_max_c", COMFORT_MAX_C),
    ("setpoint_max_c", SETPOINT_MAX_C),
)


def _hvac(site: object) -> Iterator[Fault]:
    for index, zone in entries_of(site, "zones"):
        hvac = zone.get("hvac")
        if not isinstance(hvac, Mapping):
            continue
        place: Location = ("zones", index, "hvac")
        rungs = [(field, _number(hvac, field, usual)) for field, usual in _LADDER]
        for (lower, low), (upper, high) in pairwise(rungs):
            if low is not None and high is not None and low > high:
                field = lower if lower in hvac else upper
                yield Fault((*place, field), f"{lower} is {low:g}; expected at most {upper}, which is {high:g}")
        band, low, high = _number(hvac, "dead_band_k", DEAD_BAND_K), rungs[1][1], rungs[2][1]
        if band is not None and low is not None and high is not None and low <= high and high - low < band:
            text = f"the comfort band is {high - low:g} K wide; expected at least dead_band_k, which is {band:g}"
            yield Fault((*place, "comfort_min_c" if "comfort_min_c" in hvac else "comfort_max_c"), text)
        bacnet = hvac.get("bacnet")
        if isinstance(bacnet, Mapping) and not any(bacnet.get(field) for field in _POINTS):
            text = "says no object; expected cooling_object, heating_object or both"
            yield Fault((*place, "bacnet"), text)


_POINTS = ("cooling_object", "heating_object")


def _points(site: object) -> Iterator[tuple[Location, tuple[object, ...], str]]:
    """Yield every set-point on BACnet: where it is said, what it is, and the zone it belongs to."""
    for index, zone in entries_of(site, "zones"):
        hvac = zone.get("hvac")
        bacnet = hvac.get("bacnet") if isinstance(hvac, Mapping) else None
        for field in _POINTS if isinstance(bacnet, Mapping) else ():
            if isinstance(bacnet, Mapping) and isinstance(bacnet.get(field), str):
                point = (bacnet.get("address"), bacnet.get("device"), bacnet.get(field))
                yield ("zones", index, "hvac", "bacnet", field), point, str(zone.get("id"))


def _shared_points(points: Iterable[tuple[Location, tuple[object, ...], str]]) -> Iterator[Fault]:
    seen: dict[tuple[object, ...], str] = {}
    for place, point, zone in points:
        if point in seen:
            text = (
                f"'{point[2]}' of this device is a set-point of zone '{seen[point]}' already; expected one of its own"
            )
            yield Fault(place, text)
        seen.setdefault(point, zone)


def _number(holder: Mapping[str, object], field: str, usual: float) -> float | None:
    """Return a number, or what it is where it is not given; None where what is given is none."""
    value = holder.get(field, usual)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _unknown(
    site: Mapping[str, object], path: tuple[str, ...], known: Collection[str], expected: str, index: int
) -> Iterator[Fault]:
    value: object = site
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, str) and value not in known:
        hint = did_you_mean(value, sorted(known))
        yield Fault(("sites", index, *path), f"'{value}' is not known; expected {expected}{hint}")
