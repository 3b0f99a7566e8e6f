-- Up to which offset of a partition the sums of the windows that were stored are computed (ADR 0024). What was stored
-- behind it and not yet summed when a writer ended is found by its offset, and by when its block was recorded.
CREATE TABLE IF NOT EXISTS sink_sums
(
    log_id LowCardinality(String),
    topic LowCardinality(String),
    partition Int32,
    last_offset Int64,
    written_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    settled_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(last_offset)
ORDER BY (log_id, topic, partition)
SETTINGS non_replicated_deduplication_window = 1000;

-- Until now sums were computed with each block. One that was recorded and not stored is summed when it is stored.
INSERT INTO sink_sums (log_id, topic, partition, last_offset, written_at)
SELECT log_id, topic, partition, max(last_offset), max(recorded_at)
FROM sink_blocks
WHERE topic IN ('energy.v1', 'emissions.v1')
GROUP BY log_id, topic, partition;
