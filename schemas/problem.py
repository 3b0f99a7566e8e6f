"""What is wrong with a configuration: all of it, each with its place, in words an operator can act on."""

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic_core import ErrorDetails

SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Parameters
    ----------
    source
        Where it was said: a file, `environment`, or `flag --name`.
    text
        What is wrong, and what was expected.
    line
        Line of the file, from 1.
    path
        The field, e.g. `sites[zj-steel].meters[main].rated_kw`, or the variable's name.

    Examples
    --------
    >>> str(Problem("plant.yaml", "got -5; expected a number above 0", line=7, path="sites[mill].rated_kw"))
    'plant.yaml:7: sites[mill].rated_kw: got -5; expected a number above 0'
    >>> str(Problem("flag --partitions", "got 'many'; expected a whole number"))
    "flag --partitions: got 'many'; expected a whole number"
    """

    source: str
    text: str
    line: int | None = None
    path: str = ""

    def __str__(self) -> str:
        """Return the problem as one line."""
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        return ": ".join(part for part in (place, self.path, self.text) if part)


class ConfigurationError(Exception):
    """Settings or registry are wrong; nothing was started.

    Examples
    --------
    >>> problems = [Problem("environment", "is not set", path="A"), Problem("a.yaml", "is empty")]
    >>> print(ConfigurationError(problems))
    2 problems in the configuration:
      1. environment: A: is not set
      2. a.yaml: is empty
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        """Return all problems as a numbered list."""
        count = len(self.problems)
        heading = f"{count} problem{'' if count == 1 else 's'} in the configuration:"
        return "\n".join([heading, *(f"  {n}. {problem}" for n, problem in enumerate(self.problems, 1))])


_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number not below {ge:g}",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "a number not above {le:g}",
    "tuple_type": "a list",
    "list_type": "a list",
    "model_type": "a block of fields",
    "model_attributes_type": "a block of fields",
    "enum": "one of {expected}",
    "literal_error": "one of {expected}",
    "string_too_short": "at least {min_length} character(s)",
    "string_too_long": "at most {max_length} characters",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "path_type": "a path",
    "date_type": "a date such as 2026-07-01",
    "date_parsing": "a date such as 2026-07-01",
    "date_from_datetime_parsing": "a date such as 2026-07-01",
    "date_from_datetime_inexact": "a date such as 2026-07-01, without a time",
}


def in_words(error: ErrorDetails) -> str:
    """Say what a validation error means: what was there, and what was expected.

    Examples
    --------
    >>> in_words({"type": "int_parsing", "loc": ("partitions",), "msg": "", "input": "many"})
    "got 'many'; expected a whole number"
    >>> in_words({"type": "missing", "loc": ("id",), "msg": "Field required", "input": {}})
    'is missing'
    """
    kind, given = error["type"], error["input"]
    if kind == "missing":
        return "is missing"
    expected = _EXPECTED.get(kind)
    if expected is not None:
        return f"got {shown(given)}; expected {expected.format(**error.get('ctx', {}))}"
    if error["msg"].startswith("expected "):
        return f"got {shown(given)}; {error['msg']}"
    return error["msg"][:1].lower() + error["msg"][1:]


def shown(value: object) -> str:
    """Return a value as it may stand in a message: short, and without the insides of blocks.

    Examples
    --------
    >>> shown("x" * 100)[-5:], shown({"a": 1}), shown([1, 2]), shown(None)
    ("xxx…'", 'a block of fields', 'a list', 'nothing')
    """
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a block of fields"
    if isinstance(value, list | tuple):
        return "a list"
    text = str(value)
    if len(text) > SHOWN_CHARACTERS:
        text = text[: SHOWN_CHARACTERS - 1] + "…"
    return f"'{text}'" if isinstance(value, str) else text
