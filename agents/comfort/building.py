"""The zones of one site that set-points are worked out for: what was measured, what was learnt, what was commanded."""

import json
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Self

import numpy as np

from agents.comfort.controller import Controller
from agents.comfort.planning import Plan
from agents.comfort.settings import Floats
from agents.switching.blocks import Block, Blocks
from schemas.flow import SiteRecord
from schemas.hvac import Hvac, Mode
from schemas.registry import Site, Zone
from schemas.setpoint import DEFAULT_PRIORITY, command_id
from schemas.zone import ZONE_MEASURES

STEP_S = 900
MODEL_VERSION = "comfort/2"
# A command holds for three steps, so that one that is lost or late changes nothing, and is renewed after two.
LEASE_S = 3 * STEP_S
_RENEWED_S = LEASE_S - 2 * STEP_S
_BEGUN_WITHIN_S = 300
_SAME_K = 0.05

_OLDEST_MS = 20 * 60_000  # what is older is not observed any more
_OLDEST_WEATHER_MS = 2 * 3_600_000
_DESERTED_MS = 2 * 3_600_000  # nothing came of any zone for so long: nobody would act on what is said

# In the order of snapshots: what is new comes last.
MEASURES = (*(name for name in ZONE_MEASURES if name not in {"humidity_percent", "power_kw"}), "power_kw")
# What the controller calls them.
_OBSERVED = {
    "air_c": "zone_temp_c",
    "occupied": "zone_occupied",
    "cooling_c": "cooling_c",
    "heating_c": "heating_c",
    "own_cooling_c": "baseline_cooling_c",
    "own_heating_c": "baseline_heating_c",
}
_LEFT_ALONE = frozenset(
    plan.name.lower()
    for plan in (
        Plan.OWN_LEARNING,
        Plan.OWN_STALE,
        Plan.OWN_STUCK,
        Plan.OWN_BEYOND_LIMITS,
        Plan.OVERRIDDEN,
        Plan.COMPARISON_DAY,
    )
)
_EXPECTED = ("expected_saved_kwh", "expected_saved_cny", "expected_saved_kg")
_NEVER = -1
_LENGTH = struct.Struct(">I")
_FASTEST = 1


class Command(NamedTuple):
    """What a zone was told last; it can be superseded."""

    id: str
    mode: str
    cooling_c: float
    heating_c: float
    issued_at: int  # [ms UTC]


@dataclass(slots=True)
class SteeredSite:
    """One site with zones whose heating and cooling is known.

    Parameters
    ----------
    record
        Its record.
    controller
        What was learnt of its zones; None while none is steered.
    zones
        Those in mode `advise` or `act`, as the controller has them.
    values, measured_at
        The newest of each measure and zone, and when it was measured [ms UTC]; shape (measures, zones).
    outdoor_c, outdoor_at
        The newest outdoor temperature, and when it was measured. [°C, ms UTC]
    turn
        Number of the last step.
    commands
        The last one of each zone.
    """

    record: SiteRecord
    controller: Controller | None
    zones: tuple[Zone, ...]
    values: Floats
    measured_at: Floats
    outdoor_c: float = float("nan")
    outdoor_at: int = _NEVER
    turn: int = _NEVER
    commands: dict[str, Command] | None = None
    _packed_record: bytes = b""
    _packed_learnt: bytes = b""

    @classmethod
    def new(cls, record: SiteRecord) -> Self:
        """Return a site of which nothing is known."""
        zones = steered(record.site)
        empty = np.full((len(MEASURES), len(zones)), np.nan)
        return cls(record, _controller(zones), zones, empty, np.full_like(empty, _NEVER), commands={})

    @property
    def phase_s(self) -> int:
        """When within a step it is its turn: sites are spread over it. [s]"""
        return zlib.crc32(self.record.site.id.encode()) % STEP_S

    def turn_at(self, at: int) -> int:
        """Return the number of the step a moment is in. [ms UTC]"""
        return (at - self.phase_s * 1000) // (STEP_S * 1000)

    def configure(self, record: SiteRecord) -> None:
        """Take over a newer record: zones that stay keep what was learnt of them."""
        before, learnt = self.zones, b"" if self.controller is None else self.controller.snapshot()
        self.record, self._packed_record = record, b""
        zones = steered(record.site)
        if _described(zones) == _described(before):
            self.zones = zones  # names and modes may have changed
            return
        self.zones, self.controller, self._packed_learnt = zones, _controller(zones), b""
        if self.controller is not None and learnt:
            self.controller.restore(learnt)
        places = {zone.id: place for place, zone in enumerate(before)}
        values, measured_at = self.values, self.measured_at
        self.values = np.full((len(MEASURES), len(zones)), np.nan)
        self.measured_at = np.full_like(self.values, _NEVER)
        for place, zone in enumerate(zones):
            if zone.id in places:
                self.values[:, place] = values[:, places[zone.id]]
                self.measured_at[:, place] = measured_at[:, places[zone.id]]
        known = {zone.id for zone in zones}
        self.commands = {zone: command for zone, command in (self.commands or {}).items() if zone in known}

    def measure(self, zones: Sequence[str], at: Floats, values: Floats) -> bool:
        """Take in readings; return whether any is of a zone that is steered.

        Parameters
        ----------
        zones
            Whose each is.
        at
            When each was measured, ascending; shape (readings,). [ms UTC]
        values
            What was, NaN where nothing; shape (measures, readings), in the order of `MEASURES`.
        """
        known = {zone.id: place for place, zone in enumerate(self.zones)}
        found = np.array([known.get(zone, _NEVER) for zone in zones])
        mine = np.flatnonzero(found >= 0)
        if not len(mine):
            return False
        place, at, values = found[mine], at[mine], values[:, mine]
        newer = ~np.isnan(values) & (at >= self.measured_at[:, place])
        # In the order of time: of several the last one stays.
        row, column = np.nonzero(newer)
        self.values[row, place[column]] = values[row, column]
        self.measured_at[row, place[column]] = at[column]
        return True

    def feel(self, at: int, outdoor_c: float) -> bool:
        """Take in an outdoor temperature [ms UTC, °C]; return whether it is the newest."""
        if at < self.outdoor_at:
            return False
        self.outdoor_c, self.outdoor_at = outdoor_c, at
        return True

    def act(self, at: int, ahead: Mapping[str, object]) -> Iterator[dict[str, object]]:
        """Take the turn of a step, and yield what is said: rows of `schemas.setpoint.SETPOINT_RECORD`.

        Parameters
        ----------
        at
            Now. [ms UTC]
        ahead
            `price` and `carbon` for the coming steps, as far as they are known.
        """
        newest = self.measured_at.max(initial=_NEVER)
        if self.controller is None or newest < 0:
            return
        self.turn = self.turn_at(at)
        if at - newest > _DESERTED_MS:
            return
        now = datetime.fromtimestamp(at / 1000, UTC).astimezone(self.record.site.zone_info)
        blocks = Blocks.of(self.record.site)
        block = None if blocks is None else blocks.block_on(now.toordinal())
        acting = [zone.id for zone in self.zones if zone.hvac is not None and zone.hvac.mode is Mode.ACT]
        compared = acting if block is not None and not block.has_measure else []
        answer = self.controller.act(now, {**self._observation(at), **ahead}, compared)
        self._packed_learnt = b""
        reasons, words, plans = self.controller.reasons, self.controller.reasons_zh, self.controller.plans
        fallback, expected = self.controller.fallback_c, self.controller.expected
        commands = self.commands if self.commands is not None else {}
        heard = self.measured_at.max(axis=0) >= 0
        for place, zone in enumerate(self.zones):
            if zone.hvac is None or not heard[place]:
                continue
            told = round(answer["cooling_c"][zone.id], 2), round(answer["heating_c"][zone.id], 2)
            last = commands.get(zone.id)
            # Nothing is held that the building would do anyway: the zone is given back, and goes by its own schedule.
            mode = Mode.ADVISE if plans[zone.id] in _LEFT_ALONE else zone.hvac.mode
            if last is not None and not _is_due(last, mode, told, at):
                continue
            command = Command(command_id(self.record.site.id, zone.id, at), mode.value, *told, at)
            commands[zone.id] = command
            yield {
                **self._terms(zone, command),
                "supersedes": None if last is None else last.id,
                "fallback_cooling_c": fallback["cooling_c"][zone.id],
                "fallback_heating_c": fallback["heating_c"][zone.id],
                **dict(zip(_EXPECTED, expected[zone.id], strict=True)),
                "reason": plans[zone.id],
                "message_en": reasons[zone.id],
                "message_zh": words[zone.id],
            } | _words_of(block if zone.id in acting else None)
        self.commands = commands

    def _terms(self, zone: Zone, command: Command) -> dict[str, object]:
        return {
            "id": command.id,
            "tenant_id": self.record.site.tenant,
            "site_id": self.record.site.id,
            "zone_id": zone.id,
            "ts": command.issued_at,
            "command_id": command.id,
            "mode": command.mode,
            "cooling_c": command.cooling_c,
            "heating_c": command.heating_c,
            "issued_at": command.issued_at,
            "not_after": command.issued_at + _BEGUN_WITHIN_S * 1000,
            "lease_s": LEASE_S,
            "priority": DEFAULT_PRIORITY,
            "model_version": MODEL_VERSION,
        }

    def _observation(self, at: int) -> dict[str, object]:
        seen = np.where(at - self.measured_at <= _OLDEST_MS, self.values, np.nan)
        names = [zone.id for zone in self.zones]
        observed: dict[str, object] = {
            _OBSERVED[name]: dict(zip(names, seen[row].tolist(), strict=True))
            for row, name in enumerate(MEASURES)
            if name in _OBSERVED
        }
        power_w = 1_000.0 * seen[MEASURES.index("power_kw")]
        observed["zone_power_w"] = dict(zip(names, power_w.tolist(), strict=True))
        is_known = self.outdoor_at >= 0 and at - self.outdoor_at <= _OLDEST_WEATHER_MS
        return observed | {"outdoor_c": self.outdoor_c if is_known else None}

    def to_bytes(self) -> bytes:
        """Pack it; what hardly changes is kept packed."""
        if not self._packed_record:
            self._packed_record = zlib.compress(self.record.to_json(), _FASTEST)
        if not self._packed_learnt and self.controller is not None:
            self._packed_learnt = self.controller.snapshot()
        about = {
            "zones": [zone.id for zone in self.zones],
            "outdoor": [self.outdoor_c if self.outdoor_at >= 0 else None, self.outdoor_at],
            "turn": self.turn,
            "commands": self.commands,
        }
        numbers = np.stack([self.values, self.measured_at]).astype("<f8").tobytes()
        parts = (self._packed_record, json.dumps(about, separators=(",", ":")).encode(), numbers, self._packed_learnt)
        return b"".join(_LENGTH.pack(len(part)) + part for part in parts)

    @classmethod
    def from_bytes(cls, packed: bytes) -> Self:
        """Unpack what `to_bytes` made."""
        parts, place = [], 0
        while place < len(packed):
            (length,) = _LENGTH.unpack_from(packed, place)
            place += _LENGTH.size + length
            parts.append(packed[place - length : place])
        record, text, numbers, learnt = parts
        about = json.loads(text)
        site = cls.new(SiteRecord.of_json(zlib.decompress(record)))
        # Of before power was measured too there is one row less.
        found = np.frombuffer(numbers, "<f8").reshape(2, -1, len(site.zones)) if site.zones else np.empty((2, 0, 0))
        site.values[: found.shape[1]], site.measured_at[: found.shape[1]] = found
        outdoor_c, site.outdoor_at = about["outdoor"]
        site.outdoor_c = float("nan") if outdoor_c is None else outdoor_c
        site.turn = about["turn"]
        site.commands = {zone: Command(*told) for zone, told in about["commands"].items()}
        if site.controller is not None and learnt:
            site.controller.restore(learnt)
        site._packed_record, site._packed_learnt = record, learnt
        return site


def steered(site: Site) -> tuple[Zone, ...]:
    """Return the zones set-points are worked out for, in the order of their ids."""
    found = (zone for zone in site.zones if zone.hvac is not None and zone.hvac.mode is not Mode.OFF)
    return tuple(sorted(found, key=lambda zone: zone.id))


def _is_due(last: Command, mode: Mode, told: tuple[float, float], at: int) -> bool:
    """Return whether a zone is told anew: something else, or because the lease is nearly over."""
    moved = abs(told[0] - last.cooling_c) > _SAME_K or abs(told[1] - last.heating_c) > _SAME_K
    left_s = LEASE_S - (at - last.issued_at) / 1000
    return moved or last.mode != mode.value or left_s <= _RENEWED_S + 60


def _words_of(block: Block | None) -> dict[str, object]:
    """Return which block of an experiment a command belongs to."""
    if block is None:
        return {}
    return {"experiment": block.experiment, "block": block.number, "block_has_measure": block.has_measure}


def _controller(zones: tuple[Zone, ...]) -> Controller | None:
    if not zones:
        return None
    controller = Controller()
    controller.reset(_described(zones))
    return controller


def _described(zones: tuple[Zone, ...]) -> dict[str, object]:
    """Return zones as `Controller.reset` is told of them."""
    hvac = {zone.id: zone.hvac for zone in zones if zone.hvac is not None}
    limits = {zone: (one.setpoint_min_c, one.setpoint_max_c) for zone, one in hvac.items()}
    return {
        "zones": list(hvac),
        "step_s": STEP_S,
        "limits": limits,
        "comfort": {"occupied": {zone: (one.comfort_min_c, one.comfort_max_c) for zone, one in hvac.items()}},
        "dead_band_k": {zone: one.dead_band_k for zone, one in hvac.items()},
        "equipment": {zone: _times_s(one) for zone, one in hvac.items()},
    }


def _times_s(hvac: Hvac) -> tuple[float, float]:
    """Return the least times on and off, so long that it is not started too often. [s]"""
    starts = hvac.most_starts_per_hour
    cycle_s = 0.0 if starts is None else 3_600.0 / starts
    return hvac.least_on_s, max(hvac.least_off_s, cycle_s - hvac.least_on_s)
