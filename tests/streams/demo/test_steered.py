"""The simulated building is a plant a gateway can write into, and keeps its state on disk."""

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from schemas.hvac import BacnetPoints
from schemas.topics import METER_READINGS, WEATHER, ZONE_READINGS, Topic
from streams.configuration import DEMO_REGISTRY, check_files
from streams.demo.building import SITE_ID, STEP_MS
from streams.demo.recorded import ANCHOR_MS
from streams.demo.steered import SteeredBuilding
from streams.hvac_gateway.lease import Lease
from streams.hvac_gateway.plant import PlantError

NOON_MS = ANCHOR_MS + 2380 * 86_400_000 + 43_200_000  # of a Monday in July
POINTS = BacnetPoints(device=1, address="192.0.2.1", cooling_object="analog-value,1")


def a_lease(**changed: object) -> Lease:
    said = {"command_id": "c", "tenant_id": "demo", "site_id": SITE_ID, "zone_id": "office", "priority": 10}
    values = {"cooling_c": 27.0, "heating_c": 18.0, "ends_at": NOON_MS + 4 * STEP_MS, "by_override": False}
    return Lease.model_validate({**said, **values, "points": POINTS, **changed})


def a_building(path: Path, now_ms: int = NOON_MS) -> SteeredBuilding:
    return SteeredBuilding(path / "building.json", NOON_MS, lambda: now_ms)


def go_on(building: SteeredBuilding, until_ms: int) -> dict[Topic, pl.DataFrame]:
    """Return all that was sent, by topic."""
    sent: dict[Topic, list[pl.DataFrame]] = {}

    async def send(topic: Topic, measured: pl.DataFrame) -> None:
        sent.setdefault(topic, []).append(measured)

    asyncio.run(building.go_on(until_ms, send))
    return {topic: pl.concat(frames) for topic, frames in sent.items()}


def test_it_measures_meters_zones_and_weather_of_every_whole_step(tmp_path: Path):
    sent = go_on(a_building(tmp_path), NOON_MS + 2 * 86_400_000 + STEP_MS + 1)

    assert {topic: frame.height for topic, frame in sent.items()} == {
        WEATHER: 193,
        METER_READINGS: 3 * 193,
        ZONE_READINGS: 2 * 193,
    }


def test_a_step_that_is_not_over_sends_nothing(tmp_path: Path):
    assert go_on(a_building(tmp_path), NOON_MS + STEP_MS - 1) == {}


def test_a_second_run_goes_on_with_its_registers_and_with_what_was_written(tmp_path: Path):
    building = a_building(tmp_path)
    asyncio.run(building.hold(a_lease()))
    before = go_on(building, NOON_MS + STEP_MS)[METER_READINGS]
    again = a_building(tmp_path)
    after = go_on(again, NOON_MS + 2 * STEP_MS)

    assert after[METER_READINGS]["ts"].min() == NOON_MS + 2 * STEP_MS
    assert (after[METER_READINGS]["import_kwh"] >= before["import_kwh"]).all()
    assert "(18 to 27 °C, held)" in again.text()


def test_what_is_not_sent_is_not_kept(tmp_path: Path):
    async def broken(topic: Topic, measured: pl.DataFrame) -> None:
        raise ConnectionError(topic.name)

    with pytest.raises(ConnectionError):
        asyncio.run(a_building(tmp_path).go_on(NOON_MS + STEP_MS, broken))
    assert not (tmp_path / "building.json").exists()


def test_it_shows_what_was_written_until_it_is_given_back(tmp_path: Path):
    building = a_building(tmp_path)
    held = asyncio.run(building.hold(a_lease(heating_c=None)))
    seen = asyncio.run(building.look(a_lease()))
    another = asyncio.run(building.give_back(a_lease(priority=8)))
    back = asyncio.run(building.give_back(a_lease()))
    later = asyncio.run(building.look(a_lease()))

    assert (held.cooling_c, held.heating_c, held.priority) == (27.0, None, 10)
    assert (seen.cooling_c, seen.heating_c, seen.priority) == (27.0, 20.0, 10)
    assert (another.cooling_c, back.cooling_c) == (27.0, 25.0)
    assert (later.cooling_c, later.heating_c, later.priority) == (25.0, 20.0, None)


@pytest.mark.parametrize("wrong", [{"zone_id": "attic"}, {"site_id": "mill"}])
def test_zones_of_others_are_refused(tmp_path: Path, wrong: dict[str, str]):
    with pytest.raises(PlantError, match="no zone"):
        asyncio.run(a_building(tmp_path).hold(a_lease(**wrong)))


def test_a_state_nobody_can_read_is_left_for_a_new_one_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "building.json").write_text('{"step": 3}')
    go_on(a_building(tmp_path), NOON_MS + STEP_MS)

    assert "simulated_building_forgotten" in caplog.text
    assert json.loads((tmp_path / "building.json").read_text())["step"] > 200_000


def test_the_screen_says_who_holds_a_zone(tmp_path: Path):
    building = a_building(tmp_path)
    asyncio.run(building.hold(a_lease()))

    assert building.text() == "workshop 22.0 °C (20 to 25 °C, own) · office 22.0 °C (18 to 27 °C, held)"


def test_its_saving_is_measured_from_the_day_after_the_first_run_on_and_a_later_run_keeps_that_day(tmp_path: Path):
    registry, problems = check_files(DEMO_REGISTRY)
    assert registry is not None
    assert not problems
    first = a_building(tmp_path).proven(registry)
    later = a_building(tmp_path, NOON_MS + 9 * 86_400_000).proven(registry)

    experiment = first.site(SITE_ID).experiment
    assert experiment is not None
    tomorrow = datetime.fromtimestamp(NOON_MS / 1000, ZoneInfo("Asia/Shanghai")).date() + timedelta(1)
    assert experiment.starts_on == tomorrow
    assert later == first
    assert [site for site in first.sites if site.id != SITE_ID] == [
        site for site in registry.sites if site.id != SITE_ID
    ]


def test_the_screen_says_what_is_known_of_its_saving(tmp_path: Path):
    registry, _ = check_files(DEMO_REGISTRY)
    assert registry is not None
    building = a_building(tmp_path)
    assert "saving" not in building.text()
    begins = building.proven(registry).site(SITE_ID).experiment
    assert begins is not None
    assert building.text().endswith(f"saving measured from {begins.starts_on} on")

    of_zone = {"site_id": SITE_ID, "zone_id": "office", "state": "shown", "share": 0.2, "more_days": 0}
    of_all = of_zone | {"zone_id": None}
    building.hear(of_all | {"state": "not_shown_yet", "share": None, "more_days": 13})
    building.hear(of_zone)
    building.hear(of_all | {"site_id": "zj-steel"})
    assert building.text().endswith("saving not shown yet: 13 more days")
    building.hear(of_all | {"state": "not_shown_yet", "share": 0.001, "more_days": None})
    assert building.text().endswith("saving not shown yet")
    building.hear(of_all | {"share": 0.087})
    assert building.text().endswith("saving 8.7%")
