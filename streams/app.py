"""The Faust app: how Faust is set up, and the agents of the topology on it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import faust
from faust.types import TP

from streams.frame.decoding import SharedBatches
from streams.frame.local_copy import CopiedTable
from streams.frame.pulse import Pulse
from streams.frame.stage import Stage, StageSpec
from streams.frame.standstill import mend_standstills
from streams.frame.transport import use_transport
from streams.settings import Settings
from streams.topology import APP_ID


def build_app(settings: Settings, kafka_url: str, local_state: Path | None = None) -> faust.App:
    """Make a Faust app for these settings, without agents.

    Parameters
    ----------
    settings
        The settings.
    kafka_url
        The broker.
    local_state
        Where the tables keep a copy of their changelogs; without it they are in memory.
    """
    timeout_s = settings.session_timeout_s
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    app = faust.App(
        settings.topic_prefix + APP_ID,
        broker=kafka_url,
        broker_client_id="wattloop-faust",
        store="memory://" if local_state is None else "rocksdb://",
        Table=faust.Table if local_state is None else CopiedTable,
        datadir=str(local_state or settings.data_dir / "faust"),
        # Faust asks the broker for the end of the changelog in a way that Tansu answers with less than it has, and
        # would then refuse a good copy. `LocalState.check` has compared them before, with the true ends.
        recovery_consistency_check=False,
        topic_partitions=settings.partitions,
        topic_replication_factor=settings.replication_factor,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        # An agent seeks by itself; waiting for an empty stream at a rebalance would wait for held messages for ever.
        stream_wait_empty=False,
        stream_buffer_maxsize=256,
        consumer_group_instance_id=settings.member_of("agents"),
        broker_session_timeout=timeout_s,
        broker_rebalance_timeout=timeout_s,
        broker_heartbeat_interval=timeout_s / 4,
        broker_commit_interval=1.0,
        producer_linger=0.002,
        producer_max_batch_size=1 << 20,
        producer_max_request_size=8 << 20,
        consumer_max_fetch_size=4 << 20,
        web_enabled=False,
        loghandlers=[],
    )
    use_transport(app)
    return app


def attach_stages(
    app: faust.App,
    settings: Settings,
    specs: Sequence[StageSpec],
    inherited: Mapping[str, Mapping[str, bytes]],
    *,
    pulse: Pulse,
    on_bug: Callable[[BaseException], Awaitable[None]],
) -> tuple[Stage, ...]:
    """Attach agents.

    Parameters
    ----------
    app
        The app.
    settings
        The settings.
    specs
        The agents.
    inherited
        Agent -> site -> state from an earlier log, for brokers that keep nothing.
    pulse
        Says whether this process may have been replaced.
    on_bug
        Called with an error that must stop the worker.
    """
    shared = {
        topic: SharedBatches(spec.passes_over for spec in specs if spec.source is topic)
        for topic in {spec.source for spec in specs}
    }
    attached = tuple(
        Stage(
            app,
            spec,
            settings.topic_prefix,
            settings.partitions,
            int(settings.checkpoint_interval_s * 1000),
            inherited.get(spec.name, {}),
            pulse,
            on_bug,
            shared[spec.source],
        )
        for spec in specs
    )
    for stage in attached:
        stage.attach()
    mend_standstills(app, lambda: passed(attached))
    return attached


def passed(stages: Sequence[Stage]) -> dict[TP, int]:
    """Return below which offset every agent on a partition has everything in its snapshots.

    Partitions that an agent has not opened yet are left out.
    """
    found: dict[TP, int] = {}
    closed: set[TP] = set()
    for stage in stages:
        for partition in range(stage.partitions):
            place, lane = stage.place(partition), stage.lanes.get(partition)
            if lane is None:
                closed.add(place)
            else:
                found[place] = min(lane.restart_offset, found.get(place, lane.restart_offset))
    return {place: offset for place, offset in found.items() if place not in closed}
