"""An acknowledgement: what became of a command, as one record on hvac.acks.v1, and which commands nobody answered.

A command is accepted or rejected; accepted in mode act, it is applied or failed; applied, it is one day expired or
overridden. Overrides are acknowledged in the same way, under their own id.
"""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

import polars as pl
from pydantic import BaseModel, ConfigDict

from schemas.entry import Id
from schemas.hvac import Mode
from schemas.setpoint import CommandId, Ms, Setpoint


class AckState(StrEnum):
    """How far a command has come; a downstream contract, so the words never change their meaning."""

    ACCEPTED = "accepted"  # understood and allowed; of advise and off that is all
    REJECTED = "rejected"  # never written: it is wrong, or not allowed
    APPLIED = "applied"  # written and read back
    FAILED = "failed"  # the plant did not take it; what may have been written is taken back
    EXPIRED = "expired"  # it came too late, or its lease is over and what it wrote was taken back
    OVERRIDDEN = "overridden"  # an operator decided otherwise, here or at the plant


class AckReason(StrEnum):
    """Why; new ones may be added."""

    TO_BE_WRITTEN = "to_be_written"
    ADVICE_ONLY = "advice_only"  # the command, or its zone in the registry, is not in mode act
    WRITTEN = "written"
    IN_FORCE = "in_force"  # of an override
    INVALID = "invalid"
    UNKNOWN_ZONE = "unknown_zone"
    WRONG_TENANT = "wrong_tenant"
    NO_ADDRESS = "no_address"
    FROM_THE_FUTURE = "from_the_future"
    NOT_THE_NEWEST = "not_the_newest"
    OUTSIDE_LIMITS = "outside_limits"
    DEAD_BAND = "dead_band"
    PLANT_REFUSED = "plant_refused"
    INTERRUPTED = "interrupted"  # the gateway stopped while it wrote
    TOO_LATE = "too_late"
    LEASE_ENDED = "lease_ended"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"  # its zone is no longer in mode act
    SHUT_DOWN = "shut_down"  # the gateway was asked to stop
    OVERRIDE = "override"  # hvac.overrides.v1
    AT_THE_PLANT = "at_the_plant"  # a higher priority is in force there
    LOST_AT_THE_PLANT = "lost_at_the_plant"  # what was written is no longer there


# One record per step of a command on hvac.acks.v1; `ts` is when it was taken, in ms UTC.
ACK_RECORD: dict[str, pl.DataType] = {
    "id": pl.String(),  # deterministic: acks/<command_id>/<state>/<reason>
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "zone_id": pl.String(),
    "ts": pl.Int64(),
    "command_id": pl.String(),  # or the id of an override
    "state": pl.String(),
    "reason": pl.String(),
    "message": pl.String(),  # the reason in words and numbers
    "measured_cooling_c": pl.Float64(),  # what the plant's set-point was when it was read back; null: not read
    "measured_heating_c": pl.Float64(),
    "gateway": pl.String(),  # who says so
}


@dataclass(frozen=True, slots=True)
class Ack:
    """One acknowledgement, in the words of `ACK_RECORD`."""

    tenant_id: str
    site_id: str
    zone_id: str
    ts: int
    command_id: str
    state: AckState
    reason: AckReason
    message: str
    measured_cooling_c: float | None = None
    measured_heating_c: float | None = None

    @property
    def id(self) -> str:
        """The same however often it is sent."""
        return f"acks/{self.command_id}/{self.state}/{self.reason}"

    def row(self, gateway: str) -> dict[str, object]:
        """Return it as a row of `ACK_RECORD`.

        Parameters
        ----------
        gateway
            Who says so.
        """
        said = {name: getattr(self, name) for name in ACK_RECORD if name != "gateway"}
        return said | {"state": self.state.value, "reason": self.reason.value, "gateway": gateway}


class Acknowledged(BaseModel):
    """An acknowledgement as others read it; fields they do not know are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    command_id: CommandId
    site_id: Id
    zone_id: Id
    ts: Ms
    state: AckState


class Awaited:
    """Which commands nobody has answered, or nobody has finished.

    Parameters
    ----------
    patience_s
        How long an answer may take. [s]
    forget_s
        After which a command no longer matters. [s]

    Examples
    --------
    >>> sent = Setpoint(command_id="c1", tenant_id="acme", site_id="mill", zone_id="hall", mode="act", cooling_c=25.0,
    ...                 issued_at=0, not_after=60_000, lease_s=900)
    >>> awaited = Awaited(patience_s=120)
    >>> awaited.take_command(sent)
    >>> awaited.unacknowledged(120_000), awaited.unacknowledged(121_000)
    (Counter(), Counter({'none': 1}))
    >>> awaited.take_ack(Acknowledged(command_id="c1", site_id="mill", zone_id="hall", ts=9, state="accepted"))
    >>> awaited.unacknowledged(121_000)
    Counter({'accepted': 1})
    >>> awaited.take_ack(Acknowledged(command_id="c1", site_id="mill", zone_id="hall", ts=10, state="overridden"))
    >>> awaited.unacknowledged(121_000), awaited.overridden()
    (Counter(), ['c1'])
    """

    def __init__(self, patience_s: float = 120.0, forget_s: float = 86_400.0) -> None:
        self._patience_ms = round(patience_s * 1000)
        self._forget_ms = round(forget_s * 1000)
        self._sent: dict[str, int] = {}  # commands in mode act -> issued_at
        self._states: dict[str, tuple[AckState, int]] = {}

    def take_command(self, command: Setpoint) -> None:
        """Take a command that was sent; only those in mode act await more than being shown."""
        if command.mode is Mode.ACT:
            self._sent[command.command_id] = command.issued_at

    def take_ack(self, ack: Acknowledged) -> None:
        """Take an acknowledgement, before its command or after; what is furthest on counts."""
        known = self._states.get(ack.command_id)
        if known is None or known[0] is AckState.ACCEPTED or ack.state is not AckState.ACCEPTED:
            self._states[ack.command_id] = ack.state, ack.ts

    def unacknowledged(self, now: int) -> Counter[str]:
        """Count the commands that have waited too long, by what was said of them last: `none` or `accepted`.

        Parameters
        ----------
        now
            The time. [ms UTC]
        """
        self._forget(now)
        found: Counter[str] = Counter()
        for name, issued_at in self._sent.items():
            state = self._states.get(name)
            waits = state is None or state[0] is AckState.ACCEPTED
            if waits and now - issued_at > self._patience_ms:
                found["none" if state is None else AckState.ACCEPTED.value] += 1
        return found

    def overridden(self) -> list[str]:
        """Return the commands an operator decided against."""
        return [name for name, (state, _) in self._states.items() if state is AckState.OVERRIDDEN]

    def _forget(self, now: int) -> None:
        self._sent = {name: at for name, at in self._sent.items() if now - at <= self._forget_ms}
        self._states = {name: found for name, found in self._states.items() if now - found[1] <= self._forget_ms}
