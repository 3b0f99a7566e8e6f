"""Where the replay is, kept across runs, so that registers and totals go on where they were."""

import json
from contextlib import suppress
from pathlib import Path


def load_position_ms(path: Path) -> int | None:
    """Return the kept position, None when there is none or it cannot be read."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return int(json.loads(path.read_text(encoding="utf-8"))["position_ms"])
    return None


def save_position_ms(path: Path, position_ms: int) -> None:
    """Keep a position; a reader sees the old one or the new one, never half of one."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"position_ms": position_ms}), encoding="utf-8")
    part.replace(path)
