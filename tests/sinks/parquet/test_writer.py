"""The writer of the archive: where files go, what the manifest says of them, and what it refuses."""

import hashlib
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.clickhouse.errors import Fenced, LogMismatch, OffsetGap, SinkMisconfigured, SinkUnavailable
from sinks.parquet.compact import compact, orphans
from sinks.parquet.manifest import Part, PartitionManifest
from sinks.parquet.paths import escaped
from sinks.parquet.writer import ArchiveWriter
from tests.sinks.parquet.builders import DAY_MS, NOON, a_reading, held, raw_offsets, readings, site, tick

LOG = "cluster/prefix."


def archived(root: Path, *messages, partition: int = 0) -> PartitionManifest:
    writer = ArchiveWriter(root, LOG)
    writer.open(partition)
    writer.add(partition, messages)
    writer.flush(partition)
    return PartitionManifest(root, LOG, partition)


@given(st.text(max_size=300), st.text(max_size=300))
def test_an_id_never_leaves_its_directory_and_shares_it_with_no_other(one, other):
    root = Path("/archive/readings")
    path = root / f"site={escaped(one)}"
    assert path.parent == root
    assert Path(str(path)).resolve().parent == root
    assert len(path.name.encode()) < 255
    assert "\0" not in path.name
    assert (escaped(one).lower() == escaped(other).lower()) == (one == other)


@pytest.mark.parametrize("name", ["../../etc", "/etc/passwd", "..", "a/b", "C:\\x", "x\0y", "*.parquet", "%2E%2E"])
def test_a_site_with_an_evil_id_is_archived_inside_the_archive(tmp_path, name):
    root = tmp_path / "archive"
    manifest = archived(root, readings(0, a_reading(0, site_id=name)))

    compact(manifest, NOON + 9 * DAY_MS, quiet_ms=0)

    assert held(root)["site_id"].to_list() == [name]
    assert {path.name for path in tmp_path.iterdir()} == {"archive"}
    assert len(list(root.glob("readings/day=2026-07-15/site=*/*.parquet"))) == 1


def test_the_manifest_says_of_each_file_what_is_in_it(tmp_path):
    rows = [a_reading(7), a_reading(9, ts=NOON + 5000, raw_partition=3), a_reading(8, ts=NOON - DAY_MS)]
    manifest = archived(tmp_path, site(0), readings(1, *rows), tick(2, NOON + 9))

    files = {(file.part, file.day): file for file in manifest.load().files}

    about = files[Part.READINGS, "2026-07-15"]
    content = (tmp_path / about.path).read_bytes()
    assert (about.rows, about.bytes, about.sha256) == (2, len(content), hashlib.sha256(content).hexdigest())
    assert (about.ts_first, about.ts_last) == (NOON + 7, NOON + 5000)
    assert (about.offset_first, about.offset_last) == (1, 1)
    assert about.raw == {"0": (7, 7), "3": (9, 9)}
    assert files[Part.READINGS, "2026-07-14"].rows == 1
    assert {part for part, _ in files} == set(Part)


def test_rows_carry_everything_the_batch_had_and_its_arrival_and_place(tmp_path):
    archived(tmp_path, readings(0, a_reading(4, power_kw=2.5), arrived_at=NOON + 77))

    row = held(tmp_path).row(0, named=True)

    assert row["arrived_at"].timestamp() * 1000 == pytest.approx(NOON + 77)
    assert (row["log_id"], row["topic_partition"], row["topic_offset"]) == (LOG, 0, 0)
    assert (row["raw_partition"], row["raw_offset"], row["power_kw"], row["export_kwh"]) == (0, 4, 2.5, None)


def test_the_same_rows_make_the_same_file(tmp_path):
    for name in ("one", "two"):
        archived(tmp_path / name, readings(0, a_reading(2), a_reading(1)), tick(1))
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / n).rglob("*.parquet")} for n in ("one", "two"))
    assert one == two


def test_what_is_not_in_the_manifest_is_not_there(tmp_path):
    manifest = archived(tmp_path, readings(0, a_reading(0)))
    stray = tmp_path / "fresh/readings/day=2026-07-15/stray.parquet"
    stray.write_bytes(next(tmp_path.rglob("fresh/readings/**/*.parquet")).read_bytes())

    assert raw_offsets(tmp_path) == [0]
    assert list(orphans(tmp_path, [manifest.load()])) == [stray]


def test_a_compacted_day_has_one_file_per_site_and_its_old_files_are_gone(tmp_path):
    writer = ArchiveWriter(tmp_path, LOG)
    writer.open(0)
    for offset in range(6):
        sites = ("mill", "dye-works")
        writer.add(0, [readings(offset, *(a_reading(2 * offset + n, site_id=s) for n, s in enumerate(sites)))])
        writer.flush(0)
    manifest = PartitionManifest(tmp_path, LOG, 0)

    done = compact(manifest, NOON + 2 * DAY_MS, quiet_ms=0)

    assert (done.days, done.files_before, done.files_after) == (1, 6, 2)
    assert raw_offsets(tmp_path) == list(range(12))
    assert [file.site for file in manifest.load().files] == ["dye-works", "mill"]
    assert not list(tmp_path.glob("fresh/readings/*/*.parquet"))


def test_late_readings_of_a_compacted_day_are_added_to_it_and_other_sites_stay_as_they_are(tmp_path):
    manifest = archived(tmp_path, readings(0, a_reading(0), a_reading(1, site_id="dye-works")))
    compact(manifest, NOON + 2 * DAY_MS, quiet_ms=0)
    untouched = next(tmp_path.rglob("site=dye-works/*.parquet"))
    writer = ArchiveWriter(tmp_path, LOG)
    writer.open(0)
    writer.add(0, [readings(1, a_reading(5), arrived_at=NOON + 3 * DAY_MS)])
    writer.flush(0)

    compact(manifest, NOON + 9 * DAY_MS, quiet_ms=0)

    assert raw_offsets(tmp_path) == [0, 1, 5]
    assert untouched.exists()
    assert len(list(tmp_path.rglob("site=mill/*.parquet"))) == 1
    assert len(list((manifest.directory / "days").iterdir())) == 1


def test_the_day_that_is_still_going_on_is_left_alone(tmp_path):
    manifest = archived(tmp_path, readings(0, a_reading(0)))
    assert compact(manifest, NOON + 1000, quiet_ms=0).days == 0


def test_a_writer_goes_on_behind_the_last_cut_and_asks_for_what_is_left_out(tmp_path):
    archived(tmp_path, readings(0, a_reading(0)), tick(1))
    writer = ArchiveWriter(tmp_path, LOG)

    assert writer.open(0).next_offset == 2
    with pytest.raises(OffsetGap):
        writer.add(0, [tick(3)])


def test_a_topic_that_is_shorter_than_what_was_archived_is_refused(tmp_path):
    archived(tmp_path, tick(0), tick(1))
    with pytest.raises(LogMismatch, match="ends at offset 1, but offsets up to 1"):
        ArchiveWriter(tmp_path, LOG).open(0, log_end=1)


def test_messages_deleted_before_they_were_archived_are_a_gap_that_stays_on_record(tmp_path):
    manifest = archived(tmp_path, tick(0, NOON))
    for start, at in ((10, NOON + 5000), (11, NOON + 6000)):
        writer = ArchiveWriter(tmp_path, LOG)
        assert writer.open(0, log_start=10).next_offset == start
        writer.add(0, [tick(start, at)])
        writer.flush(0)

    newest = manifest.load().newest

    assert newest is not None
    assert [(gap.after_offset, gap.next_offset, gap.arrived_until) for gap in newest.gaps] == [(0, 10, NOON + 5000)]


def test_a_writer_that_was_replaced_is_fenced(tmp_path):
    old, new = ArchiveWriter(tmp_path, LOG), ArchiveWriter(tmp_path, LOG)
    for writer, size in ((old, 1), (new, 2)):
        writer.open(0)
        writer.add(0, [tick(offset) for offset in range(size)])
    new.flush(0)
    with pytest.raises(Fenced):
        old.flush(0)


def test_a_disk_that_takes_nothing_is_waited_for_and_nothing_is_lost(tmp_path):
    root = tmp_path / "archive"
    writer = ArchiveWriter(root, LOG)
    writer.open(0)
    writer.add(0, [readings(0, a_reading(0))])
    root.write_text("a file where the directory should be")
    with pytest.raises(SinkUnavailable, match="archiving telemetry"):
        writer.flush(0)

    root.unlink()
    writer.flush(0)

    assert raw_offsets(root) == [0]


def test_a_manifest_of_a_newer_release_is_refused(tmp_path):
    manifest = archived(tmp_path, tick(0))
    path = next((manifest.directory / "cuts").iterdir())
    path.write_text(path.read_text().replace('"schema_version":1', '"schema_version":2'))
    with pytest.raises(SinkMisconfigured, match="newer release"):
        manifest.load()


def test_anyone_can_read_it_with_polars_through_the_manifest(tmp_path):
    manifest = archived(tmp_path, readings(0, a_reading(0), a_reading(1)))
    paths = [tmp_path / file.path for file in manifest.load().files if file.part is Part.READINGS]
    assert pl.scan_parquet(paths).select(pl.len()).collect().item() == 2


def test_files_without_reactive_energy_are_read_and_compacted_with_those_that_have_it(tmp_path):
    manifest = archived(tmp_path, readings(0, a_reading(1)), tick(1))
    for file in tmp_path.rglob("*.parquet"):  # as the release before wrote them
        pl.read_parquet(file).drop("import_kvarh", strict=False).write_parquet(file)
    writer = ArchiveWriter(tmp_path, LOG)
    writer.open(0)
    writer.add(0, [readings(2, a_reading(2, import_kvarh=7.5))])
    writer.flush(0)

    before = held(tmp_path).sort("raw_offset")
    compact(manifest, NOON + 9 * DAY_MS, quiet_ms=0)

    assert before["import_kvarh"].to_list() == [None, 7.5]
    assert held(tmp_path).sort("raw_offset").equals(before)
