"""A worker with a stall planted in it: `planted_worker.py KIND SIGN`, armed once the file SIGN exists.

The worker, the frame and the clients are the real ones. What stalls is an agent of the topology, the stream Faust gives
to an agent, or the thread that talks to the history store.
"""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import faust
from faust.agents import current_agent
from faust.agents.agent import Agent as FaustAgent

from schemas.flow import Agent, Kind, Message, Outcome
from streams import logs
from streams.cli.loop import run_loop
from streams.configuration import load_configuration
from streams.frame.stage import StageSpec
from streams.history_thread import HistoryThread
from streams.settings import Settings
from streams.topology import stages
from streams.worker import Worker

FOR_EVER_S = 3600.0


@dataclass
class Planted:
    """An agent that works until the sign is given."""

    inner: Agent
    kind: str
    sign: Path
    throwing: "asyncio.Future[None] | None" = None
    to_lose: int = 3

    def step(self, message: Message) -> Outcome:
        if self.sign.exists() and message.kind is Kind.TICK:
            if self.kind == "blocks":
                time.sleep(FOR_EVER_S)
            elif self.kind == "masked":  # in a call that lets no signal handler of Python run
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
                signal.sigwait({signal.SIGUSR1})
            elif self.kind == "waits":
                # What Faust does during a rebalance and here never undoes: its streams wait for ever.
                event = faust.current_event()
                assert event is not None
                event.app.flow_control.suspend()
            elif self.kind == "crashes":
                # An error of the stream, not of the agent: Faust starts the agent anew and tells nobody.
                agent = current_agent()
                assert isinstance(agent, FaustAgent)
                for actor in agent._actors:
                    self.throwing = asyncio.ensure_future(actor.stream.throw(RuntimeError("planted")))
            elif self.kind == "faust crashes" and self.throwing is None:
                # As when a thread of Faust's consumer fails, with messages still to be sent.
                event = faust.current_event()
                assert event is not None
                self.throwing = asyncio.ensure_future(event.app.consumer.crash(RuntimeError("planted")))
            elif self.kind == "unacknowledged" and self.to_lose:
                # As when Faust passes over messages: no acknowledgement of them ever reaches the consumer. One alone
                # it does not miss.
                event = faust.current_event()
                assert event is not None
                event.message.acked = True
                self.to_lose -= 1
        return self.inner.step(message)

    def changed(self) -> Iterable[str]:
        return self.inner.changed()

    def snapshot(self, sites: Collection[str] | None = None) -> Mapping[str, bytes]:
        return self.inner.snapshot(sites)

    def restore(self, snapshots: Mapping[str, bytes]) -> None:
        self.inner.restore(snapshots)


def planted(settings: Settings, kind: str, sign: Path) -> tuple[StageSpec, ...]:
    first, *others = stages(settings)
    return (replace(first, agent=lambda: Planted(first.agent(), kind, sign)), *others)


async def run(kind: str, sign: Path) -> int:
    settings, _ = load_configuration({}, os.environ, want_registry=False)
    thread = HistoryThread()

    loop = asyncio.get_running_loop()

    def hang_the_history() -> None:
        while not sign.exists():
            time.sleep(0.1)
        asyncio.run_coroutine_threadsafe(thread.run(threading.Event().wait), loop)

    if kind == "history":
        threading.Thread(target=hang_the_history, daemon=True).start()
    return await Worker(settings, settings.kafka_url or "", partial(planted, kind=kind, sign=sign), thread).run()


if __name__ == "__main__":
    logs.configure("info", "json")
    _, stall, armed_by = sys.argv
    sys.exit(run_loop(run(stall, Path(armed_by))))
