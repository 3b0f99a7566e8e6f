"""Where results go: ClickHouse and its migrations."""
