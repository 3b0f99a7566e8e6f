"""Replay: the readings of a period through the agents again, out of the archive or out of telemetry.v1."""
