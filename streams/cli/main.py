"""`wattloop`: the one command, and what all its sub-commands have in common."""

from importlib.metadata import version

import click

from schemas.problem import ConfigurationError
from sinks.clickhouse.errors import SinkMisconfigured
from streams.broker import PartitionCountMismatch
from streams.cli import (
    account,
    activity,
    advice,
    archive,
    carbon,
    compare,
    config,
    dlq,
    doctor,
    hvac_gateway,
    hvac_override,
    lag,
    learn,
    migrate,
    reference,
    registry,
    replay,
    report,
    restate,
    run,
    savings,
    topics,
    worker,
)

WRONG_CONFIGURATION = 2

COMMANDS: tuple[click.Command, ...] = (
    run.command,
    worker.command,
    registry.command,
    dlq.command,
    migrate.command,
    replay.command,
    restate.command,
    carbon.command,
    report.command,
    compare.command,
    advice.command,
    archive.command,
    learn.command,
    activity.command,
    reference.command,
    topics.command,
    lag.command,
    doctor.command,
    account.command,
    config.command,
    hvac_gateway.command,
    hvac_override.command,
    savings.command,
)


class WattloopGroup(click.Group):
    """Commands that either run, or say all that is wrong with the configuration and start nothing."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except (ConfigurationError, PartitionCountMismatch, SinkMisconfigured) as error:
            click.echo(f"wattloop: {error}", err=True)
            return ctx.exit(WRONG_CONFIGURATION)


@click.group(cls=WattloopGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("wattloop"), prog_name="wattloop")
def wattloop() -> None:
    """Electricity-meter telemetry into money and carbon, live.

    \b
    Example:
      wattloop registry check plants/
    """


for command in COMMANDS:
    wattloop.add_command(command)


def main() -> None:
    """Run the command line."""
    wattloop(prog_name="wattloop")


if __name__ == "__main__":
    main()
