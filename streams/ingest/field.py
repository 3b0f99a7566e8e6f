"""What ingest takes from the field: each topic with its contract, and how its rows are judged."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from schemas import topics
from schemas.feedback import FEEDBACK_FIELD, FEEDBACK_RECORD, FEEDBACK_ROWS
from schemas.flow import Kind, SiteRecord
from schemas.history import HISTORY_FIELD, HISTORY_ROWS
from schemas.production import PRODUCTION_FIELD, PRODUCTION_RECORD, PRODUCTION_ROWS
from schemas.reading import FIELD, TELEMETRY_ROWS
from schemas.weather import WEATHER_FIELD, WEATHER_RECORD, WEATHER_ROWS
from schemas.zone import ZONE_FIELD, ZONE_RECORD, ZONE_ROWS
from streams.ingest.context import (
    known_sites,
    validate_feedback,
    validate_history,
    validate_production,
    validate_weather,
    validate_zones,
)
from streams.ingest.decode import Decoded
from streams.ingest.poll import Poll
from streams.ingest.validate import Bounds, Validated, known_meters, validate


@dataclass(frozen=True, slots=True)
class RecordTopic:
    """Where each row is sent by itself as well, and with which columns."""

    topic: topics.Topic
    columns: Mapping[str, pl.DataType]


@dataclass(frozen=True, slots=True)
class FieldTopic:
    """A topic of the field.

    Parameters
    ----------
    topic
        The topic.
    kind
        What its rows are on telemetry.v1.
    sends
        Columns the field may send.
    rows
        Columns that travel on telemetry.v1.
    known
        Makes what rows are judged by, from the registry and the number of partitions.
    validate
        Judges rows.
    record
        Where rows go beside the flow; None for nowhere.
    """

    topic: topics.Topic
    kind: Kind
    sends: Mapping[str, pl.DataType]
    rows: Mapping[str, pl.DataType]
    known: Callable[[Iterable[SiteRecord], int], pl.DataFrame]
    validate: Callable[[Decoded, Poll, pl.DataFrame, Bounds], Validated]
    record: RecordTopic | None = None

    @property
    def is_the_clock(self) -> bool:
        """Whether ticks follow its arrivals: one service alone may say what time it is."""
        return self.kind is Kind.READINGS

    @property
    def group(self) -> str:
        """Ending of its consumer group's name."""
        return "ingest" if self.is_the_clock else f"ingest-{self.kind.value}"


READINGS = FieldTopic(topics.METER_READINGS, Kind.READINGS, FIELD, TELEMETRY_ROWS, known_meters, validate)
WEATHER = FieldTopic(
    topics.WEATHER,
    Kind.WEATHER,
    WEATHER_FIELD,
    WEATHER_ROWS,
    known_sites,
    validate_weather,
    RecordTopic(topics.SITE_WEATHER, WEATHER_RECORD),
)
PRODUCTION = FieldTopic(
    topics.PRODUCTION,
    Kind.PRODUCTION,
    PRODUCTION_FIELD,
    PRODUCTION_ROWS,
    known_sites,
    validate_production,
    RecordTopic(topics.SITE_PRODUCTION, PRODUCTION_RECORD),
)
FEEDBACK = FieldTopic(
    topics.ANOMALY_FEEDBACK,
    Kind.FEEDBACK,
    FEEDBACK_FIELD,
    FEEDBACK_ROWS,
    known_sites,
    validate_feedback,
    RecordTopic(topics.SITE_FEEDBACK, FEEDBACK_RECORD),
)
ZONES = FieldTopic(
    topics.ZONE_READINGS,
    Kind.ZONES,
    ZONE_FIELD,
    ZONE_ROWS,
    known_sites,
    validate_zones,
    RecordTopic(topics.SITE_ZONES, ZONE_RECORD),
)
HISTORY = FieldTopic(topics.METER_HISTORY, Kind.HISTORY, HISTORY_FIELD, HISTORY_ROWS, known_sites, validate_history)
FIELD_TOPICS = (READINGS, WEATHER, PRODUCTION, FEEDBACK, ZONES, HISTORY)
