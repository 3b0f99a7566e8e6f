"""Every metric of Wattloop, with its meaning, unit and labels. Labels are bounded: never a site or a meter."""

from prometheus_client import Counter, Gauge, Histogram

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """All metrics, registered once per process."""

    def __init__(self) -> None:
        self.agent_events_total = Counter(
            "wattloop_agent_events_total", "Messages an agent applied, by kind.", ["agent", "kind"]
        )
        self.agent_outputs_total = Counter(
            "wattloop_agent_outputs_total", "Messages an agent sent, by topic.", ["agent", "topic"]
        )
        self.agent_rejections_total = Counter(
            "wattloop_agent_rejections_total", "Rows an agent refused, by reason.", ["agent", "reason"]
        )
        self.agent_duration_seconds = Histogram(
            "wattloop_agent_duration_seconds", "Time of one step of an agent.", ["agent"], buckets=_FAST
        )
        self.agent_seeks_total = Counter(
            "wattloop_agent_seeks_total", "Times an agent went back because messages were skipped.", ["agent"]
        )
        self.event_age_seconds = Gauge(
            "wattloop_event_age_seconds", "Age of the newest tick an agent applied.", ["agent"]
        )
        self.checkpoint_seconds = Histogram(
            "wattloop_checkpoint_seconds", "Time of one checkpoint of a partition.", ["agent"], buckets=_FAST
        )
        self.checkpoint_entries_total = Counter(
            "wattloop_checkpoint_entries_total", "Entries written by checkpoints.", ["agent"]
        )
        self.ingest_messages_total = Counter(
            "wattloop_ingest_messages_total", "Messages ingest read from the field's topics.", ["topic"]
        )
        self.ingest_readings_total = Counter("wattloop_ingest_readings_total", "Readings ingest passed on.")
        self.ingest_rejections_total = Counter(
            "wattloop_ingest_rejections_total", "Readings or messages ingest refused, by reason.", ["reason"]
        )
        self.ingest_batch_seconds = Histogram(
            "wattloop_ingest_batch_seconds", "Time to decode, validate and send one poll.", buckets=_FAST
        )
        self.sink_rows_total = Counter("wattloop_sink_rows_total", "Rows stored, by table.", ["table"])
        self.sink_flush_seconds = Histogram(
            "wattloop_sink_flush_seconds", "Time to store one block.", ["table"], buckets=_FAST
        )
        self.sink_duplicates_total = Counter(
            "wattloop_sink_duplicates_total",
            "Rows left out because they were stored before, by table.",
            ["table"],
        )
        self.accounted_rows_total = Counter(
            "wattloop_accounted_rows_total",
            "Rows accounted for on accounting.v1, by station, topic read and outcome. A range that was read again is "
            "counted again here; `wattloop account` counts it once.",
            ["station", "topic", "outcome"],
        )
        self.accounted_timestamp_seconds = Gauge(
            "wattloop_accounted_timestamp_seconds",
            "When a station last sent a record on accounting.v1, Unix time.",
            ["station"],
        )
        self.sink_retries_total = Counter(
            "wattloop_sink_retries_total", "Times the history store was away and a block was tried again."
        )


METRICS = Metrics()
