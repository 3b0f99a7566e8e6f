"""Measures what a plain Faust app loses and doubles on Apache Kafka 4, with and without exactly_once.

    python tests/integration/exactly_once/run.py --seeds 3

A measurement, not a test: the exit code says only whether it could be made. Needs Java 17 and Maven. Findings:
docs/adr/0020.
"""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    runpy.run_module("exactly_once.campaign", run_name="__main__")
