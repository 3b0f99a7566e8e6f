"""YAML with its places: plain data, and the line every part of it was written on.

Scalars follow the core schema of YAML 1.2, in which `22:00`, `no` and `2026-07-01` are text: the 1.1 rules of
PyYAML make the number 1320, `false` and a date of them.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from yaml.error import MarkedYAMLError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

from schemas.problem import Problem
from schemas.registry_checks import Location

MAX_PARTS = 500_000  # aliases of aliases can make gigabytes of a few lines

_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    ".nan": float("nan"), ".inf": float("inf"), "-.inf": float("-inf"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Document:
    """The top-level fields of a YAML file, and the lines they and everything in them were written on."""

    source: str
    data: dict[str, object]
    lines: dict[Location, int]

    def line(self, location: Location) -> int:
        """Return the line of a place, or of the nearest place around it when there is nothing."""
        while location not in self.lines:
            location = location[:-1]
        return self.lines[location]


def read_document(file: Path) -> tuple[Document | None, list[Problem]]:
    """Read a YAML file whose top level is a block of fields.

    Parameters
    ----------
    file
        An UTF-8 file.

    Returns
    -------
    tuple
        What could be read, if anything, and all problems with its YAML.
    """
    source = str(file)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as undecodable:
        line = file.read_bytes()[: undecodable.start].count(b"\n") + 1
        return None, [Problem(source, "is not UTF-8 text", line=line)]
    except OSError as unreadable:
        return None, [Problem(source, f"cannot be read: {(unreadable.strerror or 'unknown cause').lower()}")]
    root = _root(text, source)
    if isinstance(root, Problem):
        return None, [root]
    reader = _Reader(source)
    try:
        data = reader.mapping(root, ())
    except _TooLargeError as too_large:
        return None, [Problem(source, f"has more than {MAX_PARTS} parts", line=too_large.line)]
    return Document(source, data, reader.lines), reader.problems


class _TooLargeError(Exception):
    def __init__(self, line: int) -> None:
        self.line = line


def _root(text: str, source: str) -> MappingNode | Problem:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except MarkedYAMLError as invalid:
        mark = invalid.problem_mark or invalid.context_mark
        what = "; ".join(part for part in (invalid.context, invalid.problem) if part)
        return Problem(source, f"is not YAML: {what}", line=mark.line + 1 if mark else None)
    except ReaderError as invalid:
        line = text[: invalid.position].count("\n") + 1
        return Problem(source, f"is not YAML: {invalid.reason}", line=line)
    except RecursionError:
        return Problem(source, "is nested too deeply")
    if not isinstance(root, MappingNode):
        return Problem(source, "expected `tenants:` and `sites:` at the top", line=1)
    return root


class _Reader:
    """Turns nodes into data and remembers their lines."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.lines: dict[Location, int] = {(): 1}
        self.problems: list[Problem] = []
        self._around: list[Node] = []

    def mapping(self, node: MappingNode, location: Location) -> dict[str, object]:
        """Return a mapping node's data."""
        data: dict[str, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                self._complain("expected a field name in front of the colon", line)
                continue
            key: str = key_node.value
            if key in data:
                first = self.lines[*location, key]
                self._complain(f"the field '{key}' is given twice, first on line {first}", line)
                continue
            self.lines[*location, key] = line
            data[key] = self._value(value_node, (*location, key))
        return data

    def _value(self, node: Node, location: Location) -> object:
        if any(node is outer for outer in self._around):
            self._complain("an alias may not contain itself", node.start_mark.line + 1)
            return None
        if len(self.lines) > MAX_PARTS:
            raise _TooLargeError(node.start_mark.line + 1)
        if isinstance(node, ScalarNode):
            return _scalar(node)
        self._around.append(node)
        try:
            if isinstance(node, MappingNode):
                return self.mapping(node, location)
            if isinstance(node, SequenceNode):
                return self._sequence(node, location)
            return None
        finally:
            self._around.pop()

    def _sequence(self, node: SequenceNode, location: Location) -> list[object]:
        data: list[object] = []
        for index, item in enumerate(node.value):
            self.lines[*location, index] = item.start_mark.line + 1
            data.append(self._value(item, (*location, index)))
        return data

    def _complain(self, text: str, line: int) -> None:
        self.problems.append(Problem(self.source, text, line=line))


def _scalar(node: ScalarNode) -> str | int | float | bool | None:
    text: str = node.value
    if node.style is not None:  # quoted, or a block
        return text
    if text in _SPECIAL:
        return _SPECIAL[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
