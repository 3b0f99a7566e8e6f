-- The life of each measure that could be taken, a row for each record on advice.v1.
CREATE TABLE IF NOT EXISTS advice
(
    id String CODEC(ZSTD(1)),
    tenant_id LowCardinality(String),
    site_id LowCardinality(String),
    meter_id LowCardinality(Nullable(String)),
    ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    advice_id String CODEC(ZSTD(1)),
    sequence Int32 CODEC(T64, ZSTD(1)),
    kind LowCardinality(String),
    status LowCardinality(String),
    proposed_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    answered_at Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    answered_by Nullable(String) CODEC(ZSTD(1)),
    why Nullable(String) CODEC(ZSTD(3)),
    evidence_from DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    evidence_until DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    evidence_days Int32 CODEC(T64, ZSTD(1)),
    saved_kwh_low Float64 CODEC(ZSTD(1)),
    saved_kwh_high Float64 CODEC(ZSTD(1)),
    saved_cny_low Nullable(Float64) CODEC(ZSTD(1)),
    saved_cny_high Nullable(Float64) CODEC(ZSTD(1)),
    saved_kg_low Nullable(Float64) CODEC(ZSTD(1)),
    saved_kg_high Nullable(Float64) CODEC(ZSTD(1)),
    investment_cny_low Nullable(Float64) CODEC(ZSTD(1)),
    investment_cny_high Nullable(Float64) CODEC(ZSTD(1)),
    payback_years_low Nullable(Float64) CODEC(ZSTD(1)),
    payback_years_high Nullable(Float64) CODEC(ZSTD(1)),
    evidence String CODEC(ZSTD(3)),
    assumptions_en String CODEC(ZSTD(3)),
    assumptions_zh String CODEC(ZSTD(3)),
    measured LowCardinality(Nullable(String)),
    measured_before Nullable(Float64) CODEC(ZSTD(1)),
    measured_after Nullable(Float64) CODEC(ZSTD(1)),
    measured_change_low Nullable(Float64) CODEC(ZSTD(1)),
    measured_change_high Nullable(Float64) CODEC(ZSTD(1)),
    weeks_before Nullable(Int32) CODEC(ZSTD(1)),
    weeks_after Nullable(Int32) CODEC(ZSTD(1)),
    weeks_needed Nullable(Int32) CODEC(ZSTD(1)),
    rule_version LowCardinality(String),
    message_en String CODEC(ZSTD(3)),
    message_zh String CODEC(ZSTD(3)),
    origin_offset Int64 DEFAULT -1 CODEC(Delta, ZSTD(1)),
    log_id LowCardinality(String),
    topic_partition Int32 CODEC(T64, ZSTD(1)),
    topic_offset Int64 CODEC(Delta, ZSTD(1)),
    written_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    INDEX written written_at TYPE minmax GRANULARITY 1  -- finds a block by when its cut was recorded
)
ENGINE = ReplacingMergeTree(written_at)
PARTITION BY toYYYYMM(ts)
ORDER BY (tenant_id, site_id, kind, ts, id)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

-- What people say may be of a measure as well.
ALTER TABLE feedback ADD COLUMN IF NOT EXISTS advice_id Nullable(String) CODEC(ZSTD(1)) AFTER anomaly_id;

-- One row per measure: what is known of it now, and how many anomalies stand behind it: of a shut-down those of its meter
-- that were left on or crept, of moved load and of a cap those of the site, while the evidence was gathered.
CREATE OR REPLACE VIEW v_advice AS
WITH newest AS
(
    SELECT * EXCEPT (origin_offset, log_id, topic_partition, topic_offset, written_at)
    FROM advice FINAL
    ORDER BY sequence DESC
    LIMIT 1 BY tenant_id, advice_id
)
SELECT newest.*, ifNull(behind.found, 0) AS anomalies
FROM newest
LEFT JOIN
(
    SELECT one.tenant_id AS tenant_id, one.advice_id AS advice_id, count() AS found
    FROM newest AS one
    INNER JOIN v_anomalies AS anomaly ON anomaly.tenant_id = one.tenant_id AND anomaly.site_id = one.site_id
    WHERE anomaly.opened_at >= one.evidence_from AND anomaly.opened_at < one.evidence_until
        AND multiIf(
            one.kind = 'shut_down', anomaly.kind IN ('left_on', 'standby_creep') AND anomaly.meter_id = one.meter_id,
            one.kind = 'shift_load', anomaly.kind = 'peak_share',
            one.kind = 'demand_cap', anomaly.kind = 'peak_surge',
            false)
    GROUP BY tenant_id, advice_id
) AS behind ON behind.tenant_id = newest.tenant_id AND behind.advice_id = newest.advice_id;
