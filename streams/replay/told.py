"""What a replay did, and what-if, for programs and for people."""

from collections.abc import Iterator, Sequence

from streams.replay.run import Done, Wanted
from streams.replay.what_if import BillDifference, Difference


def as_document(rows: Sequence[Difference], bills: Sequence[BillDifference], wanted: Wanted) -> dict[str, object]:
    """Return what-if for programs."""
    return {
        "from": wanted.period.first_ms,
        "to": wanted.period.end_ms,
        "differences": [
            {
                "tenant_id": row.tenant_id,
                "site_id": row.site_id,
                "period": row.period,
                "import_kwh": row.import_kwh,
                "emitted_kg": row.kg,
                "other_emitted_kg": row.other_kg,
                "difference_kg": row.difference_kg,
                "cost_cny": row.cny,
                "other_cost_cny": row.other_cny,
                "difference_cny": row.difference_cny,
            }
            for row in rows
        ],
        "bills": [
            {
                "tenant_id": bill.tenant_id,
                "site_id": bill.site_id,
                "span": bill.span,
                "first_day": bill.first_day,
                "energy_kwh": bill.energy_kwh,
                **{f"{name}_cny": mine for name, mine, _ in bill.parts},
                **{f"other_{name}_cny": other for name, _, other in bill.parts},
            }
            for bill in bills
        ],
    }


def as_table(rows: Sequence[Difference]) -> Iterator[str]:
    """Yield what-if for people."""
    headings = ("site", "period", "kWh", "kg", "kg what-if", "difference", "CNY", "CNY what-if", "difference")
    cells = [headings] + [
        (
            row.site_id,
            row.period,
            *(
                _number(value)
                for value in (
                    row.import_kwh,
                    row.kg,
                    row.other_kg,
                    row.difference_kg,
                    row.cny,
                    row.other_cny,
                    row.difference_cny,
                )
            ),
        )
        for row in rows
    ]
    yield from _aligned(cells, 2)


def as_bills(bills: Sequence[BillDifference]) -> Iterator[str]:
    """Yield the bills of what-if for people, one line for each part."""
    cells = [("site", "bill of", "part", "CNY", "CNY what-if", "difference")] + [
        (
            bill.site_id,
            bill.first_day if bill.span == "day" else bill.first_day[:7],
            name,
            _number(mine),
            _number(other),
            _number(None if mine is None or other is None else other - mine),
        )
        for bill in bills
        for name, mine, other in bill.parts
    ]
    yield from _aligned(cells, 3)


def _aligned(cells: Sequence[tuple[str, ...]], names: int) -> Iterator[str]:
    """Yield a table, its first columns names and the others numbers."""
    widths = [max(len(row[place]) for row in cells) for place in range(len(cells[0]))]
    for row in cells:
        texts = [
            cell.ljust(width) if place < names else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(texts).rstrip()


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:,.3f}"


def done_as_document(done: Done, wanted: Wanted) -> dict[str, object]:
    """Return what was done, for programs."""
    written = done.written
    return {
        "from": wanted.period.first_ms,
        "to": wanted.period.end_ms,
        "readings_read": done.read,
        "readings_restored": written.readings,
        "windows": written.windows,
        "emissions": written.emissions,
        "corrections": written.corrections,
        "balance": written.balance,
        "demand": written.demand,
        "ledger": written.ledger,
        "sent": written.sent,
        "seconds": round(done.seconds, 3),
    }


def done_as_text(done: Done, wanted: Wanted) -> str:
    """Return what was done, for people."""
    written, per_s = done.written, done.read / done.seconds if done.seconds else 0.0
    return (
        f"{wanted.period}: {done.read:,} readings in {done.seconds:.1f} s ({per_s:,.0f}/s)\n"
        f"written: {written.windows:,} windows, {written.emissions:,} site minutes, "
        f"{written.corrections:,} corrections, {written.balance:,} balance rows, {written.demand:,} quarter hours, "
        f"{written.ledger:,} ledger records; "
        f"readings that were missing: {written.readings:,}"
        + (f"; sent to emissions.v1: {written.sent:,}" if written.sent else "")
    )
