-- Energy of intervals, of meters that send this instead of registers; NULL of others.
ALTER TABLE readings ADD COLUMN IF NOT EXISTS interval_kwh Nullable(Float64) CODEC(ZSTD(1)) AFTER import_kvarh;
ALTER TABLE readings ADD COLUMN IF NOT EXISTS interval_export_kwh Nullable(Float64) CODEC(ZSTD(1)) AFTER interval_kwh;

CREATE OR REPLACE VIEW v_readings AS
SELECT *
FROM readings
ORDER BY tenant_id, site_id, meter_id, ts, written_at DESC, topic_offset DESC, raw_offset DESC
LIMIT 1 BY tenant_id, site_id, meter_id, ts;
