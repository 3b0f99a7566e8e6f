"""Commands, overrides and zones that supply what does not matter; a test states what does."""

from schemas.hvac import BacnetPoints, Hvac
from schemas.override import Override, override_id
from schemas.setpoint import Setpoint, command_id
from streams.hvac_gateway.lease import Served

MORNING = 1_784_008_800_000  # ms UTC
SECOND = 1_000
MINUTE = 60_000
POINTS = BacnetPoints(
    device=1201, address="192.0.2.10", cooling_object="analog-value,1", heating_object="analog-value,2"
)


def a_zone(**given: object) -> Served:
    """A zone of acme in mode act."""
    about = {"equipment_kind": "dx", "mode": "act", "bacnet": POINTS} | given
    return Served("acme", Hvac.model_validate(about))


def a_command(s: float = 0, **given: object) -> Setpoint:
    """A command for mill/hall, issued `s` seconds after MORNING, with a lease of half an hour."""
    issued_at = MORNING + round(s * SECOND)
    about: dict[str, object] = {
        "command_id": command_id("mill", str(given.get("zone_id", "hall")), issued_at),
        "tenant_id": "acme",
        "site_id": "mill",
        "zone_id": "hall",
        "mode": "act",
        "cooling_c": 25.5,
        "heating_c": 19.0,
        "issued_at": issued_at,
        "not_after": issued_at + 5 * MINUTE,
        "lease_s": 1800,
    }
    return Setpoint.model_validate(about | given)


def an_override(s: float = 0, **given: object) -> Override:
    """An operator takes mill/hall for an hour, `s` seconds after MORNING."""
    ts = MORNING + round(s * SECOND)
    about: dict[str, object] = {
        "id": override_id("mill", "hall", ts),
        "tenant_id": "acme",
        "site_id": "mill",
        "zone_id": "hall",
        "ts": ts,
        "until": ts + 60 * MINUTE,
        "operator": "Chen Wei",
        "why": "inspection",
    }
    return Override.model_validate(about | given)
