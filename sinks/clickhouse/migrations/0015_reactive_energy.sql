-- Reactive energy, as the meter's cumulative register shows it and by window; NULL where it is not measured.
ALTER TABLE readings ADD COLUMN IF NOT EXISTS import_kvarh Nullable(Float64) CODEC(ZSTD(1)) AFTER power_kw;

CREATE OR REPLACE VIEW v_readings AS
SELECT *
FROM readings
ORDER BY tenant_id, site_id, meter_id, ts, written_at DESC, topic_offset DESC, raw_offset DESC
LIMIT 1 BY tenant_id, site_id, meter_id, ts;

ALTER TABLE energy_windows ADD COLUMN IF NOT EXISTS import_kvarh Nullable(Float64) CODEC(ZSTD(1)) AFTER export_kwh;

CREATE OR REPLACE VIEW v_energy AS
SELECT *
FROM energy_windows FINAL;
