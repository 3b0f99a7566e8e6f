"""The controller: learns zone by zone from what it sees, and answers with set-points that the guard admits.

Reads    an observation, of which anything may be missing
Answers  cooling and heating set-point of every zone, always
Learns   when people are in, how fast zones recover, how far they may drift before people leave, and what is worth doing
         in advance
"""

from collections.abc import Collection, Mapping
from datetime import datetime

import numpy as np

from agents.comfort.attention import Attention
from agents.comfort.clock import Clock
from agents.comfort.foresight import Effect, Foresight
from agents.comfort.guard import Bound, Exempt, Guard
from agents.comfort.occupancy import Occupancy
from agents.comfort.own import Own
from agents.comfort.planning import Outlook, Plan, wish
from agents.comfort.reading import Reading, Sensors, reading_of
from agents.comfort.recovery import Recovery
from agents.comfort.regression import Regressions
from agents.comfort.settings import Flags, Floats, Site, site_of
from agents.comfort.slack import ALLOWED_K, Slack
from agents.comfort.snapshot import from_bytes, to_bytes
from agents.comfort.weather import Weather
from agents.comfort.words import Said

_FORESIGHT_H = 12
_NOBODY_AFTER_S = 3_600.0
_IN_ADVANCE = (Plan.PRECOOLING, Plan.PREHEATING, Plan.TRYING)
_EXPECTED_STEPS = 3


class Controller:
    """Set-points for the zones of a building.

    Starts with the building's own set-points, and with those of a day it has not seen before. After a week it heats
    and cools for the people that came at this time of the week, just in time.

    Examples
    --------
    >>> controller = Controller()
    >>> controller.reset({"zones": ["office"], "step_s": 900})
    >>> own = {"baseline_cooling_c": {"office": 25.0}, "baseline_heating_c": {"office": 20.0}}
    >>> controller.act(datetime(2026, 1, 5, 8), {"zone_temp_c": {"office": 21.0}} | own)
    {'cooling_c': {'office': 25.0}, 'heating_c': {'office': 20.0}}
    >>> controller.reasons["office"]
    "the building's own set-points: this time of the week has not been seen yet; 20.0 to 25.0 °C at 21.0 °C"
    """

    def __init__(self) -> None:
        self._site: Site | None = None

    def reset(self, info: Mapping[str, object]) -> None:
        """Begin with a building of which nothing is known.

        Parameters
        ----------
        info
            See `agents.comfort.settings.site_of`.

        Raises
        ------
        ValueError
            If no zones are named, or limits leave no room for the dead band.
        """
        site = site_of(info)
        count = len(site.zones)
        self._guard = Guard(site)
        self._clock = Clock(site.step_s)
        self._sensors = Sensors(count)
        self._own = Own(site)
        self._attention = Attention(count)
        self._occupancy = Occupancy(count)
        self._heating, self._cooling = Recovery(count, 1), Recovery(count, -1)
        self._slack = Slack(count)
        self._weather = Weather()
        self._foresight = Foresight(site, info)
        self._absent_s = np.zeros(count)
        self._said = Said.nothing(count)
        self._effect = Effect.unknown(count)
        self._site = site

    @property
    def site(self) -> Site:
        """The building.

        Raises
        ------
        RuntimeError
            Before `reset`.
        """
        if self._site is None:
            raise RuntimeError("the controller was not told of a building yet: call reset first")
        return self._site

    @property
    def reasons(self) -> dict[str, str]:
        """Why each zone has its set-points, in words and numbers."""
        return dict(zip(self.site.zones, self._said.sentences(self.site.step_s), strict=True))

    @property
    def reasons_zh(self) -> dict[str, str]:
        """The same in Chinese."""
        return dict(zip(self.site.zones, self._said.sentences_zh(self.site.step_s), strict=True))

    @property
    def plans(self) -> dict[str, str]:
        """What is done with each zone, in a word."""
        plans = [Plan(plan).name.lower() for plan in self._said.plan.tolist()]
        return dict(zip(self.site.zones, plans, strict=True))

    @property
    def fallback_c(self) -> dict[str, dict[str, float | None]]:
        """The building's own set-points as far as it said them: `cooling_c` and `heating_c` by zone. [°C]"""
        cooling_c, heating_c = (
            [None if np.isnan(one) else one for one in side.tolist()] for side in self._own.setpoint_c
        )
        zones = self.site.zones
        return {
            "cooling_c": dict(zip(zones, cooling_c, strict=True)),
            "heating_c": dict(zip(zones, heating_c, strict=True)),
        }

    @property
    def expected(self) -> dict[str, tuple[float | None, float | None, float | None]]:
        """What set-points are expected to save in three steps against the building's own; by zone. [kWh, CNY, kg]

        Negative where they take more; None where nothing that would tell was learnt.
        """
        columns = ([None if np.isnan(one) else one for one in each.tolist()] for each in self._effect)
        return dict(zip(self.site.zones, zip(*columns, strict=True), strict=True))

    @property
    def believed_c(self) -> dict[str, float]:
        """Temperatures that could be believed, NaN where none; by zone. [°C]"""
        return dict(zip(self.site.zones, self._sensors.air_c.tolist(), strict=True))

    def act(
        self, now: datetime, observation: Mapping[str, object], compared: Collection[str] = ()
    ) -> dict[str, dict[str, float]]:
        """Return the set-points of all zones until the next call.

        Parameters
        ----------
        now
            Local time of the building.
        observation
            Temperatures (`zone_temp_c`), people (`zone_occupied`), set-points in force (`cooling_c`, `heating_c`) and
            those of the building's own schedule (`baseline_cooling_c`, `baseline_heating_c`) and power (`zone_power_w`)
            by zone; `outdoor_c`, `power_w`, `price` and `carbon` of the site. Price and carbon are a number that holds
            now, or a sequence: one for each step from now on [CNY/kWh, kg/kWh]. Anything may be missing, NaN or absurd.
        compared
            Zones that keep their own set-points now, because it is measured what they use without us. What is seen in
            them is learnt from all the same.

        Returns
        -------
        dict[str, dict[str, float]]
            `cooling_c` and `heating_c` by zone. [°C]
        """
        site, guard = self.site, self._guard
        elapsed_s = self._clock.elapsed_s(now)
        if elapsed_s is None and guard.has_started:
            self._said = self._said.again(Plan.OUT_OF_ORDER)
            return self._answer()
        elapsed_s = site.step_s if elapsed_s is None else elapsed_s
        reading = reading_of(observation, site.zones)
        air_c = self._sensors.believe(reading.air_c, elapsed_s)
        own_cooling_c, own_heating_c = self._own.update(reading, elapsed_s)
        if not guard.has_started:
            guard.start(own_cooling_c, own_heating_c)
        overridden = self._attention.update(reading, self._own, elapsed_s)
        beyond = self._own.is_beyond_limits
        guard.leave(self._own.setpoint_c, beyond)
        trusted = np.isfinite(air_c) & ~self._sensors.is_silent & ~self._sensors.is_stuck
        low_c, high_c = self._own.band()
        occupied, tail = self._own.people(reading.occupied, low_c, high_c)
        expected, known = self._occupancy.expected(now), self._occupancy.known(now)
        here = np.where(np.isfinite(occupied), occupied > 0, expected)
        self._absent_s = np.where(expected & ~here, self._absent_s + elapsed_s, 0.0)
        frozen = overridden | ~trusted
        self._occupancy.learn(now, site.step_s, occupied, frozen)
        self._foresight.prices.hear(now, observation)
        self._learn_response(now, reading, air_c, elapsed_s, frozen)
        self._slack.learn(air_c, low_c, high_c, elapsed_s, (occupied > 0) & known & ~frozen)
        step_h = site.step_s / 3_600.0
        self._weather.update(reading.outdoor_c, elapsed_s)
        ahead = self._occupancy.ahead(now, max(2, round(_FORESIGHT_H / step_h)), site.step_s)
        is_hard = np.array([[self._weather.is_hot], [self._weather.is_cold]])
        empty_low_c, empty_high_c = self._own.empty(tail, np.asarray(ahead.any(axis=0)), is_hard)
        drifts = self._slack.hours.clip(max=np.where(is_hard[::-1] & self._own.is_asked, 0.0, np.inf))
        # Never more heating or cooling than the building's own schedule gives.
        narrow_cooling_c, narrow_heating_c = self._own.narrow_c
        room_k = np.stack(
            [np.fmin(narrow_heating_c, high_c - 2) - low_c, high_c - np.fmax(narrow_cooling_c, low_c + 2)]
        )
        reserve_k = self._own.spared(
            np.minimum(self._slack.reserve_k(), np.nan_to_num(room_k.clip(min=0.0))), is_hard, ALLOWED_K
        )
        outlook = Outlook(
            air_c,
            low_c + reserve_k[0],
            high_c - reserve_k[1],
            empty_low_c,
            empty_high_c,
            here,
            expected,
            ahead,
            self._absent_s > _NOBODY_AFTER_S,
            self._heating.hours_per_k(reading.outdoor_c),
            self._cooling.hours_per_k(reading.outdoor_c),
            drifts[0],
            drifts[1],
        )
        rests = np.isin(site.zones, list(compared))
        falls_back = rests | ~trusted | ~known | beyond.any(axis=0)
        best, without = self._foresight.improve(
            now, wish(outlook, step_h), outlook, reading.outdoor_c, ~falls_back & ~overridden
        )
        plan = np.select(
            [overridden, rests, beyond.any(axis=0), self._sensors.is_stuck, ~trusted, ~known],
            [
                Plan.OVERRIDDEN,
                Plan.COMPARISON_DAY,
                Plan.OWN_BEYOND_LIMITS,
                Plan.OWN_STUCK,
                Plan.OWN_STALE,
                Plan.OWN_LEARNING,
            ],
            best.plan,
        )
        planned_c = np.where(falls_back, [own_cooling_c, own_heating_c], [best.cooling_c, best.heating_c])
        cooling_c, heating_c = np.where(overridden, self._attention.set_c, planned_c)
        recovering = ((air_c < heating_c) | (air_c > cooling_c)) & trusted & ~overridden & (reading.occupied > 0)
        stepping = falls_back & self._own.was_at(guard.cooling_c, guard.heating_c)
        admitted = guard.admit(
            elapsed_s,
            cooling_c,
            heating_c,
            air_c,
            Exempt(recovering & ~np.isin(plan, _IN_ADVANCE), stepping & ~overridden),
        )
        self._attention.note(admitted.cooling_c, admitted.heating_c, overridden)
        told_c, coming = np.stack(admitted[:2]), np.concatenate([here[None], ahead[: _EXPECTED_STEPS - 1]])
        bounds = admitted.bounds | without * int(Bound.NO_COURSE)
        self._said = Said(plan, best.steps, bounds, air_c, *told_c)
        self._effect = self._foresight.effect(
            now, air_c, told_c, self._own.setpoint_c, here=coming, outdoor_c=reading.outdoor_c
        )
        return self._answer()

    def snapshot(self) -> bytes:
        """Return what was learnt and what is in force, for `restore`."""
        arrays = {f"{part}.{name}": getattr(kept, name) for part, kept in self._parts().items() for name in kept.KEPT}
        arrays |= {"absent_s": self._absent_s, "extremes_c": self._weather.extremes_c, "hard_s": self._weather.hard_s}
        arrays |= {f"foresight.{name}": kept for name, kept in self._foresight.of_site().items()}
        return to_bytes(arrays, {"zones": self.site.zones, "clock": self._clock.to_texts()})

    def restore(self, packed: bytes) -> None:
        """Take up what `snapshot` gave, after `reset`. Zones that it does not know begin anew.

        Raises
        ------
        ValueError
            If it is no snapshot, or of another version.
        """
        arrays, about = from_bytes(packed)
        there = {zone: index for index, zone in enumerate(about["zones"])}
        to = [index for index, zone in enumerate(self.site.zones) if zone in there]
        of = [there[self.site.zones[index]] for index in to]
        for part, kept in self._parts().items():
            for name in kept.KEPT:
                if (found := arrays.get(f"{part}.{name}")) is not None:  # what older ones did not learn begins anew
                    getattr(kept, name)[..., to] = found[..., of]
        self._absent_s[to] = arrays["absent_s"][of]
        self._weather.extremes_c[:], self._weather.hard_s[:] = arrays["extremes_c"], arrays["hard_s"]
        for name, held in self._foresight.of_site().items():
            held[...] = arrays.get(f"foresight.{name}", held)
        self._clock.of_texts(about["clock"])
        for recovery in (self._heating, self._cooling):
            recovery.fit_all()
        if self._guard.has_started:  # limits may have become narrower meanwhile
            self._guard.start(self._guard.cooling_c, self._guard.heating_c)

    def _parts(self) -> dict[str, Attention | Guard | Occupancy | Own | Recovery | Regressions | Sensors | Slack]:
        return {
            "guard": self._guard,
            "sensors": self._sensors,
            "own": self._own,
            "attention": self._attention,
            "occupancy": self._occupancy,
            "heating": self._heating,
            "cooling": self._cooling,
            "slack": self._slack,
            "response": self._foresight.response,
            "power": self._foresight.power.by_zone,
        }

    def _learn_response(self, now: datetime, reading: Reading, air_c: Floats, elapsed_s: float, frozen: Flags) -> None:
        """Learn from what followed the set-points of the step before."""
        in_force_c = np.stack([reading.cooling_c, reading.heating_c])
        commanded_c = np.stack([self._guard.cooling_c, self._guard.heating_c])
        setpoints_c = np.where(np.isfinite(in_force_c), in_force_c, commanded_c)
        for recovery, setpoint_c in ((self._cooling, setpoints_c[0]), (self._heating, setpoints_c[1])):
            recovery.watch(air_c, setpoint_c, elapsed_s, reading.outdoor_c, frozen)
        self._foresight.learn(now, air_c, setpoints_c, reading, elapsed_s=elapsed_s, but=frozen)

    def _answer(self) -> dict[str, dict[str, float]]:
        zones, guard = self.site.zones, self._guard
        return {
            "cooling_c": dict(zip(zones, guard.cooling_c.tolist(), strict=True)),
            "heating_c": dict(zip(zones, guard.heating_c.tolist(), strict=True)),
        }
