"""The simulated building as a plant: a gateway writes into it, and it says what it shows.

The gateway is the one of `wattloop hvac-gateway`; only what it writes into is simulated. State is kept on disk after
each step that was sent and after each write, so that a run goes on where the last one ended.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from schemas.experiment import Experiment
from schemas.registry import Registry, Site
from schemas.saving import SavingState
from schemas.topics import METER_READINGS, WEATHER, ZONE_READINGS, Topic
from streams.demo.building import SITE_ID, STEP_MS, ZONES, Building, Hold, SteeredZone
from streams.hvac_gateway.gateway import Clock, Gateway
from streams.hvac_gateway.journal import Journal
from streams.hvac_gateway.lease import Lease, Shown
from streams.hvac_gateway.plant import PlantError
from streams.hvac_gateway.service import Service
from streams.settings import Settings

log = logging.getLogger(__name__)

SendTo = Callable[[Topic, pl.DataFrame], Awaitable[None]]

_ZONES = {zone.id: zone for zone in ZONES}
_LONGEST_MS = 86_400_000  # what is stepped at once


class SteeredBuilding:
    """The building of a run.

    Parameters
    ----------
    path
        Where its state is kept.
    start_ms
        Where it begins when there is none. [ms UTC]
    clock
        The time.
    """

    def __init__(self, path: Path, start_ms: int, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        kept = _load(path)
        self._building = Building.new(start_ms) if kept is None else kept
        self._saving: Mapping[str, object] | None = None

    async def go_on(self, until_ms: int, send: SendTo) -> None:
        """Go on until a time and send what was measured. [ms UTC]"""
        building = self._building
        while building.at_ms + STEP_MS <= until_ms:
            shown = building.advance(min(until_ms, building.at_ms + _LONGEST_MS))
            await send(WEATHER, shown.weather)
            await send(METER_READINGS, shown.meters)
            await send(ZONE_READINGS, shown.zones)
            self._save()

    def proven(self, registry: Registry) -> Registry:
        """Return the registry with an experiment in the building that begins on the day after the first run.

        Not earlier: nothing is held in the past that is replayed, so nothing was saved there. An experiment that the
        registry asks for itself stays.
        """
        sites = tuple(self._proven(site) if site.id == SITE_ID else site for site in registry.sites)
        return registry.model_copy(update={"sites": sites})

    def _proven(self, site: Site) -> Site:
        if site.experiment is not None:
            return site
        building = self._building
        if not building.experiment_on:
            today = datetime.fromtimestamp(self._clock() / 1000, UTC).astimezone(site.zone_info).date()
            building.experiment_on = (today + timedelta(days=1)).isoformat()
            self._save()
        begins = Experiment(starts_on=date.fromisoformat(building.experiment_on))
        return site.model_copy(update={"experiment": begins})

    def hear(self, record: Mapping[str, object]) -> None:
        """Take a record of savings.v1, to show what is known of the whole building."""
        if record["site_id"] == SITE_ID and record["zone_id"] is None:
            self._saving = record

    def text(self) -> str:
        """Return how its zones are and what it saves, for a screen."""
        return " · ".join([*(self._zone_text(zone) for zone in ZONES), *self._saving_text()])

    def _saving_text(self) -> list[str]:
        said = self._saving
        if said is None:
            begins = self._building.experiment_on
            return [f"saving measured from {begins} on"] if begins else []
        if said["state"] == SavingState.SHOWN:
            return [f"saving {float(str(said['share'])):.1%}"]
        more = said["more_days"]
        return ["saving not shown yet" if more is None else f"saving not shown yet: {more} more days"]

    async def hold(self, lease: Lease) -> Shown:
        """Write a lease: from the next step on."""
        zone, now = self._zone(lease), self._clock()
        hold = Hold(lease.cooling_c, lease.heating_c, lease.priority, now, lease.ends_at)
        self._building.holds[zone.id] = hold
        self._save()
        return Shown(lease.cooling_c, lease.heating_c, lease.priority)

    async def look(self, lease: Lease) -> Shown:
        """Read what is there."""
        zone, now = self._zone(lease), self._clock()
        hold = self._building.holds.get(zone.id)
        shown = self._building.in_force(zone, now)
        is_held = hold is not None and now < hold.until_ms
        return Shown(shown.cooling_c, shown.heating_c, hold.priority if is_held and hold is not None else None)

    async def give_back(self, lease: Lease) -> Shown:
        """Return a zone to its own schedule."""
        zone = self._zone(lease)
        hold = self._building.holds.get(zone.id)
        if hold is not None and hold.priority == lease.priority:
            del self._building.holds[zone.id]
            self._save()
        shown = self._building.in_force(zone, self._clock())
        return Shown(shown.cooling_c, shown.heating_c, None)

    def _zone(self, lease: Lease) -> SteeredZone:
        zone = _ZONES.get(lease.zone_id)
        if lease.site_id != SITE_ID or zone is None:
            raise PlantError(f"the simulated building has no zone {lease.site_id}/{lease.zone_id}")
        return zone

    def _zone_text(self, zone: SteeredZone) -> str:
        building, now = self._building, self._clock()
        told = building.in_force(zone, now)
        by = "held" if told != zone.own(building.step) else "own"
        return f"{zone.id} {building.air_c[zone.id]:.1f} °C ({told.heating_c:g} to {told.cooling_c:g} °C, {by})"

    def _save(self) -> None:
        part = self._path.with_suffix(".part")
        part.write_text(self._building.to_json(), encoding="utf-8")
        part.replace(self._path)


async def steer(settings: Settings, kafka_url: str, building: SteeredBuilding, clock: Clock) -> None:
    """Let set-points of hvac.setpoints.v1 reach the building, until cancelled.

    Parameters
    ----------
    settings
        The settings.
    kafka_url
        The broker.
    building
        The building.
    clock
        The time.

    Raises
    ------
    JournalError
        If the gateway's book cannot be kept.
    """
    with Journal(settings.data_dir / SITE_ID) as journal:
        gateway = Gateway(building, journal, clock, sites=[SITE_ID])
        await Service(settings, kafka_url, gateway, clock, answers=True).serve()


def _load(path: Path) -> Building | None:
    try:
        return Building.of_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("simulated_building_forgotten", extra={"file": str(path), "why": repr(error)})
        return None
