"""Several worker processes from one command: one of them uses one core, and the groups share the partitions out.

The processes are ordinary workers, each on an admin port of its own on loopback. The command answers for all of them on
the port that is configured: a check is named after its process, and metrics carry a label `process`. When one process
ends by itself the others are asked to end too, and whoever runs the command starts it again: a fault that hits one
process again and again must not be hidden behind a restart nobody sees.
"""

import asyncio
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from json import loads

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from schemas.problem import ConfigurationError, Problem
from sinks.clickhouse.client import read_dsn
from streams.embedded.broker import free_port
from streams.embedded.leash import Leash
from streams.health.progress import Check
from streams.run.child import worker_environment
from streams.settings import Settings
from streams.stopping import Stopping
from streams.web.admin import Admin
from streams.worker import SHUT_DOWN_S

log = logging.getLogger(__name__)

_LOOPBACK = "127.0.0.1"
_ANSWER_S = 2.0
_LONGER_S = 5.0  # a process ends itself when its time is up; this is for one that cannot even do that


def check_processes(settings: Settings, processes: int) -> None:
    """Refuse a number of processes these settings cannot run.

    Raises
    ------
    ConfigurationError
        If the history is embedded (its files belong to one process), or partitions are fewer than processes.
    """
    problems: list[Problem] = []
    if processes > 1 and read_dsn(settings.clickhouse_dsn).path is not None:
        expected = "expected a ClickHouse server for several processes: an embedded history belongs to one process"
        problems.append(Problem("settings", expected, path="clickhouse_url"))
    if processes > settings.partitions:
        expected = f"got {processes}; expected at most {settings.partitions}, one for each partition"
        problems.append(Problem("flag --processes", expected))
    if problems:
        raise ConfigurationError(problems)


def settings_of(settings: Settings, process: int, admin_port: int) -> dict[str, object]:
    """Return what is different for one of the processes: its port, its place on disk, its membership of the groups.

    Examples
    --------
    >>> found = settings_of(Settings(instance_id="node-a"), 1, 7001)
    >>> found["instance_id"], found["admin_port"], found["data_dir"].name
    ('node-a-1', 7001, 'process-1')
    """
    ours: dict[str, object] = {
        "admin_host": _LOOPBACK,
        "admin_port": admin_port,
        "data_dir": settings.data_dir.absolute() / f"process-{process}",
    }
    if settings.instance_id is not None:
        ours["instance_id"] = f"{settings.instance_id}-{process}"
    return ours


@dataclass(slots=True)
class _Process:
    """One of the processes."""

    number: int
    running: asyncio.subprocess.Process
    leash: Leash


@dataclass(slots=True)
class Processes:
    """Runs several workers until a signal comes or one of them ends.

    Parameters
    ----------
    settings
        The settings of all of them.
    count
        How many.
    environ
        The environment they inherit.
    """

    settings: Settings
    count: int
    environ: Mapping[str, str]
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _all: list[_Process] = field(default_factory=list)

    async def run(self) -> int:
        """Run; return the exit code: 0, or that of the first process that ended by itself or did not end well."""
        within_s = self.settings.drain_timeout_s + SHUT_DOWN_S + _LONGER_S
        stopping = Stopping(within_s, self._stop.set, lambda: None)
        stopping.listen()
        ports = [free_port() for _ in range(self.count)]
        asking = ThreadPoolExecutor(self.count, "asking")
        code = 0
        codes: Sequence[int] = ()
        admin = Admin(
            self.settings.admin_host,
            self.settings.admin_port,
            lambda: ask_all(asking, ports, "/livez"),
            lambda: ask_all(asking, ports, "/readyz"),
            metrics=lambda: metrics_of_all(asking, ports),
        )
        try:
            admin.start()
            for number, port in enumerate(ports):
                self._all.append(await self._start(number, port))
            code = await self._watch()
        finally:
            stopping.begin()
            codes = await self._end()
            admin.stop()
            asking.shutdown(cancel_futures=True)
        return next((one for one in [code, *codes] if one != 0), 0)

    async def _start(self, number: int, port: int) -> _Process:
        environment = worker_environment(self.settings, settings_of(self.settings, number, port), self.environ)
        running = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "streams.cli.main",
            "worker",
            "--process",
            str(number),
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C comes here, and is passed on
        )
        leash = await Leash.to(running.pid)
        log.info("process_started", extra={"process_number": number, "pid": running.pid, "admin_port": port})
        return _Process(number, running, leash)

    async def _watch(self) -> int:
        """Wait for a signal or the end of a process; return its exit code."""
        stopped = asyncio.create_task(self._stop.wait())
        ended = {asyncio.create_task(one.running.wait()): one for one in self._all}
        await asyncio.wait([stopped, *ended], return_when=asyncio.FIRST_COMPLETED)
        found = 0
        for waiting, one in ended.items():
            if waiting.done() and not self._stop.is_set():
                log.error("process_ended", extra={"process_number": one.number, "exit_code": waiting.result()})
                found = found or waiting.result() or 1
        for task in (stopped, *ended):
            task.cancel()
        await asyncio.gather(stopped, *ended, return_exceptions=True)
        return found

    async def _end(self) -> Sequence[int]:
        """Ask every process to end, wait until they have, and return how they did."""
        for one in self._all:
            if one.running.returncode is None:
                one.running.terminate()
        codes = await asyncio.gather(*(one.running.wait() for one in self._all))
        for one in self._all:
            await one.leash.drop()
        log.info("processes_ended", extra={"exit_codes": list(codes)})
        return codes


def ask_all(asking: ThreadPoolExecutor, ports: Sequence[int], path: str) -> dict[str, Check]:
    """Ask every process; return its checks, named `<process>/<check>`. One that does not answer is not well."""
    found: dict[str, Check] = {}
    for process, answer in enumerate(asking.map(lambda port: _get(port, path), ports)):
        if answer is None:
            found[f"{process}/answers"] = Check(False, f"process {process} does not answer on its admin port")
            continue
        for name, check in loads(answer)["checks"].items():
            found[f"{process}/{name}"] = Check(bool(check["well"]), str(check["reason"]))
    return found


def metrics_of_all(asking: ThreadPoolExecutor, ports: Sequence[int]) -> bytes:
    """Return the metrics of every process that answers, with a label `process`."""
    answers = asking.map(lambda port: _get(port, "/metrics"), ports)
    registry = CollectorRegistry()
    registry.register(Labelled({str(process): text for process, text in enumerate(answers) if text is not None}))
    return generate_latest(registry)


def _get(port: int, path: str) -> str | None:
    connection = HTTPConnection(_LOOPBACK, port, timeout=_ANSWER_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


class Labelled(Collector):
    """The metrics of several processes as one set.

    Parameters
    ----------
    texts
        Process -> its metrics in the text format of Prometheus.

    Examples
    --------
    >>> text = "# TYPE rows_total counter\\nrows_total 2.0\\n"
    >>> registry = CollectorRegistry()
    >>> registry.register(Labelled({"0": text, "1": text}))
    >>> registry.get_sample_value("rows_total", {"process": "1"})
    2.0
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def collect(self) -> Iterator[Metric]:
        """Yield the families, each once."""
        families: dict[str, Metric] = {}
        for process, text in self._texts.items():
            for family in _families(text):
                whole = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                whole.samples += [one._replace(labels={**one.labels, "process": process}) for one in family.samples]
        yield from families.values()


def _families(text: str) -> Iterable[Metric]:
    return text_string_to_metric_families(text)
