"""All checks of `wattloop doctor`, one after the other; one that breaks does not hide the others."""

import asyncio
from collections.abc import Callable, Iterable, Iterator

from kafka import KafkaAdminClient

from schemas.topics import REGISTRY
from streams.broker_admin import BrokerTrouble, administering
from streams.checkup.broker import (
    judge_co_partitioning,
    judge_registry,
    judge_retention,
    judge_stamps,
    judge_topics,
    kept_ms,
)
from streams.checkup.disk import check_local_state, check_space
from streams.checkup.finding import Finding, Level
from streams.checkup.history import check_history
from streams.checkup.stamps import newest_stamps
from streams.lag import read_lag
from streams.registry_topic import RegistryTopicError, read_all
from streams.settings import Settings, broker_addresses
from streams.topic_plan import co_partitioned_topics, planned, read_topics, wanted_topics

NO_BROKER = Finding(
    "broker",
    Level.WARN,
    "no broker is configured, so nothing about one was checked",
    "name it with --kafka-url or WATTLOOP_KAFKA_URL; `wattloop run` shows the address of its embedded broker",
)


def examine(settings: Settings, clock: Callable[[], float]) -> Iterator[Finding]:
    """Look at everything a deployment stands on.

    Parameters
    ----------
    settings
        Where everything is.
    clock
        The clock of this machine. [s since 1970]
    """
    if settings.kafka_url is None:
        yield NO_BROKER
    else:
        yield from guarded("broker", _check_broker(settings, settings.kafka_url, clock))
    yield from guarded("history", check_history(settings.clickhouse_dsn))
    yield from guarded("disk", (check_space(place) for place in [settings.data_dir]))
    yield from guarded("local-state", (check_local_state(place) for place in [settings.data_dir]))


def guarded(check: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield what a check finds; if it breaks, say so and go on.

    Parameters
    ----------
    check
        Name of the check.
    findings
        What it finds.
    """
    try:
        yield from findings
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        sentence = f"the check itself broke: {type(error).__name__}: {lines[0]}"
        yield Finding(check, Level.FAIL, sentence, "what it would have found is unknown; please report this")


def _check_broker(settings: Settings, url: str, clock: Callable[[], float]) -> Iterator[Finding]:
    wanted = wanted_topics(settings)
    try:
        with administering(url) as admin:
            reached = _introduced(admin, url)
            found = read_topics(admin, {topic.name for topic in wanted})
    except BrokerTrouble as error:
        sentence = f"{error}; so its topics, retention, registry and clock were not checked"
        advice = "look whether it runs, and whether the address it advertises can be reached from here; workers wait"
        yield Finding("broker", Level.FAIL, sentence, advice)
        return
    yield reached
    yield judge_topics(planned(wanted, found, settings.topic_prefix))
    yield judge_co_partitioning(found, co_partitioned_topics(settings))
    try:
        lags = asyncio.run(read_lag(settings, url))
        yield judge_retention(lags, kept_ms(found), int(clock() * 1000))
    except BrokerTrouble as error:
        yield Finding("retention", Level.FAIL, str(error), "run `wattloop lag`; the groups' coordinator may be away")
    try:
        state = asyncio.run(read_all(broker_addresses(url), topic=settings.topic_name(REGISTRY)))
        yield judge_registry(state)
    except RegistryTopicError as error:
        yield Finding("registry", Level.FAIL, str(error), "workers wait until it can be read")
    try:
        yield judge_stamps(asyncio.run(newest_stamps(settings, url, found)), int(clock() * 1000))
    except BrokerTrouble as error:
        yield Finding("broker-clock", Level.FAIL, str(error), "partitions without a leader cannot be read")


def _introduced(admin: KafkaAdminClient, url: str) -> Finding:
    cluster = admin.describe_cluster()
    brokers = cluster["brokers"]
    version = ".".join(map(str, admin.get_broker_version_data(brokers[0]["broker_id"]).broker_version))
    number = f"{len(brokers)} broker{'' if len(brokers) == 1 else 's'}"
    sentence = (
        f"{', '.join(broker_addresses(url))} answers: cluster {cluster['cluster_id']}, {number}, "
        f"protocol of Kafka {version} or later"
    )
    return Finding("broker", Level.OK, sentence)
