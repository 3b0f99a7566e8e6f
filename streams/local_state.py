"""The directory of an application version and a log for what agents keep on disk: whose it is, and what is trusted.

    <data_dir>/faust/<version of Wattloop>/<cluster id and topic prefix>/

Another version may write another format, and offsets mean something within one log only. So neither opens what the
other wrote; it reads the changelog anew. Old directories are left to people: `wattloop doctor` names them.
"""

import fcntl
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from streams.frame.local_copy import copied_end

log = logging.getLogger(__name__)

_LOCK = "in-use"


class StateInUse(Exception):
    """Another worker has the directory open."""


def state_root(data_dir: Path) -> Path:
    """Return where all versions keep their state.

    Examples
    --------
    >>> state_root(Path("/var/lib/wattloop")).as_posix()
    '/var/lib/wattloop/faust'
    """
    return data_dir / "faust"


def abandoned_states(data_dir: Path) -> list[Path]:
    """Return the directories of other versions, and of this one those of logs that no worker has open.

    Parameters
    ----------
    data_dir
        The data directory.
    """
    found = sorted(log_lock.parent for log_lock in state_root(data_dir).glob(f"*/*/{_LOCK}"))
    newest = max(found, key=lambda one: (one / _LOCK).stat().st_mtime_ns, default=None)
    return [one for one in found if one != newest and not _is_locked(one / _LOCK)]


def _is_locked(lock: Path) -> bool:
    with lock.open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


@dataclass(slots=True)
class LocalState:
    """A directory this process has to itself.

    Parameters
    ----------
    directory
        The directory.
    """

    directory: Path
    _lock: int

    @classmethod
    def take(cls, data_dir: Path, log_id: str) -> "LocalState":
        """Make the directory of this version and log, and keep every other process out of it.

        Parameters
        ----------
        data_dir
            The data directory.
        log_id
            Cluster id of the broker and topic prefix.

        Raises
        ------
        StateInUse
            When another process has it. The system frees it when that process ends, however it ends.
        """
        directory = state_root(data_dir).absolute() / version("wattloop") / quote(log_id, safe="")
        directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            advice = "give each worker a data_dir of its own, or set state_store to memory"
            raise StateInUse(f"another worker has {directory} open: {advice}") from error
        os.utime(lock)
        return cls(directory, lock)

    def check(self, changelogs: Mapping[str, str], ends: Mapping[tuple[str, int], int]) -> list[Path]:
        """Remove copies that are ahead of their changelog: it lost records, as after a power cut of a lone broker.

        Parameters
        ----------
        changelogs
            Table -> name of its changelog topic.
        ends
            Topic and partition -> offset after its last record.

        Returns
        -------
        list[Path]
            What was removed.
        """
        removed = []
        for table, topic in changelogs.items():
            for (name, partition), end in ends.items():
                place = self.directory / "v1" / "tables" / f"{table}-{partition}.db"
                if name != topic or not place.exists():
                    continue
                last = copied_end(str(place))
                if last is not None and last >= end:
                    shutil.rmtree(place)
                    removed.append(place)
                    facts = {"table": table, "partition": partition, "copied": last, "changelog_end": end}
                    log.warning("local_copy_ahead_of_changelog_removed", extra=facts)
        return removed

    def release(self) -> None:
        """Let other processes have it."""
        os.close(self._lock)
