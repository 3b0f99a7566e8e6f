"""`wattloop archive`: what the Parquet archive holds, which files count, and compacting it."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import click

from sinks.clickhouse.errors import SinkError
from sinks.parquet.compact import DAY_MS, Compacted, compact, orphans
from sinks.parquet.manifest import Part, partitions_of
from streams.cli.flags import Flags, settings_flags
from streams.configuration import load_configuration
from streams.replay.period import shown

FIELDS = ("config", "data_dir", "archive_dir")
_MB = 1_000_000


@click.group("archive")
def command() -> None:
    """The Parquet archive of accepted readings.

    \b
    Example:
      wattloop archive show
    """


@command.command("show")
@settings_flags(FIELDS)
def show(flags: Flags) -> None:
    """Show what is held of each log and partition.

    \b
    Example:
      wattloop archive show --archive-dir /srv/wattloop/archive
    """
    root = _root(flags)
    for manifest in partitions_of(root):
        held = manifest.load()
        newest = held.newest
        if newest is None:
            continue
        files = [file for file in held.files if file.part is Part.READINGS]
        began = "its beginning" if newest.began_offset == 0 else f"offset {newest.began_offset}"
        click.echo(
            f"{manifest.log_id} partition {manifest.partition}: {sum(file.rows for file in files):,} readings in "
            f"{len(files)} files, {sum(file.bytes for file in held.files) / _MB:,.1f} MB; from {began} to offset "
            f"{newest.last_offset}, arrived {shown(newest.began_at)} to {shown(newest.arrived_last)}"
            + (f"; {len(newest.gaps)} GAPS" if newest.gaps else "")
        )


@command.command("files")
@click.option("--part", type=click.Choice([str(part) for part in Part]), default="readings", show_default=True)
@settings_flags(FIELDS)
def files(flags: Flags, part: str) -> None:
    """List the files that count, one JSON object a line: path, rows, time range, offsets, sha256.

    \b
    Example:
      wattloop archive files | jq -r .path
    """
    root = _root(flags)
    for manifest in partitions_of(root):
        for file in manifest.load().files:
            if file.part == part:
                about = {"log_id": manifest.log_id, "partition": manifest.partition, "day": file.day}
                about |= {"site_id": file.site, "path": str(root / file.path), "rows": file.rows, "bytes": file.bytes}
                about |= {"ts_first": file.ts_first, "ts_last": file.ts_last, "raw": file.raw, "sha256": file.sha256}
                click.echo(json.dumps(about, ensure_ascii=False))


@command.command("compact")
@settings_flags(FIELDS)
def compact_command(flags: Flags) -> None:
    """Put the files of days that are over together, and delete what was left behind by something that was stopped.

    Workers do this for their own partitions. It may run beside them, and may be stopped at any moment.

    \b
    Example:
      wattloop archive compact
    """
    root = _root(flags)
    now = int(time.time() * 1000)
    done = Compacted()
    try:
        for manifest in partitions_of(root):
            done += compact(manifest, now, quiet_ms=0)
    except SinkError as error:
        raise click.ClickException(str(error)) from error
    deleted = 0
    for path in _left_behind(root, now):
        path.unlink(missing_ok=True)
        deleted += 1
    click.echo(
        f"{done.days} days compacted: {done.files_before} files, {done.bytes_before / _MB:,.1f} MB -> "
        f"{done.files_after} files, {done.bytes_after / _MB:,.1f} MB; {deleted} left-over files deleted"
    )


def _left_behind(root: Path, now: int) -> Iterator[Path]:
    """Yield files nothing names and nobody can be about to name any more."""
    for path in orphans(root, [manifest.load() for manifest in partitions_of(root)]):
        if path.stat().st_mtime * 1000 < now - DAY_MS:
            yield path


def _root(flags: Flags) -> Path:
    settings, _ = load_configuration(flags, os.environ, want_registry=False)
    root = settings.archive_dir or settings.data_dir / "archive"
    if not (root / "manifest").is_dir():
        raise click.ClickException(f"there is no archive in {root}; archive_dir says where it is")
    return root
