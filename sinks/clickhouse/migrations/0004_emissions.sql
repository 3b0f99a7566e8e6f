-- The highest revision replaces the others, and of equal revisions the one written last.
CREATE TABLE IF NOT EXISTS emissions
(
    id String CODEC(ZSTD(1)),
    tenant_id LowCardinality(String),
    site_id LowCardinality(String),
    ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    window_s Int32 CODEC(T64, ZSTD(1)),
    import_kwh Nullable(Float64) CODEC(ZSTD(1)),
    export_kwh Nullable(Float64) CODEC(ZSTD(1)),
    emitted_kg Nullable(Float64) CODEC(ZSTD(1)),
    factor_kg_per_kwh Nullable(Float64) CODEC(ZSTD(1)),
    factor_region LowCardinality(Nullable(String)),
    factor_year Nullable(Int32) CODEC(ZSTD(1)),
    factor_kind LowCardinality(Nullable(String)),
    tariff_id LowCardinality(Nullable(String)),
    period LowCardinality(Nullable(String)),
    price_cny_per_kwh Nullable(Float64) CODEC(ZSTD(1)),
    cost_cny Nullable(Float64) CODEC(ZSTD(1)),
    quality LowCardinality(String),
    meters Int32 CODEC(T64, ZSTD(1)),
    meters_missing Int32 CODEC(T64, ZSTD(1)),
    reference_version LowCardinality(Nullable(String)),
    revision Int32 CODEC(T64, ZSTD(1)),
    log_id LowCardinality(String),
    topic_partition Int32 CODEC(T64, ZSTD(1)),
    topic_offset Int64 CODEC(Delta, ZSTD(1)),
    written_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    version UInt64 MATERIALIZED bitShiftLeft(toUInt64(revision), 42) + toUInt64(toUnixTimestamp64Milli(written_at))
        CODEC(Delta, ZSTD(1)),
    INDEX written written_at TYPE minmax GRANULARITY 1  -- finds a block by when its cut was recorded
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(ts)
ORDER BY (tenant_id, site_id, ts)
SETTINGS non_replicated_deduplication_window = 10000;

-- One row per tenant, site and ts.
CREATE OR REPLACE VIEW v_emissions AS
SELECT *
FROM emissions FINAL;

-- Days are UTC days: the tables do not know the time zone of a site.
-- Sums leave out minutes whose factor or price is unknown; the two counts say how many there are.
CREATE OR REPLACE VIEW v_site_day AS
SELECT
    tenant_id,
    site_id,
    toDate(e.ts) AS day_utc,
    sum(e.import_kwh) AS import_kwh,
    sum(e.export_kwh) AS export_kwh,
    sum(e.emitted_kg) AS emitted_kg,
    sum(e.cost_cny) AS cost_cny,
    count() AS windows,
    countIf(e.emitted_kg IS NULL) AS windows_without_factor,
    countIf(e.cost_cny IS NULL) AS windows_without_price,
    countIf(e.quality != 'measured') AS windows_not_measured
FROM emissions AS e FINAL
GROUP BY tenant_id, site_id, toDate(e.ts);
