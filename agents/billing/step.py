"""Billing: every site's grid minutes become 15-minute demand, and a running bill for the day and the month.

Reads    energy.v1        closed windows, live state, site records and ticks of one partition
Yields   demand.v1        one record per site and quarter hour, when all its grid meters passed it or waited long enough
         demand.live.v1   how the running quarter hour will end, per site that moved, at most one per tick
         ledger.v1        the bill of each day and month that changed, when a quarter hour was sent
State    per site: record, days, demands, live figures; per grid meter: its recent minutes
"""

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import polars as pl

from agents.billing.ledger import Account, demand_kw, rate_of
from agents.billing.minutes import COUNTS, FRESH, PICO, QUALITIES, Minutes, Quarters, fresh_of
from agents.billing.peaks import Peaks
from agents.billing.running import running
from agents.billing.site import LiveMeter, SiteBill
from agents.billing.spans import MINUTE_MS, QUARTER_MS, Rate, local_day, month_of
from agents.billing.state import MeterState, Snapshot, from_bytes, to_bytes
from agents.pricing.editions import EditionPricing
from agents.pricing.pricing import Reference
from schemas.bill import DEMAND_LIVE_RECORD, DEMAND_RECORD, DEMAND_WINDOW_MIN, DEMAND_WINDOW_S, LEDGER_RECORD
from schemas.flow import NOTHING, Kind, Message, Outcome, Output, SiteRecord
from schemas.reading import TIMESTAMP
from schemas.reference.charges import Charges
from schemas.registry import MeterKind
from schemas.topics import DEMAND, DEMAND_LIVE, LEDGER

# A quarter hour is sent without a silent meter after this much arrival time; the meter's share follows as a revision.
HOLD_MS = 120_000
BLOCK_MIN = 6 * 60  # minutes of one site that are worked through at once
DAY_S = 86_400


class Billing:
    """Billing of one partition.

    Parameters
    ----------
    reference
        Tariff plans, with their version, for sites whose record carries no edition.
    charges
        Charges beside the energy price.
    revision_horizon_s
        How far back a window may be revised and still correct the sums: minutes of grid meters are kept that long. [s]
    live
        Whether to say how the running quarter hour will end; a replay has no use for it.
    """

    def __init__(
        self, reference: Reference, charges: Charges, *, revision_horizon_s: int = DAY_S, live: bool = True
    ) -> None:
        self._says_live = live
        self._charges = charges
        self._pricing = EditionPricing(reference)
        self._bills: dict[str, SiteBill] = {}
        self._names: list[str] = []  # by number of the site
        span = revision_horizon_s // 60 + BLOCK_MIN
        self._minutes = Minutes(span)
        self._recent = span // DEMAND_WINDOW_MIN + 2
        self._learnt = True
        self._pending: dict[tuple[int, int], int] = {}  # site and quarter hour: waits for a meter since [ms UTC]
        self._reached: set[int] = set()  # sites whose meters have got further, or are others, since the last tick
        self._fresh: list[pl.DataFrame] = []
        self._rates: dict[Rate, Rate] = {}  # one of each, however many days hold it
        self._moved: set[str] = set()
        self._changed: set[str] = set()

    def step(self, message: Message) -> Outcome:
        """Take windows, live state, a site record or a tick; records are sent at ticks only."""
        if message.kind is Kind.WINDOWS and message.rows is not None:
            return self._take(self._of_known_sites(message.rows))
        if message.kind is Kind.LIVE and message.rows is not None:
            return self._move(self._of_known_sites(message.rows))
        if message.kind is Kind.SITE and message.record is not None:
            return self._configure(message.record)
        if message.kind is Kind.TICK:
            return self._tick(message.arrived_at)
        raise ValueError(f"billing takes windows, live state, site records and ticks, not {message.kind}")

    def changed(self) -> Iterable[str]:
        """Return the sites to snapshot."""
        return self._changed

    def due_at(self) -> int | None:
        """Return the earliest tick that sends a quarter hour without one of its meters; None when none waits."""
        since = min((since for since in self._pending.values() if since), default=None)
        return None if since is None else since + HOLD_MS + 1

    def snapshot(self, sites: Collection[str] | None = None) -> Mapping[str, bytes]:
        """Return the state of sites; what came after the last tick is in it as it came."""
        chosen = sorted(self._changed if sites is None else sites)
        fresh = pl.concat([pl.DataFrame(schema=FRESH), *self._fresh])
        of_site = {str(key[0]): own for key, own in fresh.partition_by("site_id", as_dict=True).items()}
        pending: dict[int, list[tuple[int, int]]] = {}
        numbers = {self._minutes.number(site) for site in chosen}
        mine = [waiting for waiting in self._pending.items() if waiting[0][0] in numbers]
        for (number, quarter), since in sorted(mine):
            pending.setdefault(number, []).append((quarter, since))
        taken = {}
        for site in chosen:
            number = self._minutes.number(site)
            meters = [
                MeterState(int(self._minutes.reached[row]), int(self._minutes.closed[row]), self._minutes.ring(row))
                for row in self._minutes.rows_of(number)
            ]
            taken[site] = to_bytes(
                Snapshot(
                    self._bills[site],
                    int(self._minutes.newest[number]),
                    meters,
                    pending.get(number, []),
                    of_site.get(site, fresh.clear()),
                    site in self._moved,
                )
            )
        self._changed.difference_update(chosen)
        return taken

    def restore(self, snapshots: Mapping[str, bytes]) -> None:
        """Take over these sites."""
        others = ~pl.col("site_id").is_in(list(snapshots))
        self._fresh = [rows.filter(others) for rows in self._fresh]
        numbers = set()
        pending = []
        for site, packed in snapshots.items():
            found = from_bytes(packed)
            self._bills[site] = found.bill
            number = self._welcome(found.bill.record)
            self._minutes.newest[number] = found.newest
            for row, meter in zip(self._minutes.rows_of(number), found.meters, strict=True):
                self._minutes.reached[row], self._minutes.closed[row] = meter.reached, meter.closed
                self._minutes.put_back(row, meter.ring)
            numbers.add(number)
            pending += [((number, quarter), since) for quarter, since in found.pending]
            self._fresh.append(found.fresh)
            (self._moved.add if found.moved else self._moved.discard)(site)
        others_pending = {place: since for place, since in self._pending.items() if place[0] not in numbers}
        self._pending = others_pending | dict(pending)
        self._learnt = False

    def _configure(self, record: SiteRecord) -> Outcome:
        site = record.site
        if not self._pricing.has_plan(record):
            raise ValueError(f"site {site.id}: tariff plan {site.tariff.plan} is not in the reference data")
        held = self._bills.get(site.id)
        if held is not None and held.record.revision >= record.revision:
            return NOTHING
        if held is None:
            self._bills[site.id] = SiteBill(record, Peaks(site.time_zone, self._recent))
        else:
            held.configure(record)
        self._welcome(record)
        self._learnt = False
        self._changed.add(site.id)
        return NOTHING

    def _welcome(self, record: SiteRecord) -> int:
        site = record.site
        self._minutes.configure(site.id, [meter.id for meter in site.grid_meters])
        number = self._minutes.number(site.id)
        self._reached.add(number)
        if number == len(self._names):
            self._names.append(site.id)
        return number

    def _of_known_sites(self, rows: pl.DataFrame) -> pl.DataFrame:
        unknown = [site for site in rows["site_id"].unique() if site not in self._bills]
        if unknown:
            raise ValueError(f"no site record came before the data of {sorted(unknown)[:3]}")
        return rows

    def _take(self, windows: pl.DataFrame) -> Outcome:
        fresh = fresh_of(windows)
        self._fresh.append(fresh)
        self._changed.update(fresh["site_id"].unique())
        return NOTHING

    def _move(self, rows: pl.DataFrame) -> Outcome:
        is_grid = rows["meter_kind"] == MeterKind.GRID.value
        if not is_grid.any():
            return NOTHING
        grid = rows.filter(is_grid)
        ts = grid["ts"].cast(TIMESTAMP).to_physical()
        columns = (grid["site_id"], grid["meter_id"], ts, grid["power_kw"], grid["open_import_kwh"])
        for site, meter, ts, power_kw, open_kwh in zip(*columns, strict=True):
            if self._minutes.row(site, meter) is None:
                continue
            live = self._bills[site].live
            held = live.get(meter)
            if held is None:
                live[meter] = LiveMeter(ts, power_kw, open_kwh)
            else:
                held.ts, held.open_kwh = ts, open_kwh
                # A window that closed by waiting says nothing new about power.
                held.power_kw = held.power_kw if power_kw is None else power_kw
            self._moved.add(site)
        self._changed |= self._moved
        return NOTHING

    def _tick(self, arrived_at: int) -> Outcome:
        if not self._learnt:
            self._pricing.learn(bill.record for bill in self._bills.values())
            self._learnt = True
        demands: list[tuple[object, ...]] = []
        billed: set[str] = set()
        if self._fresh:
            fresh, self._fresh = pl.concat(self._fresh), []
            self._changed.update(fresh["site_id"].unique())
            self._settle(self._minutes.placed(fresh), demands, billed)
        if self._pending:
            self._send_due(arrived_at, demands, billed)
        outputs = []
        if demands:
            rows = pl.DataFrame(demands, schema=DEMAND_RECORD, orient="row")
            outputs.append(Output(DEMAND, rows=rows.sort("site_id", "ts", "revision")))
        if billed and (ledger := self._ledger(sorted(billed))):
            outputs.append(Output(LEDGER, rows=pl.DataFrame(ledger, schema=LEDGER_RECORD, orient="row")))
        if self._moved:
            if self._says_live:
                outputs.append(Output(DEMAND_LIVE, rows=self._live(arrived_at)))
            self._changed |= self._moved
            self._moved.clear()
        return Outcome(outputs)

    def _settle(self, placed: pl.DataFrame, demands: list[tuple[object, ...]], billed: set[str]) -> None:
        """Put minutes into the rings, a block of time after the other, and book what they change."""
        if placed.is_empty():
            return
        bookings = []
        blocks = placed.with_columns(block=pl.col("minute") // BLOCK_MIN).partition_by("block")
        for block in sorted(blocks, key=lambda rows: int(rows["minute"][0])):
            ahead = block.group_by("site").agg(pl.col("minute").max()).sort("site")
            sites, newest = ahead["site"].to_numpy(), ahead["minute"].to_numpy()
            self._send_leaving(dict(zip(sites.tolist(), newest.tolist(), strict=True)), demands, billed)
            self._minutes.advance(sites, newest)
            written = self._minutes.write(block)
            self._reached.update(sites.tolist())
            bookings.append(written)
            for site, quarter in written.filter("in_ring").select("site", "quarter").unique().iter_rows():
                self._pending.setdefault((site, quarter), 0)
        self._book(pl.concat(bookings), billed)

    def _send_leaving(self, newest: Mapping[int, int], demands: list[tuple[object, ...]], billed: set[str]) -> None:
        """Send what still waits, before the rings of its site move on so far that its minutes are lost."""
        span = self._minutes.span
        leaving = [place for place in self._pending if place[1] * DEMAND_WINDOW_MIN <= newest.get(place[0], 0) - span]
        self._send(leaving, demands, billed)

    def _send_due(self, arrived_at: int, demands: list[tuple[object, ...]], billed: set[str]) -> None:
        """Send quarter hours that all grid meters passed, and those that waited long enough for a meter."""
        looked_at = [(place, since) for place, since in self._pending.items() if since or place[0] in self._reached]
        self._reached.clear()
        if not looked_at:
            return
        places = [place for place, _ in looked_at]
        sites, quarters = (np.array(column, np.int64) for column in zip(*places, strict=True))
        since = np.array([since for _, since in looked_at], np.int64)
        ends = (quarters + 1) * DEMAND_WINDOW_MIN
        by_all, by_any = self._minutes.settled(sites)
        for number in np.flatnonzero((by_any >= ends) & (by_all < ends) & (since == 0)):
            self._pending[places[number]] = arrived_at
            self._changed.add(self._names[places[number][0]])
        due = (by_all >= ends) | ((since > 0) & (arrived_at - since > HOLD_MS))
        self._send([places[number] for number in np.flatnonzero(due)], demands, billed)

    def _send(self, places: list[tuple[int, int]], demands: list[tuple[object, ...]], billed: set[str]) -> None:
        if not places:
            return
        places.sort(key=lambda place: (self._names[place[0]], place[1]))
        sites, quarters = (np.array(column, np.int64) for column in zip(*places, strict=True))
        known = self._minutes.quarters(sites, quarters)
        for number, place in enumerate(places):
            demands.append(self._demand(known, number))
            site = self._names[place[0]]
            billed.add(site)
            self._changed.add(site)
            del self._pending[place]

    def _demand(self, known: Quarters, number: int) -> tuple[object, ...]:
        """Return the record of a quarter hour."""
        site = self._names[known.site[number]]
        bill = self._bills[site]
        quarter, pico, windows = int(known.quarter[number]), int(known.pico_kwh[number]), int(known.windows[number])
        unknown = int(known.without_energy[number])
        missing = int(known.meters[number]) * DEMAND_WINDOW_MIN - windows
        is_whole = missing == 0 and unknown == 0
        quality = QUALITIES[known.worst[number]] if is_whole else "partial"
        counts = is_whole and quality == "measured"
        revision = bill.peaks.note(quarter, pico if counts else None)
        month = month_of(bill.zone, local_day(bill.zone, quarter))
        peak = bill.peaks.largest(month.first, month.last)
        ts = quarter * QUARTER_MS
        return (
            f"demand/{site}/{ts}/{revision}",
            bill.record.site.tenant,
            site,
            ts,
            DEMAND_WINDOW_S,
            pico / PICO if windows > unknown else None,
            demand_kw(pico) if is_whole else None,
            quality,
            counts,
            windows,
            missing,
            month.first.isoformat()[:7],
            None if peak is None else demand_kw(peak[0]),
            None if peak is None else peak[1] * QUARTER_MS,
            revision,
        )

    def _book(self, bookings: pl.DataFrame, billed: set[str]) -> None:
        """Add what changed to the days of the sites, at the rate of each quarter hour."""
        if bookings.is_empty():
            return
        quarters = bookings.group_by("site", "quarter").agg(pl.col(*COUNTS).sum(), pl.col("in_ring").all())
        tariff = ("tariff_id", "period", "price_cny_per_kwh", "price_contains")
        placed = self._pricing.tariffed(
            quarters.with_columns(
                site_id=pl.Series([self._names[number] for number in quarters["site"]], dtype=pl.String),
                window_start=pl.col("quarter") * QUARTER_MS,
            )
        )
        cells = placed.group_by("site_id", "local_day", *tariff).agg(pl.col(*COUNTS).sum(), pl.col("in_ring").all())
        for site, day, tariff_id, period, price, contains, *counts, in_ring in cells.sort(
            "site_id", "local_day", *tariff
        ).iter_rows():
            if not any(counts):
                continue
            bill = self._bills[site]
            rate = rate_of(bill.record.site, self._charges, day, (tariff_id, period, price, contains))
            bill.book(day, self._rates.setdefault(rate, rate), counts)
            if not in_ring:
                billed.add(site)  # no quarter hour will be sent for it

    def _ledger(self, sites: list[str]) -> list[tuple[object, ...]]:
        """Return the records of all days and months that changed."""
        numbers = np.array([self._minutes.number(site) for site in sites], np.int64)
        by_all, _ = self._minutes.settled(numbers)
        rows = []
        for site, until_min in zip(sites, by_all.tolist(), strict=True):
            bill = self._bills[site]
            until = until_min * MINUTE_MS
            for span in bill.due_spans(until):
                days = bill.booked(span)
                month_days = days if span.kind == "month" else bill.booked(month_of(bill.zone, span.first))
                account = Account(bill.record.site, self._charges, span, days, month_days, bill.peaks, until)
                revision = bill.revision(span, is_final=account.is_final)
                record = account.record() | {
                    "id": f"ledger/{site}/{span.name}/{revision}",
                    "tenant_id": bill.record.site.tenant,
                    "site_id": site,
                    "ts": span.starts_at,
                    "span": span.kind,
                    "first_day": span.first.isoformat(),
                    "last_day": span.last.isoformat(),
                    "reference_version": self._pricing.version_of(site),
                    "revision": revision,
                }
                rows.append(tuple(record[name] for name in LEDGER_RECORD))
            bill.forget()
            self._changed.add(site)
        return rows

    def _live(self, arrived_at: int) -> pl.DataFrame:
        rows = []
        for site in sorted(self._moved):
            bill = self._bills[site]
            closed = {
                meter: int(self._minutes.closed[row])
                for meter in bill.live
                if (row := self._minutes.row(site, meter)) is not None
            }
            rows.append(running(bill, closed, arrived_at))
        return pl.DataFrame(rows, schema=DEMAND_LIVE_RECORD, orient="row")
