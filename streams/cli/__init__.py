"""The command line: one module per command, registered in `streams.cli.main`."""
