"""A real broker and workers as processes of their own, as production runs them.

WATTLOOP_TEST_BROKER=apache takes Apache Kafka 4 (deploy/kafka/kafka), anything else the embedded broker.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline import Pipeline, a_broker

ROOT = Path(__file__).parents[2]


def _worker_number() -> int:
    """Number of this process among those that run tests side by side."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a broker, `host:port`; one for the whole session."""
    if os.environ.get("WATTLOOP_TEST_BROKER") != "apache":
        with a_broker() as address:
            yield address
        return
    data = tmp_path_factory.mktemp("kafka")
    script = [str(ROOT / "deploy/kafka/kafka")]
    port = str(int(os.environ.get("WATTLOOP_TEST_KAFKA_PORT", "19592")) + 10 * _worker_number())
    started = subprocess.run(
        [*script, "start", "--data", str(data), "--port", port], capture_output=True, text=True, check=False
    )
    assert started.returncode == 0, started.stderr
    try:
        yield started.stdout.strip().splitlines()[-1]
    finally:
        subprocess.run([*script, "stop", "--data", str(data)], check=True, capture_output=True)


@pytest.fixture
def pipeline(broker: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Pipeline]:
    """A pipeline with topics of its own and an empty history."""
    made = Pipeline(broker, f"{request.node.name[:40]}.", tmp_path)
    # Several of these run at a time; a worker that gets no processor for a while must not be taken for dead.
    made.settings["WATTLOOP_SESSION_TIMEOUT_S"] = "12"
    try:
        yield made
    finally:
        made.kill()
