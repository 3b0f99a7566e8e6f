"""The settings in force, written as the configuration file that would give them."""

import json
from pathlib import Path

from schemas.problem import ConfigurationError
from streams.configuration import Effective
from streams.settings import Settings, masked


def effective_toml(found: Effective) -> str:
    """Return the settings as TOML, each with the source of its value; secrets are masked.

    Parameters
    ----------
    found
        The settings and their sources.

    Raises
    ------
    ConfigurationError
        If something is wrong with them.

    Examples
    --------
    >>> from streams.configuration import effective_settings
    >>> text = effective_toml(effective_settings({"kafka_url": "kafka://a.example:9092"}, {}))
    >>> text.splitlines()[1]
    'kafka_url = "kafka://a.example:9092"  # flag --kafka-url'
    """
    if found.problems:
        raise ConfigurationError(found.problems)
    settings = found.settings
    lines = [(_assignment(field, getattr(settings, field)), found.sources[field]) for field in Settings.model_fields]
    width = min(max(len(assignment) for assignment, _ in lines), 48)
    return "".join(f"{assignment:<{width}}  # {source}\n" for assignment, source in lines)


def _assignment(field: str, value: object) -> str:
    if field == "config" and value is not None:
        return f"# config is {value}"  # a file cannot name another one
    if value is None:
        return f"# {field} is not set"
    if isinstance(value, str | Path):
        return f"{field} = {json.dumps(masked(str(value)), ensure_ascii=False)}"
    return f"{field} = {json.dumps(value)}"
