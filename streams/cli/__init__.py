"""The command line: one module per command, registered in `streams.cli.main`."""

import os

# A worker uses one core. Most of what polars is asked for is small, and several threads make it dearer: of the agents'
# work 12 % (a backlog) to 34 % (live, 500 meters). Polars reads this when it is first imported.
os.environ.setdefault("POLARS_MAX_THREADS", "1")
