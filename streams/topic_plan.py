"""What the topics of a deployment should be, what they are, and what would make them so.

`planned` is pure; `read_topics` and `carry_out` talk to the broker. Nothing is ever deleted, and a partition count is
never changed: the partition of a site follows from it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import starmap

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import TopicAlreadyExistsError

from schemas.topics import CATALOGUE
from streams.broker import changelog_topic, topic_config
from streams.settings import Settings
from streams.topology import APP_ID, stages

DONE = "OK"  # what the Kafka client says of a configuration that was taken


@dataclass(frozen=True, slots=True)
class WantedTopic:
    """A topic as it should be.

    Parameters
    ----------
    name
        Full name.
    partitions, copies
        Partition count and replication factor.
    config
        What the broker shall be told; keys that are not here are the operator's.
    """

    name: str
    partitions: int
    copies: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """A topic as the broker has it; no `config` means that the broker does not show it."""

    partitions: int
    copies: int
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """One setting of one topic that is not as it should be; `before` is None where it is not set."""

    topic: str
    key: str
    before: str | None
    after: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What would bring the topics in line.

    Parameters
    ----------
    missing
        Topics to create.
    changes
        Settings to change.
    refused
        Why nothing may be done, a sentence for each kind of difference.
    notes
        Differences this plan leaves alone.
    foreign
        Topics under our prefix that are not ours.
    current
        Topics that are as they should be.
    """

    missing: tuple[WantedTopic, ...]
    changes: tuple[ConfigChange, ...]
    refused: tuple[str, ...]
    notes: tuple[str, ...]
    foreign: tuple[str, ...]
    current: tuple[str, ...]

    @property
    def pending(self) -> bool:
        """Whether there is something to do."""
        return bool(self.missing or self.changes)


def wanted_topics(settings: Settings) -> tuple[WantedTopic, ...]:
    """Return every topic of a deployment: the catalogue, and a changelog per agent."""
    copies = settings.replication_factor
    catalogue = (
        WantedTopic(settings.topic_name(one), one.partitions(settings.partitions), copies, topic_config(one))
        for one in CATALOGUE
    )
    changelogs = (
        WantedTopic(name, settings.partitions, copies, {"cleanup.policy": "compact"})
        for name in changelog_names(settings)
    )
    return (*catalogue, *changelogs)


def changelog_names(settings: Settings) -> tuple[str, ...]:
    """Return the full names of the agents' changelogs."""
    return tuple(changelog_topic(settings.topic_prefix, APP_ID, spec.name) for spec in stages(settings))


def co_partitioned_topics(settings: Settings) -> tuple[str, ...]:
    """Return the topics on which a site must have the same partition everywhere."""
    catalogue = (settings.topic_name(one) for one in CATALOGUE if not one.single_partition)
    return (*catalogue, *changelog_names(settings))


def planned(wanted: Sequence[WantedTopic], found: Mapping[str, FoundTopic], prefix: str) -> Plan:
    """Compare what should be with what is.

    Parameters
    ----------
    wanted
        The topics of the deployment.
    found
        The topics of the broker by full name, without the broker's internal ones.
    prefix
        Prefix of the deployment's topics.

    Examples
    --------
    >>> wanted = [WantedTopic("a.v1", 4, 1, {"retention.ms": "1000"}), WantedTopic("b.v1", 4, 1, {})]
    >>> plan = planned(wanted, {"a.v1": FoundTopic(4, 1, {"retention.ms": "5"})}, "")
    >>> [topic.name for topic in plan.missing], plan.changes[0].before, plan.changes[0].after
    (['b.v1'], '5', '1000')
    """
    missing: list[WantedTopic] = []
    changes: list[ConfigChange] = []
    wrong: dict[tuple[int, int], list[str]] = {}
    notes: list[str] = []
    current: list[str] = []
    for topic in wanted:
        there = found.get(topic.name)
        if there is None:
            missing.append(topic)
            continue
        if there.partitions != topic.partitions:
            wrong.setdefault((there.partitions, topic.partitions), []).append(topic.name)
            continue
        due = [
            ConfigChange(topic.name, key, there.config.get(key), value)
            for key, value in sorted(topic.config.items())
            if there.config and there.config.get(key) != value
        ]
        changes.extend(due)
        if not there.config:
            notes.append(f"the broker does not show the configuration of {topic.name}, so it was not compared")
        if there.copies != topic.copies:
            notes.append(_about_copies(topic, there.copies))
        if there.config and not due:
            current.append(topic.name)
    ours = {topic.name for topic in wanted}
    foreign = sorted(name for name in found if name.startswith(prefix) and name not in ours)
    return Plan(
        tuple(missing),
        tuple(changes),
        tuple(starmap(_why_refused, wrong.items())),
        tuple(notes),
        tuple(foreign),
        tuple(current),
    )


def _why_refused(counts: tuple[int, int], names: Sequence[str]) -> str:
    there, configured = counts
    which = f"{', '.join(names)} {'has' if len(names) == 1 else 'have'} {there} partition{'' if there == 1 else 's'}"
    if configured == 1:
        return (
            f"{which}, but must have 1, because the records have one order; set another topic_prefix, or delete the "
            "topic yourself and write it anew"
        )
    return (
        f"{which}, but {configured} are configured, and every site would change its partition; set partitions "
        f"(WATTLOOP_PARTITIONS) to {there}, or another topic_prefix"
    )


def _about_copies(topic: WantedTopic, copies: int) -> str:
    return (
        f"{topic.name} is kept {copies} times, {topic.copies} are configured; this is fixed when a topic is created, "
        "kafka-reassign-partitions changes it"
    )


def read_topics(admin: KafkaAdminClient, configured: Collection[str]) -> dict[str, FoundTopic]:
    """Read the topics of a broker, without its internal ones.

    Parameters
    ----------
    admin
        The broker.
    configured
        Topics whose configuration is wanted too; those that do not exist are left out.
    """
    described = {one["name"]: one["partitions"] for one in admin.describe_topics() if not one["is_internal"]}
    # Without keys: asked for single keys, Tansu cuts the connection.
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in sorted(described.keys() & set(configured))]
    configs = admin.describe_configs(asked, config_filter="all").get("topic", {}) if asked else {}
    return {
        name: FoundTopic(
            len(partitions),
            min((len(place["replica_nodes"]) for place in partitions), default=0),
            {key: str(about["value"]) for key, about in configs.get(name, {}).items() if about["value"] is not None},
        )
        for name, partitions in described.items()
        if not name.startswith("__")
    }


def carry_out(admin: KafkaAdminClient, plan: Plan) -> Iterator[str]:
    """Create what is missing and change what differs; yield what went wrong with a topic, one sentence each.

    Parameters
    ----------
    admin
        The broker.
    plan
        A plan without refusals.

    Raises
    ------
    ValueError
        If the plan has refusals: the settings are wrong, and what is missing would be made wrong too.
    """
    if plan.refused:
        raise ValueError("a plan with refusals cannot be carried out")
    for topic in plan.missing:
        try:
            admin.create_topics(
                [
                    NewTopic(
                        topic.name,
                        num_partitions=topic.partitions,
                        replication_factor=topic.copies,
                        topic_configs=topic.config,
                    )
                ]
            )
        except TopicAlreadyExistsError:
            continue  # a worker was faster
    for name in dict.fromkeys(change.topic for change in plan.changes):
        values = {change.key: change.after for change in plan.changes if change.topic == name}
        resource = ConfigResource(ConfigResourceType.TOPIC, name, values)
        answer = admin.alter_configs([resource], raise_on_unknown=False).get("topic", {}).get(name, "no answer")
        if answer != DONE:
            yield f"{name}: the broker refuses the change: {answer}"
