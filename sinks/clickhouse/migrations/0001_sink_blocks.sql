-- Every statement must be repeatable: a migration that stopped half-way is applied again from its beginning.

-- The cuts of the exactly-once writer: which offsets went into which block, recorded before the rows.
-- Not partitioned, because deduplication works per partition and only one cut may follow another.
CREATE TABLE IF NOT EXISTS sink_blocks
(
    log_id LowCardinality(String),
    topic LowCardinality(String),
    partition Int32,
    after_offset Int64,
    first_offset Int64,
    last_offset Int64,
    applied String CODEC(ZSTD(1)),
    applied_after String CODEC(ZSTD(1)),
    recorded_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = MergeTree
ORDER BY (log_id, topic, partition, last_offset)
TTL toDateTime(recorded_at) + INTERVAL 13 MONTH
SETTINGS non_replicated_deduplication_window = 10000;

-- State of the embedded mode. One set of items is one partition, so that an old set is dropped as a whole.
CREATE TABLE IF NOT EXISTS checkpoints
(
    agent String,
    set_number UInt64,
    sealed UInt8,
    log_id String,
    saved_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC'),
    key String,
    value String CODEC(ZSTD(1)),
    items UInt64
)
ENGINE = MergeTree
PARTITION BY (agent, set_number)
ORDER BY (agent, set_number, sealed, key)
SETTINGS non_replicated_deduplication_window = 10000;
