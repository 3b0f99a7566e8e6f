"""History as `wattloop learn` sends it: quarter hours of days, and the row that ends them."""

from datetime import date, timedelta

import polars as pl
from watched import QUARTER_MS, Load, at_ms

from schemas.flow import Kind, Message
from schemas.history import HISTORY_ROWS
from schemas.registry import Site


def history_of(site: Site, first: date, days: int, load: Load) -> Message:
    """What the meters of a site drew on some days."""
    until = at_ms(first + timedelta(days))
    rows: list[dict[str, object]] = []
    for number in range(days):
        day = first + timedelta(number)
        powers = {meter.id: load(meter.id, day) for meter in site.meters}
        for quarter in range(96):
            for meter, known in powers.items():
                if known is not None:
                    # As windows of a minute add up to it.
                    kwh = sum(float(known[quarter]) / 60 for _ in range(15))
                    rows.append({"meter_id": meter, "ts": at_ms(day) + quarter * QUARTER_MS, "power_kw": kwh * 60 / 15})
    rows.append({"meter_id": None, "ts": until, "power_kw": None})
    about = {"tenant_id": site.tenant, "site_id": site.id, "until": until, "raw_partition": 0, "raw_index": 0}
    filled = [about | {"local_day": None, "raw_offset": number} | row for number, row in enumerate(rows)]
    frame = pl.DataFrame(filled, schema=HISTORY_ROWS | {"ts": pl.Int64()}, orient="row")
    return Message(Kind.HISTORY, until, frame.with_columns(pl.from_epoch("ts", "ms").dt.replace_time_zone("UTC")))
