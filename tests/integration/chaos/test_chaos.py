"""Whatever happens to workers and broker, the history is what one pass over the sent messages gives.

WATTLOOP_CHAOS_SCHEDULES says how many schedules are run (none by default, each takes a minute or two),
WATTLOOP_CHAOS_SEED the seed of the first. Broker faults are part of them on Apache Kafka 4 only
(WATTLOOP_TEST_BROKER=apache). For many schedules take run.py.
"""

import os
from pathlib import Path

import pytest
from chaos.harness import run_seed

pytestmark = pytest.mark.integration

SCHEDULES = int(os.environ.get("WATTLOOP_CHAOS_SCHEDULES", "0"))
FIRST = int(os.environ.get("WATTLOOP_CHAOS_SEED", "1"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SCHEDULES))
def test_nothing_is_lost_and_nothing_is_there_twice_after(seed: int, tmp_path: Path) -> None:
    kind = "apache" if os.environ.get("WATTLOOP_TEST_BROKER") == "apache" else "embedded"
    report = run_seed(seed, kind, tmp_path)
    assert not report.problems, f"{', '.join(report.faults)}: {report.problems}"
