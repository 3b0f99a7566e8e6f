"""What a gateway asks of a plant, whatever protocol it speaks."""

from typing import Protocol

from streams.hvac_gateway.lease import Lease, Shown


class PlantError(Exception):
    """The plant does not answer, refuses, or is not what the registry says."""


class Plant(Protocol):
    """Zones whose set-points can be written for a while."""

    async def hold(self, lease: Lease) -> Shown:
        """Write what a lease says and read back what is shown; raise `PlantError` if a part was not taken."""
        ...

    async def look(self, lease: Lease) -> Shown:
        """Read what is shown where a lease was written; raise `PlantError` if that cannot be read."""
        ...

    async def give_back(self, lease: Lease) -> Shown:
        """Take back what was written for a lease; raise `PlantError` if a part was not given back."""
        ...


class Rehearsal:
    """A plant that takes everything and is not there: for `--dry-run`."""

    async def hold(self, lease: Lease) -> Shown:
        """Show what would be written."""
        return Shown(lease.cooling_c, lease.heating_c, lease.priority)

    async def look(self, lease: Lease) -> Shown:
        """Show what would be there."""
        return Shown(lease.cooling_c, lease.heating_c, lease.priority)

    async def give_back(self, lease: Lease) -> Shown:
        """Show the fall-back the command names."""
        return Shown(lease.fallback_cooling_c, lease.fallback_heating_c, None)
