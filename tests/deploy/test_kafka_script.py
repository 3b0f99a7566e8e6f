"""What `deploy/kafka/kafka` says without starting a broker; the integration suite starts one."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "kafka" / "kafka"


def kafka(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_help_explains_every_verb_and_shows_examples() -> None:
    ran = kafka("--help")

    assert ran.returncode == 0
    assert "Examples\n  kafka start" in ran.stdout
    for verb in ("start", "stop", "kill", "restart", "status"):
        assert f"\n  {verb}  " in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "say what to do: start, stop, kill, restart or status."),
        (("fly",), "there is no verb 'fly': start, stop, kill, restart or status."),
        (("start", "stop"), "one verb at a time: 'start' or 'stop'."),
        (("start", "--host", "elsewhere"), "there is no option '--host'."),
        (("start", "--port", "80"), "--port wants a whole number from 1024 to 65535, not '80'."),
        (("start", "--port"), "--port wants a value."),
        (("start", "--data", "a,b"), "the data directory must not contain a comma or a backslash: a,b"),
    ],
)
def test_a_wrong_request_is_refused_with_a_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    ran = kafka(*arguments)

    assert ran.returncode == 2
    assert f"kafka: {sentence}\n" in ran.stderr
    assert ran.stdout == ""


def test_a_broker_that_was_never_started_is_not_running_and_nothing_is_created(tmp_path: Path) -> None:
    data = tmp_path / "never"

    assert kafka("status", "--data", str(data)).returncode == 3
    assert kafka("stop", "--data", str(data)).returncode == 0
    assert kafka("kill", "--data", str(data)).returncode == 1
    assert not data.exists()


def test_a_pid_file_left_behind_does_not_make_somebody_else_the_broker(tmp_path: Path) -> None:
    (tmp_path / "kafka.pid").write_text(f"{os.getpid()}\n")

    assert kafka("status", "--data", str(tmp_path)).returncode == 3


def test_a_missing_java_is_said_in_a_sentence(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "mkdir"):
        (tools / name).symlink_to(str(shutil.which(name)))

    ran = kafka("start", "--data", str(tmp_path / "data"), PATH=str(tools), JAVA_HOME="")

    assert ran.returncode == 1
    assert ran.stderr == "kafka: Java is missing: install a Java 17 runtime, or set JAVA_HOME.\n"
