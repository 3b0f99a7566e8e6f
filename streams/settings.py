"""The settings of a deployment: what each one means, what it may be, and what it is by default.

`streams.configuration` gathers their values from flags, environment and file, and reports all that is wrong
at once.
"""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from schemas.topics import Topic
from sinks.clickhouse.peers import PeerRules
from sinks.clickhouse.retention import Retention

ENVIRONMENT_PREFIX = "WATTLOOP_"
DAY_S = 86_400

_BROKER = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_PASSWORD = re.compile(r"^([a-z0-9+.-]+://)?([^:@/?#]*):(.*)@", re.IGNORECASE)
_PASSWORD_PARAMETER = re.compile(r"([?&](?:[a-z_]*password|access_token)=)[^&#]*", re.IGNORECASE)


def masked(text: str) -> str:
    """Return a URL without its secrets.

    Examples
    --------
    >>> masked("https://loop:s3:cr@t@db.example:8443/energy?password=x&compress=1")
    'https://loop:***@db.example:8443/energy?password=***&compress=1'
    >>> masked("chdb:///var/lib/wattloop/history")
    'chdb:///var/lib/wattloop/history'
    """
    return _PASSWORD_PARAMETER.sub(r"\1***", _PASSWORD.sub(r"\1\2:***@", text))


def broker_addresses(kafka_url: str) -> tuple[str, ...]:
    """Return the `host:port` addresses of a Kafka URL.

    Examples
    --------
    >>> broker_addresses("kafka://a.example:9092,b.example:9092")
    ('a.example:9092', 'b.example:9092')
    """
    return tuple(kafka_url.removeprefix("kafka://").split(","))


def _a_kafka_url(url: str) -> str:
    addresses = [_BROKER.fullmatch(address) for address in broker_addresses(url)]
    if not url.startswith("kafka://") or not all(found and 0 < int(found[2]) < 65_536 for found in addresses):
        raise PydanticCustomError("kafka_url", "expected kafka://host:port[,host:port…]")
    return url


def _a_clickhouse_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    server = parts.scheme in {"http", "https"} and bool(parts.hostname) and port != 0
    embedded = parts.scheme == "chdb" and not parts.netloc and len(parts.path) > 1
    if not (server or embedded):
        raise PydanticCustomError(
            "clickhouse_url",
            "expected https://user:password@host:8443/database, http://… or chdb:///absolute/path",
        )
    return url


def _not_a_truth_value(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticCustomError("number", "expected a number")
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _a_topic_prefix(prefix: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{0,100}", prefix):
        raise PydanticCustomError("topic_prefix", "expected up to 100 letters, digits, '.', '_' or '-'")
    return prefix


def _an_instance(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", name):
        raise PydanticCustomError("instance_id", "expected 1 to 100 letters, digits, '.', '_' or '-'")
    return name


def _a_path(path: Path) -> Path:
    if path == Path() or "\0" in str(path):
        raise PydanticCustomError("path", "expected a path")
    return path


Whole = Annotated[int, BeforeValidator(_not_a_truth_value)]
Number = Annotated[float, BeforeValidator(_not_a_truth_value), Field(allow_inf_nan=False)]
Port = Annotated[Whole, Field(ge=0, le=65_535)]
LogLevel = Annotated[Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(_lower)]
LogFormat = Annotated[Literal["auto", "json", "console"], BeforeValidator(_lower)]
KeptMonths = Annotated[Whole, Field(ge=1, le=600)]
StateStore = Annotated[Literal["memory", "rocksdb"], BeforeValidator(_lower)]
SomePath = Annotated[Path, AfterValidator(_a_path)]


class Settings(BaseModel):
    """All settings. `None` means the built-in choice the description names.

    Examples
    --------
    >>> settings = Settings(clickhouse_url="https://loop:secret@db.example:8443/energy", topic_prefix="test.")
    >>> "secret" in repr(settings)
    False
    >>> from schemas.topics import REGISTRY
    >>> settings.topic_name(REGISTRY)
    'test.registry.v1'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: SomePath | None = Field(None, description="TOML file with settings.")
    kafka_url: Annotated[str, AfterValidator(_a_kafka_url)] | None = Field(
        None,
        description="Kafka brokers, kafka://host:port[,host:port…]; without it, an embedded broker.",
    )
    clickhouse_url: Annotated[str, AfterValidator(_a_clickhouse_url)] | None = Field(
        None,
        description="ClickHouse, https://user:password@host:8443/database or chdb:///absolute/path; "
        "without it, embedded, under the data directory.",
    )
    data_dir: SomePath = Field(Path(".wattloop"), description="Directory for everything kept on this machine.")
    registry: SomePath | None = Field(
        None, description="Registry: a YAML file or a directory of them; without it, the demo sites."
    )
    archive_dir: SomePath | None = Field(
        None,
        description="Directory of the Parquet archive of readings, one for all workers; without it, nothing is "
        "archived. `wattloop run` keeps one under the data directory when its broker is embedded.",
    )
    topic_prefix: Annotated[str, AfterValidator(_a_topic_prefix)] = Field(
        "", description="Put in front of every topic's name."
    )
    partitions: Annotated[Whole, Field(ge=1, le=4096)] = Field(
        8, description="Partitions of a topic; fixed when the topics are created."
    )
    replication_factor: Annotated[Whole, Field(ge=1, le=32)] = Field(
        1, description="Copies the brokers keep of a topic; fixed when the topics are created."
    )
    admin_host: Annotated[str, Field(min_length=1)] = Field(
        "127.0.0.1", description="Address that serves /livez, /readyz and /metrics."
    )
    admin_port: Port = Field(6066, description="Port that serves them; 0 takes any free one.")
    allowed_lateness_s: Annotated[Whole, Field(ge=0, le=7 * DAY_S)] = Field(
        300, description="How long a window waits for readings that come late, in seconds of event time."
    )
    revision_horizon_s: Annotated[Whole, Field(ge=0, le=35 * DAY_S)] = Field(
        35 * DAY_S,
        description="How far behind a meter's newest reading a pause may still be filled by late ones, in seconds.",
    )
    future_allowance_s: Annotated[Whole, Field(ge=0, le=DAY_S)] = Field(
        300, description="How far ahead of its arrival a reading may be stamped, in seconds."
    )
    too_old_s: Annotated[Whole, Field(ge=3600, le=3660 * DAY_S)] = Field(
        400 * DAY_S, description="How old a reading may be on arrival, in seconds."
    )
    rejection_limit_share: Annotated[Number, Field(ge=0, le=1)] = Field(
        0.5, description="Share of a minute's readings that may be refused before ingest stops; 1 is no limit."
    )
    rejection_limit_count: Annotated[Whole, Field(ge=0, le=1_000_000_000)] = Field(
        1000, description="Readings of a minute that may always be refused."
    )
    checkpoint_interval_s: Annotated[Number, Field(ge=0.1, le=600)] = Field(
        5.0, description="Time between two checkpoints of a partition, in seconds."
    )
    state_store: StateStore = Field(
        "memory",
        description="Where agents keep a copy of their changelog: memory, or rocksdb under the data directory.",
    )
    session_timeout_s: Annotated[Number, Field(ge=1, le=1800)] = Field(
        6.0, description="Silence after which a worker is taken for dead by its Kafka group, in seconds."
    )
    instance_id: Annotated[str, AfterValidator(_an_instance)] | None = Field(
        None, description="Name of this worker; without it the host's name."
    )
    drain_timeout_s: Annotated[Number, Field(ge=0, le=3600)] = Field(
        20.0,
        description="How long stopping waits for a last checkpoint, or to read a broker that forgets, in seconds.",
    )
    broker_memory_mb: Annotated[Whole, Field(ge=128, le=1_048_576)] = Field(
        512,
        description="Bound of the embedded broker's memory; at 70 % of it, it is read to its end and restarted, in MB.",
    )
    broker_port: Port = Field(0, description="Port of the embedded broker on loopback; 0 takes any free one.")
    broker_forgets: bool = Field(
        False,
        description="The broker keeps nothing across restarts: stopping reads every topic to its end and "
        "keeps the agents' state in the history store. `wattloop run` sets it for its embedded broker.",
    )
    keep_readings_months: KeptMonths = Field(13, description="How long readings are kept, in months of event time.")
    keep_windows_months: KeptMonths = Field(
        14, description="How long windows and emissions of 60 s are kept, in months of event time."
    )
    keep_15min_months: KeptMonths = Field(36, description="How long sums of 15 minutes are kept, in months.")
    keep_hours_months: KeptMonths = Field(120, description="How long sums of hours and days are kept, in months.")
    keep_dead_letters_months: KeptMonths = Field(13, description="How long dead letters are kept, in months.")
    keep_replayed_days: Annotated[Whole, Field(ge=1, le=3660)] = Field(
        30, description="How long a row is kept at least after it was written, however old its event time, in days."
    )
    peer_min_tenants: Annotated[Whole, Field(ge=3, le=1000)] = Field(
        5, description="How many other tenants a site is compared with at least; with fewer, with none."
    )
    peer_max_share: Annotated[Number, Field(ge=0.1, le=1)] = Field(
        0.5, description="Largest share one of them may have of their energy, floor area or production."
    )
    log_level: LogLevel = Field("info", description="Least severe messages to log.")
    log_format: LogFormat = Field(
        "auto",
        description="auto writes for people on a terminal and JSON elsewhere; json or console force one.",
    )

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        """Yield the fields for `repr` and `str`, secrets masked."""
        for name, value in super().__repr_args__():
            yield name, masked(value) if isinstance(value, str) else value

    @property
    def clickhouse_dsn(self) -> str:
        """DSN of the history store: `clickhouse_url`, or the embedded engine under the data directory."""
        return self.clickhouse_url or f"chdb://{(self.data_dir.absolute() / 'history').as_posix()}"

    @property
    def retention(self) -> Retention:
        """How long the history store keeps its rows."""
        return Retention(
            readings_months=self.keep_readings_months,
            windows_months=self.keep_windows_months,
            quarters_months=self.keep_15min_months,
            hours_months=self.keep_hours_months,
            dead_letters_months=self.keep_dead_letters_months,
            replayed_days=self.keep_replayed_days,
        )

    @property
    def peer_rules(self) -> PeerRules:
        """When sites are compared with others."""
        return PeerRules(self.peer_min_tenants, self.peer_max_share)

    @property
    def brokers(self) -> tuple[str, ...] | None:
        """Addresses of the Kafka brokers; none when an embedded one is to be started."""
        return None if self.kafka_url is None else broker_addresses(self.kafka_url)

    @property
    def instance(self) -> str:
        """Name of this worker."""
        return self.instance_id or socket.gethostname()

    def member_of(self, group: str) -> str | None:
        """Return the static membership of a Kafka group, None without an `instance_id`.

        A member that comes back under its name within the session timeout gets its partitions back without a
        rebalance. Two workers of one name would throw each other out, so the host's name is not good enough.
        """
        return None if self.instance_id is None else f"{self.instance_id}-{group}"

    def topic_name(self, topic: Topic) -> str:
        """Return the full name of a topic."""
        return f"{self.topic_prefix}{topic.name}"


def environment_name(field: str) -> str:
    """Return the environment variable of a setting.

    Examples
    --------
    >>> environment_name("kafka_url")
    'WATTLOOP_KAFKA_URL'
    """
    return f"{ENVIRONMENT_PREFIX}{field.upper()}"


def flag_name(field: str) -> str:
    """Return the command-line flag of a setting.

    Examples
    --------
    >>> flag_name("kafka_url")
    '--kafka-url'
    """
    return f"--{field.replace('_', '-')}"


def expected_value(field: str) -> str:
    """Return in words what a number may be; nothing for a setting that is not a number with two bounds.

    Examples
    --------
    >>> expected_value("partitions"), expected_value("checkpoint_interval_s"), expected_value("data_dir")
    ('a whole number from 1 to 4096', 'a number from 0.1 to 600', '')
    """
    about = Settings.model_fields[field]
    lowest = [bound.ge for bound in about.metadata if hasattr(bound, "ge")]
    highest = [bound.le for bound in about.metadata if hasattr(bound, "le")]
    if not lowest or not highest:
        return ""
    kind = "a whole number" if about.annotation is int else "a number"
    return f"{kind} from {lowest[0]} to {highest[0]}"
