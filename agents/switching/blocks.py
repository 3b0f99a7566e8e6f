"""Blocks of an experiment: whether a local day has the measure is chance, but the same for everyone who asks.

The comfort agent acts by it and the savings agent counts by it. They never talk: both ask this hash.
"""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

from schemas.registry import Site


def has_measure(experiment: str, block: int) -> bool:
    """Return whether a block has the measure.

    Parameters
    ----------
    experiment
        Names it; another name is another sequence.
    block
        Number of the block, from 0. Blocks 2k and 2k + 1 are a pair: exactly one of them has it.

    Examples
    --------
    >>> [has_measure("mill/hall", block) for block in range(8)]
    [False, True, True, False, False, True, True, False]
    """
    toss = hashlib.blake2b(f"{experiment}/{block // 2}".encode(), digest_size=1).digest()[0] & 1
    return bool(toss) != bool(block % 2)


class Block(NamedTuple):
    """One block: the experiment it belongs to, its number from 0, and whether it has the measure."""

    experiment: str
    number: int
    has_measure: bool


@dataclass(frozen=True, slots=True)
class Blocks:
    """The blocks of a site's experiment. Days are local ones, as ordinals.

    Parameters
    ----------
    name
        What chance is asked with: `<site>/<first day>`.
    first_day
        Of block 0.
    block_days
        Length of a block. [d]

    Examples
    --------
    >>> blocks = Blocks("mill/2026-08-03", 739831, 2)
    >>> [blocks.number(day) for day in range(739830, 739836)]
    [-1, 0, 0, 1, 1, 2]
    >>> [blocks.has_measure(day) for day in range(739830, 739836)]
    [False, True, True, False, False, False]
    """

    name: str
    first_day: int
    block_days: int

    @classmethod
    def of(cls, site: Site) -> "Blocks | None":
        """Return that of a site; None where it has no experiment."""
        asked = site.experiment
        if asked is None:
            return None
        return cls(f"{site.id}/{asked.starts_on.isoformat()}", asked.starts_on.toordinal(), asked.block_days)

    @property
    def pair_days(self) -> int:
        """Length of a pair. [d]"""
        return 2 * self.block_days

    def number(self, day: int) -> int:
        """Return the block a day lies in; negative before the first one."""
        return (day - self.first_day) // self.block_days

    def pair_begins(self, day: int) -> int:
        """Return the first day of the pair a day lies in."""
        return day - (day - self.first_day) % self.pair_days

    def has_measure(self, day: int) -> bool:
        """Return whether a day has the measure; none has before the first block."""
        number = self.number(day)
        return number >= 0 and has_measure(self.name, number)

    def block_on(self, day: int) -> Block | None:
        """Return the block a day lies in; None before the first one."""
        number = self.number(day)
        return None if number < 0 else Block(self.name, number, has_measure(self.name, number))
