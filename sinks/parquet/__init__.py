"""The archive: accepted readings as Parquet files, and a manifest that says which files count."""
