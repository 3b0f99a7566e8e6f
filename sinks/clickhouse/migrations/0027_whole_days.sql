-- Of anomalies of whole days: the band they were held against, and the comparison with days before.
ALTER TABLE anomalies
    ADD COLUMN IF NOT EXISTS expected_low_kw Nullable(Float64) CODEC(ZSTD(1)) AFTER expected_high_kw,
    ADD COLUMN IF NOT EXISTS before_kw Nullable(Float64) CODEC(ZSTD(1)) AFTER expected_low_kw,
    ADD COLUMN IF NOT EXISTS weather_kw Nullable(Float64) CODEC(ZSTD(1)) AFTER before_kw,
    ADD COLUMN IF NOT EXISTS production_kw Nullable(Float64) CODEC(ZSTD(1)) AFTER weather_kw;

CREATE OR REPLACE VIEW v_anomalies AS
SELECT *
FROM
(
    SELECT *
    FROM anomalies FINAL
    ORDER BY sequence DESC
    LIMIT 1 BY tenant_id, anomaly_id
);
