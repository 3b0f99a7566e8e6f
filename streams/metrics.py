"""Every metric of Wattloop, with its meaning, unit and labels. Labels are bounded: never a site or a meter."""

from importlib.metadata import version

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
        self.group_offset_standstills_total = Counter(
            "wattloop_group_offset_standstills_total",
            "Times a partition was read again because the group's offset did not follow its agents.",
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
        self.sink_held_bytes = Gauge(
            "wattloop_sink_held_bytes",
            "Bytes of what was read and is not yet stored: rows of the history in memory, messages of the archive.",
            ["store"],
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
        self.build_info = Gauge("wattloop_build_info", "1, with the version that runs.", ["version"])
        self.build_info.labels(version("wattloop")).set(1)
        self.health_ok = Gauge(
            "wattloop_health_ok", "1 if a check of a probe (livez, readyz) is well, else 0.", ["probe", "check"]
        )
        self.station_partitions = Gauge(
            "wattloop_station_partitions",
            "Partitions this worker has for a station, over all the topics it reads.",
            ["station"],
        )
        self.station_lag_records = Gauge(
            "wattloop_station_lag_records",
            "Records that wait for a station on the partitions of this worker, by station and topic.",
            ["station", "topic"],
        )
        self.station_lag_seconds = Gauge(
            "wattloop_station_lag_seconds",
            "Age of the newest record a station took on the partition furthest behind; 0 if nothing waits.",
            ["station", "topic"],
        )
        self.station_progress_timestamp_seconds = Gauge(
            "wattloop_station_progress_timestamp_seconds",
            "When a station last took something, or had nothing to take, or had an excuse.",
            ["station"],
        )
        self.event_loop_delay_seconds = Histogram(
            "wattloop_event_loop_delay_seconds",
            "How much later than asked the event loop woke up.",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
        )
        self.broker_away_seconds = Gauge(
            "wattloop_broker_away_seconds", "How long no broker has answered; 0 if one answers."
        )
        self.history_away_seconds = Gauge(
            "wattloop_history_away_seconds", "How long the history store has taken nothing; 0 if it does."
        )
        self.recovering = Gauge(
            "wattloop_recovering", "1 while the agents wait for their partitions or restore their state, else 0."
        )
        self.rebalances_total = Counter(
            "wattloop_rebalances_total",
            "Times the partitions of a consumer group were given out anew, by group.",
            ["group"],
        )
        self.agent_restarts_total = Counter(
            "wattloop_agent_restarts_total", "Times an agent ended with an error.", ["agent"]
        )
        self.checkpoint_timestamp_seconds = Gauge(
            "wattloop_checkpoint_timestamp_seconds",
            "When the partition whose last checkpoint is the oldest was checkpointed or opened.",
            ["agent"],
        )
        self.last_stop_timestamp_seconds = Gauge(
            "wattloop_last_stop_timestamp_seconds",
            "When the process before this one ended, by reason.",
            ["reason"],
        )
        self.disk_free_bytes = Gauge("wattloop_disk_free_bytes", "Free space where the data directory is.")
        self.disk_size_bytes = Gauge("wattloop_disk_size_bytes", "Size of the file system of the data directory.")
        # With labels all of them, so that only gateways show them.
        self.hvac_acks_total = Counter(
            "wattloop_hvac_acks_total", "Acknowledgements of a gateway to commands and overrides, by state.", ["state"]
        )
        self.hvac_ignored_total = Counter(
            "wattloop_hvac_ignored_total",
            "Orders a gateway did nothing about, because they are invalid or were seen before.",
            ["reason"],
        )
        self.hvac_leases = Gauge(
            "wattloop_hvac_leases",
            "Commands and overrides that are, or may be, in the plant of a gateway, by stage; `ending` ones have to be "
            "given back.",
            ["stage"],
        )
        self.hvac_unacknowledged_commands = Gauge(
            "wattloop_hvac_unacknowledged_commands",
            "Commands of the last day in mode act, of all sites, that await an answer for more than 2 minutes, by the "
            "last one: none, or accepted.",
            ["last"],
        )


METRICS = Metrics()
