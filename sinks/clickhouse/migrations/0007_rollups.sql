-- Sums per 15 minutes, hour and day that are kept longer than what they are sums of (ADR 0017).
--
-- A row is a bucket as it was computed once; of several the one with the highest version is shown. A version counts the
-- windows (above 96 bits) and sums their versions, so it only grows, whatever order computations arrive in: a bucket may
-- be computed anew, stored twice or stored late. The views computed_* say what a bucket is. The writer stores the
-- buckets a block has touched before the block counts as stored.
--
-- Sums are decimals: they do not depend on the order of adding, so they agree to the last digit at every zoom.
-- `computed_at` keeps what was computed just now for a while, however old its time is: longer buckets are made of it.

-- With months as partitions a part is dropped as a whole: nothing is rewritten, and no bucket loses a part of itself.
ALTER TABLE readings MODIFY SETTING ttl_only_drop_parts = 1;
ALTER TABLE energy_windows MODIFY SETTING ttl_only_drop_parts = 1;
ALTER TABLE emissions MODIFY SETTING ttl_only_drop_parts = 1;
ALTER TABLE dead_letters MODIFY SETTING ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS energy_15min
(
    tenant_id LowCardinality(String),
    site_id LowCardinality(String),
    meter_id LowCardinality(String),
    window_start DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    meter_kind LowCardinality(String) CODEC(ZSTD(1)),
    import_kwh Nullable(Decimal(38, 15)) CODEC(ZSTD(1)),
    export_kwh Nullable(Decimal(38, 15)) CODEC(ZSTD(1)),
    covered_s Decimal(38, 15) CODEC(ZSTD(1)),
    windows UInt32 CODEC(T64, ZSTD(1)),
    windows_estimated UInt32 CODEC(T64, ZSTD(1)),
    windows_partial UInt32 CODEC(T64, ZSTD(1)),
    version UInt128 CODEC(ZSTD(1)),
    computed_at DateTime('UTC') CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(window_start)
ORDER BY (tenant_id, site_id, meter_id, window_start)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS energy_hour AS energy_15min
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYear(window_start)
ORDER BY (tenant_id, site_id, meter_id, window_start)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS energy_day AS energy_15min
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYear(window_start)
ORDER BY (tenant_id, site_id, meter_id, window_start)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW computed_energy_15min AS
SELECT
    tenant_id,
    site_id,
    meter_id,
    toStartOfFifteenMinutes(w.window_start) AS window_start,
    argMax(w.meter_kind, w.window_start) AS meter_kind,
    sum(toDecimal128(w.import_kwh, 15)) AS import_kwh,
    sum(toDecimal128(w.export_kwh, 15)) AS export_kwh,
    sum(toDecimal128(w.covered_s, 15)) AS covered_s,
    toUInt32(count()) AS windows,
    toUInt32(countIf(w.quality = 'estimated')) AS windows_estimated,
    toUInt32(countIf(w.quality = 'partial')) AS windows_partial,
    sum(bitShiftLeft(toUInt128(1), 96) + toUInt128(w.version)) AS version,
    now('UTC') AS computed_at
FROM energy_windows AS w FINAL
GROUP BY tenant_id, site_id, meter_id, toStartOfFifteenMinutes(w.window_start);

CREATE OR REPLACE VIEW computed_energy_hour AS
SELECT
    tenant_id,
    site_id,
    meter_id,
    toStartOfHour(b.window_start) AS window_start,
    argMax(b.meter_kind, b.window_start) AS meter_kind,
    sum(b.import_kwh) AS import_kwh,
    sum(b.export_kwh) AS export_kwh,
    sum(b.covered_s) AS covered_s,
    toUInt32(sum(b.windows)) AS windows,
    toUInt32(sum(b.windows_estimated)) AS windows_estimated,
    toUInt32(sum(b.windows_partial)) AS windows_partial,
    sum(b.version) AS version,
    now('UTC') AS computed_at
FROM energy_15min AS b FINAL
GROUP BY tenant_id, site_id, meter_id, toStartOfHour(b.window_start);

CREATE OR REPLACE VIEW computed_energy_day AS
SELECT
    tenant_id,
    site_id,
    meter_id,
    toStartOfDay(b.window_start) AS window_start,
    argMax(b.meter_kind, b.window_start) AS meter_kind,
    sum(b.import_kwh) AS import_kwh,
    sum(b.export_kwh) AS export_kwh,
    sum(b.covered_s) AS covered_s,
    toUInt32(sum(b.windows)) AS windows,
    toUInt32(sum(b.windows_estimated)) AS windows_estimated,
    toUInt32(sum(b.windows_partial)) AS windows_partial,
    sum(b.version) AS version,
    now('UTC') AS computed_at
FROM energy_hour AS b FINAL
GROUP BY tenant_id, site_id, meter_id, toStartOfDay(b.window_start);

CREATE OR REPLACE VIEW v_energy_15min AS
SELECT
    tenant_id,
    site_id,
    meter_id,
    b.meter_kind AS meter_kind,
    window_start,
    toInt32(900) AS window_s,
    toFloat64(b.import_kwh) AS import_kwh,
    toFloat64(b.export_kwh) AS export_kwh,
    toFloat64(b.covered_s) AS covered_s,
    b.windows AS windows,
    b.windows_estimated AS windows_estimated,
    b.windows_partial AS windows_partial,
    multiIf(windows_partial > 0, 'partial', windows_estimated > 0, 'estimated', 'measured') AS quality
FROM energy_15min AS b FINAL;

CREATE OR REPLACE VIEW v_energy_hour AS
SELECT
    tenant_id,
    site_id,
    meter_id,
    b.meter_kind AS meter_kind,
    window_start,
    toInt32(3600) AS window_s,
    toFloat64(b.import_kwh) AS import_kwh,
    toFloat64(b.export_kwh) AS export_kwh,
    toFloat64(b.covered_s) AS covered_s,
    b.windows AS windows,
    b.windows_estimated AS windows_estimated,
    b.windows_partial AS windows_partial,
    multiIf(windows_partial > 0, 'partial', windows_estimated > 0, 'estimated', 'measured') AS quality
FROM energy_hour AS b FINAL;

-- Days are UTC days: the tables do not know the time zone of a site. Local days are sums of hours or 15 minutes.
CREATE OR REPLACE VIEW v_energy_day AS
SELECT
    tenant_id,
    site_id,
    meter_id,
    b.meter_kind AS meter_kind,
    window_start,
    toInt32(86400) AS window_s,
    toFloat64(b.import_kwh) AS import_kwh,
    toFloat64(b.export_kwh) AS export_kwh,
    toFloat64(b.covered_s) AS covered_s,
    b.windows AS windows,
    b.windows_estimated AS windows_estimated,
    b.windows_partial AS windows_partial,
    multiIf(windows_partial > 0, 'partial', windows_estimated > 0, 'estimated', 'measured') AS quality
FROM energy_day AS b FINAL;

-- Totals, and the same per tariff period: a window whose period is corrected leaves the sum it was in.
-- Carbon and cost leave out windows whose factor or price is unknown; those are counted, with their energy.
CREATE TABLE IF NOT EXISTS emissions_15min
(
    tenant_id LowCardinality(String),
    site_id LowCardinality(String),
    window_start DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    import_kwh Nullable(Decimal(38, 15)) CODEC(ZSTD(1)),
    export_kwh Nullable(Decimal(38, 15)) CODEC(ZSTD(1)),
    emitted_kg Nullable(Decimal(38, 15)) CODEC(ZSTD(1)),
    cost_cny Nullable(Decimal(38, 15)) CODEC(ZSTD(1)),
    import_kwh_without_factor Nullable(Decimal(38, 15)) CODEC(ZSTD(1)),
    import_kwh_without_price Nullable(Decimal(38, 15)) CODEC(ZSTD(1)),
    windows UInt32 CODEC(T64, ZSTD(1)),
    windows_without_factor UInt32 CODEC(T64, ZSTD(1)),
    windows_without_price UInt32 CODEC(T64, ZSTD(1)),
    windows_not_measured UInt32 CODEC(T64, ZSTD(1)),
    windows_missing_meters UInt32 CODEC(T64, ZSTD(1)),
    periods Array(Tuple(
        period Nullable(String), import_kwh Nullable(Decimal(38, 15)), export_kwh Nullable(Decimal(38, 15)),
        emitted_kg Nullable(Decimal(38, 15)), cost_cny Nullable(Decimal(38, 15)),
        import_kwh_without_factor Nullable(Decimal(38, 15)), import_kwh_without_price Nullable(Decimal(38, 15)),
        windows UInt32, windows_without_factor UInt32, windows_without_price UInt32,
        windows_not_measured UInt32, windows_missing_meters UInt32, version UInt128
    )) CODEC(ZSTD(1)),
    version UInt128 CODEC(ZSTD(1)),
    computed_at DateTime('UTC') CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(window_start)
ORDER BY (tenant_id, site_id, window_start)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS emissions_hour AS emissions_15min
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYear(window_start)
ORDER BY (tenant_id, site_id, window_start)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS emissions_day AS emissions_15min
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYear(window_start)
ORDER BY (tenant_id, site_id, window_start)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW computed_emissions_15min AS
SELECT
    tenant_id,
    site_id,
    window_start,
    sum(p.import_kwh) AS import_kwh,
    sum(p.export_kwh) AS export_kwh,
    sum(p.emitted_kg) AS emitted_kg,
    sum(p.cost_cny) AS cost_cny,
    sum(p.import_kwh_without_factor) AS import_kwh_without_factor,
    sum(p.import_kwh_without_price) AS import_kwh_without_price,
    toUInt32(sum(p.windows)) AS windows,
    toUInt32(sum(p.windows_without_factor)) AS windows_without_factor,
    toUInt32(sum(p.windows_without_price)) AS windows_without_price,
    toUInt32(sum(p.windows_not_measured)) AS windows_not_measured,
    toUInt32(sum(p.windows_missing_meters)) AS windows_missing_meters,
    arraySort(groupArray((
        p.period, p.import_kwh, p.export_kwh, p.emitted_kg, p.cost_cny, p.import_kwh_without_factor,
        p.import_kwh_without_price, p.windows, p.windows_without_factor, p.windows_without_price,
        p.windows_not_measured, p.windows_missing_meters, p.version
    ))) AS periods,
    sum(p.version) AS version,
    now('UTC') AS computed_at
FROM
(
    SELECT
        tenant_id,
        site_id,
        toStartOfFifteenMinutes(e.ts) AS window_start,
        e.period AS period,
        sum(toDecimal128(e.import_kwh, 15)) AS import_kwh,
        sum(toDecimal128(e.export_kwh, 15)) AS export_kwh,
        sum(toDecimal128(e.emitted_kg, 15)) AS emitted_kg,
        sum(toDecimal128(e.cost_cny, 15)) AS cost_cny,
        sumIf(toDecimal128(e.import_kwh, 15), e.emitted_kg IS NULL) AS import_kwh_without_factor,
        sumIf(toDecimal128(e.import_kwh, 15), e.cost_cny IS NULL) AS import_kwh_without_price,
        toUInt32(count()) AS windows,
        toUInt32(countIf(e.emitted_kg IS NULL)) AS windows_without_factor,
        toUInt32(countIf(e.cost_cny IS NULL)) AS windows_without_price,
        toUInt32(countIf(e.quality != 'measured')) AS windows_not_measured,
        toUInt32(countIf(e.meters_missing > 0)) AS windows_missing_meters,
        sum(bitShiftLeft(toUInt128(1), 96) + toUInt128(e.version)) AS version
    FROM emissions AS e FINAL
    GROUP BY tenant_id, site_id, toStartOfFifteenMinutes(e.ts), e.period
) AS p
GROUP BY tenant_id, site_id, window_start;

CREATE OR REPLACE VIEW computed_emissions_hour AS
SELECT
    tenant_id,
    site_id,
    window_start,
    sum(p.import_kwh) AS import_kwh,
    sum(p.export_kwh) AS export_kwh,
    sum(p.emitted_kg) AS emitted_kg,
    sum(p.cost_cny) AS cost_cny,
    sum(p.import_kwh_without_factor) AS import_kwh_without_factor,
    sum(p.import_kwh_without_price) AS import_kwh_without_price,
    toUInt32(sum(p.windows)) AS windows,
    toUInt32(sum(p.windows_without_factor)) AS windows_without_factor,
    toUInt32(sum(p.windows_without_price)) AS windows_without_price,
    toUInt32(sum(p.windows_not_measured)) AS windows_not_measured,
    toUInt32(sum(p.windows_missing_meters)) AS windows_missing_meters,
    arraySort(groupArray((
        p.period, p.import_kwh, p.export_kwh, p.emitted_kg, p.cost_cny, p.import_kwh_without_factor,
        p.import_kwh_without_price, p.windows, p.windows_without_factor, p.windows_without_price,
        p.windows_not_measured, p.windows_missing_meters, p.version
    ))) AS periods,
    sum(p.version) AS version,
    now('UTC') AS computed_at
FROM
(
    SELECT
        tenant_id,
        site_id,
        toStartOfHour(b.window_start) AS window_start,
        q.period AS period,
        sum(q.import_kwh) AS import_kwh,
        sum(q.export_kwh) AS export_kwh,
        sum(q.emitted_kg) AS emitted_kg,
        sum(q.cost_cny) AS cost_cny,
        sum(q.import_kwh_without_factor) AS import_kwh_without_factor,
        sum(q.import_kwh_without_price) AS import_kwh_without_price,
        toUInt32(sum(q.windows)) AS windows,
        toUInt32(sum(q.windows_without_factor)) AS windows_without_factor,
        toUInt32(sum(q.windows_without_price)) AS windows_without_price,
        toUInt32(sum(q.windows_not_measured)) AS windows_not_measured,
        toUInt32(sum(q.windows_missing_meters)) AS windows_missing_meters,
        sum(q.version) AS version
    FROM emissions_15min AS b FINAL
    ARRAY JOIN b.periods AS q
    GROUP BY tenant_id, site_id, toStartOfHour(b.window_start), q.period
) AS p
GROUP BY tenant_id, site_id, window_start;

CREATE OR REPLACE VIEW computed_emissions_day AS
SELECT
    tenant_id,
    site_id,
    window_start,
    sum(p.import_kwh) AS import_kwh,
    sum(p.export_kwh) AS export_kwh,
    sum(p.emitted_kg) AS emitted_kg,
    sum(p.cost_cny) AS cost_cny,
    sum(p.import_kwh_without_factor) AS import_kwh_without_factor,
    sum(p.import_kwh_without_price) AS import_kwh_without_price,
    toUInt32(sum(p.windows)) AS windows,
    toUInt32(sum(p.windows_without_factor)) AS windows_without_factor,
    toUInt32(sum(p.windows_without_price)) AS windows_without_price,
    toUInt32(sum(p.windows_not_measured)) AS windows_not_measured,
    toUInt32(sum(p.windows_missing_meters)) AS windows_missing_meters,
    arraySort(groupArray((
        p.period, p.import_kwh, p.export_kwh, p.emitted_kg, p.cost_cny, p.import_kwh_without_factor,
        p.import_kwh_without_price, p.windows, p.windows_without_factor, p.windows_without_price,
        p.windows_not_measured, p.windows_missing_meters, p.version
    ))) AS periods,
    sum(p.version) AS version,
    now('UTC') AS computed_at
FROM
(
    SELECT
        tenant_id,
        site_id,
        toStartOfDay(b.window_start) AS window_start,
        q.period AS period,
        sum(q.import_kwh) AS import_kwh,
        sum(q.export_kwh) AS export_kwh,
        sum(q.emitted_kg) AS emitted_kg,
        sum(q.cost_cny) AS cost_cny,
        sum(q.import_kwh_without_factor) AS import_kwh_without_factor,
        sum(q.import_kwh_without_price) AS import_kwh_without_price,
        toUInt32(sum(q.windows)) AS windows,
        toUInt32(sum(q.windows_without_factor)) AS windows_without_factor,
        toUInt32(sum(q.windows_without_price)) AS windows_without_price,
        toUInt32(sum(q.windows_not_measured)) AS windows_not_measured,
        toUInt32(sum(q.windows_missing_meters)) AS windows_missing_meters,
        sum(q.version) AS version
    FROM emissions_hour AS b FINAL
    ARRAY JOIN b.periods AS q
    GROUP BY tenant_id, site_id, toStartOfDay(b.window_start), q.period
) AS p
GROUP BY tenant_id, site_id, window_start;

CREATE OR REPLACE VIEW v_site_15min AS
SELECT
    tenant_id,
    site_id,
    window_start,
    toInt32(900) AS window_s,
    toFloat64(b.import_kwh) AS import_kwh,
    toFloat64(b.export_kwh) AS export_kwh,
    toFloat64(b.emitted_kg) AS emitted_kg,
    toFloat64(b.cost_cny) AS cost_cny,
    if(b.windows_without_factor = 0, 0, toFloat64(b.import_kwh_without_factor)) AS import_kwh_without_factor,
    if(b.windows_without_price = 0, 0, toFloat64(b.import_kwh_without_price)) AS import_kwh_without_price,
    b.windows AS windows,
    b.windows_without_factor AS windows_without_factor,
    b.windows_without_price AS windows_without_price,
    b.windows_not_measured AS windows_not_measured,
    b.windows_missing_meters AS windows_missing_meters
FROM emissions_15min AS b FINAL;

-- One row per tariff period of a bucket; period is NULL where no tariff is known.
CREATE OR REPLACE VIEW v_period_15min AS
SELECT
    tenant_id,
    site_id,
    window_start,
    toInt32(900) AS window_s,
    q.period AS period,
    toFloat64(q.import_kwh) AS import_kwh,
    toFloat64(q.export_kwh) AS export_kwh,
    toFloat64(q.emitted_kg) AS emitted_kg,
    toFloat64(q.cost_cny) AS cost_cny,
    if(q.windows_without_factor = 0, 0, toFloat64(q.import_kwh_without_factor)) AS import_kwh_without_factor,
    if(q.windows_without_price = 0, 0, toFloat64(q.import_kwh_without_price)) AS import_kwh_without_price,
    q.windows AS windows,
    q.windows_without_factor AS windows_without_factor,
    q.windows_without_price AS windows_without_price,
    q.windows_not_measured AS windows_not_measured,
    q.windows_missing_meters AS windows_missing_meters
FROM emissions_15min AS b FINAL
ARRAY JOIN b.periods AS q;

CREATE OR REPLACE VIEW v_site_hour AS
SELECT
    tenant_id,
    site_id,
    window_start,
    toInt32(3600) AS window_s,
    toFloat64(b.import_kwh) AS import_kwh,
    toFloat64(b.export_kwh) AS export_kwh,
    toFloat64(b.emitted_kg) AS emitted_kg,
    toFloat64(b.cost_cny) AS cost_cny,
    if(b.windows_without_factor = 0, 0, toFloat64(b.import_kwh_without_factor)) AS import_kwh_without_factor,
    if(b.windows_without_price = 0, 0, toFloat64(b.import_kwh_without_price)) AS import_kwh_without_price,
    b.windows AS windows,
    b.windows_without_factor AS windows_without_factor,
    b.windows_without_price AS windows_without_price,
    b.windows_not_measured AS windows_not_measured,
    b.windows_missing_meters AS windows_missing_meters
FROM emissions_hour AS b FINAL;

CREATE OR REPLACE VIEW v_period_hour AS
SELECT
    tenant_id,
    site_id,
    window_start,
    toInt32(3600) AS window_s,
    q.period AS period,
    toFloat64(q.import_kwh) AS import_kwh,
    toFloat64(q.export_kwh) AS export_kwh,
    toFloat64(q.emitted_kg) AS emitted_kg,
    toFloat64(q.cost_cny) AS cost_cny,
    if(q.windows_without_factor = 0, 0, toFloat64(q.import_kwh_without_factor)) AS import_kwh_without_factor,
    if(q.windows_without_price = 0, 0, toFloat64(q.import_kwh_without_price)) AS import_kwh_without_price,
    q.windows AS windows,
    q.windows_without_factor AS windows_without_factor,
    q.windows_without_price AS windows_without_price,
    q.windows_not_measured AS windows_not_measured,
    q.windows_missing_meters AS windows_missing_meters
FROM emissions_hour AS b FINAL
ARRAY JOIN b.periods AS q;

-- Days are UTC days, as above.
CREATE OR REPLACE VIEW v_site_day AS
SELECT
    tenant_id,
    site_id,
    toDate(window_start) AS day_utc,
    toFloat64(b.import_kwh) AS import_kwh,
    toFloat64(b.export_kwh) AS export_kwh,
    toFloat64(b.emitted_kg) AS emitted_kg,
    toFloat64(b.cost_cny) AS cost_cny,
    if(b.windows_without_factor = 0, 0, toFloat64(b.import_kwh_without_factor)) AS import_kwh_without_factor,
    if(b.windows_without_price = 0, 0, toFloat64(b.import_kwh_without_price)) AS import_kwh_without_price,
    b.windows AS windows,
    b.windows_without_factor AS windows_without_factor,
    b.windows_without_price AS windows_without_price,
    b.windows_not_measured AS windows_not_measured,
    b.windows_missing_meters AS windows_missing_meters
FROM emissions_day AS b FINAL;

CREATE OR REPLACE VIEW v_period_day AS
SELECT
    tenant_id,
    site_id,
    toDate(window_start) AS day_utc,
    q.period AS period,
    toFloat64(q.import_kwh) AS import_kwh,
    toFloat64(q.export_kwh) AS export_kwh,
    toFloat64(q.emitted_kg) AS emitted_kg,
    toFloat64(q.cost_cny) AS cost_cny,
    if(q.windows_without_factor = 0, 0, toFloat64(q.import_kwh_without_factor)) AS import_kwh_without_factor,
    if(q.windows_without_price = 0, 0, toFloat64(q.import_kwh_without_price)) AS import_kwh_without_price,
    q.windows AS windows,
    q.windows_without_factor AS windows_without_factor,
    q.windows_without_price AS windows_without_price,
    q.windows_not_measured AS windows_not_measured,
    q.windows_missing_meters AS windows_missing_meters
FROM emissions_day AS b FINAL
ARRAY JOIN b.periods AS q;

-- What was stored before: the shorter buckets first, the longer are made of them.
INSERT INTO energy_15min
SELECT * FROM computed_energy_15min
SETTINGS optimize_aggregation_in_order = 1, max_partitions_per_insert_block = 0;

INSERT INTO energy_hour
SELECT * FROM computed_energy_hour
SETTINGS optimize_aggregation_in_order = 1, max_partitions_per_insert_block = 0;

INSERT INTO energy_day
SELECT * FROM computed_energy_day
SETTINGS optimize_aggregation_in_order = 1, max_partitions_per_insert_block = 0;

INSERT INTO emissions_15min
SELECT * FROM computed_emissions_15min
SETTINGS optimize_aggregation_in_order = 1, max_partitions_per_insert_block = 0;

INSERT INTO emissions_hour
SELECT * FROM computed_emissions_hour
SETTINGS optimize_aggregation_in_order = 1, max_partitions_per_insert_block = 0;

INSERT INTO emissions_day
SELECT * FROM computed_emissions_day
SETTINGS optimize_aggregation_in_order = 1, max_partitions_per_insert_block = 0;
