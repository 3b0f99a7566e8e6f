-- Fuels and purchased heat as sites report them; the same id again replaces what was reported before.
CREATE TABLE IF NOT EXISTS activities
(
    id String CODEC(ZSTD(1)),
    tenant_id LowCardinality(String),
    site_id LowCardinality(String),
    ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    activity_id String CODEC(ZSTD(1)),
    scope LowCardinality(String),
    fuel LowCardinality(String),
    quantity Float64 CODEC(ZSTD(1)),
    unit LowCardinality(String),
    first_day Date32,
    last_day Date32,
    emitted_kg Float64 CODEC(ZSTD(1)),
    factor_kg_per_unit Float64 CODEC(ZSTD(1)),
    factor_unit LowCardinality(String),
    factor_basis LowCardinality(String),
    factor_source LowCardinality(String),
    factor_checked Int32,
    gas LowCardinality(String),
    reference_version LowCardinality(String),
    written_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY (tenant_id, site_id, activity_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE OR REPLACE VIEW v_activities AS
SELECT *
FROM activities FINAL;

-- Load, on-site generation and what of it met the load in the same hour. Days and months are sums of these hours;
-- strict carbon-free score = sum(matched_kwh) / sum(load_kwh).
CREATE OR REPLACE VIEW v_carbon_free_hour AS
SELECT
    tenant_id,
    site_id,
    window_start,
    e.grid_kwh + ifNull(e.generated_kwh, 0) - ifNull(e.exported_kwh, 0) AS load_kwh,
    e.generated_kwh AS carbon_free_kwh,
    least(load_kwh, ifNull(e.generated_kwh, 0)) AS matched_kwh,
    greatest(0, e.generated_kwh - ifNull(e.exported_kwh, 0)) AS self_use_kwh
FROM
(
    SELECT
        tenant_id,
        site_id,
        window_start,
        sumIf(h.import_kwh, h.meter_kind = 'grid') AS grid_kwh,
        sumIf(h.export_kwh, h.meter_kind = 'grid') AS exported_kwh,
        sumIf(h.import_kwh, h.meter_kind = 'generation') AS generated_kwh
    FROM v_energy_hour AS h
    WHERE h.meter_kind IN ('grid', 'generation')
    GROUP BY tenant_id, site_id, window_start
) AS e;
