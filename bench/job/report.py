"""The results as a table for people, and as a plot."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TypedDict

import matplotlib as mpl
from matplotlib import pyplot as plt

from bench.job.implementations import IMPLEMENTATIONS

mpl.use("svg")

PRODUCT = "wattloop"
_TITLES = {one.name: one.title for one in IMPLEMENTATIONS}


class Measured(TypedDict):
    """One line of the JSON."""

    implementation: str
    shape: str
    readings: int
    rate: float | None
    problem: str | None
    figures: dict[str, float]


class Document(TypedDict):
    """The JSON."""

    about: dict[str, object]
    results: list[Measured]


def figures_of(results: Iterable[Measured]) -> dict[tuple[str, float | None], dict[str, dict[str, float]]]:
    """Return the median figures of each shape and rate by implementation, without those that had a problem."""
    gathered: dict[tuple[str, float | None], dict[str, list[dict[str, float]]]] = {}
    for one in results:
        runs = gathered.setdefault((one["shape"], one["rate"]), {}).setdefault(one["implementation"], [])
        if one["problem"] is None:
            runs.append(one["figures"])
    return {
        place: {
            name: {figure: median(run[figure] for run in runs) for figure in runs[0]} if runs else {}
            for name, runs in by_name.items()
        }
        for place, by_name in gathered.items()
    }


def markdown(document: Document) -> str:
    """Return the table for people."""
    about, results = document["about"], document["results"]
    problems = {(one["shape"], one["rate"], one["implementation"]): one["problem"] for one in results if one["problem"]}
    lines = [
        "# One job, measured against peers",
        "",
        "Written by `make bench-peers`; what it means: docs/benchmarks.md.",
        "",
    ]
    lines += [f"- {name}: {value}" for name, value in about.items() if name != "versions"]
    lines += ["", "## In short", "", *_in_short(results)]
    lines += ["", "## What each one promises", "", "| | version | guarantee | extent |", "|---|---|---|---|"]
    versions = about["versions"] if isinstance(about["versions"], dict) else {}
    for one in IMPLEMENTATIONS:
        version = ", ".join(f"{package} {versions.get(package, '?')}" for package in one.packages) or "this commit"
        lines.append(f"| {one.title} | {version} | {one.guarantee} | {one.extent} |")
    for (shape, rate), by_name in figures_of(results).items():
        said = {name: problems.get((shape, rate, name), "not measured") for name, got in by_name.items() if not got}
        lines += ["", *(_throughput(shape, by_name, said) if rate is None else _latency(shape, rate, by_name, said))]
    return "\n".join(lines) + "\n"


def _in_short(results: Sequence[Measured]) -> list[str]:
    found = figures_of(results)
    single = {
        name: got["readings_per_s"]
        for (shape, rate), by_name in found.items()
        if rate is None and shape.startswith("json1-500-15s")
        for name, got in by_name.items()
        if got and name != PRODUCT
    }
    lines = []
    for (shape, rate), by_name in found.items():
        own = by_name.get(PRODUCT, {})
        if rate is not None or not own:
            continue
        ours = own["readings_per_s"]
        parts = [f"- {shape}: Wattloop {ours:,.0f} readings/s"]
        peers = {name: got["readings_per_s"] for name, got in by_name.items() if got and name != PRODUCT}
        if peers:
            best = max(peers, key=peers.__getitem__)
            parts.append(f"{ours / peers[best]:.2f} times the fastest peer ({_TITLES[best]}, {peers[best]:,.0f})")
        if single and not shape.startswith("json1-"):
            best = max(single, key=single.__getitem__)
            parts.append(
                f"{ours / single[best]:.2f} times the fastest peer on one reading per message ({_TITLES[best]})"
            )
        lines.append("; ".join(parts))
    return lines


def _throughput(shape: str, by_name: Mapping[str, Mapping[str, float]], said: Mapping[str, str | None]) -> list[str]:
    own = by_name.get(PRODUCT, {})
    columns = (
        "| | readings/s | × Wattloop | readings/s per core (CPU s) | × Wattloop | CPU s per million | × Wattloop "
        "| broker CPU s per million | ClickHouse CPU s per million | peak memory [MB] | × Wattloop |"
    )
    lines = [f"## {shape}: as fast as it can", "", columns, "|---" + "|--:" * 10 + "|"]
    for name, got in by_name.items():
        if not got:
            lines.append(f"| {_TITLES[name]} | {_cell(said[name])} |" + " |" * 9)
            continue
        cells = [
            f"{got['readings_per_s']:,.0f}",
            _ratio(got, own, "readings_per_s"),
            f"{got['readings_per_cpu_s']:,.0f}",
            _ratio(got, own, "readings_per_cpu_s"),
            f"{got['cpu_s_per_million']:.2f}",
            _ratio(got, own, "cpu_s_per_million"),
            f"{got['broker_cpu_s_per_million']:.2f}",
            f"{got['history_cpu_s_per_million']:.2f}",
            f"{got['peak_mb']:,.0f}",
            _ratio(got, own, "peak_mb"),
        ]
        lines.append(f"| {_TITLES[name]} | " + " | ".join(cells) + " |")
    return lines


def _latency(
    shape: str, rate: float, by_name: Mapping[str, Mapping[str, float]], said: Mapping[str, str | None]
) -> list[str]:
    own = by_name.get(PRODUCT, {})
    lines = [
        f"## {shape}: at {rate:,.0f} readings/s",
        "",
        "| | p50 [ms] | × Wattloop | p99 [ms] | × Wattloop | largest [ms] | outputs | CPU s per million | sent/s |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, got in by_name.items():
        if not got:
            lines.append(f"| {_TITLES[name]} | {_cell(said[name])} |" + " |" * 7)
            continue
        cells = [
            f"{got['p50_ms']:,.0f}",
            _ratio(got, own, "p50_ms"),
            f"{got['p99_ms']:,.0f}",
            _ratio(got, own, "p99_ms"),
            f"{got['max_ms']:,.0f}",
            f"{got['outputs']:,.0f}",
            f"{got['cpu_s_per_million']:.2f}",
            f"{got['sent_per_s']:,.0f}",
        ]
        lines.append(f"| {_TITLES[name]} | " + " | ".join(cells) + " |")
    if "live_p99_ms" in own:
        took = ", ".join(f"{name} {own[f'live_{key}_ms']:,.0f} ms" for name, key in _LIVE.items())
        lines += ["", f"Wattloop, from the record timestamp of a grid meter's reading to `site.live.v1`: {took}."]
    return lines


_LIVE = {"p50": "p50", "p99": "p99", "largest": "max"}


def _ratio(got: Mapping[str, float], own: Mapping[str, float], figure: str) -> str:
    return f"{got[figure] / own[figure]:.2f}" if own.get(figure) else ""


def _cell(problem: str | None) -> str:
    return (problem or "").splitlines()[0].replace("|", "/")[:160]


def plot(document: Document, target: Path) -> None:
    """Draw throughput of every shape and latency of every rate as bars."""
    found = figures_of(document["results"])
    names = [one.name for one in IMPLEMENTATIONS]
    panels = [
        ("readings/s, whole job", "readings_per_s", [place for place in found if place[1] is None], False),
        ("readings per CPU second", "readings_per_cpu_s", [place for place in found if place[1] is None], False),
        ("latency p99 [ms], at readings/s", "p99_ms", [place for place in found if place[1] is not None], True),
    ]
    panels = [panel for panel in panels if panel[2]]
    tall = sum(1 + 0.9 * len(places) for _, _, places, _ in panels)
    shown, axes = plt.subplots(
        len(panels), figsize=(9, tall), squeeze=False, height_ratios=[1 + 0.9 * len(panel[2]) for panel in panels]
    )
    colours = dict(zip(names, plt.get_cmap("tab10").colors, strict=False))
    for axis, (title, figure, places, by_rate) in zip(axes[:, 0], panels, strict=True):
        ticks, labels, at = [], [], 0.0
        for place in places:
            having = [name for name in names if found[place].get(name)]
            for offset, name in enumerate(having):
                value = found[place][name][figure]
                axis.barh(at + offset, value, color=colours[name], label=_TITLES[name])
                axis.text(value, at + offset, f" {value:,.0f}", va="center", fontsize=7)
            ticks.append(at + (len(having) - 1) / 2)
            labels.append(f"{place[1]:,.0f}" if by_rate else place[0])
            at += len(having) + 1
        axis.set_xscale("log")
        axis.margins(x=0.15)
        axis.set_yticks(ticks, labels)
        axis.invert_yaxis()
        axis.set_title(f"{title} (logarithmic)", fontsize=10, loc="left")
        axis.spines[["top", "right"]].set_visible(False)
    handles = {
        label: handle for axis in axes[:, 0] for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    shown.legend(handles.values(), handles.keys(), loc="lower center", ncols=3, fontsize=8, frameon=False)
    shown.tight_layout(rect=(0, 0.05, 1, 1))
    shown.savefig(target, metadata={"Date": None})
