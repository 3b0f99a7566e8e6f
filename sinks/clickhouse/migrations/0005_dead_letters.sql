-- Key, value and header values are bytes as they came; String holds any bytes.
CREATE TABLE IF NOT EXISTS dead_letters
(
    reason LowCardinality(String),
    detail String CODEC(ZSTD(1)),
    stage LowCardinality(String),
    source_topic LowCardinality(String),
    source_partition Int32 CODEC(T64, ZSTD(1)),
    source_offset Int64 CODEC(Delta, ZSTD(1)),
    source_index Int32 CODEC(T64, ZSTD(1)),
    arrived_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    content_type LowCardinality(String),
    key Nullable(String) CODEC(ZSTD(1)),
    value String CODEC(ZSTD(1)),
    header_names Array(String) EPHEMERAL [],
    header_values Array(String) EPHEMERAL [],
    headers Map(String, String) DEFAULT mapFromArrays(header_names, header_values),
    log_id LowCardinality(String),
    topic_partition Int32 CODEC(T64, ZSTD(1)),
    topic_offset Int64 CODEC(Delta, ZSTD(1)),
    written_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    INDEX written written_at TYPE minmax GRANULARITY 1  -- finds a block by when its cut was recorded
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(arrived_at)
ORDER BY (reason, arrived_at, source_topic, source_partition, source_offset, source_index)
SETTINGS non_replicated_deduplication_window = 10000;

-- One row per rejected message or part of a message, and stage.
CREATE OR REPLACE VIEW v_dead_letters AS
SELECT *
FROM dead_letters
ORDER BY written_at DESC, topic_offset DESC
LIMIT 1 BY log_id, stage, source_topic, source_partition, source_offset, source_index;
