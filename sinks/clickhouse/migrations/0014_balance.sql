-- The balance of sites by minute (agent balance, ADR 0029): a row for the site, for each meter that is not of kind
-- generation, and for each virtual meter. The highest revision replaces the others, and of equal ones the last written.
CREATE TABLE IF NOT EXISTS balance
(
    tenant_id LowCardinality(String),
    site_id LowCardinality(String),
    part LowCardinality(String),
    name LowCardinality(String),
    meter_kind LowCardinality(Nullable(String)),
    equipment_class LowCardinality(Nullable(String)),
    area LowCardinality(Nullable(String)),
    window_start DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    window_s Int32 CODEC(T64, ZSTD(1)),
    local_day Date CODEC(Delta, ZSTD(1)),
    period LowCardinality(Nullable(String)),
    import_kwh Nullable(Float64) CODEC(ZSTD(1)),
    export_kwh Nullable(Float64) CODEC(ZSTD(1)),
    generation_kwh Nullable(Float64) CODEC(ZSTD(1)),
    self_use_kwh Nullable(Float64) CODEC(ZSTD(1)),
    load_kwh Nullable(Float64) CODEC(ZSTD(1)),
    rest_kwh Nullable(Float64) CODEC(ZSTD(1)),
    own_kwh Nullable(Float64) CODEC(ZSTD(1)),
    own_from_grid_kwh Nullable(Float64) CODEC(ZSTD(1)),
    own_from_generation_kwh Nullable(Float64) CODEC(ZSTD(1)),
    cost_cny Nullable(Float64) CODEC(ZSTD(1)),
    emitted_kg Nullable(Float64) CODEC(ZSTD(1)),
    market_emitted_kg Nullable(Float64) CODEC(ZSTD(1)),
    quality LowCardinality(String),
    meters_missing Int32 CODEC(T64, ZSTD(1)),
    flag LowCardinality(Nullable(String)),
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
PARTITION BY toYYYYMM(window_start)
ORDER BY (tenant_id, site_id, window_start, part, name)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

-- One row per tenant, site, part, name and minute.
CREATE OR REPLACE VIEW v_balance AS
SELECT *
FROM balance FINAL;

-- Sums over longer times. All figures are whole multiples of 1e-9 and are added as whole numbers, so the sums are
-- decimals that agree to the last digit at every zoom. Months and days are those of the site.
CREATE OR REPLACE VIEW v_balance_15min AS
SELECT
    tenant_id,
    site_id,
    part,
    name,
    toStartOfFifteenMinutes(b.window_start) AS window_start,
    any(b.local_day) AS local_day,
    toDecimal128(sum(toInt64(round(b.import_kwh * 1e9))), 9) / 1000000000 AS import_kwh,
    toDecimal128(sum(toInt64(round(b.export_kwh * 1e9))), 9) / 1000000000 AS export_kwh,
    toDecimal128(sum(toInt64(round(b.generation_kwh * 1e9))), 9) / 1000000000 AS generation_kwh,
    toDecimal128(sum(toInt64(round(b.self_use_kwh * 1e9))), 9) / 1000000000 AS self_use_kwh,
    toDecimal128(sum(toInt64(round(b.load_kwh * 1e9))), 9) / 1000000000 AS load_kwh,
    toDecimal128(sum(toInt64(round(b.rest_kwh * 1e9))), 9) / 1000000000 AS rest_kwh,
    toDecimal128(sum(toInt64(round(b.own_kwh * 1e9))), 9) / 1000000000 AS own_kwh,
    toDecimal128(sum(toInt64(round(b.own_from_grid_kwh * 1e9))), 9) / 1000000000 AS own_from_grid_kwh,
    toDecimal128(sum(toInt64(round(b.own_from_generation_kwh * 1e9))), 9) / 1000000000 AS own_from_generation_kwh,
    toDecimal128(sum(toInt64(round(b.cost_cny * 1e9))), 9) / 1000000000 AS cost_cny,
    toDecimal128(sum(toInt64(round(b.emitted_kg * 1e9))), 9) / 1000000000 AS emitted_kg,
    toDecimal128(sum(toInt64(round(b.market_emitted_kg * 1e9))), 9) / 1000000000 AS market_emitted_kg,
    count() AS minutes,
    countIf(b.load_kwh IS NULL) AS minutes_without_load,
    countIf(b.meters_missing > 0) AS minutes_missing_meters,
    countIf(b.quality != 'measured') AS minutes_not_measured,
    countIf(b.flag IS NOT NULL) AS minutes_flagged
FROM balance AS b FINAL
GROUP BY tenant_id, site_id, part, name, toStartOfFifteenMinutes(b.window_start);

CREATE OR REPLACE VIEW v_balance_hour AS
SELECT
    tenant_id,
    site_id,
    part,
    name,
    toStartOfHour(b.window_start) AS window_start,
    any(b.local_day) AS local_day,
    toDecimal128(sum(toInt64(round(b.import_kwh * 1e9))), 9) / 1000000000 AS import_kwh,
    toDecimal128(sum(toInt64(round(b.export_kwh * 1e9))), 9) / 1000000000 AS export_kwh,
    toDecimal128(sum(toInt64(round(b.generation_kwh * 1e9))), 9) / 1000000000 AS generation_kwh,
    toDecimal128(sum(toInt64(round(b.self_use_kwh * 1e9))), 9) / 1000000000 AS self_use_kwh,
    toDecimal128(sum(toInt64(round(b.load_kwh * 1e9))), 9) / 1000000000 AS load_kwh,
    toDecimal128(sum(toInt64(round(b.rest_kwh * 1e9))), 9) / 1000000000 AS rest_kwh,
    toDecimal128(sum(toInt64(round(b.own_kwh * 1e9))), 9) / 1000000000 AS own_kwh,
    toDecimal128(sum(toInt64(round(b.own_from_grid_kwh * 1e9))), 9) / 1000000000 AS own_from_grid_kwh,
    toDecimal128(sum(toInt64(round(b.own_from_generation_kwh * 1e9))), 9) / 1000000000 AS own_from_generation_kwh,
    toDecimal128(sum(toInt64(round(b.cost_cny * 1e9))), 9) / 1000000000 AS cost_cny,
    toDecimal128(sum(toInt64(round(b.emitted_kg * 1e9))), 9) / 1000000000 AS emitted_kg,
    toDecimal128(sum(toInt64(round(b.market_emitted_kg * 1e9))), 9) / 1000000000 AS market_emitted_kg,
    count() AS minutes,
    countIf(b.load_kwh IS NULL) AS minutes_without_load,
    countIf(b.meters_missing > 0) AS minutes_missing_meters,
    countIf(b.quality != 'measured') AS minutes_not_measured,
    countIf(b.flag IS NOT NULL) AS minutes_flagged
FROM balance AS b FINAL
GROUP BY tenant_id, site_id, part, name, toStartOfHour(b.window_start);

CREATE OR REPLACE VIEW v_balance_day AS
SELECT
    tenant_id,
    site_id,
    part,
    name,
    b.local_day AS local_day,
    toDecimal128(sum(toInt64(round(b.import_kwh * 1e9))), 9) / 1000000000 AS import_kwh,
    toDecimal128(sum(toInt64(round(b.export_kwh * 1e9))), 9) / 1000000000 AS export_kwh,
    toDecimal128(sum(toInt64(round(b.generation_kwh * 1e9))), 9) / 1000000000 AS generation_kwh,
    toDecimal128(sum(toInt64(round(b.self_use_kwh * 1e9))), 9) / 1000000000 AS self_use_kwh,
    toDecimal128(sum(toInt64(round(b.load_kwh * 1e9))), 9) / 1000000000 AS load_kwh,
    toDecimal128(sum(toInt64(round(b.rest_kwh * 1e9))), 9) / 1000000000 AS rest_kwh,
    toDecimal128(sum(toInt64(round(b.own_kwh * 1e9))), 9) / 1000000000 AS own_kwh,
    toDecimal128(sum(toInt64(round(b.own_from_grid_kwh * 1e9))), 9) / 1000000000 AS own_from_grid_kwh,
    toDecimal128(sum(toInt64(round(b.own_from_generation_kwh * 1e9))), 9) / 1000000000 AS own_from_generation_kwh,
    toDecimal128(sum(toInt64(round(b.cost_cny * 1e9))), 9) / 1000000000 AS cost_cny,
    toDecimal128(sum(toInt64(round(b.emitted_kg * 1e9))), 9) / 1000000000 AS emitted_kg,
    toDecimal128(sum(toInt64(round(b.market_emitted_kg * 1e9))), 9) / 1000000000 AS market_emitted_kg,
    count() AS minutes,
    countIf(b.load_kwh IS NULL) AS minutes_without_load,
    countIf(b.meters_missing > 0) AS minutes_missing_meters,
    countIf(b.quality != 'measured') AS minutes_not_measured,
    countIf(b.flag IS NOT NULL) AS minutes_flagged
FROM balance AS b FINAL
GROUP BY tenant_id, site_id, part, name, b.local_day;

CREATE OR REPLACE VIEW v_balance_month AS
SELECT
    tenant_id,
    site_id,
    part,
    name,
    toStartOfMonth(b.local_day) AS local_month,
    toDecimal128(sum(toInt64(round(b.import_kwh * 1e9))), 9) / 1000000000 AS import_kwh,
    toDecimal128(sum(toInt64(round(b.export_kwh * 1e9))), 9) / 1000000000 AS export_kwh,
    toDecimal128(sum(toInt64(round(b.generation_kwh * 1e9))), 9) / 1000000000 AS generation_kwh,
    toDecimal128(sum(toInt64(round(b.self_use_kwh * 1e9))), 9) / 1000000000 AS self_use_kwh,
    toDecimal128(sum(toInt64(round(b.load_kwh * 1e9))), 9) / 1000000000 AS load_kwh,
    toDecimal128(sum(toInt64(round(b.rest_kwh * 1e9))), 9) / 1000000000 AS rest_kwh,
    toDecimal128(sum(toInt64(round(b.own_kwh * 1e9))), 9) / 1000000000 AS own_kwh,
    toDecimal128(sum(toInt64(round(b.own_from_grid_kwh * 1e9))), 9) / 1000000000 AS own_from_grid_kwh,
    toDecimal128(sum(toInt64(round(b.own_from_generation_kwh * 1e9))), 9) / 1000000000 AS own_from_generation_kwh,
    toDecimal128(sum(toInt64(round(b.cost_cny * 1e9))), 9) / 1000000000 AS cost_cny,
    toDecimal128(sum(toInt64(round(b.emitted_kg * 1e9))), 9) / 1000000000 AS emitted_kg,
    toDecimal128(sum(toInt64(round(b.market_emitted_kg * 1e9))), 9) / 1000000000 AS market_emitted_kg,
    count() AS minutes,
    countIf(b.load_kwh IS NULL) AS minutes_without_load,
    countIf(b.meters_missing > 0) AS minutes_missing_meters,
    countIf(b.quality != 'measured') AS minutes_not_measured,
    countIf(b.flag IS NOT NULL) AS minutes_flagged
FROM balance AS b FINAL
GROUP BY tenant_id, site_id, part, name, toStartOfMonth(b.local_day);

-- Who used what, by minute: each energy once per dimension (meter, equipment_class, area, period, source), as whole
-- numbers of 1e-9. Minutes without a balance are in none: v_balance_* counts them.
CREATE OR REPLACE VIEW v_distribution_minute AS
SELECT
    tenant_id,
    site_id,
    b.window_start AS window_start,
    b.local_day AS local_day,
    tupleElement(d, 1) AS dimension,
    tupleElement(d, 2) AS name,
    tupleElement(d, 3) AS from_grid_nwh,
    tupleElement(d, 4) AS from_generation_nwh,
    tupleElement(d, 5) AS cost_ncny,
    tupleElement(d, 6) AS emitted_ng,
    tupleElement(d, 7) AS market_emitted_ng
FROM
(
    SELECT
        tenant_id,
        site_id,
        window_start,
        local_day,
        toInt64(round(own_from_grid_kwh * 1e9)) AS grid,
        toInt64(round(own_from_generation_kwh * 1e9)) AS sun,
        toInt64(round(cost_cny * 1e9)) AS cny,
        toInt64(round(emitted_kg * 1e9)) AS kg,
        toInt64(round(market_emitted_kg * 1e9)) AS market_kg,
        arrayJoin([
            ('meter', toString(name), grid, sun, cny, kg, market_kg),
            ('equipment_class', ifNull(toString(equipment_class), ''), grid, sun, cny, kg, market_kg),
            ('area', ifNull(toString(area), ''), grid, sun, cny, kg, market_kg),
            ('period', ifNull(toString(period), ''), grid, sun, cny, kg, market_kg),
            ('source', 'grid', grid, toNullable(toInt64(0)), cny, kg, market_kg),
            ('source', 'generation', toNullable(toInt64(0)), sun, toNullable(toInt64(0)), toNullable(toInt64(0)),
                toNullable(toInt64(0)))
        ]) AS d
    FROM balance FINAL
    WHERE part IN ('site', 'meter') AND own_kwh IS NOT NULL
) AS b;

CREATE OR REPLACE VIEW v_distribution_hour AS
SELECT
    tenant_id,
    site_id,
    toStartOfHour(m.window_start) AS window_start,
    dimension,
    name,
    toDecimal128(sum(m.from_grid_nwh + m.from_generation_nwh), 9) / 1000000000 AS kwh,
    toDecimal128(sum(m.from_grid_nwh), 9) / 1000000000 AS from_grid_kwh,
    toDecimal128(sum(m.from_generation_nwh), 9) / 1000000000 AS from_generation_kwh,
    toDecimal128(sum(m.cost_ncny), 9) / 1000000000 AS cost_cny,
    toDecimal128(sum(m.emitted_ng), 9) / 1000000000 AS emitted_kg,
    toDecimal128(sum(m.market_emitted_ng), 9) / 1000000000 AS market_emitted_kg,
    toDecimal128(sumIf(m.from_grid_nwh, m.cost_ncny IS NULL), 9) / 1000000000 AS kwh_without_price,
    toDecimal128(sumIf(m.from_grid_nwh, m.emitted_ng IS NULL), 9) / 1000000000 AS kwh_without_factor,
    toDecimal128(sumIf(m.from_grid_nwh, m.market_emitted_ng IS NULL), 9) / 1000000000 AS kwh_without_market_factor,
    toFloat64(kwh) / nullIf(toFloat64(sum(kwh) OVER (PARTITION BY tenant_id, site_id, window_start, dimension)), 0) AS share
FROM v_distribution_minute AS m
GROUP BY tenant_id, site_id, toStartOfHour(m.window_start), dimension, name
HAVING name != '' OR kwh != 0 OR cost_cny != 0 OR emitted_kg != 0;

CREATE OR REPLACE VIEW v_distribution_day AS
SELECT
    tenant_id,
    site_id,
    m.local_day AS local_day,
    dimension,
    name,
    toDecimal128(sum(m.from_grid_nwh + m.from_generation_nwh), 9) / 1000000000 AS kwh,
    toDecimal128(sum(m.from_grid_nwh), 9) / 1000000000 AS from_grid_kwh,
    toDecimal128(sum(m.from_generation_nwh), 9) / 1000000000 AS from_generation_kwh,
    toDecimal128(sum(m.cost_ncny), 9) / 1000000000 AS cost_cny,
    toDecimal128(sum(m.emitted_ng), 9) / 1000000000 AS emitted_kg,
    toDecimal128(sum(m.market_emitted_ng), 9) / 1000000000 AS market_emitted_kg,
    toDecimal128(sumIf(m.from_grid_nwh, m.cost_ncny IS NULL), 9) / 1000000000 AS kwh_without_price,
    toDecimal128(sumIf(m.from_grid_nwh, m.emitted_ng IS NULL), 9) / 1000000000 AS kwh_without_factor,
    toDecimal128(sumIf(m.from_grid_nwh, m.market_emitted_ng IS NULL), 9) / 1000000000 AS kwh_without_market_factor,
    toFloat64(kwh) / nullIf(toFloat64(sum(kwh) OVER (PARTITION BY tenant_id, site_id, local_day, dimension)), 0) AS share
FROM v_distribution_minute AS m
GROUP BY tenant_id, site_id, m.local_day, dimension, name
HAVING name != '' OR kwh != 0 OR cost_cny != 0 OR emitted_kg != 0;

CREATE OR REPLACE VIEW v_distribution_month AS
SELECT
    tenant_id,
    site_id,
    toStartOfMonth(m.local_day) AS local_month,
    dimension,
    name,
    toDecimal128(sum(m.from_grid_nwh + m.from_generation_nwh), 9) / 1000000000 AS kwh,
    toDecimal128(sum(m.from_grid_nwh), 9) / 1000000000 AS from_grid_kwh,
    toDecimal128(sum(m.from_generation_nwh), 9) / 1000000000 AS from_generation_kwh,
    toDecimal128(sum(m.cost_ncny), 9) / 1000000000 AS cost_cny,
    toDecimal128(sum(m.emitted_ng), 9) / 1000000000 AS emitted_kg,
    toDecimal128(sum(m.market_emitted_ng), 9) / 1000000000 AS market_emitted_kg,
    toDecimal128(sumIf(m.from_grid_nwh, m.cost_ncny IS NULL), 9) / 1000000000 AS kwh_without_price,
    toDecimal128(sumIf(m.from_grid_nwh, m.emitted_ng IS NULL), 9) / 1000000000 AS kwh_without_factor,
    toDecimal128(sumIf(m.from_grid_nwh, m.market_emitted_ng IS NULL), 9) / 1000000000 AS kwh_without_market_factor,
    toFloat64(kwh) / nullIf(toFloat64(sum(kwh) OVER (PARTITION BY tenant_id, site_id, local_month, dimension)), 0) AS share
FROM v_distribution_minute AS m
GROUP BY tenant_id, site_id, toStartOfMonth(m.local_day), dimension, name
HAVING name != '' OR kwh != 0 OR cost_cny != 0 OR emitted_kg != 0;
