"""Scores as one Markdown table, and their means."""

import statistics
from collections.abc import Iterable

from bench.hvac.scoring import Score

_HEAD = (
    "| building | window | controller | mode | kWh | own kWh | saving | beyond own band [K] | K·h own band (own) "
    "| beyond 20–26 °C [K] | K·h 20–26 °C (own) | peak kW (own) | electric peak kW (own) |"
)
_RULE = "|---|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
_MEAN_HEAD = (
    "| window | controller | mode | saving | least | beyond own band [K] | beyond the band held [K] "
    "| beyond 20–26 °C [K] | peaks above own | electric peaks above own | cases |"
)
_MEAN_RULE = "|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"
_ABOVE = 1.0005  # a peak is above the own if it shows in the figures printed


def table(scores: Iterable[Score]) -> str:
    """Return the means, and every building, window, controller and mode."""
    rows = list(scores)
    return "\n".join([_MEAN_HEAD, _MEAN_RULE, *means(rows), "", _HEAD, _RULE, *map(_row, rows)]) + "\n"


def _row(one: Score) -> str:
    with_it, own = one.discomfort, one.own_discomfort
    cells = (
        one.building,
        one.window,
        one.controller,
        one.mode,
        f"{one.kwh:,.0f}",
        f"{one.own_kwh:,.0f}",
        f"{one.saving:.1%}",
        f"{one.beyond_own_k('own'):+.3f}",
        f"{with_it.own_kh:,.1f} ({own.own_kh:,.1f})",
        f"{one.beyond_own_k('safe'):+.3f}",
        f"{with_it.safe_kh:,.1f} ({own.safe_kh:,.1f})",
        f"{one.peak_kw:.1f} ({one.own_peak_kw:.1f})",
        f"{one.peak_electric_kw:.1f} ({one.own_peak_electric_kw:.1f})",
    )
    return f"| {' | '.join(cells)} |"


def means(scores: list[Score]) -> list[str]:
    """Return a row of means over the buildings for each window, controller and mode: each building counts alike."""
    rows = []
    for window, controller, mode in dict.fromkeys((one.window, one.controller, one.mode) for one in scores):
        alike = [one for one in scores if (one.window, one.controller, one.mode) == (window, controller, mode)]
        savings = [one.saving for one in alike]
        cells = (
            window,
            controller,
            mode,
            f"{statistics.mean(savings):.1%}",
            f"{min(savings):.1%}",
            *(f"{statistics.mean(one.beyond_own_k(band) for one in alike):+.3f}" for band in ("own", "held", "safe")),
            str(sum(one.peak_kw > one.own_peak_kw * _ABOVE for one in alike)),
            str(sum(one.peak_electric_kw > one.own_peak_electric_kw * _ABOVE for one in alike)),
            str(len(alike)),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return rows
