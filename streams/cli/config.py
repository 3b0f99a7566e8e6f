"""`wattloop config`: which settings are in force, and where each came from."""

import os

import click

from streams.cli.effective import effective_toml
from streams.cli.flags import Flags, settings_flags
from streams.configuration import effective_settings


@click.command("config")
@settings_flags()
def command(flags: Flags) -> None:
    """Show the settings in force and where each came from.

    The output is a configuration file, except that secrets are masked.

    \b
    Example:
      WATTLOOP_PARTITIONS=4 wattloop config --log-level debug
    """
    click.echo(effective_toml(effective_settings(flags, os.environ)), nl=False)
