-- What a revised window said before; NULL in windows that were never revised.
ALTER TABLE energy_windows ADD COLUMN IF NOT EXISTS previous_import_kwh Nullable(Float64) CODEC(ZSTD(1)) AFTER revision;

CREATE OR REPLACE VIEW v_energy AS
SELECT *
FROM energy_windows FINAL;

-- Why the energy of a meter is not what its registers simply say, or not what was said before.
CREATE TABLE IF NOT EXISTS corrections
(
    id String CODEC(ZSTD(1)),
    tenant_id LowCardinality(String),
    site_id LowCardinality(String),
    meter_id LowCardinality(String),
    ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    kind LowCardinality(String),
    window_from DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    window_until DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    import_before_kwh Nullable(Float64) CODEC(ZSTD(1)),
    import_after_kwh Nullable(Float64) CODEC(ZSTD(1)),
    export_before_kwh Nullable(Float64) CODEC(ZSTD(1)),
    export_after_kwh Nullable(Float64) CODEC(ZSTD(1)),
    register_from_kwh Nullable(Float64) CODEC(ZSTD(1)),
    register_to_kwh Nullable(Float64) CODEC(ZSTD(1)),
    revision Int32 CODEC(T64, ZSTD(1)),
    raw_partition Int32 CODEC(T64, ZSTD(1)),
    raw_offset_first Int64 CODEC(Delta, ZSTD(1)),
    raw_offset_last Int64 CODEC(Delta, ZSTD(1)),
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

-- One row per correction.
CREATE OR REPLACE VIEW v_corrections AS
SELECT *
FROM corrections FINAL;
