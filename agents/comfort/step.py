"""Comfort: zones are told which set-points to use, for as long as a lease runs.

Reads    energy.v1            site records, readings of zones, weather and ticks of one partition
Yields   hvac.setpoints.v1    what zones in mode `act` shall have, and those in mode `advise` could
State    per site: record, newest readings, what was learnt, the last command of each zone

Time is that of the ticks, so the same log gives the same commands. A replay does not run this agent: nobody is to be
told again what was told once.
"""

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import polars as pl

from agents.comfort.building import MEASURES, STEP_S, SteeredSite, steered
from agents.comfort.tariffs import Tariffs
from agents.pricing.pricing import Reference
from schemas.flow import NOTHING, Kind, Message, Outcome, Output, SiteRecord
from schemas.setpoint import SETPOINT_RECORD
from schemas.topics import HVAC_SETPOINTS

_PASSED_OVER = frozenset({Kind.WINDOWS, Kind.LIVE, Kind.PRODUCTION, Kind.FEEDBACK})


class Comfort:
    """The steered zones of one partition.

    Parameters
    ----------
    reference
        Emission factors and tariff plans, for sites whose record carries no edition; None: prices do not enter.
    """

    def __init__(self, reference: Reference | None = None) -> None:
        self._tariffs = Tariffs(reference)
        self._learnt = True
        self._sites: dict[str, SteeredSite] = {}
        self._changed: set[str] = set()

    def step(self, message: Message) -> Outcome:
        """Take a site record, readings of zones, weather or a tick."""
        if message.kind is Kind.TICK:
            return self._tick(message.arrived_at)
        if message.kind is Kind.ZONES and message.rows is not None:
            return self._measure(message.rows)
        if message.kind is Kind.WEATHER and message.rows is not None:
            return self._feel(message.rows)
        if message.kind is Kind.SITE and message.record is not None:
            return self._configure(message.record)
        if message.kind in _PASSED_OVER:
            return NOTHING
        raise ValueError(f"comfort takes zones, weather, site records and ticks, not {message.kind}")

    def changed(self) -> Iterable[str]:
        """Return the sites to snapshot."""
        return self._changed

    def snapshot(self, sites: Collection[str] | None = None) -> Mapping[str, bytes]:
        """Return the state of sites."""
        chosen = sorted(self._changed if sites is None else sites)
        self._changed.difference_update(chosen)
        return {name: self._sites[name].to_bytes() for name in chosen}

    def restore(self, snapshots: Mapping[str, bytes]) -> None:
        """Take over these sites."""
        self._sites |= {name: SteeredSite.from_bytes(packed) for name, packed in snapshots.items()}
        self._learnt = False

    def _configure(self, record: SiteRecord) -> Outcome:
        held = self._sites.get(record.site.id)
        if held is None and not steered(record.site):
            return NOTHING  # what nobody steers costs nothing
        if held is None:
            self._sites[record.site.id] = SteeredSite.new(record)
        elif held.record.revision >= record.revision:
            return NOTHING
        else:
            held.configure(record)
        self._learnt = False
        self._changed.add(record.site.id)
        return NOTHING

    def _measure(self, rows: pl.DataFrame) -> Outcome:
        rows = rows.sort("site_id", "ts", maintain_order=True)
        zones, at = rows["zone_id"].to_list(), rows["ts"].dt.epoch("ms").cast(pl.Float64).to_numpy()
        values = np.stack([rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in MEASURES])
        names = rows["site_id"].rle().struct.unnest()
        begin = 0
        for count, name in names.iter_rows():
            end, site = begin + count, self._sites.get(name)
            if site is not None and site.measure(zones[begin:end], at[begin:end], values[:, begin:end]):
                self._changed.add(name)
            begin = end
        return NOTHING

    def _feel(self, rows: pl.DataFrame) -> Outcome:
        known = rows.drop_nulls("outdoor_c").sort("ts", maintain_order=True)
        newest = known.unique("site_id", keep="last", maintain_order=True)
        for name, at, outdoor_c in newest.select("site_id", pl.col("ts").dt.epoch("ms"), "outdoor_c").iter_rows():
            site = self._sites.get(name)
            if site is not None and site.feel(at, outdoor_c):
                self._changed.add(name)
        return NOTHING

    def _tick(self, at: int) -> Outcome:
        if not self._learnt:
            self._tariffs.learn(site.record for site in self._sites.values())
            self._learnt = True
        rows: list[dict[str, object]] = []
        due = [name for name, site in self._sites.items() if site.turn_at(at) > site.turn]
        ahead = self._tariffs.ahead(due, at, STEP_S * 1000)
        for name in due:
            site, turn = self._sites[name], self._sites[name].turn
            rows += site.act(at, ahead.get(name, {}))
            if site.turn != turn:
                self._changed.add(name)
        if not rows:
            return NOTHING
        said = pl.DataFrame(rows, schema_overrides=SETPOINT_RECORD)
        missing = (pl.lit(None, kind).alias(name) for name, kind in SETPOINT_RECORD.items() if name not in said.columns)
        return Outcome([Output(HVAC_SETPOINTS, rows=said.with_columns(*missing).select(*SETPOINT_RECORD))])
