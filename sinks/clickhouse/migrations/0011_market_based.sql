-- Both Scope 2 lines: the market-based one (before certificates, ADR 0027), its sums at every zoom, and where its
-- factors come from. What an older release stored has none: it counts as energy without a market-based factor.

ALTER TABLE emissions ADD COLUMN IF NOT EXISTS factor_source LowCardinality(Nullable(String)) AFTER revision;
ALTER TABLE emissions ADD COLUMN IF NOT EXISTS market_emitted_kg Nullable(Float64) CODEC(ZSTD(1)) AFTER factor_source;
ALTER TABLE emissions ADD COLUMN IF NOT EXISTS market_factor_kg_per_kwh Nullable(Float64) CODEC(ZSTD(1))
AFTER market_emitted_kg;
ALTER TABLE emissions ADD COLUMN IF NOT EXISTS market_contract_share Nullable(Float64) CODEC(ZSTD(1))
AFTER market_factor_kg_per_kwh;
ALTER TABLE emissions ADD COLUMN IF NOT EXISTS market_rest_kg_per_kwh Nullable(Float64) CODEC(ZSTD(1))
AFTER market_contract_share;
ALTER TABLE emissions ADD COLUMN IF NOT EXISTS market_rest_kind LowCardinality(Nullable(String))
AFTER market_rest_kg_per_kwh;
ALTER TABLE emissions ADD COLUMN IF NOT EXISTS market_rest_region LowCardinality(Nullable(String))
AFTER market_rest_kind;
ALTER TABLE emissions ADD COLUMN IF NOT EXISTS market_rest_year Nullable(Int32) CODEC(ZSTD(1))
AFTER market_rest_region;
ALTER TABLE emissions ADD COLUMN IF NOT EXISTS market_rest_source LowCardinality(Nullable(String))
AFTER market_rest_year;

ALTER TABLE emissions_15min ADD COLUMN IF NOT EXISTS market_emitted_kg Nullable(Decimal(38, 15)) CODEC(ZSTD(1))
AFTER import_kwh_without_price;
ALTER TABLE emissions_15min ADD COLUMN IF NOT EXISTS import_kwh_without_market_factor Nullable(Decimal(38, 15))
DEFAULT import_kwh CODEC(ZSTD(1)) AFTER market_emitted_kg;
ALTER TABLE emissions_15min ADD COLUMN IF NOT EXISTS windows_without_market_factor UInt32 DEFAULT windows
CODEC(T64, ZSTD(1)) AFTER windows_missing_meters;
ALTER TABLE emissions_15min MODIFY COLUMN periods Array(Tuple(
    period Nullable(String), import_kwh Nullable(Decimal(38, 15)), export_kwh Nullable(Decimal(38, 15)),
    emitted_kg Nullable(Decimal(38, 15)), cost_cny Nullable(Decimal(38, 15)),
    import_kwh_without_factor Nullable(Decimal(38, 15)), import_kwh_without_price Nullable(Decimal(38, 15)),
    windows UInt32, windows_without_factor UInt32, windows_without_price UInt32,
    windows_not_measured UInt32, windows_missing_meters UInt32, version UInt128,
    market_emitted_kg Nullable(Decimal(38, 15)), import_kwh_without_market_factor Nullable(Decimal(38, 15)),
    windows_without_market_factor UInt32
));

ALTER TABLE emissions_hour ADD COLUMN IF NOT EXISTS market_emitted_kg Nullable(Decimal(38, 15)) CODEC(ZSTD(1))
AFTER import_kwh_without_price;
ALTER TABLE emissions_hour ADD COLUMN IF NOT EXISTS import_kwh_without_market_factor Nullable(Decimal(38, 15))
DEFAULT import_kwh CODEC(ZSTD(1)) AFTER market_emitted_kg;
ALTER TABLE emissions_hour ADD COLUMN IF NOT EXISTS windows_without_market_factor UInt32 DEFAULT windows
CODEC(T64, ZSTD(1)) AFTER windows_missing_meters;
ALTER TABLE emissions_hour MODIFY COLUMN periods Array(Tuple(
    period Nullable(String), import_kwh Nullable(Decimal(38, 15)), export_kwh Nullable(Decimal(38, 15)),
    emitted_kg Nullable(Decimal(38, 15)), cost_cny Nullable(Decimal(38, 15)),
    import_kwh_without_factor Nullable(Decimal(38, 15)), import_kwh_without_price Nullable(Decimal(38, 15)),
    windows UInt32, windows_without_factor UInt32, windows_without_price UInt32,
    windows_not_measured UInt32, windows_missing_meters UInt32, version UInt128,
    market_emitted_kg Nullable(Decimal(38, 15)), import_kwh_without_market_factor Nullable(Decimal(38, 15)),
    windows_without_market_factor UInt32
));

ALTER TABLE emissions_day ADD COLUMN IF NOT EXISTS market_emitted_kg Nullable(Decimal(38, 15)) CODEC(ZSTD(1))
AFTER import_kwh_without_price;
ALTER TABLE emissions_day ADD COLUMN IF NOT EXISTS import_kwh_without_market_factor Nullable(Decimal(38, 15))
DEFAULT import_kwh CODEC(ZSTD(1)) AFTER market_emitted_kg;
ALTER TABLE emissions_day ADD COLUMN IF NOT EXISTS windows_without_market_factor UInt32 DEFAULT windows
CODEC(T64, ZSTD(1)) AFTER windows_missing_meters;
ALTER TABLE emissions_day MODIFY COLUMN periods Array(Tuple(
    period Nullable(String), import_kwh Nullable(Decimal(38, 15)), export_kwh Nullable(Decimal(38, 15)),
    emitted_kg Nullable(Decimal(38, 15)), cost_cny Nullable(Decimal(38, 15)),
    import_kwh_without_factor Nullable(Decimal(38, 15)), import_kwh_without_price Nullable(Decimal(38, 15)),
    windows UInt32, windows_without_factor UInt32, windows_without_price UInt32,
    windows_not_measured UInt32, windows_missing_meters UInt32, version UInt128,
    market_emitted_kg Nullable(Decimal(38, 15)), import_kwh_without_market_factor Nullable(Decimal(38, 15)),
    windows_without_market_factor UInt32
));

-- A view fixes its columns when it is made.
CREATE OR REPLACE VIEW v_emissions AS
SELECT *
FROM emissions FINAL;

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
    sum(p.market_emitted_kg) AS market_emitted_kg,
    sum(p.import_kwh_without_market_factor) AS import_kwh_without_market_factor,
    toUInt32(sum(p.windows)) AS windows,
    toUInt32(sum(p.windows_without_factor)) AS windows_without_factor,
    toUInt32(sum(p.windows_without_price)) AS windows_without_price,
    toUInt32(sum(p.windows_not_measured)) AS windows_not_measured,
    toUInt32(sum(p.windows_missing_meters)) AS windows_missing_meters,
    toUInt32(sum(p.windows_without_market_factor)) AS windows_without_market_factor,
    arraySort(groupArray((
        p.period, p.import_kwh, p.export_kwh, p.emitted_kg, p.cost_cny, p.import_kwh_without_factor,
        p.import_kwh_without_price, p.windows, p.windows_without_factor, p.windows_without_price,
        p.windows_not_measured, p.windows_missing_meters, p.version, p.market_emitted_kg,
        p.import_kwh_without_market_factor, p.windows_without_market_factor
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
        sum(toDecimal128(e.market_emitted_kg, 15)) AS market_emitted_kg,
        sumIf(toDecimal128(e.import_kwh, 15), e.market_emitted_kg IS NULL) AS import_kwh_without_market_factor,
        toUInt32(count()) AS windows,
        toUInt32(countIf(e.emitted_kg IS NULL)) AS windows_without_factor,
        toUInt32(countIf(e.cost_cny IS NULL)) AS windows_without_price,
        toUInt32(countIf(e.quality != 'measured')) AS windows_not_measured,
        toUInt32(countIf(e.meters_missing > 0)) AS windows_missing_meters,
        toUInt32(countIf(e.market_emitted_kg IS NULL)) AS windows_without_market_factor,
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
    sum(p.market_emitted_kg) AS market_emitted_kg,
    sum(p.import_kwh_without_market_factor) AS import_kwh_without_market_factor,
    toUInt32(sum(p.windows)) AS windows,
    toUInt32(sum(p.windows_without_factor)) AS windows_without_factor,
    toUInt32(sum(p.windows_without_price)) AS windows_without_price,
    toUInt32(sum(p.windows_not_measured)) AS windows_not_measured,
    toUInt32(sum(p.windows_missing_meters)) AS windows_missing_meters,
    toUInt32(sum(p.windows_without_market_factor)) AS windows_without_market_factor,
    arraySort(groupArray((
        p.period, p.import_kwh, p.export_kwh, p.emitted_kg, p.cost_cny, p.import_kwh_without_factor,
        p.import_kwh_without_price, p.windows, p.windows_without_factor, p.windows_without_price,
        p.windows_not_measured, p.windows_missing_meters, p.version, p.market_emitted_kg,
        p.import_kwh_without_market_factor, p.windows_without_market_factor
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
        sum(q.market_emitted_kg) AS market_emitted_kg,
        sum(q.import_kwh_without_market_factor) AS import_kwh_without_market_factor,
        toUInt32(sum(q.windows)) AS windows,
        toUInt32(sum(q.windows_without_factor)) AS windows_without_factor,
        toUInt32(sum(q.windows_without_price)) AS windows_without_price,
        toUInt32(sum(q.windows_not_measured)) AS windows_not_measured,
        toUInt32(sum(q.windows_missing_meters)) AS windows_missing_meters,
        toUInt32(sum(q.windows_without_market_factor)) AS windows_without_market_factor,
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
    sum(p.market_emitted_kg) AS market_emitted_kg,
    sum(p.import_kwh_without_market_factor) AS import_kwh_without_market_factor,
    toUInt32(sum(p.windows)) AS windows,
    toUInt32(sum(p.windows_without_factor)) AS windows_without_factor,
    toUInt32(sum(p.windows_without_price)) AS windows_without_price,
    toUInt32(sum(p.windows_not_measured)) AS windows_not_measured,
    toUInt32(sum(p.windows_missing_meters)) AS windows_missing_meters,
    toUInt32(sum(p.windows_without_market_factor)) AS windows_without_market_factor,
    arraySort(groupArray((
        p.period, p.import_kwh, p.export_kwh, p.emitted_kg, p.cost_cny, p.import_kwh_without_factor,
        p.import_kwh_without_price, p.windows, p.windows_without_factor, p.windows_without_price,
        p.windows_not_measured, p.windows_missing_meters, p.version, p.market_emitted_kg,
        p.import_kwh_without_market_factor, p.windows_without_market_factor
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
        sum(q.market_emitted_kg) AS market_emitted_kg,
        sum(q.import_kwh_without_market_factor) AS import_kwh_without_market_factor,
        toUInt32(sum(q.windows)) AS windows,
        toUInt32(sum(q.windows_without_factor)) AS windows_without_factor,
        toUInt32(sum(q.windows_without_price)) AS windows_without_price,
        toUInt32(sum(q.windows_not_measured)) AS windows_not_measured,
        toUInt32(sum(q.windows_missing_meters)) AS windows_missing_meters,
        toUInt32(sum(q.windows_without_market_factor)) AS windows_without_market_factor,
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
    b.windows_missing_meters AS windows_missing_meters,
    toFloat64(b.market_emitted_kg) AS market_emitted_kg,
    if(b.windows_without_market_factor = 0, 0, toFloat64(b.import_kwh_without_market_factor))
        AS import_kwh_without_market_factor,
    b.windows_without_market_factor AS windows_without_market_factor
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
    q.windows_missing_meters AS windows_missing_meters,
    toFloat64(q.market_emitted_kg) AS market_emitted_kg,
    if(q.windows_without_market_factor = 0, 0, toFloat64(q.import_kwh_without_market_factor))
        AS import_kwh_without_market_factor,
    q.windows_without_market_factor AS windows_without_market_factor
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
    b.windows_missing_meters AS windows_missing_meters,
    toFloat64(b.market_emitted_kg) AS market_emitted_kg,
    if(b.windows_without_market_factor = 0, 0, toFloat64(b.import_kwh_without_market_factor))
        AS import_kwh_without_market_factor,
    b.windows_without_market_factor AS windows_without_market_factor
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
    q.windows_missing_meters AS windows_missing_meters,
    toFloat64(q.market_emitted_kg) AS market_emitted_kg,
    if(q.windows_without_market_factor = 0, 0, toFloat64(q.import_kwh_without_market_factor))
        AS import_kwh_without_market_factor,
    q.windows_without_market_factor AS windows_without_market_factor
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
    b.windows_missing_meters AS windows_missing_meters,
    toFloat64(b.market_emitted_kg) AS market_emitted_kg,
    if(b.windows_without_market_factor = 0, 0, toFloat64(b.import_kwh_without_market_factor))
        AS import_kwh_without_market_factor,
    b.windows_without_market_factor AS windows_without_market_factor
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
    q.windows_missing_meters AS windows_missing_meters,
    toFloat64(q.market_emitted_kg) AS market_emitted_kg,
    if(q.windows_without_market_factor = 0, 0, toFloat64(q.import_kwh_without_market_factor))
        AS import_kwh_without_market_factor,
    q.windows_without_market_factor AS windows_without_market_factor
FROM emissions_day AS b FINAL
ARRAY JOIN b.periods AS q;

-- What was stored before, with what it has no market-based factor for.
INSERT INTO emissions_15min
SELECT * FROM computed_emissions_15min
SETTINGS optimize_aggregation_in_order = 1, max_partitions_per_insert_block = 0;

INSERT INTO emissions_hour
SELECT * FROM computed_emissions_hour
SETTINGS optimize_aggregation_in_order = 1, max_partitions_per_insert_block = 0;

INSERT INTO emissions_day
SELECT * FROM computed_emissions_day
SETTINGS optimize_aggregation_in_order = 1, max_partitions_per_insert_block = 0;
