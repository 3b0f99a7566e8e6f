"""The running quarter hour of a site: what it has drawn, how it will end, and what to shed."""

from collections.abc import Mapping
from datetime import date

from agents.billing.forecast import Forecast, forecast, to_shed_kw
from agents.billing.ledger import demand_kw
from agents.billing.minutes import PICO
from agents.billing.site import SiteBill
from agents.billing.spans import QUARTER_MS, local_day, month_of
from schemas.bill import DEMAND_WINDOW_S
from schemas.contract import PeakLimit

_HOUR_S = 3600


def running(bill: SiteBill, closed: Mapping[str, int], arrived_at: int) -> tuple[object, ...]:
    """Return the record of a site that moved.

    Parameters
    ----------
    bill
        The site. Its live meters take over what they had when the quarter hour began.
    closed
        All energy of the closed minutes of each grid meter. [pico-kWh]
    arrived_at
        Arrival of the tick. [ms UTC]

    Returns
    -------
    tuple
        `schemas.bill.DEMAND_LIVE_RECORD`.
    """
    had: dict[str, int | None] = {}
    for meter, one in bill.live.items():
        had[meter] = None if one.open_kwh is None else closed[meter] + round(one.open_kwh * PICO)
        one.follow(had[meter])
    site = bill.record.site
    ts = max(one.ts for one in bill.live.values())
    quarter = ts // QUARTER_MS
    elapsed_s = (ts - quarter * QUARTER_MS) / 1000
    powers = [one.power_kw for one in bill.live.values() if one.power_kw is not None]
    # What one meter delivers never lowers what another one draws.
    drawn_kw = sum(max(0.0, kw) for kw in powers) if powers else None
    if drawn_kw is not None:
        bill.spread.take(ts, drawn_kw)
    so_far_kwh = _so_far_kwh(bill, had, ts)
    ends: Forecast | None = None
    if so_far_kwh is not None and drawn_kw is not None:
        ends = forecast(so_far_kwh, elapsed_s, drawn_kw, bill.spread)
    day = local_day(bill.zone, quarter)
    month = month_of(bill.zone, day)
    peak = bill.peaks.largest(month.first, month.last)
    max_kw = None if peak is None else demand_kw(peak[0])
    limit_kw, limit_kind = _limit(bill, day, max_kw)
    shed_kw = safe_kw = can_be_met = None
    if ends is not None and limit_kw is not None and so_far_kwh is not None:
        shed_kw = to_shed_kw(ends.kw, limit_kw, elapsed_s)
        safe_kw = None if ends.high_kw is None else to_shed_kw(ends.high_kw, limit_kw, elapsed_s)
        can_be_met = so_far_kwh * _HOUR_S / DEMAND_WINDOW_S <= limit_kw
    return (
        f"demand.live/{site.id}/{arrived_at}",
        site.tenant,
        site.id,
        ts,
        quarter * QUARTER_MS,
        DEMAND_WINDOW_S,
        elapsed_s,
        sum(powers) if powers else None,
        so_far_kwh,
        so_far_kwh * _HOUR_S / elapsed_s if so_far_kwh is not None and elapsed_s > 0 else None,
        None if ends is None else ends.kw,
        None if ends is None else ends.low_kw,
        None if ends is None else ends.high_kw,
        limit_kw,
        limit_kind,
        shed_kw,
        safe_kw,
        can_be_met,
        max_kw,
        None if peak is None else peak[1] * QUARTER_MS,
    )


def _so_far_kwh(bill: SiteBill, had: Mapping[str, int | None], ts: int) -> float | None:
    """Return what all grid meters drew since the quarter hour began; None when it is not known of one."""
    if len(bill.live) < len(bill.record.site.grid_meters):
        return None
    total_kwh = 0.0
    for meter, one in sorted(bill.live.items()):
        now = had[meter]
        if now is None or one.start_pico is None or one.quarter != ts // QUARTER_MS:
            return None
        # A meter that read a little earlier goes on as it was.
        behind_kwh = max(0.0, one.power_kw or 0.0) * (ts - one.ts) / 1000 / _HOUR_S
        total_kwh += max(0, now - one.start_pico) / PICO + behind_kwh
    return total_kwh


def _limit(bill: SiteBill, day: date, max_kw: float | None) -> tuple[float | None, str | None]:
    """Return what the site wants to stay below, and what that is."""
    terms = bill.record.site.tariff.demand_on(day)
    if terms is None:
        return None, None
    if terms.limit_kw is not None:
        return terms.limit_kw, "own"
    if terms.peak_limit is PeakLimit.CONTRACT:
        return terms.contract_kw, PeakLimit.CONTRACT.value
    if terms.peak_limit is PeakLimit.MONTH_MAXIMUM and max_kw is not None:
        return max_kw, PeakLimit.MONTH_MAXIMUM.value
    return None, None
