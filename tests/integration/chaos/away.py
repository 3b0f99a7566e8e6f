"""ClickHouse away under load: what a worker holds meanwhile, and how fast it catches up.

    python tests/integration/chaos/away.py --minutes 10 --rate 20000

Apache Kafka 4, one worker, and the history behind HTTP. Meters that are read once a second send NDJSON of 100 readings.
After a minute the history is killed, stays away, comes back, and sending goes on until what was missed is stored. Then
everything stored is compared with what was sent. Figures are printed as they are; the exit code is 1 if anything is
lost, doubled or wrong.
"""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    runpy.run_module("chaos.absence", run_name="__main__")
