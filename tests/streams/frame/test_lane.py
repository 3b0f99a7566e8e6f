"""The delivery rule of one partition, on a small agent that shows what it was given."""

import json
from collections.abc import Collection, Iterable, Mapping

import pytest
from builders import NOON, a_site, readings

from schemas.flow import NOTHING, Kind, Message, Outcome, SiteRecord
from streams.frame.codec import batch_value, control_headers, record_value
from streams.frame.lane import META, Lane, Verdict

PARTITION = 5
META_KEY = f"{META}{PARTITION}"


class Counting:
    """An agent that counts the readings of each site; its snapshot is the count."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.seen: list[Message] = []
        self._changed: set[str] = set()

    def step(self, message: Message) -> Outcome:
        self.seen.append(message)
        if message.rows is not None:
            for site in message.rows["site_id"]:
                self.counts[site] = self.counts.get(site, 0) + 1
                self._changed.add(site)
        return NOTHING

    def changed(self) -> Iterable[str]:
        return self._changed

    def snapshot(self, sites: Collection[str] | None = None) -> Mapping[str, bytes]:
        chosen = sorted(self._changed if sites is None else sites)
        self._changed.difference_update(chosen)
        return {site: str(self.counts[site]).encode() for site in chosen}

    def restore(self, snapshots: Mapping[str, bytes]) -> None:
        self.counts |= {site: int(packed) for site, packed in snapshots.items()}


def a_lane(
    snapshots: Mapping[str, bytes] | None = None, inherited: Mapping[str, bytes] | None = None
) -> tuple[Lane, Counting]:
    agent = Counting()
    return Lane.restored(agent, PARTITION, snapshots or {}, inherited or {}), agent


def batch(*rows: dict[str, object], origin: str | None = None) -> tuple[bytes, dict[str, bytes]]:
    headers = dict(control_headers(Kind.READINGS, NOON))
    if origin is not None:
        headers["origin"] = origin.encode()
    return batch_value(readings(*rows)), headers


def tick() -> tuple[bytes, dict[str, bytes]]:
    return b"", dict(control_headers(Kind.TICK, NOON))


def record_of(site: str) -> tuple[bytes, dict[str, bytes]]:
    return record_value(SiteRecord(a_site(site), 1)), dict(control_headers(Kind.SITE, NOON))


def checkpoint_of(lane: Lane) -> list[tuple[str, bytes]]:
    """A checkpoint, behind a tick."""
    lane.apply(lane.next_offset, *tick())
    return list(lane.checkpoint())


def counted(*messages: tuple[bytes, dict[str, bytes]]) -> dict[str, int]:
    lane, agent = a_lane()
    for offset, message in enumerate(messages):
        lane.apply(offset, *message)
    return agent.counts


def test_only_the_next_offset_is_applied():
    lane, _ = a_lane()
    lane.apply(0, *tick())

    assert [lane.verdict(offset) for offset in (0, 1, 2)] == [Verdict.SEEN, Verdict.APPLY, Verdict.SKIPPED]


@pytest.mark.parametrize("offset", [0, 2])
def test_applying_another_offset_is_a_bug(offset: int):
    lane, _ = a_lane()
    lane.apply(0, *tick())

    with pytest.raises(ValueError, match=f"expected offset 1, got {offset}"):
        lane.apply(offset, *tick())


def test_a_message_of_an_origin_that_was_seen_is_dropped():
    reading = {"raw_offset": 1}

    assert counted(
        batch(reading, origin="2:7:0"),
        batch(reading | {"raw_offset": 2}, origin="2:7:0"),
        batch(reading | {"raw_offset": 3}, origin="2:6:9"),
        batch(reading | {"raw_offset": 4}, origin="2:7:1"),
    ) == {"mill": 2}  # fmt: skip


def test_origins_of_several_partitions_are_kept_apart():
    lane, _ = a_lane()
    for offset, origin in enumerate(["0:50:0", "1:3:0", "0:51:0"]):
        lane.apply(offset, *batch({"raw_partition": 9, "raw_offset": offset}, origin=origin))

    assert lane.origins.highest == {0: (51, 0), 1: (3, 0), 9: (2, 0)}


def test_readings_whose_raw_message_was_seen_are_dropped_for_each_raw_partition():
    first = [{"raw_partition": 0, "raw_offset": 4}, {"raw_partition": 1, "raw_offset": 9}]
    again = [{"raw_partition": 0, "raw_offset": 4}, {"raw_partition": 0, "raw_offset": 5}]
    other = [{"raw_partition": 1, "raw_offset": 8}, {"raw_partition": 2, "raw_offset": 0}]

    assert counted(batch(*first), batch(*again), batch(*other)) == {"mill": 4}


def test_readings_of_one_raw_message_are_taken_together():
    assert counted(batch({"raw_offset": 4}, {"raw_offset": 4, "s": 1})) == {"mill": 2}


def test_an_agent_never_sees_a_batch_of_which_nothing_is_left():
    lane, agent = a_lane()
    lane.apply(0, *batch({"raw_offset": 4}))

    _, outcome = lane.apply(1, *batch({"raw_offset": 4}))

    assert outcome == NOTHING
    assert len(agent.seen) == 1


def test_a_checkpoint_restates_the_last_one_then_writes_sites_then_where_it_ends():
    lane, _ = a_lane()
    lane.apply(0, *batch({"raw_offset": 1}, {"site_id": "weaver", "raw_offset": 1}))
    first = checkpoint_of(lane)
    lane.apply(2, *batch({"site_id": "weaver", "raw_offset": 2}))
    second = checkpoint_of(lane)

    assert [key for key, _ in first] == [META_KEY, "mill", "weaver", META_KEY]
    assert [key for key, _ in second] == [META_KEY, "weaver", META_KEY]
    assert json.loads(first[0][1]) == {"next": 0, "origins": {}, "accounted": 0}
    assert json.loads(first[-1][1]) == {"next": 2, "origins": {"0": [1, 0]}, "accounted": 0}
    assert second[0] == first[-1]
    assert json.loads(second[-1][1])["next"] == 4


def test_there_is_no_checkpoint_between_ticks():
    lane, _ = a_lane()
    repeated = (b"", dict(control_headers(Kind.TICK, NOON)) | {"origin": b"2:7:0"})
    lane.apply(0, *repeated)
    lane.apply(1, *batch({"raw_offset": 1}))
    lane.apply(2, *repeated)

    assert list(lane.checkpoint()) == []
    assert [key for key, _ in checkpoint_of(lane)] == [META_KEY, "mill", META_KEY]


def test_a_lane_goes_on_where_its_checkpoint_ended():
    lane, _ = a_lane()
    lane.apply(0, *batch({"raw_offset": 1}))
    kept = dict(checkpoint_of(lane))

    again, agent = a_lane(kept)
    assert again.stamps == {"mill": 1}
    again.apply(2, *batch({"raw_offset": 1}, {"raw_offset": 2}))

    assert agent.counts == {"mill": 2}
    assert again.next_offset == 3


def test_a_restored_lane_opens_its_checkpoint_with_what_it_was_restored_from():
    lane, _ = a_lane()
    lane.apply(0, *batch({"raw_offset": 1}))
    kept = dict(checkpoint_of(lane))

    again, _ = a_lane(kept)
    again.apply(2, *tick())

    assert next(iter(again.checkpoint())) == (META_KEY, kept[META_KEY])


def test_a_site_ahead_of_its_partition_is_not_given_what_it_has():
    lane, _ = a_lane()
    lane.apply(0, *batch({"raw_offset": 1}, {"site_id": "weaver", "raw_offset": 1}))
    kept = dict(checkpoint_of(lane))
    lane.apply(2, *batch({"raw_offset": 2}, {"site_id": "weaver", "raw_offset": 2}))
    kept |= dict(checkpoint_of(lane)[:2])  # the power fails after the first site

    again, agent = a_lane(kept)
    again.apply(2, *batch({"raw_offset": 2}, {"site_id": "weaver", "raw_offset": 2}))
    again.apply(3, *tick())
    again.apply(4, *batch({"raw_offset": 3}, {"site_id": "weaver", "raw_offset": 3}))

    assert agent.counts == {"mill": 3, "weaver": 3}


def test_a_site_ahead_is_not_given_its_record_again_but_others_are():
    lane, _ = a_lane()
    lane.apply(0, *batch({"raw_offset": 1}))
    kept = dict(checkpoint_of(lane)[:2])

    again, agent = a_lane(kept)
    again.apply(0, *record_of("mill"))
    again_other, other_agent = a_lane(kept)
    again_other.apply(0, *record_of("weaver"))

    assert agent.seen == []
    assert [message.record.site.id for message in other_agent.seen if message.record] == ["weaver"]


def test_ticks_reach_the_agent_also_when_a_site_is_ahead():
    lane, _ = a_lane()
    lane.apply(0, *batch({"raw_offset": 1}))
    kept = dict(checkpoint_of(lane)[:2])

    again, agent = a_lane(kept)
    again.apply(0, *tick())

    assert [message.kind for message in agent.seen] == [Kind.TICK]


def test_a_checkpoint_of_few_sites_leaves_the_others_for_later_ones_longest_waiting_first():
    lane, _ = a_lane()
    lane.apply(0, *batch({"site_id": "weaver"}, {"site_id": "press"}))
    lane.apply(1, *tick())
    first = [key for key, _ in lane.checkpoint(at_most=1)]
    lane.apply(2, *batch({"site_id": "mill", "raw_offset": 1}))
    lane.apply(3, *tick())

    assert [first, *([key for key, _ in lane.checkpoint(at_most=1)] for _ in range(2))] == [
        [META_KEY, "press", META_KEY],
        [META_KEY, "weaver", META_KEY],
        [META_KEY, "mill", META_KEY],
    ]


def test_a_successor_begins_before_the_first_change_that_no_checkpoint_wrote():
    lane, _ = a_lane()
    lane.apply(0, *batch({}, {"site_id": "weaver"}))
    lane.apply(1, *tick())
    kept = dict(lane.checkpoint(at_most=1))
    lane.apply(2, *batch({"raw_offset": 1}))
    lane.apply(3, *tick())
    assert lane.restart_offset == 0
    kept |= dict(lane.checkpoint(at_most=1))
    assert lane.restart_offset == 2  # mill changed again after its snapshot

    again, agent = a_lane(kept)
    assert (again.next_offset, agent.counts) == (2, {"mill": 1, "weaver": 1})
    again.apply(2, *batch({"raw_offset": 1}))
    assert agent.counts == {"mill": 2, "weaver": 1}


def test_inherited_state_is_used_where_this_log_has_none():
    lane, _ = a_lane()
    lane.apply(0, *batch({"raw_offset": 1}))
    kept = dict(checkpoint_of(lane))

    again, agent = a_lane(kept, inherited={"mill": b"700", "weaver": b"40"})
    again.apply(2, *batch({"raw_offset": 2}, {"site_id": "weaver", "raw_offset": 2}))

    assert agent.counts == {"mill": 2, "weaver": 41}
    assert again.next_offset == 3


def test_inherited_state_knows_no_offsets_of_this_log():
    lane, agent = a_lane(inherited={"mill": b"700"})
    lane.apply(0, *batch({"raw_offset": 0}))

    assert agent.counts == {"mill": 701}


def test_a_snapshot_is_unstamped_for_another_log():
    lane, _ = a_lane()
    lane.apply(0, *batch({"raw_offset": 1}))

    assert Lane.unstamped(dict(checkpoint_of(lane))["mill"]) == b"1"


def test_what_is_no_message_of_ours_is_a_bug():
    lane, _ = a_lane()

    with pytest.raises(ValueError, match="not a message of an internal topic"):
        lane.apply(0, b"x", {})


def test_a_segment_counts_what_was_taken_and_what_was_seen_before() -> None:
    lane, _ = a_lane()
    row = {"raw_partition": 0, "raw_offset": 7}
    lane.apply(0, *batch(row, row))
    lane.apply(1, *batch(row, {**row, "raw_offset": 8}))
    lane.apply(2, *tick())
    first, tally = lane.cut()
    assert (first, tally.received, tally.duplicates, tally.rows_until, tally.messages) == (0, 3, 1, 1, 3)
    assert (lane.accounted, lane.tally.is_empty) == (3, True)


def test_what_was_not_told_at_a_checkpoint_is_told_by_whoever_goes_on_from_it() -> None:
    lane, _ = a_lane()
    for offset in range(3):
        lane.apply(offset, *tick())
    table = dict(lane.checkpoint())
    again, _ = a_lane(table)
    assert (again.next_offset, again.accounted) == (3, 0)


def test_a_segment_ends_where_a_site_ahead_of_the_partition_ends_and_counts_its_rows_too() -> None:
    lane, _ = a_lane()
    lane.apply(0, *tick())
    before = dict(lane.checkpoint())
    lane.apply(1, *batch({"raw_offset": 1}))
    lane.apply(2, *tick())
    torn = {key: packed for key, packed in lane.checkpoint() if not key.startswith(META)}
    again, _ = a_lane(before | torn)
    again.apply(1, *batch({"raw_offset": 1}))
    assert not again.ends_like_a_checkpoint
    again.apply(2, *tick())
    assert again.ends_like_a_checkpoint
    first, tally = again.cut()
    assert (first, tally.received, tally.partial) == (0, 1, True)
