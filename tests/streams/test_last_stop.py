"""Why the process before this one ended."""

from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from streams.frame.pulse import StoodStill
from streams.ingest.limit import TooManyRejections
from streams.last_stop import StopReason, keep, reason_of, tell


def told(reason: StopReason) -> float | None:
    return REGISTRY.get_sample_value("wattloop_last_stop_timestamp_seconds", {"reason": reason.value})


def test_the_next_process_tells_when_and_why_the_one_before_ended(tmp_path: Path) -> None:
    keep(tmp_path / "data", StopReason.REJECTION_LIMIT)
    tell(tmp_path / "data")

    at = told(StopReason.REJECTION_LIMIT)
    assert at is not None
    assert at > 1.7e9


@pytest.mark.parametrize(
    "kept", ["", "{", '{"at": 1}', '{"at": 1, "reason": "bored"}', '{"at": "x", "reason": "asked"}']
)
def test_what_cannot_be_read_is_not_told(tmp_path: Path, kept: str) -> None:
    (tmp_path / "last_stop.json").write_text(kept)
    tell(tmp_path)
    tell(tmp_path / "nowhere")

    assert told(StopReason.HARD_STOP) is None


def test_a_data_directory_that_takes_no_file_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    keep(tmp_path / "file", StopReason.ASKED)


def test_errors_have_the_reasons_that_alerts_ask_for() -> None:
    assert reason_of(StoodStill("")) is StopReason.STOOD_STILL
    assert reason_of(TooManyRejections("")) is StopReason.REJECTION_LIMIT
    assert reason_of(ValueError()) is StopReason.FAILURE
