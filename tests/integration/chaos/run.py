"""Runs fault schedules, one after the other, and says what came out.

    python tests/integration/chaos/run.py --schedules 100 --seed 1

One line per schedule, and a table in Markdown at the end. The exit code is 1 if any schedule left a problem; what it
left behind is kept then. The seeds are `--seed`, `--seed` + 1 and so on, so each schedule can be run again by itself.
"""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    runpy.run_module("chaos.campaign", run_name="__main__")
