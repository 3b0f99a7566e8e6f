"""The settings as flags: the same ones, with the same words, on every command that takes settings."""

import os
from collections.abc import Callable, Iterable, Mapping
from functools import wraps

import click

from streams.cli.effective import effective_toml
from streams.configuration import effective_settings
from streams.settings import Settings, environment_name, flag_name

Flags = Mapping[str, str | None]
Decorator = Callable[[Callable[..., None]], Callable[..., None]]
ALL = tuple(Settings.model_fields)

_PRINT_CONFIG: Decorator = click.option("--print-config", is_flag=True, help="Show the settings in force and stop.")


def settings_flags(fields: Iterable[str] = ALL) -> Decorator:
    """Give a command the flags of these settings, and `--print-config`.

    The command is called with the flags as its first argument: text by field name, None where a flag was not
    given. They are not checked here, so that all that is wrong is reported together.

    Parameters
    ----------
    fields
        Names of the settings.
    """
    chosen = tuple(fields)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def with_flags(print_config: bool, **given: object) -> None:
            flags: dict[str, str | None] = {}
            for field in chosen:
                value = given.pop(field)
                flags[field] = None if value is None else str(value)
            if print_config:
                click.echo(effective_toml(effective_settings(flags, os.environ)), nl=False)
                return
            command(flags, **given)

        decorated: Callable[..., None] = with_flags
        for option in (_PRINT_CONFIG, *map(_option, reversed(chosen))):
            decorated = option(decorated)
        return decorated

    return decorate


def _option(field: str) -> Decorator:
    about = Settings.model_fields[field]
    default = "" if about.default in {None, ""} else f"  [default: {about.default}]"
    text = f"{about.description} ({environment_name(field)}){default}"
    return click.option(flag_name(field), field, metavar="VALUE", default=None, help=text)
