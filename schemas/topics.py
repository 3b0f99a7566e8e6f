"""The catalogue of topics: every arrow in the picture of `docs/architecture.md`, and who may read it.

Everything that names a topic takes it from here: the topology, the sinks, `wattloop topics` and the tests.
"""

from dataclasses import dataclass
from enum import StrEnum

DAY_MS = 86_400_000
MIB = 1 << 20


class Encoding(StrEnum):
    """What the value of a message holds."""

    FIELD = "field"  # JSON, NDJSON or Arrow IPC, said by the `content-type` header
    BATCH = "batch"  # Arrow IPC stream (lz4) or a control record, said by the `kind` header
    JSON = "json"  # one flat JSON object
    ORIGINAL = "original"  # the bytes as they came


class Cleanup(StrEnum):
    """How the broker ages a topic."""

    DELETE = "delete"
    COMPACT = "compact"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of the catalogue.

    Parameters
    ----------
    name
        Name without the configurable prefix, ending in its major version.
    key
        What the message key is (an UTF-8 string), or `partition` where the partition is chosen explicitly.
    encoding
        What the value holds.
    retention_ms
        How long the broker keeps messages; None = by size only. Ignored for compacted topics. [ms]
    retention_bytes
        How much the broker keeps of a partition; None = by time only. [byte]
    cleanup
        Internal topics are never compacted: contiguous offsets are what exactness rests on.
    broker_timestamp
        The broker stamps the arrival (LogAppendTime), so arrival is the same however often a message is read.
    single_partition
        Small configuration topics have one partition; every other topic has the configured number.
    max_message_bytes
        Largest message the broker takes; a dead letter must hold the largest raw message and its headers. [byte]
    """

    name: str
    key: str
    encoding: Encoding
    retention_ms: int | None = 7 * DAY_MS
    retention_bytes: int | None = None
    cleanup: Cleanup = Cleanup.DELETE
    broker_timestamp: bool = False
    single_partition: bool = False
    max_message_bytes: int = MIB

    def partitions(self, configured: int) -> int:
        """Return the partition count for a deployment with `configured` partitions."""
        return 1 if self.single_partition else configured


METER_READINGS = Topic("meter.readings.v1", "site_id", Encoding.FIELD, broker_timestamp=True)
TELEMETRY = Topic("telemetry.v1", "partition", Encoding.BATCH, max_message_bytes=4 * MIB)
ENERGY = Topic("energy.v1", "partition", Encoding.BATCH, max_message_bytes=4 * MIB)
# Their record timestamps are event time, and brokers age by record timestamp: a month replayed from an archive would be
# deleted before anyone has read it. So these topics are kept by size.
EMISSIONS = Topic("emissions.v1", "site_id", Encoding.JSON, retention_ms=None, retention_bytes=1024 * MIB)
SITE_LIVE = Topic("site.live.v1", "site_id", Encoding.JSON, retention_ms=None, retention_bytes=256 * MIB)
DEMAND = Topic("demand.v1", "site_id", Encoding.JSON, retention_ms=None, retention_bytes=256 * MIB)
DEMAND_LIVE = Topic("demand.live.v1", "site_id", Encoding.JSON, retention_ms=None, retention_bytes=256 * MIB)
LEDGER = Topic("ledger.v1", "site_id", Encoding.JSON, retention_ms=None, retention_bytes=512 * MIB)
BALANCE = Topic("balance.v1", "partition", Encoding.BATCH, max_message_bytes=4 * MIB)
CORRECTIONS = Topic("corrections.v1", "site_id", Encoding.JSON, retention_ms=None, retention_bytes=256 * MIB)
# The life of each anomaly; kept by size, as its time is event time.
ANOMALIES = Topic("anomalies.v1", "site_id", Encoding.JSON, retention_ms=None, retention_bytes=256 * MIB)
# How far the detectors are with each meter, once a day while they learn.
ANOMALY_LEARNING = Topic("anomaly.learning.v1", "site_id", Encoding.JSON, retention_ms=None, retention_bytes=64 * MIB)
# What measures save, once a day: shown, or not shown yet.
SAVINGS = Topic("savings.v1", "site_id", Encoding.JSON, retention_ms=None, retention_bytes=64 * MIB)
# What a site could do, what it would save, and what became of it.
ADVICE = Topic("advice.v1", "site_id", Encoding.JSON, retention_ms=None, retention_bytes=64 * MIB)
# Set-points for zones, what became of them, and what operators decide instead.
HVAC_SETPOINTS = Topic("hvac.setpoints.v1", "site_id", Encoding.JSON, retention_ms=None, retention_bytes=64 * MIB)
HVAC_ACKS = Topic("hvac.acks.v1", "site_id", Encoding.JSON, retention_ms=None, retention_bytes=64 * MIB)
HVAC_OVERRIDES = Topic("hvac.overrides.v1", "site_id", Encoding.JSON, retention_ms=None, retention_bytes=64 * MIB)
DEAD_LETTERS = Topic(
    "dead-letters.v1", "original key", Encoding.ORIGINAL, retention_ms=30 * DAY_MS, max_message_bytes=2 * MIB
)
# Carries arrival minutes, and the stations compare it with what is stored: it may go once the history has it.
ACCOUNTING = Topic("accounting.v1", "station/partition", Encoding.JSON)
# One record per site and month that an edition of the reference data changed; kept by size, as its time is event time.
RESTATEMENTS = Topic("restatements.v1", "site_id", Encoding.JSON, retention_ms=None, retention_bytes=64 * MIB)
# Weather and production: as the field sends them, and as they were validated, for people and the history.
WEATHER = Topic("weather.v1", "site_id", Encoding.FIELD, broker_timestamp=True)
PRODUCTION = Topic("production.v1", "site_id", Encoding.FIELD, broker_timestamp=True)
SITE_WEATHER = Topic("site.weather.v1", "site_id", Encoding.JSON, retention_ms=None, retention_bytes=256 * MIB)
SITE_PRODUCTION = Topic("site.production.v1", "site_id", Encoding.JSON, retention_ms=None, retention_bytes=256 * MIB)
# What people say of anomalies and advice, and the same as it was taken, for people and the history.
ANOMALY_FEEDBACK = Topic("anomaly.feedback.v1", "site_id", Encoding.FIELD, broker_timestamp=True)
SITE_FEEDBACK = Topic("site.feedback.v1", "site_id", Encoding.JSON, retention_ms=None, retention_bytes=64 * MIB)
# Quarter hours from before, for agents that learn: sent by a command, kept for as long as that takes.
METER_HISTORY = Topic("meter.history.v1", "site_id", Encoding.FIELD, retention_ms=DAY_MS, broker_timestamp=True)
# What is measured in zones of buildings, and the same as it was validated.
ZONE_READINGS = Topic("zone.readings.v1", "site_id", Encoding.FIELD, broker_timestamp=True)
SITE_ZONES = Topic("site.zones.v1", "site_id", Encoding.JSON, retention_ms=None, retention_bytes=256 * MIB)
# What a site is compared by, once per revision of its registry entry.
SITE_PROFILE = Topic("site.profile.v1", "site_id", Encoding.JSON, retention_ms=None, retention_bytes=64 * MIB)
# Fuels and purchased heat as the field reports them, and with their carbon.
ACTIVITIES = Topic("activities.v1", "site_id", Encoding.JSON, retention_ms=30 * DAY_MS, broker_timestamp=True)
ACTIVITY = Topic("activity.v1", "site_id", Encoding.JSON, retention_ms=None, retention_bytes=64 * MIB)
REGISTRY = Topic(
    "registry.v1", "id", Encoding.JSON, cleanup=Cleanup.COMPACT, broker_timestamp=True, single_partition=True
)
# The reference data in force: rows first, and last the edition that they are. Until it fits them, the former one holds.
FACTORS = Topic(
    "factors.v1", "id", Encoding.JSON, cleanup=Cleanup.COMPACT, broker_timestamp=True, single_partition=True
)
TARIFFS = Topic(
    "tariffs.v1", "id", Encoding.JSON, cleanup=Cleanup.COMPACT, broker_timestamp=True, single_partition=True
)

CATALOGUE: tuple[Topic, ...] = (
    METER_READINGS,
    TELEMETRY,
    ENERGY,
    EMISSIONS,
    SITE_LIVE,
    DEMAND,
    DEMAND_LIVE,
    LEDGER,
    DEAD_LETTERS,
    REGISTRY,
    ACCOUNTING,
    CORRECTIONS,
    RESTATEMENTS,
    ACTIVITY,
    FACTORS,
    TARIFFS,
    ACTIVITIES,
    WEATHER,
    PRODUCTION,
    SITE_WEATHER,
    SITE_PRODUCTION,
    SITE_PROFILE,
    ANOMALY_FEEDBACK,
    SITE_FEEDBACK,
    ZONE_READINGS,
    METER_HISTORY,
    SITE_ZONES,
    BALANCE,
    ANOMALIES,
    ANOMALY_LEARNING,
    ADVICE,
    HVAC_SETPOINTS,
    HVAC_ACKS,
    HVAC_OVERRIDES,
    SAVINGS,
)

BY_NAME: dict[str, Topic] = {topic.name: topic for topic in CATALOGUE}
