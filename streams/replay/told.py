"""What-if for programs and for people."""

from collections.abc import Iterator, Sequence

from streams.replay.run import Wanted
from streams.replay.what_if import Difference


def as_document(rows: Sequence[Difference], wanted: Wanted) -> dict[str, object]:
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
    widths = [max(len(row[place]) for row in cells) for place in range(len(headings))]
    for row in cells:
        texts = [
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(texts).rstrip()


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:,.3f}"
