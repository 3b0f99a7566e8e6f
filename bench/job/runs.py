"""The two runs of an implementation: how fast it works off a full topic, and how late its output is at a fixed rate."""

import contextlib
import json
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from bench.job.implementations import Implementation, Place
from bench.job.judge import History, differences
from bench.job.processes import ROOT, EndedError, Group, NotInTimeError, a_history, running, wait_for
from bench.job.wire import Sender, Watcher, create_topics, delete_topics, publish_registry
from bench.job.workload import MINUTE_MS, Message, Shape, Workload, grid_meters, make, messages, site_records
from bench.peers.registers import Points, added

WARM_READINGS = 20
WARM_METERS = 100
WARM_SITES = "warm"
START_S = 120.0
_MARGIN_MS = 5 * MINUTE_MS
_AFTER_S = 30.0  # how long outputs may follow the last reading of a fixed rate


@dataclass(frozen=True, slots=True)
class Stand:
    """What is the same in all runs."""

    broker: str
    broker_process: Group
    partitions: int
    lateness_s: int
    processes: int
    limit_s: float
    scratch: Path
    product_python: Path
    bench_python: Path


@dataclass(slots=True)
class Started:
    """An implementation that has warmed up."""

    group: Group
    watcher: Watcher
    history: History
    history_process: Group
    place: Place
    minutes: dict[int, tuple[float, float]]


@dataclass(slots=True)
class Result:
    """What was measured; times only where the answer was right."""

    implementation: str
    shape: str
    readings: int
    rate: float | None = None  # fixed rate of sending [readings/s], None = as fast as it can
    problem: str | None = None
    figures: dict[str, float] = field(default_factory=dict)


def workload(shape: Shape, lateness_s: int) -> Workload:
    """Make the readings of a shape; they end a little before now."""
    end_ms = int(time.time() * 1000) - _MARGIN_MS
    return make(shape, (end_ms - shape.span_s * 1000) // MINUTE_MS * MINUTE_MS, lateness_s)


@contextlib.contextmanager
def started(stand: Stand, one: Implementation, work: Workload, encoding: str) -> Iterator[Started]:
    """Start an implementation and let it work on sites of its own until their results are out, so that it is warm."""
    directory = Path(mkdtemp(prefix=f"{one.name}-", dir=stand.scratch))
    prefix = f"bench-{directory.name}."
    per_message = 1 if encoding == "json" else 10
    beat_s = work.shape.interval_s
    warm_shape = Shape(encoding, per_message, WARM_METERS, min(beat_s, 15), WARM_READINGS * max(1, 15 // beat_s))
    warm = make(warm_shape, work.first_ms, stand.lateness_s, WARM_SITES)
    minutes = _minutes(stand, work)
    with contextlib.ExitStack() as stack:
        stack.callback(_clean, stand, prefix, directory)
        port, history_process = stack.enter_context(a_history(directory, stand.product_python))
        place = Place(
            stand.broker,
            prefix,
            stand.partitions,
            stand.lateness_s,
            encoding,
            port,
            directory,
            minutes,
            stand.processes,
            stand.product_python,
            stand.bench_python,
        )
        history = History(port, of_product=one.is_product)
        stack.callback(history.close)
        create_topics(stand.broker, [place.readings_topic, place.emissions_topic], stand.partitions)
        start = one.start(place)
        if one.is_product:
            create_topics(stand.broker, [f"{prefix}registry.v1"], 1)
            records = site_records([*warm.sites, *work.sites], beat_s)
            publish_registry(stand.broker, f"{prefix}registry.v1", records)
        Sender(stand.broker, place.readings_topic, encoding, 20).load(messages(warm))
        watcher = stack.enter_context(Watcher(stand.broker, place.emissions_topic, stand.partitions))
        group = stack.enter_context(running(start.commands, start.environments, directory / "log"))

        def is_warm() -> bool:
            group.check()
            return watcher.count(WARM_SITES, warm.horizon_ms) >= warm.site_minutes.height and history.complete(warm)

        wait_for(is_warm, START_S, "the first results", 0.2)
        rates = {int(at): (float(factor), float(price)) for at, (factor, price) in minutes.items()}
        yield Started(group, watcher, history, history_process, place, rates)


def _minutes(stand: Stand, work: Workload) -> dict[str, list[float]]:
    site, record = next(iter(site_records(work.sites[:1], work.shape.interval_s).items()))
    asked = {"site": {**record, "id": site}, "first_ms": work.first_ms, "end_ms": work.horizon_ms + 60 * MINUTE_MS}
    told = subprocess.run(
        [str(stand.product_python), "-m", "bench.job.prices"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    found: dict[str, list[float]] = json.loads(told.stdout)
    return found


def _clean(stand: Stand, prefix: str, directory: Path) -> None:
    delete_topics(stand.broker, prefix)
    shutil.rmtree(directory, ignore_errors=True)


def throughput(stand: Stand, one: Implementation, work: Workload, packed: list[Message]) -> Result:
    """Work off a full topic.

    The implementation is started and warmed up, then its processes are stopped (SIGSTOP) while the topic is loaded. The
    clock runs from when they go on, which is when the first of these readings is consumed, until the last output is
    visible: all records on the topic, all rows in ClickHouse.
    """
    result = Result(one.name, work.shape.name, work.shape.readings)
    with _problems(result), started(stand, one, work, work.shape.encoding) as run:
        sender = Sender(stand.broker, run.place.readings_topic, work.shape.encoding, 20)
        run.group.hold()
        sender.load(packed)
        own, broker, store = run.group.cost(), stand.broker_process.cost(), run.history_process.cost()
        run.group.go()
        began = time.time()

        def is_done() -> bool:
            run.group.check()
            return run.watcher.count("site", work.horizon_ms) >= work.site_minutes.height and run.history.complete(work)

        wait_for(is_done, stand.limit_s, "the last output", 0.1)
        took_s = time.time() - began
        now = run.group.cost()
        cpu_s, millions = now.cpu_s - own.cpu_s, work.shape.readings / 1e6
        wrong = differences(work, run.minutes, run.history, run.watcher)
        if wrong:
            result.problem = "wrong results: " + "; ".join(wrong)
            return result
        result.figures = {
            "seconds": took_s,
            "on_topic_s": max(at for (site, ts), (at, _) in run.watcher.seen.items() if _judged(site, ts, work))
            - began,
            "readings_per_s": work.shape.readings / took_s,
            "readings_per_cpu_s": work.shape.readings / cpu_s,
            "cpu_s_per_million": cpu_s / millions,
            "broker_cpu_s_per_million": (stand.broker_process.cost().cpu_s - broker.cpu_s) / millions,
            "history_cpu_s_per_million": (run.history_process.cost().cpu_s - store.cpu_s) / millions,
            "peak_mb": now.peak_mb,
            "repeated_records": run.watcher.repeated,
        }
    return result


def latency(stand: Stand, one: Implementation, work: Workload, packed: list[Message], rate: float) -> Result:
    """Send at a fixed rate; measure from the record timestamp of the reading that settles a minute to its output.

    Of Wattloop also until a reading of a grid meter shows in the live figures of its site.
    """
    result = Result(one.name, work.shape.name, work.shape.readings, rate)
    with _problems(result), started(stand, one, work, work.shape.encoding) as run, contextlib.ExitStack() as beside:
        sender = Sender(stand.broker, run.place.readings_topic, work.shape.encoding, 2)
        live = Watcher(stand.broker, run.place.live_topic, stand.partitions)
        if one.is_product:
            beside.enter_context(live)
        due_at: dict[tuple[str, int], int] = {}
        arrived_at: dict[tuple[str, int], int] = {}

        def stamp(minutes: list[tuple[str, int]], readings: list[tuple[str, int]], at_ms: int) -> None:
            due_at.update(dict.fromkeys(minutes, at_ms))
            arrived_at.update(dict.fromkeys(readings, at_ms))

        settled, shown = settling(work, packed, stand.lateness_s), readings_of_grid(work)
        wanted = {
            number: partial(stamp, settled.get(number, []), shown.get(number, []))
            for number in settled.keys() | shown.keys()
        }
        own = run.group.cost()
        began = time.time()
        sender.at_rate(packed, rate / work.shape.per_message, wanted)
        sent_s = time.time() - began

        def is_done() -> bool:
            run.group.check()
            return run.watcher.count("site", work.horizon_ms) >= work.site_minutes.height and run.history.complete(work)

        wait_for(is_done, _AFTER_S, "the last output after the last reading", 0.1)
        wrong = differences(work, run.minutes, run.history, run.watcher)
        if wrong:
            result.problem = "wrong results: " + "; ".join(wrong)
            return result
        late_ms = [run.watcher.seen[place][0] * 1000 - at for place, at in due_at.items() if _judged(*place, work)]
        p50, p99, most = np.percentile(late_ms, [50, 99, 100])
        result.figures = {
            "sent_per_s": work.shape.readings / sent_s,
            "outputs": len(late_ms),
            "p50_ms": float(p50),
            "p99_ms": float(p99),
            "max_ms": float(most),
            "cpu_s_per_million": (run.group.cost().cpu_s - own.cpu_s) / (work.shape.readings / 1e6),
        }
        if one.is_product:
            p50, p99, most = np.percentile(until_shown_ms(arrived_at, live.seen), [50, 99, 100])
            result.figures |= {"live_p50_ms": float(p50), "live_p99_ms": float(p99), "live_max_ms": float(most)}
    return result


def readings_of_grid(work: Workload) -> dict[int, list[tuple[str, int]]]:
    """Return which message has which readings of grid meters: site, and event time. [ms UTC]."""
    meters = grid_meters()
    rows = work.readings.select("site_id", "meter_id", "ts").iter_rows()
    return {number: [(site, ts)] for number, (site, meter, ts) in enumerate(rows) if meter in meters}


def until_shown_ms(
    arrived_at: Mapping[tuple[str, int], int], seen: Mapping[tuple[str, int], tuple[float, object]]
) -> list[float]:
    """Return how long each reading took until a live figure of its site was as new as it. [ms].

    Parameters
    ----------
    arrived_at
        Site and event time [ms UTC] -> record timestamp [ms UTC].
    seen
        Site and event time [ms UTC] of live figures -> when they were seen [s since 1970 UTC], and what they said.

    Examples
    --------
    >>> seen = {("a", 60_000): (5.5, {}), ("a", 90_000): (6.0, {})}
    >>> until_shown_ms({("a", 60_000): 5_000, ("a", 75_000): 5_010, ("a", 30_000): 5_600}, seen)
    [500.0, 990.0, 400.0]
    """
    by_site: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for (site, ts), (at_s, _) in seen.items():
        by_site[site].append((ts, at_s * 1000))
    found = []
    for (site, ts), at_ms in arrived_at.items():
        # A late one changes nothing in the figure before it.
        later = [shown_ms for newest, shown_ms in by_site[site] if newest >= ts and shown_ms >= at_ms]
        if later:  # what came last of all may show after the last minute is out
            found.append(min(later) - at_ms)
    return found


def settling(work: Workload, packed: list[Message], lateness_s: int) -> dict[int, list[tuple[str, int]]]:
    """Return which message settles which minutes of which sites: the last one that any of its grid meters waits for."""
    grid = frozenset(grid_meters())
    message_of = np.empty(work.readings.height, dtype=np.int64)
    if work.shape.per_message != 1:
        raise ValueError("rates are of one reading per message")
    message_of[:] = np.arange(len(packed))
    points: dict[tuple[str, str], Points] = defaultdict(list)
    last: dict[tuple[str, int], int] = {}
    columns = work.readings.select("site_id", "meter_id", "ts", "import_kwh")
    for number, (site, meter, ts, register_kwh) in enumerate(columns.iter_rows()):
        if meter in grid:
            for start, _ in added(points[site, meter], ts, register_kwh, lateness_s * 1000):
                last[site, start] = int(message_of[number])
    settled: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for place, number in last.items():
        settled[number].append(place)
    return settled


def _judged(site: str, ts: int, work: Workload) -> bool:
    return site.startswith("site") and ts < work.horizon_ms


@contextlib.contextmanager
def _problems(result: Result) -> Iterator[None]:
    """Turn what an implementation did not manage into its result."""
    try:
        yield
    except (NotInTimeError, EndedError) as error:
        result.problem = str(error)


Say = Callable[[str], None]
