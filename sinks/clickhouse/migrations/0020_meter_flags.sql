-- Of stuck registers what the meter's own power says, of clocks how far they are off; NULL of other corrections.
ALTER TABLE corrections ADD COLUMN IF NOT EXISTS by_power_kwh Nullable(Float64) CODEC(ZSTD(1)) AFTER revision;
ALTER TABLE corrections ADD COLUMN IF NOT EXISTS clock_slip_s Nullable(Float64) CODEC(ZSTD(1)) AFTER by_power_kwh;

CREATE OR REPLACE VIEW v_corrections AS
SELECT *
FROM corrections FINAL;
