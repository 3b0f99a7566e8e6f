-- Restatements: figures of another edition beside those that were computed at first, which stay as they are.

-- The editions that were published here, with their files as they were: old figures can be computed again.
CREATE TABLE IF NOT EXISTS reference_editions
(
    reference_version String,
    known_from DateTime64(3, 'UTC'),
    file String,
    text String CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree
ORDER BY (reference_version, file)
SETTINGS non_replicated_deduplication_window = 1000;

-- Restated quarter hours: one row per edition; of several of the same edition the one written last counts.
CREATE TABLE IF NOT EXISTS restated_15min
(
    tenant_id LowCardinality(String),
    site_id LowCardinality(String),
    window_start DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    reference_version LowCardinality(String),
    known_from DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    import_kwh Nullable(Float64) CODEC(ZSTD(1)),
    emitted_kg Nullable(Float64) CODEC(ZSTD(1)),
    factor_kg_per_kwh Nullable(Float64) CODEC(ZSTD(1)),
    factor_region LowCardinality(Nullable(String)),
    factor_year Nullable(Int32) CODEC(ZSTD(1)),
    factor_kind LowCardinality(Nullable(String)),
    factor_source LowCardinality(Nullable(String)),
    market_emitted_kg Nullable(Float64) CODEC(ZSTD(1)),
    market_factor_kg_per_kwh Nullable(Float64) CODEC(ZSTD(1)),
    market_contract_share Nullable(Float64) CODEC(ZSTD(1)),
    market_rest_kind LowCardinality(Nullable(String)),
    market_rest_region LowCardinality(Nullable(String)),
    market_rest_year Nullable(Int32) CODEC(ZSTD(1)),
    market_rest_source LowCardinality(Nullable(String)),
    tariff_id LowCardinality(Nullable(String)),
    period LowCardinality(Nullable(String)),
    price_cny_per_kwh Nullable(Float64) CODEC(ZSTD(1)),
    cost_cny Nullable(Float64) CODEC(ZSTD(1)),
    written_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(written_at)
PARTITION BY toYYYYMM(window_start)
ORDER BY (tenant_id, site_id, window_start, reference_version)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000;

-- What was known on a day: v_site_15min_as_of(as_of = '2026-12-01 00:00:00').
-- reference_version is NULL where figures stand as they were computed at first (v_emissions has it by minute).
-- energy_changed: readings came late after the restatement; restate again.
CREATE OR REPLACE VIEW v_site_15min_as_of AS
SELECT
    tenant_id,
    site_id,
    window_start,
    b.energy_kwh AS import_kwh,
    b.newest.1 AS reference_version,
    b.newest.2 AS known_from,
    b.newest.4 AS emitted_kg,
    b.newest.5 AS market_emitted_kg,
    b.newest.6 AS cost_cny,
    b.newest.3 IS DISTINCT FROM b.energy_kwh AS energy_changed
FROM
(
    SELECT
        tenant_id,
        site_id,
        window_start,
        anyIf(k.import_kwh, k.reference_version IS NULL) AS energy_kwh,
        argMax(
            (k.reference_version, k.known_from, k.import_kwh, k.emitted_kg, k.market_emitted_kg, k.cost_cny),
            k.known_from
        ) AS newest
    FROM
    (
        SELECT
            tenant_id,
            site_id,
            window_start,
            CAST(NULL, 'Nullable(String)') AS reference_version,
            toDateTime64(0, 3, 'UTC') AS known_from,
            toFloat64(e.import_kwh) AS import_kwh,
            if(e.windows_without_factor = 0, toFloat64(e.emitted_kg), NULL) AS emitted_kg,
            if(e.windows_without_market_factor = 0, toFloat64(e.market_emitted_kg), NULL) AS market_emitted_kg,
            if(e.windows_without_price = 0, toFloat64(e.cost_cny), NULL) AS cost_cny
        FROM emissions_15min AS e FINAL
        UNION ALL
        SELECT
            tenant_id,
            site_id,
            window_start,
            CAST(r.reference_version, 'Nullable(String)') AS reference_version,
            r.known_from AS known_from,
            r.import_kwh AS import_kwh,
            r.emitted_kg AS emitted_kg,
            r.market_emitted_kg AS market_emitted_kg,
            r.cost_cny AS cost_cny
        FROM restated_15min AS r FINAL
        WHERE r.known_from <= {as_of:DateTime64(3, 'UTC')}
    ) AS k
    GROUP BY tenant_id, site_id, window_start
) AS b;

-- The difference an edition made, by site and local month.
CREATE TABLE IF NOT EXISTS restatements
(
    id String CODEC(ZSTD(1)),
    tenant_id LowCardinality(String),
    site_id LowCardinality(String),
    ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    period LowCardinality(String),
    reference_version LowCardinality(String),
    former_version LowCardinality(Nullable(String)),
    known_from DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    import_kwh Nullable(Float64) CODEC(ZSTD(1)),
    emitted_kg Nullable(Float64) CODEC(ZSTD(1)),
    former_emitted_kg Nullable(Float64) CODEC(ZSTD(1)),
    difference_kg Nullable(Float64) CODEC(ZSTD(1)),
    market_emitted_kg Nullable(Float64) CODEC(ZSTD(1)),
    former_market_emitted_kg Nullable(Float64) CODEC(ZSTD(1)),
    difference_market_kg Nullable(Float64) CODEC(ZSTD(1)),
    cost_cny Nullable(Float64) CODEC(ZSTD(1)),
    former_cost_cny Nullable(Float64) CODEC(ZSTD(1)),
    difference_cny Nullable(Float64) CODEC(ZSTD(1)),
    import_kwh_without_factor Nullable(Float64) CODEC(ZSTD(1)),
    import_kwh_without_market_factor Nullable(Float64) CODEC(ZSTD(1)),
    import_kwh_without_price Nullable(Float64) CODEC(ZSTD(1)),
    written_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY (tenant_id, site_id, ts, reference_version)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE OR REPLACE VIEW v_restatements AS
SELECT *
FROM restatements FINAL;
