"""The settings of a zone's heating and cooling, and the records that travel about it."""

import pytest
from builders import a_site
from pydantic import ValidationError

from schemas.ack import ACK_RECORD, Ack, Acknowledged, AckReason, AckState, Awaited
from schemas.hvac import Hvac, Mode
from schemas.override import OVERRIDE_RECORD, Override, override_id
from schemas.registry import Zone
from schemas.registry_files import check_registry
from schemas.setpoint import SETPOINT_RECORD, Setpoint, command_id

ZONE = """\
tenants:
  - {id: demo, name: Demo}
sites:
  - id: mill
    tenant: demo
    name: Mill
    region: CN-ZJ
    time_zone: Asia/Shanghai
    tariff: {plan: cn-zj-large-industry}
    meters:
      - {id: main, kind: grid}
    zones:
      - id: hall
        name: Hall
        area_m2: 1200
        hvac:
          equipment_kind: dx
"""
COMMAND = {
    "command_id": command_id("mill", "hall", 1_000),
    "tenant_id": "acme",
    "site_id": "mill",
    "zone_id": "hall",
    "mode": "act",
    "cooling_c": 25.5,
    "issued_at": 1_000,
    "not_after": 61_000,
    "lease_s": 900,
}


def problems(folder, text):
    file = folder / "plant.yaml"
    file.write_text(text, encoding="utf-8")
    _, found = check_registry(file, known_regions={"CN-ZJ"}, known_plans={"cn-zj-large-industry"})
    return [str(problem).replace(f"{folder}/", "") for problem in found]


def test_a_zone_without_settings_stays_what_it_was():
    zone = Zone.model_validate_json('{"id": "hall", "name": "Hall", "area_m2": 1200.0}')

    assert zone.hvac is None


def test_nothing_is_written_to_a_zone_unless_it_is_asked_for():
    assert Hvac(equipment_kind="chiller").mode is Mode.ADVISE


@pytest.mark.parametrize(
    ("kind", "protected"),
    [("dx", (180, 300, 6)), ("chiller", (600, 600, 2)), ("no_compressor", (0, 0, None))],
)
def test_compressors_are_protected_by_the_times_of_their_kind(kind, protected):
    zone = Hvac(equipment_kind=kind)

    assert (zone.least_on_s, zone.least_off_s, zone.most_starts_per_hour) == protected


def test_the_makers_figures_win():
    zone = Hvac(equipment_kind="dx", min_on_s=120, min_off_s=0, max_starts_per_hour=8)

    assert (zone.least_on_s, zone.least_off_s, zone.most_starts_per_hour) == (120, 0, 8)


def test_the_settings_of_a_zone_are_read(tmp_path):
    bacnet = "          bacnet: {device: 1201, address: 192.0.2.10, cooling_object: 'analog-value,1'}\n"

    assert problems(tmp_path, ZONE + bacnet + "          mode: act\n") == []


def test_everything_that_is_wrong_with_a_zone_is_said_at_once(tmp_path):
    wrong = """\
          mode: on
          min_off_s: -5
          comfort_min_c: 27
          setpoint_max_c: 25
          colling_c: 3
          bacnet: {device: 5000000, address: plant.example}
"""
    at = "sites[mill].zones[hall].hvac"

    assert problems(tmp_path, ZONE + wrong) == [
        f"plant.yaml:18: {at}.mode: got 'on'; expected one of 'off', 'advise' or 'act'",
        f"plant.yaml:19: {at}.min_off_s: got -5; expected a number not below 0",
        f"plant.yaml:20: {at}.comfort_min_c: comfort_min_c is 27; expected at most comfort_max_c, which is 26",
        f"plant.yaml:21: {at}.setpoint_max_c: comfort_max_c is 26; expected at most setpoint_max_c, which is 25",
        f"plant.yaml:22: {at}.colling_c: there is no such field",
        f"plant.yaml:23: {at}.bacnet.device: got 5000000; expected a device instance from 0 to 4194302",
        (
            f"plant.yaml:23: {at}.bacnet.address: got 'plant.example'; expected an IPv4 address, with a port or "
            "without: 192.0.2.10:47808"
        ),
        f"plant.yaml:23: {at}.bacnet: says no object; expected cooling_object, heating_object or both",
    ]


def test_a_comfort_band_narrower_than_the_dead_band_cannot_be_kept(tmp_path):
    narrow = "          comfort_min_c: 22\n          comfort_max_c: 23.5\n          dead_band_k: 2\n"

    assert problems(tmp_path, ZONE + narrow) == [
        (
            "plant.yaml:18: sites[mill].zones[hall].hvac.comfort_min_c: the comfort band is 1.5 K wide; expected at "
            "least dead_band_k, which is 2"
        )
    ]


def test_two_zones_cannot_share_a_set_point_of_a_device(tmp_path):
    bacnet = "          bacnet: {device: 1, address: 192.0.2.10, cooling_object: 'analog-value,1'}\n"
    office = "      - {id: office, name: Office, area_m2: 80, hvac: {equipment_kind: dx, bacnet: "
    office += "{device: 1, address: 192.0.2.10, heating_object: 'analog-value,1'}}}\n"

    assert problems(tmp_path, ZONE + bacnet + office) == [
        (
            "plant.yaml:19: sites[mill].zones[office].hvac.bacnet.heating_object: 'analog-value,1' of this device is "
            "a set-point of zone 'hall' already; expected one of its own"
        )
    ]


@pytest.mark.parametrize("point", ["analog-input,1", "analog-value,4194303", "analog-value", "analog-value,-1"])
def test_only_objects_that_can_be_commanded_hold_set_points(point):
    with pytest.raises(ValidationError, match="expected a BACnet object such as"):
        Hvac.model_validate(
            {"equipment_kind": "dx", "bacnet": {"device": 1, "address": "192.0.2.1", "cooling_object": point}}
        )


def test_a_site_finds_its_zones():
    site = a_site("mill", zones=(Zone(id="hall", name="Hall", area_m2=1200.0),))

    assert site.zone("hall") is site.zones[0]
    assert site.zone("office") is None


def test_consumers_know_the_fields_that_are_sent():
    assert Setpoint.model_fields.keys() <= SETPOINT_RECORD.keys()
    assert Override.model_fields.keys() <= OVERRIDE_RECORD.keys()
    assert Acknowledged.model_fields.keys() <= ACK_RECORD.keys()


def test_a_command_says_nothing_about_acting_unless_it_says_act():
    assert Setpoint.model_validate({name: said for name, said in COMMAND.items() if name != "mode"}).mode is Mode.ADVISE


def test_a_field_that_is_added_later_is_no_reason_to_refuse_a_command():
    assert Setpoint.model_validate(COMMAND | {"mood": "good"}).cooling_c == 25.5


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"not_after": 901_001}, "expected a time within the lease, from 1000 to 901000"),
        ({"not_after": 999}, "expected a time within the lease"),
        ({"cooling_c": None}, "has no set-point; expected cooling_c, heating_c or both"),
        ({"cooling_c": float("nan")}, "finite number"),
        ({"cooling_c": "25"}, "valid number"),
        ({"priority": 8}, "greater than or equal to 9"),
        ({"priority": 17}, "less than or equal to 16"),
        ({"lease_s": 0}, "greater than or equal to 1"),
        ({"lease_s": 86_401}, "less than or equal to 86400"),
        ({"issued_at": "now"}, "valid integer"),
        ({"mode": "do it"}, "'off', 'advise' or 'act'"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(change, why):
    with pytest.raises(ValidationError, match=why):
        Setpoint.model_validate(COMMAND | change)


def test_ids_follow_from_what_they_name():
    ack = Ack("acme", "mill", "hall", 5, "c1", AckState.APPLIED, AckReason.WRITTEN, "")

    assert command_id("mill", "hall", 1_000) == "setpoints/mill/hall/1000"
    assert override_id("mill", "hall", 1_000) == "overrides/mill/hall/1000"
    assert ack.id == "acks/c1/applied/written"
    assert ack.row("gateway-1").keys() == ACK_RECORD.keys()


def an_ack(state: str, of: str = COMMAND["command_id"], ts: int = 2_000) -> Acknowledged:
    return Acknowledged(command_id=of, site_id="mill", zone_id="hall", ts=ts, state=state)


def test_a_command_that_is_only_advice_awaits_nobody():
    awaited = Awaited(patience_s=60)
    awaited.take_command(Setpoint.model_validate(COMMAND | {"mode": "advise"}))

    assert not awaited.unacknowledged(10_000_000)


def test_an_answer_that_was_read_before_its_command_counts():
    awaited = Awaited(patience_s=60)
    awaited.take_ack(an_ack("applied"))
    awaited.take_command(Setpoint.model_validate(COMMAND))

    assert not awaited.unacknowledged(100_000)


def test_accepting_a_command_is_not_applying_it_and_a_repeated_accepted_takes_nothing_back():
    awaited = Awaited(patience_s=60)
    awaited.take_command(Setpoint.model_validate(COMMAND))
    awaited.take_ack(an_ack("accepted"))
    assert awaited.unacknowledged(100_000) == {"accepted": 1}

    awaited.take_ack(an_ack("applied"))
    awaited.take_ack(an_ack("accepted", ts=3_000))
    assert not awaited.unacknowledged(100_000)


def test_what_nobody_ever_answered_is_forgotten_in_the_end():
    awaited = Awaited(patience_s=60, forget_s=3600)
    awaited.take_command(Setpoint.model_validate(COMMAND))

    assert awaited.unacknowledged(3_601_000) == {"none": 1}
    assert not awaited.unacknowledged(3_601_001)
