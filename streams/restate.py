"""A restatement from its edition to its events: read, price anew, store beside, tell the difference."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from agents.pricing.pricing import Pricing, Reference
from agents.pricing.restating import FORMER, differences, restated, summed
from schemas.registry import Site
from sinks.clickhouse.restatements import Restatements

EVER_MS = 4_102_444_800_000  # 2100: later than anything that was measured


@dataclass(frozen=True, slots=True)
class Restated:
    """What a restatement did.

    Parameters
    ----------
    known_from
        Since when the edition is known. [ms UTC]
    quarters
        Quarter hours it was computed for.
    differences
        `RESTATEMENT_RECORD`.
    """

    known_from: int
    quarters: int
    differences: pl.DataFrame


def restate(
    tables: Restatements,
    reference: Reference,
    files: Mapping[str, str],
    sites: Sequence[Site],
    *,
    months: tuple[str, str] = ("", "9999-12"),
    dry: bool = False,
    report: Callable[[int], None] = lambda _: None,
) -> Restated:
    """Restate what is stored with an edition; doing it again with the same one changes nothing.

    Parameters
    ----------
    tables
        Where figures are read and written.
    reference, files
        The edition and the files it was read from.
    sites
        Sites to restate, as they are registered now.
    months
        First and last local month, ISO 8601, both included.
    dry
        Compute the differences, and write nothing.
    report
        Is told how many quarter hours are done.
    """
    pricing = Pricing(reference)
    pricing.learn(sites)
    known_from = EVER_MS if dry else tables.publish(reference.version, files)
    done, parts = 0, []
    inside = pl.col("month").is_between(pl.lit(months[0]), pl.lit(months[1]))
    for former in tables.former([site.id for site in sites], _utc_months(months), known_from):
        energy = former.select(pl.col(name).cast(kind) for name, kind in FORMER.items())
        rows = restated(energy, pricing, reference.version, known_from).filter(inside)
        if rows.is_empty():
            continue
        if not dry:
            tables.write(rows, reference.version)
        parts.append(summed(rows))
        done += rows.height
        report(done)
    found = differences(parts, {site.id: site.time_zone for site in sites})
    if not dry:
        tables.tell(found)
    return Restated(known_from, done, found)


def _utc_months(months: tuple[str, str]) -> tuple[int, int]:
    """Return the UTC months that local ones can reach into, as YYYYMM."""
    first, last = months
    before = _next(first, -1) if first else 0
    return before, _next(last, 1)


def _next(month: str, step: int) -> int:
    number = int(month[:4]) * 12 + int(month[5:]) - 1 + step
    return number // 12 * 100 + number % 12 + 1
