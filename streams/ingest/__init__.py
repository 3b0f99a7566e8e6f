"""Ingest: what the field sends becomes validated batches, by partition; the rest becomes dead letters."""
