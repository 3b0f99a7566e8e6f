"""The screen of `wattloop run`: the newest figures of each factory, and what is real about them.

The picture is a pure function of what the screen has been told. On a terminal it is a live table; elsewhere
each site is one JSON line every few seconds.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

UNKNOWN = "–"
MEGABYTE = 1_000_000
LIVE_EVERY_S = 0.5
LINES_EVERY_S = 5.0

PERIODS = {
    "sharp": ("sharp", "尖", "bold red"),
    "peak": ("peak", "峰", "yellow"),
    "flat": ("flat", "平", "default"),
    "valley": ("valley", "谷", "green"),
    "deep_valley": ("deep valley", "深谷", "cyan"),
}

REPLAY = "replay of recorded loads (steel works KR, SimBench DE)"
NO_REPLAY = "no replay: only what is sent to the broker is shown"
SIMULATED = "simulated building"
MAPPED = "mapped to demo factories that do not exist, shifted in time"
FORGETFUL = (
    "The embedded broker keeps its topics in memory: they are gone when it restarts, by itself at its memory "
    "bound (nothing is lost: it is drained first) and whenever you stop. The history stays."
)
NARROW_COLUMNS = 100  # below this width a site is shown by its id, and the year is left out
WHOLE_FROM = 100_000  # from here on a decimal tells nobody anything

Figures = Mapping[str, str | int | float | None]


@dataclass(frozen=True, slots=True)
class Factory:
    """How a site is called, and whose clock it lives by."""

    site_id: str
    name: str
    name_zh: str
    time_zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Served:
    """What is served where.

    Parameters
    ----------
    kafka
        Bootstrap address for Kafka clients, `host:port`.
    admin
        Base address of the admin port.
    history
        Where the history is kept: a directory, or a server without its password.
    embedded_broker
        Whether the broker is the embedded one, which forgets.
    """

    kafka: str
    admin: str
    history: str
    embedded_broker: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How the run is doing.

    Parameters
    ----------
    speed
        Event time per wall time of the replay; None when there is none. [s/s]
    caught_up
        Whether the replay has reached now, where its pace is that of the recording.
    readings
        Readings sent so far.
    readings_per_s
        Readings sent per second, lately.
    broker_bytes, bound_bytes
        Memory of the embedded broker, and where it is restarted; None when there is none. [bytes]
    broker_restarts
        How often it has been restarted because of that.
    note
        What is going on just now, such as `draining`; empty most of the time.
    building
        How the zones of the simulated building are; empty where there is none.
    """

    speed: float | None
    caught_up: bool = False
    readings: int = 0
    readings_per_s: float = 0.0
    broker_bytes: int | None = None
    bound_bytes: int | None = None
    broker_restarts: int = 0
    note: str = ""
    building: str = ""


class Screen:
    """What is shown while `wattloop run` runs.

    Parameters
    ----------
    factories
        The sites, in the order of their rows.
    served
        What is served where.
    progress
        How the run is doing at first.
    """

    def __init__(self, factories: Sequence[Factory], served: Served, progress: Progress) -> None:
        self.progress = progress
        self._factories = tuple(factories)
        self._served = served
        self._figures: dict[str, Figures] = {}

    def update(self, record: Figures) -> None:
        """Take a record of `site.live.v1`; one older than what is shown is left aside."""
        site_id = str(record["site_id"])
        shown = self._figures.get(site_id)
        if shown is None or _number(record, "ts", 0) >= _number(shown, "ts", 0):
            self._figures[site_id] = record

    def render(self) -> RenderableType:
        """Return the picture."""
        return Group(self._header(), _Fitted(self._table), self._footer())

    def lines(self) -> list[str]:
        """Return one JSON object per site that has figures, for a log instead of a terminal."""
        progress: dict[str, str | int | float | None] = {
            "readings": self.progress.readings,
            "readings_per_s": round(self.progress.readings_per_s, 1),
            "broker_bytes": self.progress.broker_bytes,
            "broker_restarts": self.progress.broker_restarts,
        }
        if self.progress.building:
            progress["simulated_building"] = self.progress.building
        return [
            json.dumps({"event": "site_live", **self._figures[factory.site_id], **progress}, ensure_ascii=False)
            for factory in self._factories
            if factory.site_id in self._figures
        ]

    def opening_lines(self) -> list[str]:
        """Return what a log should say once, before everything else."""
        opening = {
            "event": "run_started",
            "what": NO_REPLAY if self.progress.speed is None else f"{REPLAY} {MAPPED}",
            "speed": self.progress.speed,
            "kafka": self._served.kafka,
            "admin": self._served.admin,
            "history": self._served.history,
            "embedded_broker": self._served.embedded_broker,
        }
        if self._served.embedded_broker:
            opening["note"] = FORGETFUL
        return [json.dumps(opening, ensure_ascii=False)]

    async def run(
        self,
        console: Console,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Show the screen until cancelled.

        Parameters
        ----------
        console
            Where to.
        sleep
            Waits for some seconds.
        """
        if not console.is_terminal:
            await self._write_lines(console, sleep)
            return
        with Live(self.render(), console=console, auto_refresh=False, transient=False) as live:
            try:
                while True:
                    await sleep(LIVE_EVERY_S)
                    live.update(self.render(), refresh=True)
            finally:
                live.update(self.render(), refresh=True)

    async def _write_lines(self, console: Console, sleep: Callable[[float], Awaitable[None]]) -> None:
        lines = self.opening_lines()
        while True:
            # Past rich: a line of a log is neither wrapped nor coloured.
            for line in lines:
                console.file.write(line + "\n")
            console.file.flush()
            await sleep(LINES_EVERY_S)
            lines = self.lines()

    def _header(self) -> RenderableType:
        what = Text(NO_REPLAY)
        if self.progress.speed is not None:
            pace = "now at the recorded pace" if self.progress.caught_up else _times_faster(self.progress.speed)
            what = Text.assemble((REPLAY, "bold"), f" {MAPPED}, ", (pace, "bold"))
        facts = Table.grid(padding=(0, 2))
        facts.add_column(style="dim", no_wrap=True)
        facts.add_column(overflow="fold")
        facts.add_row("Kafka", self._served.kafka)
        facts.add_row("admin", f"{self._served.admin}/metrics  /livez  /readyz")
        facts.add_row("history", self._served.history)
        parts: list[RenderableType] = [what, facts]
        if self.progress.building:
            parts.append(Text.assemble((SIMULATED, "bold"), f": {self.progress.building}"))
        if self._served.embedded_broker:
            parts.append(Text(FORGETFUL, style="dim"))
        return Panel(Group(*parts), title="Wattloop", title_align="left", box=box.ROUNDED)

    def _table(self, columns: int) -> Table:
        narrow = columns < NARROW_COLUMNS
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=narrow)
        table.add_column("factory", no_wrap=narrow)
        table.add_column("time" if narrow else "local time", no_wrap=True)
        table.add_column("kW", justify="right", no_wrap=True)
        table.add_column("period", no_wrap=True)
        table.add_column("", no_wrap=True, style="dim")
        for heading in ("kWh", "kgCO₂", "CNY"):
            table.add_column(heading, justify="right", no_wrap=True)
        for factory in self._factories:
            table.add_row(*self._row(factory, narrow))
        return table

    def _row(self, factory: Factory, narrow: bool) -> list[RenderableType]:
        name = f"{factory.site_id if narrow else factory.name}\n{factory.name_zh}".rstrip()
        figures = self._figures.get(factory.site_id)
        if figures is None:
            return [name, Text("waiting …", style="dim"), "", "", "", "", "", ""]
        moment = datetime.fromtimestamp(_number(figures, "ts", 0) / 1_000, factory.time_zone)
        period = str(figures.get("period") or "")
        word, word_zh, style = PERIODS.get(period, (period or UNKNOWN, "", "default"))
        label = word.replace(" ", "\n") if narrow else f"{word}\n{word_zh}".rstrip()
        totals = [
            f"{_shown(figures, f'today_{unit}')}\n{_shown(figures, f'month_{unit}')}" for unit in ("kwh", "kg", "cny")
        ]
        return [
            name,
            f"{moment:%m-%d}\n{moment:%H:%M}" if narrow else f"{moment:%Y-%m-%d}\n{moment:%H:%M}",
            _shown(figures, "power_kw"),
            Text(label, style=style),
            "today\nmonth",
            *totals,
        ]

    def _footer(self) -> RenderableType:
        progress = self.progress
        words = [f"{progress.readings:,} readings sent", f"{progress.readings_per_s:,.1f}/s"]
        if progress.broker_bytes is not None:
            memory = f"broker memory {progress.broker_bytes / MEGABYTE:,.0f} MB"
            if progress.bound_bytes is not None:
                memory += f" of {progress.bound_bytes / MEGABYTE:,.0f}"
            words.append(memory)
            words.append(f"{progress.broker_restarts} restarts")
        if progress.note:
            words.append(progress.note)
        words.append("Ctrl-C stops")
        return Text(" · ".join(words), style="dim")


class _Fitted:
    """A table drawn for the width there is."""

    def __init__(self, drawn: Callable[[int], Table]) -> None:
        self._drawn = drawn

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._drawn(options.max_width)


def _times_faster(speed: float) -> str:
    return "in real time" if speed == 1 else f"{speed:,g}× faster"


def _number(figures: Figures, name: str, default: float) -> float:
    value = figures.get(name)
    return float(value) if isinstance(value, int | float) else default


def _shown(figures: Figures, name: str) -> str:
    value = figures.get(name)
    if not isinstance(value, int | float):
        return UNKNOWN
    return f"{value:,.0f}" if abs(value) >= WHOLE_FROM else f"{value:,.1f}"
