-- What every station says it made of a range of messages; `wattloop account` compares it with the other tables.
CREATE TABLE IF NOT EXISTS accounting
(
    id String CODEC(ZSTD(1)),
    ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    station LowCardinality(String),
    topic LowCardinality(String),
    partition Int32 CODEC(T64, ZSTD(1)),
    first_offset Int64 CODEC(Delta, ZSTD(1)),
    last_offset Int64 CODEC(Delta, ZSTD(1)),
    messages Int64 CODEC(T64, ZSTD(1)),
    received Int64 CODEC(T64, ZSTD(1)),
    used Int64 CODEC(T64, ZSTD(1)),
    late Int64 CODEC(T64, ZSTD(1)),
    refused Int64 CODEC(T64, ZSTD(1)),
    flagged Int64 CODEC(T64, ZSTD(1)),
    duplicates Int64 CODEC(T64, ZSTD(1)),
    sent_rows Int64 CODEC(T64, ZSTD(1)),
    sent_import_kwh Float64 CODEC(ZSTD(1)),
    sent_export_kwh Float64 CODEC(ZSTD(1)),
    sent_from Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    sent_until Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    import_register_checksum Nullable(Float64) CODEC(ZSTD(1)),
    partial Bool,
    rows_until Nullable(Int64) CODEC(ZSTD(1)),
    caused String CODEC(ZSTD(1)),
    log_id LowCardinality(String),
    topic_partition Int32 CODEC(T64, ZSTD(1)),
    topic_offset Int64 CODEC(Delta, ZSTD(1)),
    written_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    INDEX written written_at TYPE minmax GRANULARITY 1  -- finds a block by when its cut was recorded
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (log_id, station, topic, partition, first_offset, last_offset)
TTL toDateTime(ts) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 10000;

-- One row per segment: of several with the same range the one that was written first, which is never partial.
CREATE OR REPLACE VIEW v_accounting AS
SELECT *
FROM accounting
ORDER BY log_id, station, topic, partition, first_offset, last_offset, topic_offset
LIMIT 1 BY log_id, station, topic, partition, first_offset, last_offset;

-- The offset of the message a row was made from, on the topic its agent reads, in the partition of the same number.
-- -1 = stored by a release that did not keep it.
ALTER TABLE energy_windows ADD COLUMN IF NOT EXISTS origin_offset Int64 DEFAULT -1 CODEC(Delta, ZSTD(1))
AFTER raw_offset_last;

ALTER TABLE emissions ADD COLUMN IF NOT EXISTS origin_offset Int64 DEFAULT -1 CODEC(Delta, ZSTD(1)) AFTER revision;
