-- Plain MergeTree: what is accepted stays as it came, so that count() is what accounting balances against.
CREATE TABLE IF NOT EXISTS readings
(
    tenant_id LowCardinality(String),
    site_id LowCardinality(String),
    meter_id LowCardinality(String),
    ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    import_kwh Nullable(Float64) CODEC(ZSTD(1)),
    export_kwh Nullable(Float64) CODEC(ZSTD(1)),
    power_kw Nullable(Float64) CODEC(ZSTD(1)),
    raw_partition Int32 CODEC(T64, ZSTD(1)),
    raw_offset Int64 CODEC(Delta, ZSTD(1)),
    log_id LowCardinality(String),
    topic_partition Int32 CODEC(T64, ZSTD(1)),
    topic_offset Int64 CODEC(Delta, ZSTD(1)),
    written_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    INDEX written written_at TYPE minmax GRANULARITY 1  -- finds a block by when its cut was recorded
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (tenant_id, site_id, meter_id, ts)
SETTINGS non_replicated_deduplication_window = 10000;

-- One row per tenant, site, meter and ts: the one written last.
CREATE OR REPLACE VIEW v_readings AS
SELECT *
FROM readings
ORDER BY tenant_id, site_id, meter_id, ts, written_at DESC, topic_offset DESC, raw_offset DESC
LIMIT 1 BY tenant_id, site_id, meter_id, ts;
