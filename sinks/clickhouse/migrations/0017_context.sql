-- Weather and production as they were validated. Plain MergeTree, like readings: count() is what accounting balances.
CREATE TABLE IF NOT EXISTS weather
(
    id String CODEC(ZSTD(1)),
    tenant_id LowCardinality(String),
    site_id LowCardinality(String),
    ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    local_day Date CODEC(ZSTD(1)),
    outdoor_c Nullable(Float64) CODEC(ZSTD(1)),
    rh Nullable(Float64) CODEC(ZSTD(1)),
    solar_w_m2 Nullable(Float64) CODEC(ZSTD(1)),
    raw_partition Int32 CODEC(T64, ZSTD(1)),
    raw_offset Int64 CODEC(Delta, ZSTD(1)),
    origin_offset Int64 DEFAULT -1 CODEC(Delta, ZSTD(1)),
    log_id LowCardinality(String),
    topic_partition Int32 CODEC(T64, ZSTD(1)),
    topic_offset Int64 CODEC(Delta, ZSTD(1)),
    written_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    INDEX written written_at TYPE minmax GRANULARITY 1  -- finds a block by when its cut was recorded
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (tenant_id, site_id, ts)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS production
(
    id String CODEC(ZSTD(1)),
    tenant_id LowCardinality(String),
    site_id LowCardinality(String),
    line_id LowCardinality(Nullable(String)),
    ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    local_day Date CODEC(ZSTD(1)),
    interval_s Int64 CODEC(T64, ZSTD(1)),
    units_made Float64 CODEC(ZSTD(1)),
    unit LowCardinality(Nullable(String)),
    shift LowCardinality(Nullable(String)),
    raw_partition Int32 CODEC(T64, ZSTD(1)),
    raw_offset Int64 CODEC(Delta, ZSTD(1)),
    origin_offset Int64 DEFAULT -1 CODEC(Delta, ZSTD(1)),
    log_id LowCardinality(String),
    topic_partition Int32 CODEC(T64, ZSTD(1)),
    topic_offset Int64 CODEC(Delta, ZSTD(1)),
    written_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    INDEX written written_at TYPE minmax GRANULARITY 1  -- finds a block by when its cut was recorded
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (tenant_id, site_id, ts)
SETTINGS non_replicated_deduplication_window = 10000;

-- What sites are compared by, as of each revision of their registry entry.
CREATE TABLE IF NOT EXISTS site_profiles
(
    id String CODEC(ZSTD(1)),
    tenant_id LowCardinality(String),
    site_id LowCardinality(String),
    ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    sector LowCardinality(Nullable(String)),
    floor_area_m2 Nullable(Float64) CODEC(ZSTD(1)),
    production_unit LowCardinality(Nullable(String)),
    revision Int64 CODEC(ZSTD(1)),
    origin_offset Int64 DEFAULT -1 CODEC(Delta, ZSTD(1)),
    log_id LowCardinality(String),
    topic_partition Int32 CODEC(T64, ZSTD(1)),
    topic_offset Int64 CODEC(Delta, ZSTD(1)),
    written_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    INDEX written written_at TYPE minmax GRANULARITY 1  -- finds a block by when its cut was recorded
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (tenant_id, site_id, ts)
SETTINGS non_replicated_deduplication_window = 10000;

-- When a site may be compared with others; the row set last counts.
CREATE TABLE IF NOT EXISTS peer_rules
(
    min_tenants UInt32,
    max_share Float64,
    set_at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY set_at
SETTINGS non_replicated_deduplication_window = 100;

-- One row per tenant, site and ts: the one written last.
CREATE OR REPLACE VIEW v_weather AS
SELECT *
FROM weather
ORDER BY tenant_id, site_id, ts, written_at DESC, topic_offset DESC
LIMIT 1 BY tenant_id, site_id, ts;

-- One row per tenant, site, line and start of an interval: the one written last.
CREATE OR REPLACE VIEW v_production AS
SELECT *
FROM production
ORDER BY tenant_id, site_id, line_id, ts, written_at DESC, topic_offset DESC
LIMIT 1 BY tenant_id, site_id, line_id, ts;

-- One row per site: its newest profile.
CREATE OR REPLACE VIEW v_site_profiles AS
SELECT *
FROM site_profiles
ORDER BY site_id, ts DESC, revision DESC, written_at DESC
LIMIT 1 BY site_id;

-- Local days. A day counts from 18 hours with a temperature on; its degree days are those of the mean of its hours.
CREATE OR REPLACE VIEW v_weather_day AS
SELECT
    tenant_id,
    site_id,
    local_day,
    countIf(isNotNull(h.hour_c)) AS hours,
    if(hours >= 18, avg(h.hour_c), NULL) AS outdoor_c,
    min(h.low_c) AS outdoor_min_c,
    max(h.high_c) AS outdoor_max_c,
    avg(h.hour_rh) AS rh,
    avg(h.hour_solar) AS solar_w_m2,
    if(isNull(outdoor_c), NULL, greatest(0, 18 - outdoor_c)) AS heating_18_kd, -- greatest() alone passes over NULL
    if(isNull(outdoor_c), NULL, greatest(0, outdoor_c - 26)) AS cooling_26_kd
FROM
(
    SELECT tenant_id, site_id, local_day, toStartOfHour(ts) AS hour, avg(w.outdoor_c) AS hour_c, min(w.outdoor_c) AS low_c,
        max(w.outdoor_c) AS high_c, avg(w.rh) AS hour_rh, avg(w.solar_w_m2) AS hour_solar
    FROM v_weather AS w
    GROUP BY tenant_id, site_id, local_day, hour
) AS h
GROUP BY tenant_id, site_id, local_day;

-- Local days in the unit of production. What is said of the whole site counts; where nothing is, its lines are added up.
CREATE OR REPLACE VIEW v_production_day AS
SELECT
    tenant_id,
    site_id,
    local_day,
    unit,
    if(countIf(isNull(line_id)) > 0, sumIf(p.units_made, isNull(line_id)), sum(p.units_made)) AS units_made,
    uniqExact(line_id) AS lines,
    count() AS records
FROM v_production AS p
GROUP BY tenant_id, site_id, local_day, unit;

-- Energy of local days, ISO weeks, calendar months and years, as sums of days; `days` are those with energy.
CREATE OR REPLACE VIEW v_site_span AS
SELECT
    tenant_id,
    site_id,
    tupleElement(one, 1) AS span,
    tupleElement(one, 2) AS first_day,
    sum(d.energy_kwh) AS energy_kwh,
    sum(d.known_cny) AS known_cny,
    count() AS days,
    min(d.is_final) AS is_final
FROM v_ledger AS d
ARRAY JOIN [('day', d.first_day), ('week', toMonday(d.first_day)), ('month', toStartOfMonth(d.first_day)),
    ('year', toStartOfYear(d.first_day))] AS one
WHERE d.span = 'day' AND d.windows > d.windows_without_energy
GROUP BY tenant_id, site_id, span, first_day;

-- A site against itself. Both sides per day with energy, since a running month is shorter and a missing day is not 0.
CREATE OR REPLACE VIEW v_compared AS
SELECT
    now.tenant_id AS tenant_id,
    now.site_id AS site_id,
    now.span AS span,
    now.first_day AS first_day,
    now.against AS against,
    now.other_day AS other_first_day,
    now.energy_kwh AS energy_kwh,
    now.days AS days,
    other.energy_kwh AS other_energy_kwh,
    other.days AS other_days,
    (now.energy_kwh / now.days) / nullIf(other.energy_kwh / other.days, 0) - 1 AS change_per_day
FROM
(
    SELECT tenant_id, site_id, span, first_day, energy_kwh, days, tupleElement(one, 1) AS against,
        tupleElement(one, 2) AS other_day
    FROM v_site_span
    ARRAY JOIN multiIf(
        span = 'day', [('day before', first_day - 1), ('week before', first_day - 7), ('year before', first_day - 364)],
        span = 'week', [('week before', first_day - 7), ('year before', first_day - 364)],
        span = 'month', [('month before', first_day - INTERVAL 1 MONTH), ('year before', first_day - INTERVAL 1 YEAR)],
        [('year before', first_day - INTERVAL 1 YEAR)]) AS one
) AS now
INNER JOIN v_site_span AS other
    ON other.tenant_id = now.tenant_id AND other.site_id = now.site_id AND other.span = now.span
    AND other.first_day = now.other_day;

-- What a site may be compared by in a whole calendar month of which nothing but a correction changes anything.
CREATE OR REPLACE VIEW v_site_month AS
SELECT
    m.tenant_id AS tenant_id,
    m.site_id AS site_id,
    m.first_day AS month,
    s.sector AS sector,
    s.production_unit AS unit,
    m.energy_kwh AS energy_kwh,
    s.floor_area_m2 AS floor_area_m2,
    if(p.days >= 0.9 * m.days, p.units_made, NULL) AS units_made
FROM v_site_span AS m
INNER JOIN v_site_profiles AS s ON s.site_id = m.site_id AND s.tenant_id = m.tenant_id
LEFT JOIN
(
    SELECT tenant_id, site_id, unit, toStartOfMonth(local_day) AS month, sum(units_made) AS units_made, count() AS days
    FROM v_production_day
    GROUP BY tenant_id, site_id, unit, month
) AS p
    ON p.tenant_id = m.tenant_id AND p.site_id = m.site_id AND p.month = m.first_day AND p.unit = s.production_unit
WHERE m.span = 'month' AND m.is_final AND m.days = toDayOfMonth(toLastDayOfMonth(m.first_day));

-- A site against the sites of other tenants in its sector. A row is there only where at least min_tenants others have
-- that figure and none of them has more than max_share of their energy or of what it is divided by. Nothing but the
-- quotient of their sums is told, to three digits; a tenant's own sites are never among its peers, so nothing can be
-- got at by taking them off again.
CREATE OR REPLACE VIEW v_peers_month AS
WITH rules AS
(
    SELECT
        greatest(3, if(count() = 0, 5, argMax(min_tenants, set_at))) AS min_tenants,
        if(count() = 0, 0.5, argMax(max_share, set_at)) AS max_share
    FROM peer_rules
),
figures AS
(
    SELECT tenant_id, site_id, month, sector, tupleElement(one, 1) AS measure, tupleElement(one, 2) AS per_unit,
        energy_kwh, tupleElement(one, 3) AS divisor
    FROM v_site_month
    ARRAY JOIN [('kwh_per_m2', 'm2', floor_area_m2), ('kwh_per_unit', ifNull(unit, ''), units_made)] AS one
    WHERE isNotNull(sector) AND ifNull(divisor, 0) > 0 AND energy_kwh > 0
),
tenants AS
(
    SELECT tenant_id, month, sector, measure, per_unit, sum(energy_kwh) AS energy_kwh, sum(divisor) AS divisor
    FROM figures
    GROUP BY tenant_id, month, sector, measure, per_unit
),
others AS
(
    SELECT
        asking.tenant_id AS tenant_id,
        asking.month AS month,
        asking.sector AS sector,
        asking.measure AS measure,
        asking.per_unit AS per_unit,
        count() AS peers,
        sum(other.energy_kwh) AS peers_kwh,
        sum(other.divisor) AS peers_divisor,
        greatest(max(other.energy_kwh) / peers_kwh, max(other.divisor) / peers_divisor) AS largest_share
    FROM tenants AS asking
    INNER JOIN tenants AS other
        ON other.month = asking.month AND other.sector = asking.sector AND other.measure = asking.measure
        AND other.per_unit = asking.per_unit
    WHERE other.tenant_id != asking.tenant_id
    GROUP BY tenant_id, month, sector, measure, per_unit
)
SELECT
    f.tenant_id AS tenant_id,
    f.site_id AS site_id,
    f.month AS month,
    f.sector AS sector,
    f.measure AS measure,
    f.per_unit AS per_unit,
    f.energy_kwh / f.divisor AS own,
    o.peers AS peers,
    round(o.peers_kwh / o.peers_divisor / exp10(floor(log10(o.peers_kwh / o.peers_divisor)) - 2))
        * exp10(floor(log10(o.peers_kwh / o.peers_divisor)) - 2) AS peers_mean
FROM figures AS f
INNER JOIN others AS o
    ON o.tenant_id = f.tenant_id AND o.month = f.month AND o.sector = f.sector AND o.measure = f.measure
    AND o.per_unit = f.per_unit
CROSS JOIN rules AS r
WHERE o.peers >= r.min_tenants AND o.largest_share <= r.max_share;
