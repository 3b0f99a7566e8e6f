"""What the coming hours are worth: zones are cooled or heated in advance where what was learnt says that it pays.

Learns   how zones drift, what their plant takes, the usual day outdoors, prices by time of the week
Changes  a set-point that was planned without prices, and only while energy is cheaper than it will be
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from agents.comfort.optimising import Course, Horizon, as_late_as_possible, cheapest, held
from agents.comfort.outdoors import Outdoors
from agents.comfort.planning import Outlook, Plan, Wish
from agents.comfort.power import Power
from agents.comfort.prices import Prices
from agents.comfort.reading import Reading
from agents.comfort.response import Drift, Response, daylight
from agents.comfort.settings import Counts, Flags, Floats, Site

_HORIZON_H = 8.0
_LEAST_MOST_K_PER_H = 1.0  # of cooling or heating, until more was seen
_BEYOND_DEAD_BAND_K = 0.2
_STARTS_K_PER_H = 0.1  # what is moved earlier by less than this is not worth a set-point
_PAYS = 1.1  # what is saved later for each CNY that is spent earlier
_TRIES_K = 1.5
_TRIES_H = 1.0
_NEAR_K = 0.5
_FORGETS_PER_DAY = 0.01


class Improved(NamedTuple):
    """A wish that knows of prices, and where they would matter but no course was found; shape (zones,)."""

    wish: Wish
    without_course: Flags


class Effect(NamedTuple):
    """What set-points save against others, negative where they take more; shape (zones,), NaN where not known.

    Parameters
    ----------
    kwh, cny, kg
        [kWh, CNY, kg]
    """

    kwh: Floats
    cny: Floats
    kg: Floats

    @classmethod
    def unknown(cls, zones: int) -> "Effect":
        """Return that nothing is known."""
        none = np.full(zones, np.nan)
        return cls(none, none, none)


class Foresight:
    """The coming hours of all zones of a site.

    Parameters
    ----------
    site
        Zones, step and dead bands.
    info
        What the controller is told: see `agents.comfort.prices.Prices`.
    """

    def __init__(self, site: Site, info: Mapping[str, object]) -> None:
        zones = len(site.zones)
        self._site = site
        self.response, self.power = Response(zones), Power(zones)
        self.prices, self.outdoors = Prices(info), Outdoors()
        self.most_kw: Floats = np.zeros(1)  # that all zones together were seen to take beside fans

    def of_site(self) -> dict[str, Floats]:
        """Return what is learnt of the site as a whole: arrays, to be kept and to be written into."""
        site = self.power.of_site
        kept = {f"site.{name}": getattr(site, name) for name in site.KEPT}
        return kept | {"by_hour": self.outdoors.by_hour, "by_slot": self.prices.by_slot, "most_kw": self.most_kw}

    def learn(
        self, now: datetime, air_c: Floats, setpoints_c: Floats, reading: Reading, *, elapsed_s: float, but: Flags
    ) -> None:
        """Learn from the step that ends.

        Parameters
        ----------
        now
            Local time.
        air_c
            Temperatures that are believed; shape (zones,). [°C]
        setpoints_c
            In force until now, cooling and heating; shape (2, zones). [°C]
        reading
            What is observed.
        elapsed_s
            Since the step before. [s]
        but
            Zones that must not learn now; shape (zones,).
        """
        self.outdoors.hear(now, reading.outdoor_c)
        here = reading.occupied > 0
        unsure = but | np.isnan(reading.occupied)
        moved = self.response.learn_step(
            now, air_c, setpoints_c, here=here, outdoor_c=reading.outdoor_c, elapsed_s=elapsed_s, but=unsure
        )
        self.power.learn(moved, here, reading.outdoor_c, reading.power_kw, reading.power_w / 1_000.0)
        kw, is_known = self.power.kw_per_k_per_h(np.array([reading.outdoor_c]))
        self.most_kw *= 1.0 - _FORGETS_PER_DAY * elapsed_s / 86_400.0
        if is_known.all():
            self.most_kw[:] = np.fmax(self.most_kw, np.nansum(kw[:, 0] * moved))

    def improve(self, now: datetime, best: Wish, outlook: Outlook, outdoor_c: float, usable: Flags) -> Improved:
        """Return what would be best with what energy costs in the coming hours.

        Parameters
        ----------
        now
            Local time.
        best
            What would be without prices.
        outlook
            What is known of the zones.
        outdoor_c
            Outdoors. [°C]
        usable
            Zones whose set-points are ours; shape (zones,).
        """
        step_s, nobody = self._site.step_s, np.zeros(len(best.plan), dtype=bool)
        count = min(max(2, round(_HORIZON_H * 3_600 / step_s)), len(outlook.ahead))
        worth = self.prices.ahead(now, count, step_s)
        # Only what gets dearer is worth anything in advance.
        if not worth.differs or np.isnan(outdoor_c) or worth.value[0] >= worth.value.max():
            return Improved(best, nobody)
        ahead = outlook.ahead[:count] & ~outlook.nobody_came
        here = np.concatenate([outlook.occupied[None], ahead[:-1]])
        ready = usable & np.isfinite(outlook.air_c) & ahead.any(axis=0)
        improved, without_course = best, nobody
        until = int(np.argmax(worth.value > worth.value[0]))
        if (known := ready & self.response.is_known).any():
            zones = np.flatnonzero(known)
            low_c = np.where(ahead, outlook.low_c, outlook.empty_low_c)
            high_c = np.where(ahead, outlook.high_c, outlook.empty_high_c)
            band_c = low_c[:, zones], high_c[:, zones]
            horizon, _ = self._horizon(
                now, outlook.air_c, here, band_c, value=worth.value, outdoor_c=outdoor_c, zones=zones
            )
            late = as_late_as_possible(horizon)
            course = cheapest(horizon, late)
            if course is None:
                without_course = known
            else:
                improved = self._follow(improved, zones, horizon, late, course=course, until=until)
        # Only just before, so that the zone is left to itself again by then.
        if until * step_s <= _TRIES_H * 3_600 and (unknown := ready & ahead[0] & self.response.lacks_people).any():
            improved = self._try(improved, outlook, np.flatnonzero(unknown), until)
        return Improved(improved, without_course)

    def effect(
        self, now: datetime, air_c: Floats, told_c: Floats, own_c: Floats, *, here: Flags, outdoor_c: float
    ) -> Effect:
        """Return what set-points are expected to save against others, in as many steps as `here` has.

        Parameters
        ----------
        now
            Local time.
        air_c
            Temperatures; shape (zones,). [°C]
        told_c, own_c
            Cooling and heating; shape (2, zones). [°C]
        here
            Whether people are expected; shape (steps, zones).
        outdoor_c
            Outdoors. [°C]
        """
        known = self.response.is_known & np.isfinite(air_c + own_c.sum(axis=0))
        if np.isnan(outdoor_c) or not known.any():
            return Effect.unknown(len(air_c))
        zones, count = np.flatnonzero(known), len(here)
        worth = self.prices.ahead(now, count, self._site.step_s)
        drawn = []
        for cooling_c, heating_c in (own_c, told_c):
            band = [np.repeat(side[None, zones], count, axis=0) for side in (heating_c, cooling_c)]
            horizon, is_learnt = self._horizon(
                now, air_c, here, (band[0], band[1]), value=worth.value, outdoor_c=outdoor_c, zones=zones
            )
            course = held(horizon)
            kwh = course.kwh(horizon)
            unsure = ((course.moved > 0).any(axis=1) & ~is_learnt).any(axis=0)
            drawn.append(np.where(unsure, np.nan, kwh))
        saved = np.full((count, len(air_c)), np.nan)
        saved[:, zones] = drawn[0] - drawn[1]
        return Effect(*((saved * each[:, None]).sum(axis=0) for each in (np.ones(count), worth.price, worth.carbon)))

    def _horizon(
        self,
        now: datetime,
        air_c: Floats,
        here: Flags,
        band_c: tuple[Floats, Floats],
        *,
        value: Floats,
        outdoor_c: float,
        zones: Counts,
    ) -> tuple[Horizon, Flags]:
        """Return the coming hours of some zones, and of which of them power was learnt, shape (2, zones)."""
        site, count = self._site, len(here)
        outdoors_c = self.outdoors.ahead(now, count, site.step_s, outdoor_c)
        days = np.array([daylight(now + timedelta(seconds=site.step_s * step)) for step in range(count)])
        drift = self.response.drift(here, days)
        kw, is_learnt = self.power.kw_per_k_per_h(outdoors_c)
        most_kw = float(self.most_kw[0])
        horizon = Horizon(
            site.step_s / 3_600.0,
            air_c[zones],
            *band_c,
            site.dead_band_k[zones] + _BEYOND_DEAD_BAND_K,
            outdoors_c,
            Drift(drift.per_h[zones], drift.gain_k_per_h[:, zones]),
            np.fmax(self.response.most_k_per_h, _LEAST_MOST_K_PER_H)[:, zones],
            kw[:, :, zones],
            value,
            most_kw if most_kw > 0 and is_learnt.any(axis=0).all() else np.inf,
        )
        return horizon, is_learnt[:, zones]

    def _follow(self, best: Wish, zones: Counts, horizon: Horizon, late: Course, *, course: Course, until: int) -> Wish:
        """Return a wish that follows a course, where that pays."""
        more_kwh = course.kwh(horizon) - late.kwh(horizon)
        spent, earned = ((horizon.value[:, None] * part.clip(min=0.0)).sum(axis=0) for part in (more_kwh, -more_kwh))
        early = (course.moved - late.moved)[:, 0] > _STARTS_K_PER_H
        cooling_c = np.maximum(course.air_c[0], best.heating_c[zones] + horizon.inner_k)
        heating_c = np.minimum(course.air_c[0], best.cooling_c[zones] - horizon.inner_k)
        pays = earned >= _PAYS * spent
        cooled = pays & early[0] & (cooling_c < best.cooling_c[zones])
        heated = pays & early[1] & (heating_c > best.heating_c[zones]) & ~cooled
        return _changed(best, zones, (cooled, cooling_c, Plan.PRECOOLING), (heated, heating_c, Plan.PREHEATING), until)

    def _try(self, best: Wish, outlook: Outlook, zones: Counts, until: int) -> Wish:
        """Return a wish that shows how zones drift with people in them, so that it can be learnt."""
        inner_k = self._site.dead_band_k[zones] + _BEYOND_DEAD_BAND_K
        air_c, cooling_c, heating_c = outlook.air_c[zones], best.cooling_c[zones], best.heating_c[zones]
        cooler_c = np.maximum(cooling_c - _TRIES_K, heating_c + inner_k)
        warmer_c = np.minimum(heating_c + _TRIES_K, cooling_c - inner_k)
        cooled = (air_c >= cooler_c - _NEAR_K) & (cooler_c < cooling_c)
        heated = (air_c <= warmer_c + _NEAR_K) & (warmer_c > heating_c) & ~cooled
        return _changed(best, zones, (cooled, cooler_c, Plan.TRYING), (heated, warmer_c, Plan.TRYING), until)


def _changed(
    best: Wish,
    zones: Counts,
    cooled: tuple[Flags, Floats, Plan],
    heated: tuple[Flags, Floats, Plan],
    until: int,
) -> Wish:
    """Return a wish with other set-points in some zones: where, which, and why."""
    cooling_c, heating_c = best.cooling_c.copy(), best.heating_c.copy()
    plans, steps = best.plan.copy(), best.steps.copy()
    for side, (chosen, setpoint_c, plan) in ((cooling_c, cooled), (heating_c, heated)):
        side[zones[chosen]] = setpoint_c[chosen]
        plans[zones[chosen]], steps[zones[chosen]] = plan, until
    return replace(best, cooling_c=cooling_c, heating_c=heating_c, plan=plans, steps=steps)
