"""What arrives on hvac.setpoints.v1 and hvac.overrides.v1: a command, an override, or something that is neither."""

import json
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.ack import Ack, AckReason, AckState
from schemas.override import Override
from schemas.problem import in_words
from schemas.setpoint import Setpoint

_MOST_SHOWN = 500


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that is no order.

    Parameters
    ----------
    site_id
        Whose it is; None if it does not say.
    why
        Field, what was there and what was expected, of everything that is wrong.
    ack
        What is answered; None if it does not say what it is.
    """

    site_id: str | None
    why: str
    ack: Ack | None = None


Order = Setpoint | Override | Refused


def read_command(value: bytes | None, now: int) -> Setpoint | Refused:
    """Read a message of hvac.setpoints.v1.

    Parameters
    ----------
    value
        Its bytes.
    now
        The time, for the answer. [ms UTC]

    Examples
    --------
    >>> read_command(b"{", 0).why
    'is no JSON object'
    >>> given = '{"command_id": "c1", "tenant_id": "acme", "site_id": "mill", "zone_id": "hall", "lease_s": 0}'
    >>> refused = read_command(given.encode(), 0)
    >>> refused.why
    'issued_at is missing; not_after is missing; lease_s: got 0; expected a number not below 1'
    >>> refused.ack.state.value, refused.ack.reason.value
    ('rejected', 'invalid')
    """
    try:
        return Setpoint.model_validate_json(value or b"")
    except ValidationError as invalid:
        return _refused(invalid, value, "command_id", now)


def read_override(value: bytes | None, now: int) -> Override | Refused:
    """Read a message of hvac.overrides.v1.

    Parameters
    ----------
    value
        Its bytes.
    now
        The time, for the answer. [ms UTC]
    """
    try:
        return Override.model_validate_json(value or b"")
    except ValidationError as invalid:
        return _refused(invalid, value, "id", now)


def _refused(invalid: ValidationError, value: bytes | None, id_field: str, now: int) -> Refused:
    try:
        found = json.loads(value or b"")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return Refused(None, "is no JSON object")
    why = "; ".join(map(_in_words, invalid.errors(include_url=False)))[:_MOST_SHOWN]
    names = [found.get(field) for field in ("tenant_id", "site_id", "zone_id", id_field)]
    site_id = found.get("site_id")
    said = [name for name in names if isinstance(name, str) and 0 < len(name) <= 200]
    if len(said) < len(names):
        return Refused(site_id if isinstance(site_id, str) else None, why)
    tenant_id, site_id, zone_id, name = said
    return Refused(site_id, why, Ack(tenant_id, site_id, zone_id, now, name, AckState.REJECTED, AckReason.INVALID, why))


def _in_words(error: ErrorDetails) -> str:
    place = ".".join(map(str, error["loc"]))
    if not place:
        return in_words(error)
    return f"{place} {in_words(error)}" if error["type"] == "missing" else f"{place}: {in_words(error)}"
