"""What a gateway has written into a plant, and until when it may stay there."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Self

from pydantic import BaseModel, ConfigDict

from schemas.ack import Ack, AckReason, AckState
from schemas.hvac import BacnetPoints, Hvac
from schemas.override import Override
from schemas.setpoint import DEFAULT_PRIORITY, Setpoint


class Stage(StrEnum):
    """Where a lease is. Each is kept on disk before the plant is touched, so that a kill leaves no value unknown."""

    WRITING = "writing"  # the plant may have it
    HELD = "held"  # the plant has it
    ENDING = "ending"  # the plant may have it, and must give it back


class Slot(NamedTuple):
    """Where a lease is in a plant: one place of the priority arrays of a zone's set-points."""

    site_id: str
    zone_id: str
    priority: int
    points: BacnetPoints


@dataclass(frozen=True, slots=True)
class Served:
    """A zone as the registry has it now."""

    tenant_id: str
    hvac: Hvac | None


Zones = Callable[[str, str], Served | None]  # by site id and zone id; None: there is no such zone


@dataclass(frozen=True, slots=True)
class Shown:
    """What a plant shows after it was written to.

    Parameters
    ----------
    cooling_c, heating_c
        Its set-points; None where it has no such object. [°C]
    priority
        The place of the priority arrays they follow, the lowest number of both; None if every place is empty.
    """

    cooling_c: float | None
    heating_c: float | None
    priority: int | None


class Lease(BaseModel):
    """One command or override that is, or may be, in a plant.

    Parameters
    ----------
    command_id
        Of the command, or id of the override.
    cooling_c, heating_c
        What is written; None: that place is emptied. [°C]
    ends_at
        When it is taken back. [ms UTC]
    by_override
        Whether an operator ordered it.
    ending
        What is said once the plant has given it back; None: everything is said already.
    overridden
        Whether it was said that a higher priority is in force at the plant.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    command_id: str
    tenant_id: str
    site_id: str
    zone_id: str
    priority: int
    points: BacnetPoints
    cooling_c: float | None
    heating_c: float | None
    fallback_cooling_c: float | None = None
    fallback_heating_c: float | None = None
    ends_at: int
    by_override: bool
    stage: Stage = Stage.WRITING
    ending: AckReason | None = None
    overridden: bool = False

    @classmethod
    def of_command(cls, command: Setpoint, points: BacnetPoints) -> Self:
        """Return the lease a command asks for."""
        said = command.model_dump(include={"command_id", "tenant_id", "site_id", "zone_id", "priority"})
        values = command.model_dump(include={"cooling_c", "heating_c", "fallback_cooling_c", "fallback_heating_c"})
        return cls(**said, **values, points=points, ends_at=command.ends_at, by_override=False)

    @classmethod
    def of_override(cls, override: Override, points: BacnetPoints) -> Self:
        """Return the lease an operator asks for: at the place of commands, so that people at the plant still win."""
        said = override.model_dump(include={"tenant_id", "site_id", "zone_id", "cooling_c", "heating_c"})
        return cls(
            **said,
            command_id=override.id,
            priority=DEFAULT_PRIORITY,
            points=points,
            ends_at=override.until,
            by_override=True,
        )

    @property
    def slot(self) -> Slot:
        """Where it is."""
        return Slot(self.site_id, self.zone_id, self.priority, self.points)

    @property
    def zone(self) -> tuple[str, str]:
        """Whose it is."""
        return self.site_id, self.zone_id

    def at(self, stage: Stage) -> Self:
        """Return it at another stage."""
        return self.model_copy(update={"stage": stage})

    def is_overridden(self) -> Self:
        """Return it as one of which that was said."""
        return self.model_copy(update={"overridden": True})

    def given_up(self, ending: AckReason | None) -> Self:
        """Return it as one that must be given back."""
        return self.model_copy(update={"stage": Stage.ENDING, "ending": ending})

    def ack(self, now: int, state: AckState, reason: AckReason, message: str, shown: Shown | None = None) -> Ack:
        """Return an acknowledgement of it.

        Parameters
        ----------
        now
            The time. [ms UTC]
        state, reason, message
            What became of it.
        shown
            What the plant shows; None where it was not read.
        """
        measured = (None, None) if shown is None else (shown.cooling_c, shown.heating_c)
        return Ack(self.tenant_id, self.site_id, self.zone_id, now, self.command_id, state, reason, message, *measured)
