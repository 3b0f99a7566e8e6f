"""Where settings come from: flags, then environment, then the configuration file, then defaults.

All problems of all sources, and those of the registry, are gathered before anything is reported.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.problem import ConfigurationError, Problem, in_words, shown
from schemas.reference.catalogue import load_factors, load_tariffs
from schemas.registry import Registry
from schemas.registry_checks import did_you_mean
from schemas.registry_files import check_registry
from streams.demo import DEMO_REGISTRY
from streams.settings import (
    ENVIRONMENT_PREFIX,
    Settings,
    environment_name,
    expected_value,
    flag_name,
    masked,
)

DEFAULT = "default"
FILE_SUFFIX = "_FILE"
SECRETS = ("kafka_url", "clickhouse_url")  # may be given as the name of a file that holds them

_BY_VARIABLE = {environment_name(name): name for name in Settings.model_fields}
_FILE_VARIABLES = {environment_name(name) + FILE_SUFFIX: name for name in SECRETS}
_SERVICE_LINK = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_[A-Z]+)?$")
_LINKED_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


@dataclass(frozen=True, slots=True)
class Said:
    """A value as it was given, and by whom."""

    value: object
    source: str
    line: int | None = None
    path: str = ""

    def problem(self, text: str) -> Problem:
        """Return a problem with this value."""
        return Problem(self.source, text, line=self.line, path=self.path)

    def __str__(self) -> str:
        """Return who gave it, without the value."""
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        return f"{place} {self.path}" if self.line is None and self.path else place


@dataclass(frozen=True, slots=True)
class Effective:
    """Settings in force, and where each value came from.

    Parameters
    ----------
    settings
        The settings; where problems were found, with defaults in their place.
    sources
        For each field `default`, `flag --x`, `environment WATTLOOP_X` or `file:line`.
    problems
        Everything that is wrong.
    """

    settings: Settings
    sources: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)


def effective_settings(flags: Mapping[str, object], environ: Mapping[str, str]) -> Effective:
    """Gather the settings, and everything that is wrong with them.

    Parameters
    ----------
    flags
        Values by field name; None means that the flag was not given.
    environ
        The environment; only `WATTLOOP_*` matters. An empty variable counts as not set.

    Examples
    --------
    >>> environ = {"WATTLOOP_PARTITIONS": "2", "WATTLOOP_LOG_FORMAT": "xml"}
    >>> found = effective_settings({"partitions": "4"}, environ)
    >>> found.settings.partitions, found.sources["partitions"]
    (4, 'flag --partitions')
    >>> print(found.problems[0])
    environment: WATTLOOP_LOG_FORMAT: got 'xml'; expected one of 'auto', 'json' or 'console'
    """
    problems: list[Problem] = []
    said = dict(_from_environment(environ, problems))
    said |= {name: Said(value, f"flag {flag_name(name)}") for name, value in flags.items() if value is not None}
    said = dict(_from_file(said.get("config"), problems)) | said
    settings = _validated(said, problems)
    sources = {name: str(said[name]) if name in said else DEFAULT for name in Settings.model_fields}
    return Effective(settings, sources, problems)


def load_configuration(
    flags: Mapping[str, object], environ: Mapping[str, str], *, want_registry: bool
) -> tuple[Settings, Registry]:
    """Gather settings and registry; whatever is wrong with either is said in one message.

    Parameters
    ----------
    flags
        Values by field name; None means that the flag was not given.
    environ
        The environment.
    want_registry
        Whether to read the registry's files; without it the registry returned is empty.

    Raises
    ------
    ConfigurationError
        With everything that is wrong.
    """
    found = effective_settings(flags, environ)
    problems = list(found.problems)
    registry: Registry | None = Registry()
    if want_registry:
        registry, wrong = check_files(found.settings.registry or DEMO_REGISTRY)
        problems += wrong
    if problems or registry is None:
        raise ConfigurationError(problems)
    return found.settings, registry


def check_files(path: Path) -> tuple[Registry | None, list[Problem]]:
    """Check a registry against the reference data that is shipped.

    Parameters
    ----------
    path
        A YAML file or a directory of them.
    """
    regions, plans = _reference_words()
    return check_registry(path, known_regions=regions, known_plans=plans)


@cache
def _reference_words() -> tuple[frozenset[str], frozenset[str]]:
    return frozenset(load_factors()["region_code"].to_list()), frozenset(load_tariffs())


def _from_environment(environ: Mapping[str, str], problems: list[Problem]) -> Iterator[tuple[str, Said]]:
    for variable in sorted(environ):
        value = environ[variable]
        if not variable.startswith(ENVIRONMENT_PREFIX) or not value:
            continue
        if variable in _BY_VARIABLE:
            yield _BY_VARIABLE[variable], Said(value, "environment", path=variable)
        elif variable in _FILE_VARIABLES:
            said = _from_secret_file(variable, environ, problems)
            if said is not None:
                yield _FILE_VARIABLES[variable], said
        elif not _is_service_link(variable, value):
            hint = did_you_mean(variable, [*_BY_VARIABLE, *_FILE_VARIABLES])
            problems.append(Problem("environment", f"there is no such setting{hint}", path=variable))


def _is_service_link(variable: str, value: str) -> bool:
    # Kubernetes describes every Service of a namespace in such variables, one named `wattloop` included.
    linked_port = variable.endswith("_PORT") and _LINKED_ADDRESS.match(value)
    return bool(linked_port or _SERVICE_LINK.search(variable))


def _from_secret_file(variable: str, environ: Mapping[str, str], problems: list[Problem]) -> Said | None:
    plain = variable.removesuffix(FILE_SUFFIX)
    if environ.get(plain):
        problems.append(Problem("environment", f"{plain} is set as well; expected one of the two", path=variable))
        return None
    try:
        text = Path(environ[variable]).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as unreadable:
        why = unreadable.strerror if isinstance(unreadable, OSError) and unreadable.strerror else "not UTF-8 text"
        text = f"{shown(environ[variable])} cannot be read: {why.lower()}"
        problems.append(Problem("environment", text, path=variable))
        return None
    return Said(text, "environment", path=variable)


def _from_file(said: Said | None, problems: list[Problem]) -> Iterator[tuple[str, Said]]:
    if said is None:
        return
    source = str(said.value)
    try:
        text = Path(source).read_text(encoding="utf-8-sig")
        values = tomllib.loads(text)
    except OSError as unreadable:
        problems.append(said.problem(f"{shown(source)} cannot be read: {(unreadable.strerror or '').lower()}"))
        return
    except tomllib.TOMLDecodeError as invalid:
        problems.append(Problem(source, f"is not TOML: {invalid}"))
        return
    except ValueError:
        problems.append(Problem(source, "is not UTF-8 text"))
        return
    for key, value in values.items():
        line = _line_of(key, text)
        if key == "config":
            problems.append(Problem(source, "a configuration file cannot name another one", line=line, path=key))
        elif key in Settings.model_fields:
            yield key, Said(value, source, line=line, path=key)
        else:
            hint = did_you_mean(key, Settings.model_fields)
            problems.append(Problem(source, f"there is no such setting{hint}", line=line, path=key))


def _line_of(key: str, text: str) -> int | None:
    """Return the line a top-level key or table of a TOML text is on."""
    begins = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[]=.]""")
    return next((n for n, line in enumerate(text.splitlines(), 1) if begins.match(line)), None)


def _validated(said: Mapping[str, Said], problems: list[Problem]) -> Settings:
    values = {name: one.value for name, one in said.items()}
    try:
        return Settings.model_validate(values)
    except ValidationError as invalid:
        order = list(said)
        for error in sorted(invalid.errors(include_url=False), key=lambda one: order.index(str(one["loc"][0]))):
            name = str(error["loc"][0])
            problems.append(said[name].problem(_in_words(name, error)))
            values.pop(name, None)
    return Settings.model_validate(values)


def _in_words(name: str, error: ErrorDetails) -> str:
    if isinstance(error["input"], str):
        error["input"] = masked(error["input"])
    expected = expected_value(name)
    return f"got {shown(error['input'])}; expected {expected}" if expected else in_words(error)
