"""Where Wattloop runs: the Faust app, its frame, ingest, settings and command line."""
