"""What a gateway says of its decisions, in words and numbers."""

from datetime import UTC, datetime

from schemas.hvac import Hvac
from streams.hvac_gateway.lease import Lease, Shown


def moment(ts: int) -> str:
    """Return a time for people.

    Examples
    --------
    >>> moment(1784008800000)
    '2026-07-14T06:00:00Z'
    """
    return datetime.fromtimestamp(ts / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def degrees(cooling_c: float | None, heating_c: float | None) -> str:
    """Return set-points for people.

    Examples
    --------
    >>> degrees(25.5, 19.0), degrees(None, 19.25), degrees(None, None)
    ('cooling 25.5 °C, heating 19 °C', 'heating 19.25 °C', 'no set-point')
    """
    said = [
        f"{name} {value:g} °C" for name, value in (("cooling", cooling_c), ("heating", heating_c)) if value is not None
    ]
    return ", ".join(said) or "no set-point"


def wanted(lease: Lease) -> str:
    """Return what a lease writes, where and until when."""
    values = degrees(lease.cooling_c, lease.heating_c)
    return f"{values} at priority {lease.priority} until {moment(lease.ends_at)}"


def given_back(lease: Lease, shown: Shown | None) -> str:
    """Return what a plant shows after a lease, beside the fall-back the command expected."""
    if shown is None:
        return f"priority {lease.priority} is empty again"
    text = f"priority {lease.priority} is empty again; the plant shows {degrees(shown.cooling_c, shown.heating_c)}"
    expected = (lease.fallback_cooling_c, lease.fallback_heating_c)
    return text if expected == (None, None) else f"{text}; the fall-back is {degrees(*expected)}"


def outside(hvac: Hvac, cooling_c: float | None, heating_c: float | None) -> str:
    """Say which set-point lies outside a zone's limits; empty if none does."""
    low, high = hvac.setpoint_min_c, hvac.setpoint_max_c
    for name, value in (("cooling_c", cooling_c), ("heating_c", heating_c)):
        if value is not None and not low <= value <= high:
            return f"{name} is {value:g} °C; expected {low:g} to {high:g} °C"
    return ""


def too_close(hvac: Hvac, cooling_c: float | None, heating_c: float | None) -> str:
    """Say that heating and cooling would fight each other; empty if they would not."""
    if cooling_c is None or heating_c is None or cooling_c - heating_c >= hvac.dead_band_k:
        return ""
    apart = cooling_c - heating_c
    return f"cooling_c is {apart:g} K above heating_c; expected at least {hvac.dead_band_k:g} K"
