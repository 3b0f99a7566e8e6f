"""What is known of one site: its record, its load, and its measures."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import blake2b

import numpy as np
import polars as pl

from agents.advice.capping import contract_demand, demand_cap
from agents.advice.compensating import compensate
from agents.advice.cooling import WARM_C, cooling_meters, set_point
from agents.advice.findings import Finding, View
from agents.advice.loads import HOURS, KEPT_DAYS, KEPT_MONTHS, KEPT_TOPS, NANO, DayLoad, Floats, MonthLoad, SiteLoad
from agents.advice.measure import Measure, midnight_ms
from agents.advice.panels import panels
from agents.advice.shifting import shift_load
from agents.advice.shutting import shut_down
from agents.advice.work_days import works_on
from agents.pricing.editions import EditionPricing
from schemas.flow import SiteRecord
from schemas.reference.charges import Charges
from schemas.registry import Site

_HALF_HOUR_MS = 1_800_000
_DAY_MIN = 1440
_FIRST_MIN = 60  # after midnight, at the earliest: what comes late to a day has come by then
_BACK_WEEKS = 4  # that are measured at once when a measure is proposed
_DEAR = ["sharp", "peak"]


@dataclass(slots=True)
class SiteAdvice:
    """The state of one site.

    Parameters
    ----------
    record
        Its record.
    load
        What is kept of its load.
    measures
        Those that were proposed, oldest first.
    cooling_set_c
        Newest set-points for cooling, by zone. [°C]
    answers
        Records that are to be sent at the next tick.
    """

    record: SiteRecord
    load: SiteLoad = field(default_factory=SiteLoad)
    measures: list[Measure] = field(default_factory=list)
    cooling_set_c: dict[str, float] = field(default_factory=dict)
    answers: list[dict[str, object]] = field(default_factory=list)
    past: "SiteAdvice | None" = None  # the history as far as it has come, until it is complete
    until: int = 0  # of a past: where its history ends [ms UTC]
    packed_record: bytes = field(default=b"", compare=False, repr=False)
    packed_turn: tuple[bytes, bytes] | None = field(default=None, compare=False, repr=False)

    @property
    def site(self) -> Site:
        """Its registry entry."""
        return self.record.site

    def configure(self, record: SiteRecord) -> None:
        """Take over a newer record; what is known of meters that are gone goes with them."""
        self.record, self.packed_record, self.packed_turn = record, b"", None
        known = {meter.id: meter for meter in record.site.meters}
        self.load.keep(known)
        if self.past is not None:
            self.past.configure(record)
        self.measures = [one for one in self.measures if one.meter is None or one.meter in known]
        self.cooling_set_c = {zone: c for zone, c in self.cooling_set_c.items() if record.site.zone(zone) is not None}

    def today(self) -> int:
        """Return the newest local day at which the site has been due, as an ordinal.

        A site is looked at once a day, at a minute of its own: thousands would have their turn at one tick.
        """
        minute = _FIRST_MIN + int.from_bytes(blake2b(self.site.id.encode(), digest_size=4).digest()) % (
            _DAY_MIN - 2 * _FIRST_MIN
        )
        local = pl.Series([self.load.newest - minute * 60_000]).cast(pl.Datetime("ms", "UTC"))
        day = local.dt.convert_time_zone(self.site.time_zone).dt.date().item()
        return int(day.toordinal())

    def is_due(self) -> bool:
        """Return whether a day has passed that is not folded."""
        return bool(self.load.newest) and self.today() > (self.load.folded or min(self.load.running, default=1 << 40))

    def look(self, pricing: EditionPricing, charges: Charges) -> Iterator[dict[str, object]]:
        """Fold what has passed and yield the records that follow."""
        today, load = self.today(), self.load
        self.packed_turn = None
        first = load.folded or min(load.running)
        if today - first > KEPT_DAYS:
            _forget_days(load)
            first = today - KEPT_DAYS
        for day in range(first, today):
            self.fold(day, pricing)
            if day % 7 == 0:  # a Sunday: with it a week has ended
                self._measure(self._view(day + 1, pricing, charges))
        load.running = {day: known for day, known in load.running.items() if day >= today}
        for meter in load.meters.values():
            meter.running = {day: known for day, known in meter.running.items() if day >= today}
        view = self._view(today, pricing, charges)
        yield from self._advise(view)

    def _advise(self, view: View) -> Iterator[dict[str, object]]:
        at = midnight_ms(self.site, view.today)
        for found in findings(view):
            mine = [one for one in self.measures if one.place == (found.kind, found.meter or "")]
            held = mine[-1] if mine else None
            if held is None or held.may_come_again(view.today):
                held = Measure(found.kind, found.meter, at)
                held.find(found, view)
                for weeks_ago in reversed(range(_BACK_WEEKS)):
                    held.measure(view, weeks_ago)
                self.measures = [one for one in self.measures if one.place != held.place] + [held]
                yield held.record(self.site, at)
            elif held.is_open and held.find(found, view):
                yield held.record(self.site, at)
        for one in self.measures:
            if one.look(view):
                yield one.record(self.site, at)

    def _measure(self, view: View) -> None:
        for one in self.measures:
            if not one.ended_on:
                one.measure(view)

    def _view(self, today: int, pricing: EditionPricing, charges: Charges) -> View:
        terms = pricing.terms({self.site.id: midnight_ms(self.site, today)})[self.site.id]
        return View(self.site, self.load, today, terms.factor_kg_per_kwh, charges, self.cooling_set_c)

    def fold(self, day: int, pricing: EditionPricing) -> None:
        """End a local day: its hours go to the tables of days, and its sums to its month."""
        load, site = self.load, self.site
        local = date.fromordinal(day)
        known = load.running.pop(day, DayLoad())
        for meter in site.meters:
            load.meter(meter.id).fold(day)
        price, dear = _tariff(site, local, pricing)
        works = works_on(site, local)
        load.folded = day + 1
        load.works = [*load.works, works][-KEPT_DAYS:]
        load.price = np.concatenate([load.price, price[None]])[-KEPT_DAYS:]
        load.dear = np.concatenate([load.dear, dear[None]])[-KEPT_DAYS:]
        made = np.isin(np.arange(HOURS), list(known.made)).astype(np.float32)
        load.made = np.concatenate([load.made, made[None]])[-KEPT_DAYS:]
        demands = load.highest_kw(known, len(site.grid_meters))
        load.peaks_kw = [*load.peaks_kw, max(demands, default=float("nan"))][-KEPT_DAYS:]
        active, reactive = (part / NANO for part in known.reactive)
        load.reactive = [*load.reactive, (active, reactive)][-KEPT_DAYS:]
        outdoor_c = known.outdoor[0] / 1000 / known.outdoor[1] if known.outdoor[1] else float("nan")
        load.outdoor_c = [*load.outdoor_c, outdoor_c][-KEPT_DAYS:]
        month = load.months.setdefault((local.year, local.month), MonthLoad())
        load.months = dict(sorted(load.months.items())[-KEPT_MONTHS:])
        total = load.sum_kw([meter.id for meter in site.grid_meters])[-1].astype(np.float64)
        is_known = np.isfinite(total)
        month.days += bool(is_known.any())
        month.kwh[int(works)] += np.where(is_known, total, 0)
        month.hours[int(works)] += is_known
        month.tops_kw = sorted([*month.tops_kw, *demands], reverse=True)[:KEPT_TOPS]
        month.energy_cny += float(np.where(is_known, total, 0) @ np.where(is_known, price.astype(np.float64), 0))
        month.active_kwh += active
        month.reactive_kvarh += reactive
        if known.outdoor[1]:
            month.outdoor_days += 1
            cooling = load.sum_kw(cooling_meters(site))[-1]
            if outdoor_c >= WARM_C and np.isfinite(cooling).any():
                month.cooling_days += 1
                month.cooling_kwh += float(np.nansum(cooling, dtype=np.float64))
        sums, counts = known.sun
        month.sun_w_m2 += np.where(counts > 0, sums / 1000 / np.maximum(counts, 1), 0)
        month.sun_hours += counts > 0


def findings(view: View) -> Iterator[Finding]:
    """Yield every measure a site's load gives a reason for."""
    for looks in (shut_down, shift_load, demand_cap, contract_demand, panels, set_point, compensate):
        yield from looks(view)


def _forget_days(load: SiteLoad) -> None:
    """Begin anew after a pause that is longer than what is kept."""
    for meter in load.meters.values():
        meter.days, meter.packed = meter.days[:0], b""
    load.works, load.peaks_kw, load.reactive, load.outdoor_c = [], [], [], []
    load.price, load.dear, load.made = load.price[:0], load.dear[:0], load.made[:0]


def _tariff(site: Site, day: date, pricing: EditionPricing) -> tuple[Floats, Floats]:
    """Return mean price and share of sharp and peak periods of the local hours of a day, shape (24,) each."""
    begin, end = midnight_ms(site, day.toordinal()), midnight_ms(site, (day + timedelta(days=1)).toordinal())
    halves = pl.DataFrame({"window_start": np.arange(begin, end, _HALF_HOUR_MS)}).with_columns(site_id=pl.lit(site.id))
    local = pl.col("window_start").cast(pl.Datetime("ms", "UTC")).dt.convert_time_zone(site.time_zone)
    hours = (
        pricing.tariffed(halves)
        .with_columns(hour=local.dt.hour())
        .group_by("hour")
        .agg(
            price=pl.when(pl.col("price_cny_per_kwh").is_null().any())
            .then(None)
            .otherwise(pl.col("price_cny_per_kwh").mean()),
            dear=pl.col("period").is_in(_DEAR).cast(pl.Float64).mean(),
        )
    )
    price, dear = np.full(HOURS, np.nan, np.float32), np.full(HOURS, np.nan, np.float32)
    for hour, cny, share in hours.iter_rows():
        price[hour] = np.nan if cny is None else cny
        dear[hour] = np.nan if share is None else share
    return price, dear
