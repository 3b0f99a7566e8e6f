-- Intensity of grids by hour, as `wattloop reference publish --intensity` was given it; the same hour again replaces it.
CREATE TABLE IF NOT EXISTS grid_intensity
(
    region_code LowCardinality(String),
    hour DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    grid_share Nullable(Float64) CODEC(ZSTD(1)),  -- carbon-free share, 0 to 1
    grid_kg_per_kwh Nullable(Float64) CODEC(ZSTD(1)),
    written_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY (region_code, hour)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE OR REPLACE VIEW v_grid_intensity AS
SELECT *
FROM grid_intensity FINAL;

-- Activities that came through a topic know their message, as every other row the history writer stores.
ALTER TABLE activities
    ADD COLUMN IF NOT EXISTS origin_offset Int64 DEFAULT -1 CODEC(Delta, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS log_id LowCardinality(String),
    ADD COLUMN IF NOT EXISTS topic_partition Int32 DEFAULT -1 CODEC(T64, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS topic_offset Int64 DEFAULT -1 CODEC(Delta, ZSTD(1));

CREATE OR REPLACE VIEW v_activities AS
SELECT *
FROM activities FINAL;
