"""The words of Wattloop: events, topics, registry and reference data. Nothing here does anything."""
