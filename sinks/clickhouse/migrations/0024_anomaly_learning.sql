-- How far the detectors are with each meter, a row for each record on anomaly.learning.v1.
CREATE TABLE IF NOT EXISTS anomaly_learning
(
    id String CODEC(ZSTD(1)),
    tenant_id LowCardinality(String),
    site_id LowCardinality(String),
    meter_id LowCardinality(String),
    ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    kind LowCardinality(String),
    state LowCardinality(String),
    learnt_days Int32 CODEC(T64, ZSTD(1)),
    needed_days Int32 CODEC(T64, ZSTD(1)),
    message_en String CODEC(ZSTD(3)),
    message_zh String CODEC(ZSTD(3)),
    origin_offset Int64 DEFAULT -1 CODEC(Delta, ZSTD(1)),
    log_id LowCardinality(String),
    topic_partition Int32 CODEC(T64, ZSTD(1)),
    topic_offset Int64 CODEC(Delta, ZSTD(1)),
    written_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    INDEX written written_at TYPE minmax GRANULARITY 1  -- finds a block by when its cut was recorded
)
ENGINE = ReplacingMergeTree(written_at)
PARTITION BY toYYYYMM(ts)
ORDER BY (tenant_id, site_id, meter_id, kind, ts, id)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

-- One row per meter and detector: how far it is now.
CREATE OR REPLACE VIEW v_anomaly_learning AS
SELECT *
FROM
(
    SELECT *
    FROM anomaly_learning FINAL
    ORDER BY ts DESC
    LIMIT 1 BY tenant_id, site_id, meter_id, kind
);
