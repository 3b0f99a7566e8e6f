-- Readings of zones as they were validated. Plain MergeTree, like weather: count() is what accounting balances.
CREATE TABLE IF NOT EXISTS zones
(
    id String CODEC(ZSTD(1)),
    tenant_id LowCardinality(String),
    site_id LowCardinality(String),
    zone_id LowCardinality(String),
    ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    local_day Date CODEC(ZSTD(1)),
    air_c Nullable(Float64) CODEC(ZSTD(1)),
    humidity_percent Nullable(Float64) CODEC(ZSTD(1)),
    occupied Nullable(Bool) CODEC(ZSTD(1)),
    cooling_c Nullable(Float64) CODEC(ZSTD(1)),
    heating_c Nullable(Float64) CODEC(ZSTD(1)),
    own_cooling_c Nullable(Float64) CODEC(ZSTD(1)),
    own_heating_c Nullable(Float64) CODEC(ZSTD(1)),
    power_kw Nullable(Float64) CODEC(ZSTD(1)),
    raw_partition Int32 CODEC(T64, ZSTD(1)),
    raw_offset Int64 CODEC(Delta, ZSTD(1)),
    origin_offset Int64 DEFAULT -1 CODEC(Delta, ZSTD(1)),
    log_id LowCardinality(String),
    topic_partition Int32 CODEC(T64, ZSTD(1)),
    topic_offset Int64 CODEC(Delta, ZSTD(1)),
    written_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    INDEX written written_at TYPE minmax GRANULARITY 1  -- finds a block by when its cut was recorded
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (tenant_id, site_id, zone_id, ts)
SETTINGS non_replicated_deduplication_window = 10000;

-- Set-points that were commanded or advised, and what became of them.
CREATE TABLE IF NOT EXISTS setpoints
(
    id String CODEC(ZSTD(1)),
    tenant_id LowCardinality(String),
    site_id LowCardinality(String),
    zone_id LowCardinality(String),
    ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    command_id String CODEC(ZSTD(1)),
    supersedes Nullable(String) CODEC(ZSTD(1)),
    mode LowCardinality(String),
    cooling_c Nullable(Float64) CODEC(ZSTD(1)),
    heating_c Nullable(Float64) CODEC(ZSTD(1)),
    issued_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    not_after DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    lease_s Int32 CODEC(T64, ZSTD(1)),
    fallback_cooling_c Nullable(Float64) CODEC(ZSTD(1)),
    fallback_heating_c Nullable(Float64) CODEC(ZSTD(1)),
    priority Int32 CODEC(T64, ZSTD(1)),
    reason LowCardinality(String),
    message_en String CODEC(ZSTD(3)),
    message_zh String CODEC(ZSTD(3)),
    expected_saved_kwh Nullable(Float64) CODEC(ZSTD(1)),
    expected_saved_cny Nullable(Float64) CODEC(ZSTD(1)),
    expected_saved_kg Nullable(Float64) CODEC(ZSTD(1)),
    model_version LowCardinality(String),
    origin_offset Int64 DEFAULT -1 CODEC(Delta, ZSTD(1)),
    log_id LowCardinality(String),
    topic_partition Int32 CODEC(T64, ZSTD(1)),
    topic_offset Int64 CODEC(Delta, ZSTD(1)),
    written_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    INDEX written written_at TYPE minmax GRANULARITY 1  -- finds a block by when its cut was recorded
)
ENGINE = ReplacingMergeTree(written_at)
PARTITION BY toYYYYMM(ts)
ORDER BY (tenant_id, site_id, zone_id, ts, id)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS setpoint_acks
(
    id String CODEC(ZSTD(1)),
    tenant_id LowCardinality(String),
    site_id LowCardinality(String),
    zone_id LowCardinality(String),
    ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    command_id String CODEC(ZSTD(1)),
    state LowCardinality(String),
    reason LowCardinality(String),
    message String CODEC(ZSTD(3)),
    measured_cooling_c Nullable(Float64) CODEC(ZSTD(1)),
    measured_heating_c Nullable(Float64) CODEC(ZSTD(1)),
    gateway LowCardinality(String),
    origin_offset Int64 DEFAULT -1 CODEC(Delta, ZSTD(1)),
    log_id LowCardinality(String),
    topic_partition Int32 CODEC(T64, ZSTD(1)),
    topic_offset Int64 CODEC(Delta, ZSTD(1)),
    written_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    INDEX written written_at TYPE minmax GRANULARITY 1  -- finds a block by when its cut was recorded
)
ENGINE = ReplacingMergeTree(written_at)
PARTITION BY toYYYYMM(ts)
ORDER BY (tenant_id, site_id, zone_id, ts, id)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

-- Each command with what was said of it last; state is empty where nothing was.
CREATE OR REPLACE VIEW v_setpoints AS
SELECT s.*, a.state AS state, a.state_reason AS state_reason, a.state_at AS state_at
FROM (SELECT * FROM setpoints FINAL) AS s
LEFT JOIN
(
    SELECT tenant_id, command_id, argMax(state, ts) AS state, argMax(reason, ts) AS state_reason, max(ts) AS state_at
    FROM setpoint_acks FINAL
    GROUP BY tenant_id, command_id
) AS a
ON a.tenant_id = s.tenant_id AND a.command_id = s.command_id;
