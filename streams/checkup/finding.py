"""What a check found: good, doubtful or wrong, in one sentence, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"  # it runs, but somebody should look; or it could not be checked
    FAIL = "fail"  # it does not run, or will lose something


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Parameters
    ----------
    check
        Name of the check, a slug.
    level
        How bad it is.
    sentence
        What was found.
    advice
        What to do; empty when there is nothing to do.
    """

    check: str
    level: Level
    sentence: str
    advice: str = ""


def worst(levels: Iterable[Level]) -> Level:
    """Return the worst of some levels.

    Examples
    --------
    >>> worst([Level.OK, Level.FAIL, Level.WARN]).value, worst([]).value
    ('fail', 'ok')
    """
    order = list(Level)
    return max(levels, key=order.index, default=Level.OK)
