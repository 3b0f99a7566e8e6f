"""An experiment that proves a saving: days on which the controller acts, and days on which it does not."""

from datetime import date
from typing import Annotated

from pydantic import Field

from schemas.entry import Entry


class Experiment(Entry):
    """Blocks of local days; chance decides which of them have the controller.

    Parameters
    ----------
    starts_on
        Local day on which the first block begins, at midnight. Another day is another sequence of blocks.
    block_days
        Length of a block. [d]
    carry_over_hours
        So many hours at the beginning of a block do not count: the building still holds heat of the block before. [h]

    Examples
    --------
    >>> Experiment(starts_on="2026-08-03").block_days
    1
    """

    starts_on: date
    block_days: Annotated[int, Field(ge=1, le=7, strict=True)] = 1
    carry_over_hours: Annotated[int, Field(ge=0, le=12, strict=True)] = 3
