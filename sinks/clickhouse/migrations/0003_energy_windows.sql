-- The highest revision replaces the others, and of equal revisions the one written last.
CREATE TABLE IF NOT EXISTS energy_windows
(
    tenant_id LowCardinality(String),
    site_id LowCardinality(String),
    meter_id LowCardinality(String),
    meter_kind LowCardinality(String),
    window_start DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    window_s Int32 CODEC(T64, ZSTD(1)),
    import_kwh Nullable(Float64) CODEC(ZSTD(1)),
    export_kwh Nullable(Float64) CODEC(ZSTD(1)),
    covered_s Float64 CODEC(ZSTD(1)),
    quality LowCardinality(String),
    revision Int32 CODEC(T64, ZSTD(1)),
    raw_partition Int32 CODEC(T64, ZSTD(1)),
    raw_offset_first Int64 CODEC(Delta, ZSTD(1)),
    raw_offset_last Int64 CODEC(Delta, ZSTD(1)),
    log_id LowCardinality(String),
    topic_partition Int32 CODEC(T64, ZSTD(1)),
    topic_offset Int64 CODEC(Delta, ZSTD(1)),
    written_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    -- 42 bits of milliseconds last until the year 2109
    version UInt64 MATERIALIZED bitShiftLeft(toUInt64(revision), 42) + toUInt64(toUnixTimestamp64Milli(written_at))
        CODEC(Delta, ZSTD(1)),
    INDEX written written_at TYPE minmax GRANULARITY 1  -- finds a block by when its cut was recorded
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(window_start)
ORDER BY (tenant_id, site_id, meter_id, window_start)
SETTINGS non_replicated_deduplication_window = 10000;

-- One row per tenant, site, meter and window_start.
CREATE OR REPLACE VIEW v_energy AS
SELECT *
FROM energy_windows FINAL;

CREATE OR REPLACE VIEW v_energy_15min AS
SELECT
    tenant_id,
    site_id,
    meter_id,
    argMax(w.meter_kind, w.window_start) AS meter_kind,
    toStartOfFifteenMinutes(w.window_start) AS window_start,
    toInt32(900) AS window_s,
    sum(w.import_kwh) AS import_kwh,
    sum(w.export_kwh) AS export_kwh,
    sum(w.covered_s) AS covered_s,
    count() AS windows,
    countIf(w.quality = 'estimated') AS windows_estimated,
    countIf(w.quality = 'partial') AS windows_partial,
    multiIf(windows_partial > 0, 'partial', windows_estimated > 0, 'estimated', 'measured') AS quality
FROM energy_windows AS w FINAL
GROUP BY tenant_id, site_id, meter_id, toStartOfFifteenMinutes(w.window_start);

CREATE OR REPLACE VIEW v_energy_hour AS
SELECT
    tenant_id,
    site_id,
    meter_id,
    argMax(w.meter_kind, w.window_start) AS meter_kind,
    toStartOfHour(w.window_start) AS window_start,
    toInt32(3600) AS window_s,
    sum(w.import_kwh) AS import_kwh,
    sum(w.export_kwh) AS export_kwh,
    sum(w.covered_s) AS covered_s,
    count() AS windows,
    countIf(w.quality = 'estimated') AS windows_estimated,
    countIf(w.quality = 'partial') AS windows_partial,
    multiIf(windows_partial > 0, 'partial', windows_estimated > 0, 'estimated', 'measured') AS quality
FROM energy_windows AS w FINAL
GROUP BY tenant_id, site_id, meter_id, toStartOfHour(w.window_start);

-- Days are UTC days: the tables do not know the time zone of a site.
CREATE OR REPLACE VIEW v_energy_day AS
SELECT
    tenant_id,
    site_id,
    meter_id,
    argMax(w.meter_kind, w.window_start) AS meter_kind,
    toStartOfDay(w.window_start) AS window_start,
    toInt32(86400) AS window_s,
    sum(w.import_kwh) AS import_kwh,
    sum(w.export_kwh) AS export_kwh,
    sum(w.covered_s) AS covered_s,
    count() AS windows,
    countIf(w.quality = 'estimated') AS windows_estimated,
    countIf(w.quality = 'partial') AS windows_partial,
    multiIf(windows_partial > 0, 'partial', windows_estimated > 0, 'estimated', 'measured') AS quality
FROM energy_windows AS w FINAL
GROUP BY tenant_id, site_id, meter_id, toStartOfDay(w.window_start);
