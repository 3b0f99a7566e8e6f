"""ClickHouse as the history: migrations, rows, and a writer that stores every row once in effect."""
