-- What was said of an anomaly, and by whom.
ALTER TABLE anomalies ADD COLUMN IF NOT EXISTS feedback LowCardinality(Nullable(String)) AFTER drivers;
ALTER TABLE anomalies ADD COLUMN IF NOT EXISTS feedback_by Nullable(String) CODEC(ZSTD(1)) AFTER feedback;

CREATE OR REPLACE VIEW v_anomalies AS
SELECT *
FROM
(
    SELECT *
    FROM anomalies FINAL
    ORDER BY sequence DESC
    LIMIT 1 BY tenant_id, anomaly_id
);

-- Everything people said, as it was taken. Plain MergeTree, like weather: count() is what accounting balances.
CREATE TABLE IF NOT EXISTS feedback
(
    id String CODEC(ZSTD(1)),
    tenant_id LowCardinality(String),
    site_id LowCardinality(String),
    ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    verdict LowCardinality(String),
    anomaly_id Nullable(String) CODEC(ZSTD(1)),
    meter_id LowCardinality(Nullable(String)),
    kind LowCardinality(Nullable(String)),
    until Nullable(Int64) CODEC(ZSTD(1)),  -- ms since 1970 UTC
    said_by Nullable(String) CODEC(ZSTD(1)),
    note Nullable(String) CODEC(ZSTD(3)),
    local_day Date CODEC(ZSTD(1)),
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
ORDER BY (tenant_id, site_id, ts)
SETTINGS non_replicated_deduplication_window = 10000;
