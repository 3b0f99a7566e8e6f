"""Savings: what a measure saves, by switching it on and off, or against the days before it.

Reads    energy.v1    closed windows, site records, weather, production and ticks of one partition
Yields   savings.v1   once a local day: of each site with a measure and of its metered zones, what is shown so far
State    per site: record, days of up to two years, quarter hours of days that may still be corrected

What is said follows from windows alone and is said at the next tick, so a month that is replayed in a minute says the
same. A correction counts if it comes within `CORRECTED_DAYS` days; one of energy that was sent back does not.
"""

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import polars as pl

from agents.pricing.editions import EditionPricing
from agents.pricing.pricing import Reference
from agents.savings.baseline import Floats
from agents.savings.local import QUARTER_MS
from agents.savings.open_days import COUNTS_PER_K, COUNTS_PER_KWH, Whole
from agents.savings.scopes import MEMBERS, members_of
from agents.savings.site import Due, WatchedSite
from agents.savings.state import from_bytes, to_bytes
from schemas.flow import NOTHING, Kind, Message, Outcome, Output, SiteRecord
from schemas.registry import MeterKind
from schemas.saving import SAVING_RECORD
from schemas.topics import SAVINGS

_RATES = ("price_cny_per_kwh", "factor_kg_per_kwh", "market_factor_kg_per_kwh")
_PASSED_OVER = frozenset({Kind.LIVE, Kind.FEEDBACK, Kind.ZONES})


class Savings:
    """The savings of one partition.

    Parameters
    ----------
    reference
        Emission factors and tariff plans, for sites whose record carries no edition.
    """

    def __init__(self, reference: Reference) -> None:
        self._pricing = EditionPricing(reference)
        self._sites: dict[str, WatchedSite] = {}
        self._members = pl.DataFrame(schema=MEMBERS)
        self._learnt = True
        self._moved: set[str] = set()  # since the last tick
        self._changed: set[str] = set()

    def step(self, message: Message) -> Outcome:
        """Take windows, weather, production, a site record or a tick; records are sent at ticks only."""
        if message.kind is Kind.WINDOWS and message.rows is not None:
            return self._take(message.rows)
        if message.kind is Kind.TICK:
            return self._tick()
        if message.kind is Kind.WEATHER and message.rows is not None:
            return self._feel(message.rows)
        if message.kind is Kind.PRODUCTION and message.rows is not None:
            return self._make(message.rows)
        if message.kind is Kind.SITE and message.record is not None:
            return self._configure(message.record, message.arrived_at)
        if message.kind in _PASSED_OVER:
            return NOTHING
        raise ValueError(f"savings takes windows, live state, context, site records and ticks, not {message.kind}")

    def changed(self) -> Iterable[str]:
        """Return the sites to snapshot."""
        return self._changed

    def snapshot(self, sites: Collection[str] | None = None) -> Mapping[str, bytes]:
        """Return the state of sites."""
        chosen = sorted(self._changed if sites is None else sites)
        self._changed.difference_update(chosen)
        return {name: to_bytes(self._sites[name]) for name in chosen}

    def restore(self, snapshots: Mapping[str, bytes]) -> None:
        """Take over these sites."""
        self._sites |= {name: from_bytes(packed) for name, packed in snapshots.items()}
        self._moved.update(snapshots)
        self._learnt = False

    def _configure(self, record: SiteRecord, arrived_at: int) -> Outcome:
        name = record.site.id
        if not self._pricing.has_plan(record):
            raise ValueError(f"site {name}: tariff plan {record.site.tariff.plan} is not in the reference data")
        held = self._sites.get(name)
        if held is None:
            self._sites[name] = WatchedSite.new(record, arrived_at)
        elif held.record.revision >= record.revision:
            return NOTHING
        else:
            held.configure(record, arrived_at)
        self._learnt = False
        self._changed.add(name)
        return NOTHING

    def _learn(self) -> None:
        if not self._learnt:
            self._members = members_of(state.record.site for state in self._sites.values())
            self._pricing.learn(state.record for state in self._sites.values() if state.is_measured)
            self._learnt = True

    def _take(self, windows: pl.DataFrame) -> Outcome:
        unknown = [name for name in windows["site_id"].unique() if name not in self._sites]
        if unknown:
            raise ValueError(f"no site record came before the data of {sorted(unknown)[:3]}")
        self._learn()
        drawn, sent = (_counts(pl.col(name)) for name in ("import_kwh", "export_kwh"))
        net = drawn - sent.fill_null(0)
        # What a generator makes may be all it reports.
        flows = pl.when(pl.col("meter_kind") == MeterKind.GENERATION.value).then(pl.coalesce(net, sent)).otherwise(net)
        before = _counts(pl.col("previous_import_kwh"))
        corrects = before.is_not_null() & (pl.col("revision") > 0)
        energy = (
            windows.with_columns(
                counts=pl.when(corrects).then(drawn - before).otherwise(flows),
                seconds=pl.when(corrects).then(0).otherwise("window_s").cast(pl.Int64),
                quarter=pl.col("window_start").dt.epoch("ms") // QUARTER_MS,
            )
            .drop_nulls("counts")
            .join(self._members, on=["site_id", "meter_id"], how="inner")
            .group_by("site_id", "scope", "quarter")
            .agg(pl.col("counts").sum(), pl.col("seconds").sum())
        )
        for name, (scope, quarter, counts, seconds) in _by_site(energy, "scope", "quarter", "counts", "seconds"):
            self._sites[name].add_energy(scope, quarter, counts, seconds)
            self._note(name)
        return NOTHING

    def _feel(self, rows: pl.DataFrame) -> Outcome:
        felt = (
            rows.drop_nulls("outdoor_c")
            .with_columns(
                quarter=pl.col("ts").dt.epoch("ms") // QUARTER_MS,
                hundredths=(pl.col("outdoor_c") * COUNTS_PER_K).round().cast(pl.Int64),
            )
            .group_by("site_id", "quarter")
            .agg(sums=pl.col("hundredths").sum(), number=pl.len().cast(pl.Int64))
        )
        for name, (quarter, sums, number) in _by_site(felt, "quarter", "sums", "number"):
            if name in self._sites:
                self._sites[name].add_outdoor(quarter, sums, number)
                self._changed.add(name)
        return NOTHING

    def _make(self, rows: pl.DataFrame) -> Outcome:
        made = rows.filter(pl.col("units_made") > 0).select("site_id", "local_day", "units_made")
        for name, day, units in made.iter_rows():
            if name in self._sites:
                self._sites[name].add_produced(day.toordinal(), units)
                self._changed.add(name)
        return NOTHING

    def _note(self, name: str) -> None:
        self._moved.add(name)
        self._changed.add(name)

    def _tick(self) -> Outcome:
        due = {name: self._sites[name].due() for name in sorted(self._moved) if self._sites[name].is_due}
        self._moved.clear()
        if not due:
            return NOTHING
        self._learn()
        rates = self._rates(due)
        said = [row for name, days in due.items() for row in self._sites[name].close(days, rates[name])]
        self._changed.update(due)
        if not said:
            return NOTHING
        return Outcome([Output(SAVINGS, rows=pl.DataFrame(said, schema=SAVING_RECORD))])

    def _rates(self, due: Mapping[str, list[Due]]) -> dict[str, list[Floats]]:
        """Return price and factors of each quarter hour of these days; NaN where none is known or asked for."""
        found: dict[str, list[Floats]] = {
            name: [np.full((len(_RATES), one.end - one.first), np.nan) for one in days] for name, days in due.items()
        }
        asked = [name for name in due if self._sites[name].is_measured]
        quarters = [(name, np.arange(one.first, one.end)) for name in asked for one in due[name]]
        if not quarters:
            return found
        minutes = pl.DataFrame(
            {
                "site_id": [name for name, mine in quarters for _ in range(len(mine))],
                "window_start": np.concatenate([mine for _, mine in quarters]) * QUARTER_MS,
            }
        ).with_columns(import_kwh=0.0)
        known = self._pricing.priced(minutes).select(pl.col(name).cast(pl.Float64) for name in _RATES)
        values = known.fill_null(np.nan).to_numpy().T
        begin = 0
        for name in asked:
            for rates in found[name]:
                rates[:] = values[:, begin : begin + rates.shape[1]]
                begin += rates.shape[1]
        return found


def _counts(kwh: pl.Expr) -> pl.Expr:
    return (kwh * COUNTS_PER_KWH).round().cast(pl.Int64)


def _by_site(rows: pl.DataFrame, *columns: str) -> Iterable[tuple[str, list[Whole]]]:
    """Return columns as arrays for each site."""
    rows = rows.sort("site_id")
    arrays = [rows[name].to_numpy() for name in columns]
    begin = 0
    for count, name in rows["site_id"].rle().struct.unnest().iter_rows():
        yield name, [array[begin : begin + count] for array in arrays]
        begin += count
