-- What measures save, a row for each record on savings.v1. zone_id is null for a whole site.
CREATE TABLE IF NOT EXISTS savings
(
    id String CODEC(ZSTD(1)),
    tenant_id LowCardinality(String),
    site_id LowCardinality(String),
    zone_id LowCardinality(Nullable(String)),
    ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    method LowCardinality(String),
    state LowCardinality(String),
    reason LowCardinality(String),
    more_days Nullable(Int32) CODEC(ZSTD(1)),
    from_day Date CODEC(ZSTD(1)),
    to_day Date CODEC(ZSTD(1)),
    share Nullable(Float64) CODEC(ZSTD(1)),
    share_low Nullable(Float64) CODEC(ZSTD(1)),
    share_high Nullable(Float64) CODEC(ZSTD(1)),
    saved_kwh Nullable(Float64) CODEC(ZSTD(1)),
    saved_kwh_low Nullable(Float64) CODEC(ZSTD(1)),
    saved_kwh_high Nullable(Float64) CODEC(ZSTD(1)),
    saved_cny Nullable(Float64) CODEC(ZSTD(1)),
    saved_kg Nullable(Float64) CODEC(ZSTD(1)),
    market_saved_kg Nullable(Float64) CODEC(ZSTD(1)),
    used_kwh Nullable(Float64) CODEC(ZSTD(1)),
    cv_rmse Nullable(Float64) CODEC(ZSTD(1)),
    nmbe Nullable(Float64) CODEC(ZSTD(1)),
    fractional_uncertainty Nullable(Float64) CODEC(ZSTD(1)),
    baseline_days Nullable(Int32) CODEC(ZSTD(1)),
    measured_days Nullable(Int32) CODEC(ZSTD(1)),
    experiment LowCardinality(Nullable(String)),
    pairs Nullable(Int32) CODEC(ZSTD(1)),
    blocks_on Nullable(Int32) CODEC(ZSTD(1)),
    blocks_off Nullable(Int32) CODEC(ZSTD(1)),
    message_en String CODEC(ZSTD(3)),
    message_zh String CODEC(ZSTD(3)),
    model_version LowCardinality(String),
    origin_offset Int64 DEFAULT -1 CODEC(Delta, ZSTD(1)),
    log_id LowCardinality(String),
    topic_partition Int32 CODEC(T64, ZSTD(1)),
    topic_offset Int64 CODEC(Delta, ZSTD(1)),
    written_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    INDEX written written_at TYPE minmax GRANULARITY 1  -- finds a block by when its cut was recorded
)
ENGINE = ReplacingMergeTree(written_at)
PARTITION BY toYYYYMM(ts)
ORDER BY (tenant_id, site_id, ts, id)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

-- One row per site and zone: what is known now.
CREATE OR REPLACE VIEW v_savings AS
SELECT *
FROM
(
    SELECT *
    FROM savings FINAL
    ORDER BY ts DESC
    LIMIT 1 BY tenant_id, site_id, zone_id
);

-- One row per tenant: what is shown now. Of each site its own figure counts, and that of its zones only where the site's
-- is not shown: zones are parts of their site. Sites err independently, so the squares of their intervals add up.
CREATE OR REPLACE VIEW v_savings_by_tenant AS
SELECT
    tenant_id,
    uniqExact(site_id) AS sites,
    sum(saved_kwh) AS kwh,
    kwh - sqrt(sum(pow(saved_kwh - saved_kwh_low, 2))) AS kwh_low,
    kwh + sqrt(sum(pow(saved_kwh_high - saved_kwh, 2))) AS kwh_high,
    if(count() = count(saved_cny), sum(saved_cny), NULL) AS cny,
    if(count() = count(saved_kg), sum(saved_kg), NULL) AS kg,
    if(count() = count(market_saved_kg), sum(market_saved_kg), NULL) AS market_kg,
    min(from_day) AS first_day,
    max(to_day) AS last_day
FROM
(
    SELECT *, max(zone_id IS NULL AND state = 'shown') OVER (PARTITION BY tenant_id, site_id) AS whole_is_shown
    FROM v_savings
)
WHERE state = 'shown' AND (zone_id IS NULL) = whole_is_shown
GROUP BY tenant_id;

-- Which block of an experiment a command belongs to.
ALTER TABLE setpoints ADD COLUMN IF NOT EXISTS experiment LowCardinality(Nullable(String)) AFTER model_version;
ALTER TABLE setpoints ADD COLUMN IF NOT EXISTS block Nullable(Int32) CODEC(ZSTD(1)) AFTER experiment;
ALTER TABLE setpoints ADD COLUMN IF NOT EXISTS block_has_measure Nullable(Bool) CODEC(ZSTD(1)) AFTER block;

CREATE OR REPLACE VIEW v_setpoints AS
SELECT s.*, a.state AS state, a.state_reason AS state_reason, a.state_at AS state_at
FROM (SELECT * FROM setpoints FINAL) AS s
LEFT JOIN
(
    SELECT tenant_id, command_id, argMax(state, ts) AS state, argMax(reason, ts) AS state_reason, max(ts) AS state_at
    FROM setpoint_acks FINAL
    GROUP BY tenant_id, command_id
) AS a
ON a.tenant_id = s.tenant_id AND a.command_id = s.command_id;
