-- 15-minute demand of a site. The highest revision replaces the others, and of equal revisions the one written last.
CREATE TABLE IF NOT EXISTS demand
(
    id String CODEC(ZSTD(1)),
    tenant_id LowCardinality(String),
    site_id LowCardinality(String),
    ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    window_s Int32 CODEC(T64, ZSTD(1)),
    import_kwh Nullable(Float64) CODEC(ZSTD(1)),
    demand_kw Nullable(Float64) CODEC(ZSTD(1)),
    quality LowCardinality(String),
    counts_as_peak Bool,
    windows Int32 CODEC(T64, ZSTD(1)),
    windows_missing Int32 CODEC(T64, ZSTD(1)),
    billing_month LowCardinality(String),
    month_max_kw Nullable(Float64) CODEC(ZSTD(1)),
    month_max_at Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    revision Int32 CODEC(T64, ZSTD(1)),
    origin_offset Int64 DEFAULT -1 CODEC(Delta, ZSTD(1)),
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

-- The running bill of a site, per local day and billing month.
CREATE TABLE IF NOT EXISTS ledger
(
    id String CODEC(ZSTD(1)),
    tenant_id LowCardinality(String),
    site_id LowCardinality(String),
    ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    span LowCardinality(String),
    first_day Date CODEC(ZSTD(1)),
    last_day Date CODEC(ZSTD(1)),
    settled_until Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    is_final Bool,
    energy_kwh Float64 CODEC(ZSTD(1)),
    sharp_kwh Float64 CODEC(ZSTD(1)),
    peak_kwh Float64 CODEC(ZSTD(1)),
    flat_kwh Float64 CODEC(ZSTD(1)),
    valley_kwh Float64 CODEC(ZSTD(1)),
    deep_valley_kwh Float64 CODEC(ZSTD(1)),
    no_period_kwh Float64 CODEC(ZSTD(1)),
    sharp_cny Nullable(Float64) CODEC(ZSTD(1)),
    peak_cny Nullable(Float64) CODEC(ZSTD(1)),
    flat_cny Nullable(Float64) CODEC(ZSTD(1)),
    valley_cny Nullable(Float64) CODEC(ZSTD(1)),
    deep_valley_cny Nullable(Float64) CODEC(ZSTD(1)),
    energy_cny Nullable(Float64) CODEC(ZSTD(1)),
    kwh_without_price Float64 CODEC(ZSTD(1)),
    network_cny Nullable(Float64) CODEC(ZSTD(1)),
    kwh_without_network_price Float64 CODEC(ZSTD(1)),
    funds_cny Nullable(Float64) CODEC(ZSTD(1)),
    kwh_without_funds_price Float64 CODEC(ZSTD(1)),
    network_in_energy_cny Nullable(Float64) CODEC(ZSTD(1)),
    funds_in_energy_cny Nullable(Float64) CODEC(ZSTD(1)),
    demand_mode LowCardinality(Nullable(String)),
    max_demand_kw Nullable(Float64) CODEC(ZSTD(1)),
    max_demand_at Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    billed_demand_kw Nullable(Float64) CODEC(ZSTD(1)),
    excess_demand_kw Nullable(Float64) CODEC(ZSTD(1)),
    basic_fee_month_cny Nullable(Float64) CODEC(ZSTD(1)),
    basic_fee_cny Nullable(Float64) CODEC(ZSTD(1)),
    reactive_kvarh Nullable(Float64) CODEC(ZSTD(1)),
    power_factor Nullable(Float64) CODEC(ZSTD(1)),
    power_factor_source LowCardinality(String),
    power_factor_share Nullable(Float64) CODEC(ZSTD(1)),
    power_factor_cny Nullable(Float64) CODEC(ZSTD(1)),
    total_cny Nullable(Float64) CODEC(ZSTD(1)),
    known_cny Float64 CODEC(ZSTD(1)),
    windows Int64 CODEC(T64, ZSTD(1)),
    windows_not_measured Int64 CODEC(T64, ZSTD(1)),
    windows_without_energy Int64 CODEC(T64, ZSTD(1)),
    windows_uncorrected Int64 CODEC(T64, ZSTD(1)),
    reference_version LowCardinality(Nullable(String)),
    revision Int32 CODEC(T64, ZSTD(1)),
    origin_offset Int64 DEFAULT -1 CODEC(Delta, ZSTD(1)),
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
ORDER BY (tenant_id, site_id, span, ts)
SETTINGS non_replicated_deduplication_window = 10000;

-- One row per tenant, site and quarter hour.
CREATE OR REPLACE VIEW v_demand AS
SELECT *
FROM demand FINAL;

-- One row per tenant, site, span (day or month) and its start.
CREATE OR REPLACE VIEW v_ledger AS
SELECT *
FROM ledger FINAL;
