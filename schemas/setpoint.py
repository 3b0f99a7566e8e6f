"""A command: the set-points a zone shall have, for how long, and why, as one record on hvac.setpoints.v1.

A command says by itself when it is over. It is not begun after `not_after`, and what it wrote is taken back when its
lease ends, `lease_s` after it was issued, however late it was begun. So a controller that dies, and a command that is
delivered twice or much too late, leave the zone with its fall-back.
"""

from typing import Annotated, Self

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.entry import Id
from schemas.hvac import Degrees, Mode

MAX_LEASE_S = 86_400
# BACnet: 1 to 8 belong to life safety, protection of equipment (6) and people at the device (8, manual operator). Ours
# lies below all of them and above the building's own schedules, which usually write at 16 or 15.
DEFAULT_PRIORITY = 10
HIGHEST_PRIORITY = 9
LOWEST_PRIORITY = 16

# One record per command on hvac.setpoints.v1; `ts` is `issued_at`, in ms UTC.
SETPOINT_RECORD: dict[str, pl.DataType] = {
    "id": pl.String(),  # = command_id
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "zone_id": pl.String(),
    "ts": pl.Int64(),
    "command_id": pl.String(),  # deterministic: setpoints/<site>/<zone>/<issued_at>
    "supersedes": pl.String(),  # command_id of the one before it in this zone; null for the first
    "mode": pl.String(),  # off | advise | act; only act is written to the plant
    "cooling_c": pl.Float64(),  # cool above; null: left alone
    "heating_c": pl.Float64(),  # heat below; null: left alone
    "issued_at": pl.Int64(),  # ms UTC
    "not_after": pl.Int64(),  # it is not begun after this, ms UTC
    "lease_s": pl.Int32(),  # it ends so long after `issued_at`
    "fallback_cooling_c": pl.Float64(),  # what the zone is expected to have after it; null: not known
    "fallback_heating_c": pl.Float64(),
    "priority": pl.Int32(),  # of BACnet: 9 to 16
    "reason": pl.String(),  # a slug
    "message_en": pl.String(),  # the reason in words and numbers
    "message_zh": pl.String(),
    "expected_saved_kwh": pl.Float64(),  # within the lease, against the fall-back; negative: more is drawn
    "expected_saved_cny": pl.Float64(),
    "expected_saved_kg": pl.Float64(),
    "model_version": pl.String(),
    "experiment": pl.String(),  # names the blocks its saving is measured by; null where there are none
    "block": pl.Int32(),  # which one it belongs to, from 0
    "block_has_measure": pl.Boolean(),  # false: a comparison day, and the zone has its own schedule
}

Ms = Annotated[int, Field(ge=0, le=253_402_300_799_000, strict=True)]
CommandId = Annotated[str, Field(min_length=1, max_length=200)]


def command_id(site_id: str, zone_id: str, issued_at: int) -> str:
    """Return the id of a command, the same at every replay.

    Parameters
    ----------
    site_id, zone_id
        Whose it is.
    issued_at
        When it was issued; a zone gets one command at a time. [ms UTC]

    Examples
    --------
    >>> command_id("mill", "hall", 1784008800000)
    'setpoints/mill/hall/1784008800000'
    """
    return f"setpoints/{site_id}/{zone_id}/{issued_at}"


class Setpoint(BaseModel):
    """A command as its consumer reads it: what it acts on, checked; fields it does not know are ignored.

    Examples
    --------
    >>> given = '''{"command_id": "setpoints/mill/hall/1784008800000", "tenant_id": "acme", "site_id": "mill",
    ...   "zone_id": "hall", "mode": "act", "cooling_c": 25.5, "heating_c": 19, "issued_at": 1784008800000,
    ...   "not_after": 1784009100000, "lease_s": 1800, "message_en": "nobody until 14:00"}'''
    >>> command = Setpoint.model_validate_json(given)
    >>> command.priority, command.ends_at - command.issued_at, command.fallback_cooling_c
    (10, 1800000, None)
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    command_id: CommandId
    tenant_id: Id
    site_id: Id
    zone_id: Id
    mode: Mode = Mode.ADVISE
    cooling_c: Degrees | None = None
    heating_c: Degrees | None = None
    issued_at: Ms
    not_after: Ms
    lease_s: Annotated[int, Field(ge=1, le=MAX_LEASE_S, strict=True)]
    fallback_cooling_c: Degrees | None = None
    fallback_heating_c: Degrees | None = None
    priority: Annotated[int, Field(ge=HIGHEST_PRIORITY, le=LOWEST_PRIORITY, strict=True)] = DEFAULT_PRIORITY
    message_en: str = ""

    @property
    def ends_at(self) -> int:
        """When its lease ends. [ms UTC]"""
        return self.issued_at + self.lease_s * 1000

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.issued_at <= self.not_after <= self.ends_at:
            raise PydanticCustomError(
                "not_after",
                "not_after is {given}; expected a time within the lease, from {first} to {last}",
                {"given": self.not_after, "first": self.issued_at, "last": self.ends_at},
            )
        if self.mode is Mode.ACT and self.cooling_c is None and self.heating_c is None:
            raise PydanticCustomError("no_setpoint", "has no set-point; expected cooling_c, heating_c or both")
        return self
