"""What is right and wrong with a broker and its topics; pure judgements over what was read from it."""

from collections.abc import Iterable, Mapping, Sequence

from streams.checkup.clocks import CLOCK_ADVICE, level_of_skew
from streams.checkup.finding import Finding, Level, worst
from streams.lag import TopicLag
from streams.registry_state import RegistryState
from streams.topic_plan import FoundTopic, Plan

# The backlog as a share of what the broker keeps: at half of it somebody has to look, soon after it is too late.
WARN_SHARE = 0.5
FAIL_SHARE = 0.9
LOG_APPEND_TIME = 1
SHOWN = 3


def judge_topics(plan: Plan) -> Finding:
    """Judge whether the topics are there and as planned."""
    apply = "run `wattloop topics plan`, then `wattloop topics apply`"
    if plan.refused:
        return Finding("topics", Level.FAIL, "; ".join(plan.refused), "workers refuse to start until this is resolved")
    if plan.missing:
        names = _few([topic.name for topic in plan.missing])
        return Finding("topics", Level.WARN, f"missing: {names}", f"a worker creates them at its start, or {apply}")
    if plan.changes:
        sentences = [f"{one.topic} has {one.key} = {one.before or 'not set'}, not {one.after}" for one in plan.changes]
        return Finding("topics", Level.WARN, _few(sentences, "; "), apply)
    if plan.notes:
        return Finding("topics", Level.WARN, _few(plan.notes, "; "), "see `wattloop topics plan`")
    return Finding("topics", Level.OK, f"all {len(plan.current)} topics are there and as planned")


def judge_co_partitioning(found: Mapping[str, FoundTopic], together: Iterable[str]) -> Finding:
    """Judge whether the topics through which a site flows have one partition count.

    Parameters
    ----------
    found
        The topics of the broker.
    together
        Full names of those that must be equal; one that is missing is left out.
    """
    by_count: dict[int, list[str]] = {}
    for name in together:
        if name in found:
            by_count.setdefault(found[name].partitions, []).append(name)
    if len(by_count) > 1:
        sentence = "; ".join(f"{count} partitions: {', '.join(names)}" for count, names in sorted(by_count.items()))
        advice = (
            "a site would be on different partitions of different topics: use another topic_prefix, or delete and "
            "replay the topics that differ; Wattloop changes no partition count"
        )
        return Finding("co-partitioning", Level.FAIL, f"partition counts differ ({sentence})", advice)
    if not by_count:
        return Finding("co-partitioning", Level.OK, "there are no topics yet")
    ((count, names),) = by_count.items()
    return Finding("co-partitioning", Level.OK, f"{len(names)} topics have {count} partitions each")


def judge_retention(lags: Sequence[TopicLag], kept_ms: Mapping[str, int], now: int) -> Finding:
    """Judge whether unread records are about to be deleted, or have been.

    Parameters
    ----------
    lags
        How far each group is behind.
    kept_ms
        For how long the broker keeps a topic; topics it keeps by size or for ever are not in it. [ms]
    now
        The present. [ms UTC]
    """
    levels: list[Level] = []
    sentences: list[str] = []
    longest: tuple[float, str] | None = None
    for lag in lags:
        who = f"{lag.reader.group} on {lag.reader.topic}"
        if lag.deleted:
            levels.append(Level.FAIL)
            sentences.append(f"{lag.deleted} records were deleted before {who} had committed them")
        seconds, kept = lag.seconds(now), kept_ms.get(lag.reader.topic)
        if seconds is None or kept is None:
            continue
        share = seconds * 1000 / kept
        longest = max(
            longest or (0.0, ""), (share, f"{who} is {_duration(seconds)} behind, {_duration(kept / 1000)} are kept")
        )
        if share >= WARN_SHARE:
            levels.append(Level.FAIL if share >= FAIL_SHARE else Level.WARN)
            sentences.append(f"{who} is {_duration(seconds)} behind, and the broker keeps {_duration(kept / 1000)}")
    if sentences:
        advice = (
            "raise retention.ms of the topic now (kafka-configs --alter), then find out why the group does not advance "
            "(`wattloop lag --partitions`); what was deleted has to be sent again by its source"
        )
        return Finding("retention", worst(levels), _few(sentences, "; "), advice)
    if longest is None:
        return Finding("retention", Level.OK, "nobody reads a topic that is kept by time yet")
    return Finding("retention", Level.OK, f"no unread record is in danger: {longest[1]}")


def judge_registry(state: RegistryState) -> Finding:
    """Judge whether the registry can be read, and whether it holds anything."""
    sites = [record.site for record in state.sites.values()]
    meters = sum(len(site.meters) for site in sites)
    counts = f"{_number(len(state.tenants), 'tenant')}, {_number(len(sites), 'site')}, {_number(meters, 'meter')}"
    if state.unreadable:
        keys = _few(sorted(f"{key} ({why})" for key, why in state.unreadable.items()), "; ")
        advice = "the record before stays in force; correct the files and run `wattloop registry apply`"
        return Finding("registry", Level.WARN, f"{counts}; unreadable: {keys}", advice)
    if not sites:
        advice = "every reading is refused as unknown_meter until `wattloop registry apply` has been run"
        return Finding("registry", Level.WARN, "no site is registered", advice)
    return Finding("registry", Level.OK, counts)


def judge_stamps(stamps: Sequence[tuple[int, int]], now: int) -> Finding:
    """Judge the clock of the broker by the newest records it stamped itself.

    Parameters
    ----------
    stamps
        Timestamp [ms UTC] and timestamp type of the newest record of each partition the broker should stamp.
    now
        The present by the clock of this machine. [ms UTC]
    """
    if not stamps:
        return Finding("broker-clock", Level.OK, "not known: the broker has stamped no record yet")
    if any(kind != LOG_APPEND_TIME for _, kind in stamps):
        sentence = "the broker does not stamp arrivals (LogAppendTime), so arrival is what the senders' clocks say"
        advice = (
            "the embedded broker never does; on Apache Kafka run `wattloop topics apply`, and this goes away with the "
            "next message"
        )
        return Finding("broker-clock", Level.WARN, sentence, advice)
    ahead_s = (max(stamp for stamp, _ in stamps) - now) / 1000
    level = level_of_skew(ahead_s)
    if ahead_s > 0 and level is not Level.OK:
        sentence = f"the broker's clock is at least {ahead_s:.1f} s ahead of this machine's"
        return Finding("broker-clock", level, sentence, CLOCK_ADVICE)
    sentence = f"the newest record it stamped is {_duration(max(0.0, -ahead_s))} old, so its clock is not ahead"
    return Finding("broker-clock", Level.OK, f"{sentence} (one that is behind cannot be told from silence)")


def kept_ms(found: Mapping[str, FoundTopic]) -> dict[str, int]:
    """Return for how long the broker keeps the topics it deletes by time. [ms]

    Examples
    --------
    >>> by_time, by_size = {"cleanup.policy": "delete", "retention.ms": "5"}, {"retention.ms": "-1"}
    >>> compacted = {"cleanup.policy": "compact", "retention.ms": "5"}
    >>> kept_ms({"a": FoundTopic(1, 1, by_time), "b": FoundTopic(1, 1, by_size), "c": FoundTopic(1, 1, compacted)})
    {'a': 5}
    """
    kept = {
        name: int(topic.config.get("retention.ms", "-1"))
        for name, topic in found.items()
        if "delete" in topic.config.get("cleanup.policy", "delete")
    }
    return {name: ms for name, ms in kept.items() if ms > 0}


def _few(sentences: Sequence[str], between: str = ", ") -> str:
    more = len(sentences) - SHOWN
    return between.join(sentences[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
