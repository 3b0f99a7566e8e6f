"""Whether there is room where Wattloop keeps files."""

import shutil
from pathlib import Path

from streams.checkup.finding import Finding, Level
from streams.local_state import abandoned_states

MIB = 1 << 20
GIB = 1 << 30
# Shares alone would call 500 GiB on a large disk too little, and sizes alone a small volume that is empty.
WARN_SHARE, WARN_BYTES = 0.15, 50 * GIB
FAIL_SHARE, FAIL_BYTES = 0.05, 10 * GIB
LEAST_BYTES = 256 * MIB
ADVICE = "make room or move data_dir (WATTLOOP_DATA_DIR); ClickHouse stops merging and inserting on a full disk"


def judge_space(free: int, total: int, place: Path) -> Finding:
    """Judge the free space of a file system.

    Parameters
    ----------
    free, total
        Free space and size of the file system. [byte]
    place
        The directory.

    Examples
    --------
    >>> [judge_space(free << 30, 100 << 30, Path("/data")).level.value for free in (4, 14, 60)]
    ['fail', 'warn', 'ok']
    """
    share = free / total if total else 0.0
    sentence = f"{free / GIB:.1f} GiB free of {total / GIB:.1f} GiB ({share:.0%}) at {place}"
    if free < LEAST_BYTES or (share < FAIL_SHARE and free < FAIL_BYTES):
        return Finding("disk", Level.FAIL, sentence, ADVICE)
    if share < WARN_SHARE and free < WARN_BYTES:
        return Finding("disk", Level.WARN, sentence, ADVICE)
    return Finding("disk", Level.OK, sentence)


def check_space(data_dir: Path) -> Finding:
    """Look at the file system a directory is on, or will be on once it has been made."""
    place = data_dir.absolute()
    while not place.exists():
        place = place.parent
    usage = shutil.disk_usage(place)
    return judge_space(usage.free, usage.total, data_dir.absolute())


def check_local_state(data_dir: Path) -> Finding:
    """Name what agents left on disk and no worker will open again: that of other versions and of other brokers."""
    found = abandoned_states(data_dir)
    if not found:
        return Finding("local-state", Level.OK, "no state of another version or another broker is left on disk")
    size = sum(one.stat().st_size for place in found for one in place.rglob("*") if one.is_file())
    places = ", ".join(str(one) for one in found)
    many = f"{len(found)} {'directory' if len(found) == 1 else 'directories'}"
    sentence = f"{many} of other versions or brokers ({size / MIB:.0f} MiB): {places}"
    advice = "remove with rm -r when no worker goes back to that version; the changelog has all that is in there"
    return Finding("local-state", Level.WARN, sentence, advice)
