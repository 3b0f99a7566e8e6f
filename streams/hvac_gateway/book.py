"""The book of leases: what may be written into plants, and what has to be taken back. No I/O, no clock.

The book says what should be; whoever holds it makes it so, and tells it what came of it. Everything a command can do
wrong ends in one of two ways: nothing was written, or what was written is taken back.
"""

from collections.abc import Iterator
from typing import Self

from pydantic import BaseModel, ConfigDict

from schemas.ack import Ack, AckReason, AckState
from schemas.hvac import BacnetPoints, Hvac, Mode
from schemas.override import Override
from schemas.setpoint import MAX_LEASE_S, Setpoint
from streams.hvac_gateway.lease import Lease, Served, Shown, Slot, Stage, Zones
from streams.hvac_gateway.words import given_back, moment, outside, too_close, wanted

FUTURE_MS = 60_000  # how far ahead the issuer's clock may be
KEPT_MS = 3_600_000  # how long an id is known after its lease: what was read last may be read again

Answer = tuple[AckState, AckReason, str]


class Kept(BaseModel):
    """A book as it is kept on disk.

    Parameters
    ----------
    began_at
        When the gateway was started for the first time; what was over by then is not answered. [ms UTC]
    handled
        Ids of commands and overrides -> when they may be forgotten. [ms UTC]
    newest
        `site/zone` -> when its newest command was issued. [ms UTC]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    began_at: int
    leases: tuple[Lease, ...] = ()
    overrides: tuple[Override, ...] = ()
    handled: dict[str, int] = {}
    newest: dict[str, int] = {}


class Book:
    """All leases of a gateway.

    Parameters
    ----------
    began_at
        When the gateway was started for the first time. [ms UTC]

    Examples
    --------
    >>> zone = Served("acme", Hvac(equipment_kind="dx", mode="act", bacnet=BacnetPoints(
    ...     device=1, address="192.0.2.10", cooling_object="analog-value,1")))
    >>> command = Setpoint(command_id="c1", tenant_id="acme", site_id="mill", zone_id="hall", mode="act",
    ...                    cooling_c=25.5, issued_at=1_000, not_after=61_000, lease_s=900)
    >>> book = Book(began_at=0)
    >>> [ack.state.value for ack in book.take(command, zone, now=2_000)]
    ['accepted']
    >>> (lease,) = book.to_write()
    >>> [ack.message for ack in book.held(lease, Shown(25.5, None, 10), now=2_100)]
    ['cooling 25.5 °C at priority 10 until 1970-01-01T00:15:01Z']
    >>> book.take(command, zone, now=3_000), list(book.to_write())
    ([], [])
    >>> book.close_due(901_000, lambda site, name: zone)
    >>> [(one.command_id, one.ending.value) for one in book.to_give_back()]
    [('c1', 'lease_ended')]
    """

    def __init__(self, began_at: int) -> None:
        self.began_at = began_at
        self._leases: dict[Slot, Lease] = {}
        self._slots: dict[tuple[str, str], dict[Slot, None]] = {}  # of each zone, in the order they were taken
        self._overrides: dict[tuple[str, str], Override] = {}  # the newest one of a zone
        self._handled: dict[str, int] = {}
        self._newest: dict[str, int] = {}

    @classmethod
    def of_kept(cls, kept: Kept) -> Self:
        """Return a book that goes on where another one was kept."""
        book = cls(kept.began_at)
        for lease in kept.leases:
            book._put(lease)
        book._overrides = {(one.site_id, one.zone_id): one for one in kept.overrides}
        book._handled = dict(kept.handled)
        book._newest = dict(kept.newest)
        return book

    def kept(self) -> Kept:
        """Return what has to be kept."""
        return Kept(
            began_at=self.began_at,
            leases=tuple(self._leases.values()),
            overrides=tuple(self._overrides.values()),
            handled=dict(self._handled),
            newest=dict(self._newest),
        )

    @property
    def leases(self) -> tuple[Lease, ...]:
        """All leases, at every stage."""
        return tuple(self._leases.values())

    def to_write(self) -> Iterator[Lease]:
        """Yield what has to be written, once."""
        yield from [lease for lease in self._leases.values() if lease.stage is Stage.WRITING]

    def to_give_back(self) -> Iterator[Lease]:
        """Yield what has to be taken back, until the plant has done so."""
        yield from [lease for lease in self._leases.values() if lease.stage is Stage.ENDING]

    def predates(self, order: Setpoint | Override) -> bool:
        """Whether an order was over before this gateway was started for the first time: somebody else's business."""
        last = order.not_after if isinstance(order, Setpoint) else max(order.ts, order.until)
        return last < self.began_at

    def take(self, command: Setpoint, zone: Served | None, now: int) -> list[Ack]:
        """Take a command; nothing is said of one that was taken before, or of one that is older than this gateway.

        Parameters
        ----------
        command
            The command.
        zone
            Its zone as the registry has it; None if there is no such zone.
        now
            The time. [ms UTC]
        """
        if command.command_id in self._handled or self.predates(command):
            return []
        self._handled[command.command_id] = (
            min(max(command.ends_at, now), now + FUTURE_MS + 1000 * MAX_LEASE_S) + KEPT_MS
        )
        answer = self._refused(command, zone, now)
        if answer is not None:
            return [_said(command, now, answer)]
        late = self._too_late(command, now) or self._not_the_newest(command) or self._overridden(command, now)
        place = f"{command.site_id}/{command.zone_id}"
        self._newest[place] = max(command.issued_at, self._newest.get(place, 0))
        if late is not None:
            return [_said(command, now, late)]
        points = _writable(zone)
        if command.mode is not Mode.ACT or points is None or zone is None or zone.hvac is None:
            what = f"mode {command.mode.value}" if command.mode is not Mode.ACT else "the zone is not in mode act"
            acks = self._displace((command.site_id, command.zone_id), None, AckReason.WITHDRAWN, now)
            advice = (AckState.ACCEPTED, AckReason.ADVICE_ONLY, f"{what}: nothing is written")
            return [_said(command, now, advice), *acks]
        wrong = _wrong(zone.hvac, command.cooling_c, command.heating_c)
        if wrong is not None:
            return [_said(command, now, wrong)]
        lease = Lease.of_command(command, points)
        acks = self._displace(lease.zone, lease, AckReason.SUPERSEDED, now)
        return [lease.ack(now, AckState.ACCEPTED, AckReason.TO_BE_WRITTEN, wanted(lease)), *acks]

    def take_override(self, override: Override, zone: Served | None, now: int) -> list[Ack]:
        """Take an override; the newest one of a zone holds, and one that is over ends the one before it.

        Parameters
        ----------
        override
            The override.
        zone
            Its zone as the registry has it; None if there is no such zone.
        now
            The time. [ms UTC]
        """
        if override.id in self._handled or self.predates(override):
            return []
        self._handled[override.id] = max(override.until, now) + KEPT_MS
        answer = self._override_refused(override, zone, now)
        if answer is not None:
            return [_said_of(override, now, answer)]
        where = (override.site_id, override.zone_id)
        self._overrides[where] = override
        text = f"{override.operator} until {moment(override.until)}: {override.why}"
        points = None if zone is None or zone.hvac is None else zone.hvac.bacnet
        wrong = None if zone is None or zone.hvac is None else _wrong(zone.hvac, override.cooling_c, override.heating_c)
        if override.releases or override.until <= now or points is None or wrong is not None:
            acks = self._displace(where, None, AckReason.OVERRIDE, now)
            in_force = (AckState.ACCEPTED, AckReason.IN_FORCE, f"{text}; nothing is written")
            return [_said_of(override, now, wrong or in_force), *acks]
        lease = Lease.of_override(override, points)
        acks = self._displace(where, lease, AckReason.OVERRIDE, now)
        return [lease.ack(now, AckState.ACCEPTED, AckReason.IN_FORCE, f"{text}; {wanted(lease)}"), *acks]

    def held(self, lease: Lease, shown: Shown, now: int) -> list[Ack]:
        """Say that the plant has taken a lease.

        Parameters
        ----------
        lease
            One of `to_write`.
        shown
            What the plant shows now.
        now
            The time. [ms UTC]
        """
        if self._leases.get(lease.slot) != lease:
            return []
        self._leases[lease.slot] = lease.at(Stage.HELD)
        overridden = self._overridden_there(lease.at(Stage.HELD), shown, now)
        return overridden or [lease.ack(now, AckState.APPLIED, AckReason.WRITTEN, wanted(lease), shown)]

    def seen(self, lease: Lease, shown: Shown, now: int) -> list[Ack]:
        """Say what the plant shows in the middle of a lease: an operator may have decided otherwise there.

        Parameters
        ----------
        lease
            One that is held.
        shown
            What the plant shows now.
        now
            The time. [ms UTC]
        """
        if self._leases.get(lease.slot) != lease or lease.stage is not Stage.HELD:
            return []
        if shown.priority is None or shown.priority > lease.priority:
            self._leases[lease.slot] = lease.given_up(None)
            text = f"priority {lease.priority} is empty, somebody emptied it or the device was restarted"
            return [lease.ack(now, AckState.FAILED, AckReason.LOST_AT_THE_PLANT, text, shown)]
        return self._overridden_there(lease, shown, now)

    def _overridden_there(self, lease: Lease, shown: Shown, now: int) -> list[Ack]:
        if lease.overridden or shown.priority is None or shown.priority >= lease.priority:
            return []
        self._leases[lease.slot] = lease.is_overridden()
        text = f"priority {shown.priority} is in force at the plant, before {wanted(lease)}"
        return [lease.ack(now, AckState.OVERRIDDEN, AckReason.AT_THE_PLANT, text, shown)]

    def not_held(self, lease: Lease, why: str, now: int) -> list[Ack]:
        """Say that the plant has not taken a lease, or perhaps a part of it: it has to be taken back."""
        if self._leases.get(lease.slot) != lease:
            return []
        self._leases[lease.slot] = lease.given_up(None)
        return [lease.ack(now, AckState.FAILED, AckReason.PLANT_REFUSED, why)]

    def gave_back(self, lease: Lease, shown: Shown | None, now: int) -> list[Ack]:
        """Say that the plant has given a lease back."""
        if self._leases.get(lease.slot) != lease:
            return []
        del self._leases[lease.slot]
        del self._slots[lease.zone][lease.slot]
        if lease.ending is None:
            return []
        state = AckState.OVERRIDDEN if lease.ending is AckReason.OVERRIDE else AckState.EXPIRED
        return [lease.ack(now, state, lease.ending, given_back(lease, shown), shown)]

    def close_due(self, now: int, zones: Zones | None) -> None:
        """Give up what is over, and what the registry no longer allows; forget what no longer matters.

        Parameters
        ----------
        now
            The time. [ms UTC]
        zones
            The registry; None while nobody knows it.
        """
        for slot, lease in list(self._leases.items()):
            if lease.stage is Stage.ENDING:
                continue
            if lease.ends_at <= now:
                self._leases[slot] = lease.given_up(AckReason.LEASE_ENDED)
            elif zones is not None and not _allowed(lease, zones(*lease.zone)):
                self._leases[slot] = lease.given_up(AckReason.WITHDRAWN)
        self._handled = {name: until for name, until in self._handled.items() if until > now}
        self._overrides = {where: one for where, one in self._overrides.items() if one.until + KEPT_MS > now}

    def close_all(self) -> None:
        """Give everything up, because the gateway stops."""
        for slot, lease in list(self._leases.items()):
            if lease.stage is not Stage.ENDING:
                self._leases[slot] = lease.given_up(AckReason.SHUT_DOWN)

    def go_on(self, now: int) -> list[Ack]:
        """Go on after a stop: what was just being written when the gateway was killed is taken back, not written again.

        Parameters
        ----------
        now
            The time. [ms UTC]
        """
        acks: list[Ack] = []
        for lease in list(self.to_write()):
            self._leases[lease.slot] = lease.given_up(None)
            text = "the gateway stopped while it wrote; what may have been written is taken back"
            acks.append(lease.ack(now, AckState.FAILED, AckReason.INTERRUPTED, text))
        return acks

    def _displace(self, zone: tuple[str, str], by: Lease | None, why: AckReason, now: int) -> list[Ack]:
        """End what is in force in a zone, and put another lease in its place: without a gap where they share a slot."""
        acks: list[Ack] = []
        for slot in self._slots.get(zone, ()):
            lease = self._leases[slot]
            if by is not None and slot == by.slot:
                acks += _replaced(lease, why, by, now)
            elif lease.stage is not Stage.ENDING:
                self._leases[slot] = lease.given_up(why)
        if by is not None:
            self._put(by)
        return acks

    def _put(self, lease: Lease) -> None:
        self._leases[lease.slot] = lease
        self._slots.setdefault(lease.zone, {})[lease.slot] = None

    def _refused(self, command: Setpoint, zone: Served | None, now: int) -> Answer | None:
        if zone is None:
            return AckState.REJECTED, AckReason.UNKNOWN_ZONE, "the registry has no such zone"
        if command.tenant_id != zone.tenant_id:
            return AckState.REJECTED, AckReason.WRONG_TENANT, "the zone belongs to another tenant"
        if command.issued_at > now + FUTURE_MS:
            text = f"issued at {moment(command.issued_at)}, which is {(command.issued_at - now) / 1000:.0f} s ahead"
            return AckState.REJECTED, AckReason.FROM_THE_FUTURE, text
        if command.mode is Mode.ACT and zone.hvac is not None and zone.hvac.mode is Mode.ACT and not zone.hvac.bacnet:
            return AckState.REJECTED, AckReason.NO_ADDRESS, "the zone is in mode act, but the registry has no address"
        return None

    def _not_the_newest(self, command: Setpoint) -> Answer | None:
        newest = self._newest.get(f"{command.site_id}/{command.zone_id}", -1)
        if command.issued_at > newest:
            return None
        text = f"the zone has had a command that was issued at {moment(newest)}"
        return AckState.REJECTED, AckReason.NOT_THE_NEWEST, text

    @staticmethod
    def _too_late(command: Setpoint, now: int) -> Answer | None:
        last = min(command.not_after, command.ends_at - 1)
        if now <= last:
            return None
        text = f"to be begun until {moment(last)}, came {(now - last) / 1000:.0f} s later"
        return AckState.EXPIRED, AckReason.TOO_LATE, text

    def _overridden(self, command: Setpoint, now: int) -> Answer | None:
        found = self._overrides.get((command.site_id, command.zone_id))
        if found is None or found.until <= now:
            return None
        text = f"{found.operator} until {moment(found.until)}: {found.why}"
        return AckState.OVERRIDDEN, AckReason.OVERRIDE, text

    def _override_refused(self, override: Override, zone: Served | None, now: int) -> Answer | None:
        if zone is None:
            return AckState.REJECTED, AckReason.UNKNOWN_ZONE, "the registry has no such zone"
        if override.tenant_id != zone.tenant_id:
            return AckState.REJECTED, AckReason.WRONG_TENANT, "the zone belongs to another tenant"
        if override.ts > now + FUTURE_MS:
            text = f"given at {moment(override.ts)}, which is {(override.ts - now) / 1000:.0f} s ahead"
            return AckState.REJECTED, AckReason.FROM_THE_FUTURE, text
        before = self._overrides.get((override.site_id, override.zone_id))
        if before is not None and before.ts >= override.ts:
            return AckState.REJECTED, AckReason.NOT_THE_NEWEST, f"{before.operator} decided at {moment(before.ts)}"
        return None


def _replaced(lease: Lease, why: AckReason, by: Lease, now: int) -> list[Ack]:
    """Say what became of a lease whose place another one takes."""
    if lease.stage is Stage.ENDING and lease.ending is None:
        return []
    reason = lease.ending or why
    state = AckState.OVERRIDDEN if reason is AckReason.OVERRIDE else AckState.EXPIRED
    return [lease.ack(now, state, reason, f"{by.command_id} takes its place")]


def _writable(zone: Served | None) -> BacnetPoints | None:
    if zone is None or zone.hvac is None or zone.hvac.mode is not Mode.ACT:
        return None
    return zone.hvac.bacnet


def _wrong(hvac: Hvac, cooling_c: float | None, heating_c: float | None) -> Answer | None:
    if text := outside(hvac, cooling_c, heating_c):
        return AckState.REJECTED, AckReason.OUTSIDE_LIMITS, text
    if text := too_close(hvac, cooling_c, heating_c):
        return AckState.REJECTED, AckReason.DEAD_BAND, text
    return None


def _allowed(lease: Lease, zone: Served | None) -> bool:
    """Whether the registry still has the plant of a lease, and still lets commands reach it."""
    if zone is None or zone.hvac is None or zone.hvac.bacnet != lease.points:
        return False
    return lease.by_override or zone.hvac.mode is Mode.ACT


def _said(command: Setpoint, now: int, answer: Answer) -> Ack:
    return Ack(command.tenant_id, command.site_id, command.zone_id, now, command.command_id, *answer)


def _said_of(override: Override, now: int, answer: Answer) -> Ack:
    return Ack(override.tenant_id, override.site_id, override.zone_id, now, override.id, *answer)
