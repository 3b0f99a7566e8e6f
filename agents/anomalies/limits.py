"""Limits a meter sets itself: what has not been exceeded in so many comparable spans is usual.

If spans are alike, the next one exceeds all of n before it with probability 1 / (n + 1), whatever the load looks like
(the rank of the newest among n + 1 exchangeable values is uniform). So the rate of false alarms is set by n, and what
remains to be found is as much as the meter's own regularity allows. A margin lowers the rate further.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

# A span that was unusual may count this much at most: what goes on for long becomes usual step by step.
_UNUSUAL_COUNTS = 1.25


@dataclass(frozen=True, slots=True)
class Rule:
    """How a limit is made from scores.

    Parameters
    ----------
    spans
        How many spans are remembered.
    least
        Spans that must be known before anything counts as unusual.
    margin
        What the largest remembered score is multiplied with.
    floor
        Lowest limit, in units of the score.
    """

    spans: int
    least: int
    margin: float
    floor: float


@dataclass(slots=True)
class Limit:
    """The largest score among the newest spans, kept as the few that can still become it.

    Parameters
    ----------
    count
        Spans noted so far.
    largest
        Number of a span and its score, both ascending in number and descending in score.

    Examples
    --------
    >>> rule = Rule(spans=3, least=2, margin=1.5, floor=0.1)
    >>> limit = Limit()
    >>> limit.note(2.0, rule), limit.of(rule)
    (None, None)
    >>> for score in (1.0, 0.5, 0.2):
    ...     limit.note(score, rule)
    >>> limit.of(rule), limit.count  # 2.0 is too long ago
    (1.5, 4)
    """

    count: int = 0
    largest: list[tuple[int, float]] = field(default_factory=list)

    def of(self, rule: Rule) -> float | None:
        """Return the score above which a span is unusual; None while too few are known."""
        if self.count < rule.least:
            return None
        return max(rule.floor, rule.margin * self.largest[0][1])

    def note(self, score: float, rule: Rule) -> None:
        """Remember the score of a span that ended."""
        limit = self.of(rule)
        if limit is not None:
            score = min(score, _UNUSUAL_COUNTS * limit)
        self.allow(score, rule)

    def allow(self, score: float, rule: Rule) -> None:
        """Remember a score that was said to be normal: it counts in full."""
        while self.largest and self.largest[-1][1] <= score:
            self.largest.pop()
        self.largest.append((self.count, score))
        self.count += 1
        while self.largest[0][0] < self.count - rule.spans:
            self.largest.pop(0)

    def compared_with(self, rule: Rule) -> int:
        """Return how many spans the limit rests on."""
        return min(self.count, rule.spans)

    def numbers(self) -> list[float]:
        """Return all of it as numbers, for `of_numbers`."""
        return [float(self.count), *(float(part) for pair in self.largest for part in pair)]

    @classmethod
    def of_numbers(cls, numbers: Iterable[float]) -> "Limit":
        """Take up what `numbers` gave."""
        count, *rest = numbers
        return cls(int(count), [(int(at), score) for at, score in zip(rest[::2], rest[1::2], strict=True)])
