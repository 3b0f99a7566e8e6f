-- The life of each anomaly, a row for each record on anomalies.v1.
CREATE TABLE IF NOT EXISTS anomalies
(
    id String CODEC(ZSTD(1)),
    tenant_id LowCardinality(String),
    site_id LowCardinality(String),
    meter_id LowCardinality(String),
    ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    anomaly_id String CODEC(ZSTD(1)),
    sequence Int32 CODEC(T64, ZSTD(1)),
    kind LowCardinality(String),
    status LowCardinality(String),
    severity LowCardinality(String),
    began_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    opened_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    ended_at Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    end_reason LowCardinality(Nullable(String)),
    observed_kw Nullable(Float64) CODEC(ZSTD(1)),
    expected_kw Nullable(Float64) CODEC(ZSTD(1)),
    expected_high_kw Nullable(Float64) CODEC(ZSTD(1)),
    observed_share Nullable(Float64) CODEC(ZSTD(1)),
    expected_share Nullable(Float64) CODEC(ZSTD(1)),
    score Float64 CODEC(ZSTD(1)),
    limit Float64 CODEC(ZSTD(1)),
    confidence Float64 CODEC(ZSTD(1)),
    compared_with Int32 CODEC(T64, ZSTD(1)),
    learnt_days Int32 CODEC(T64, ZSTD(1)),
    wasted_kwh Float64 CODEC(ZSTD(1)),
    wasted_cny Nullable(Float64) CODEC(ZSTD(1)),
    wasted_kg Nullable(Float64) CODEC(ZSTD(1)),
    quarters Int32 CODEC(T64, ZSTD(1)),
    drivers String CODEC(ZSTD(1)),
    rule_version LowCardinality(String),
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
ORDER BY (tenant_id, site_id, meter_id, ts, id)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

-- One row per anomaly: what is known of it now.
CREATE OR REPLACE VIEW v_anomalies AS
SELECT *
FROM
(
    SELECT *
    FROM anomalies FINAL
    ORDER BY sequence DESC
    LIMIT 1 BY tenant_id, anomaly_id
);
