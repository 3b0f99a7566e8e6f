"""What is wrong with a reference file: everything at once, each with its place and what was expected."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a reference file.

    Parameters
    ----------
    file
        Name of the file.
    entry
        Id of the entry, or its line where it has none.
    field
        Path of the field inside the entry.
    expected
        What was expected there, and what was found.

    Examples
    --------
    >>> print(Problem("tariffs.json", "cn-zj-2026", "periods[0].ratio", "a number, found 'high'"))
    tariffs.json: cn-zj-2026: periods[0].ratio: expected a number, found 'high'
    """

    file: str
    entry: str
    field: str
    expected: str

    def __str__(self) -> str:
        return f"{self.file}: {self.entry}: {self.field}: expected {self.expected}"


class ReferenceDataError(ValueError):
    """Reference data that cannot be used; the message lists every problem on a line of its own.

    Parameters
    ----------
    problems
        All that was found, in the order of the files.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def field_path(location: Sequence[int | str]) -> str:
    """Write the place of a field as people do.

    Examples
    --------
    >>> field_path(("periods", 2, "hours", 0))
    'periods[2].hours[0]'
    """
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path or "(entry)"


def shape_problems(file: str, entry: str, error: ValidationError) -> list[Problem]:
    """Turn what a model refused into problems, one per field.

    Parameters
    ----------
    file, entry
        Where the refused value stands.
    error
        The refusal.
    """
    return [
        Problem(
            file,
            entry,
            field_path(detail["loc"]),
            f"{_wanted(detail['msg'])}; found {_short(detail['input'])}",
        )
        for detail in error.errors(include_url=False)
    ]


def _wanted(message: str) -> str:
    """Drop how pydantic starts a sentence: ours has started already."""
    return message.removeprefix("Value error, ").removeprefix("Input should be ")


def _short(found: object, limit: int = 60) -> str:
    text = repr(found)
    return text if len(text) <= limit else text[: limit - 1] + "…"
