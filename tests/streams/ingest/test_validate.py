"""Which readings are taken, and the reason of every one that is not."""

import json

import polars as pl
import pytest
from builders import NOON, a_meter, a_site

from schemas.flow import SiteRecord
from schemas.reading import TELEMETRY_ROWS
from streams.broker import partition_for
from streams.ingest.decode import Decoded, decode
from streams.ingest.poll import Poll, RawMessage
from streams.ingest.validate import Bounds, Validated, known_meters, validate

PARTITIONS = 8
BOUNDS = Bounds(future_ms=300_000, past_ms=3_600_000)
METERS = known_meters(
    [
        SiteRecord(a_site("mill", a_meter("main"), a_meter("press")), 1),
        SiteRecord(a_site("weaver", tenant="other"), 1),
    ],
    PARTITIONS,
)


def judged(*readings: dict[str, object], key: bytes | None = b"mill") -> Validated:
    poll = Poll.of(
        RawMessage(3, 100 + number, NOON, key, json.dumps(reading).encode()) for number, reading in enumerate(readings)
    )
    return validate(decode(poll), poll, METERS, BOUNDS)


def a_reading(**given: object) -> dict[str, object]:
    return {"site_id": "mill", "meter_id": "main", "ts": NOON, "import_kwh": 1.5} | given


def reasons(found: Validated) -> list[tuple[int, str]]:
    return [(number, reason) for number, _, reason in found.refused.rows()]


def test_a_reading_of_a_known_meter_is_taken_with_tenant_partition_and_raw_place():
    found = judged(a_reading(), a_reading(site_id="weaver"))

    assert dict(found.accepted.schema) == TELEMETRY_ROWS | {"partition": pl.Int32(), "message": pl.Int64()}
    columns = ["tenant_id", "site_id", "partition", "raw_partition", "raw_offset", "import_kwh"]
    assert found.accepted.select(columns).rows() == [
        ("acme", "mill", partition_for("mill", PARTITIONS), 3, 100, 1.5),
        ("other", "weaver", partition_for("weaver", PARTITIONS), 3, 101, 1.5),
    ]
    assert found.accepted["ts"].dt.epoch("ms").to_list() == [NOON, NOON]


def test_the_site_may_be_left_to_the_key():
    found = judged({"meter_id": "main", "ts": NOON, "power_kw": 0.0}, key=b"weaver")

    assert found.accepted["site_id"].to_list() == ["weaver"]


def test_the_site_a_reading_names_counts_more_than_the_key():
    assert judged(a_reading(), key=b"weaver").accepted["site_id"].to_list() == ["mill"]


@pytest.mark.parametrize("key", [None, b"", b"\xff\xfe"], ids=["none", "empty", "no UTF-8"])
def test_without_a_site_in_reading_or_key_a_field_is_missing(key: bytes | None):
    assert reasons(judged(a_reading(site_id=None), key=key)) == [(0, "missing_field")]


@pytest.mark.parametrize("field", ["meter_id", "ts", "import_kwh"])
def test_a_missing_field_is_said(field: str):
    assert reasons(judged(a_reading(**{field: None}), a_reading())) == [(0, "missing_field")]


def test_one_measure_is_enough():
    only_power = a_reading(import_kwh=None, power_kw=-2.0)
    only_export = a_reading(import_kwh=None, export_kwh=0)

    assert reasons(judged(only_power, only_export)) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_none_are_refused(value: float):
    frame = pl.DataFrame([a_reading(power_kw=value), a_reading()])
    poll = Poll.of([RawMessage(0, 0, NOON, None, b"")])
    nothing = pl.lit(None, pl.Float64)
    others = dict.fromkeys(("export_kwh", "import_kvarh", "interval_kwh", "interval_export_kwh"), nothing)
    rows = frame.with_columns(**others, message=pl.lit(0), index=pl.int_range(2))
    found = validate(Decoded(rows, []), poll, METERS, BOUNDS)

    assert found.refused.rows() == [(0, 0, "not_finite")]
    assert found.accepted.height == 1


@pytest.mark.parametrize(
    "unknown",
    [{"meter_id": "ghost"}, {"site_id": "ghost"}, {"site_id": "weaver", "meter_id": "press"}, {"site_id": ""}],
)
def test_a_meter_that_is_not_in_the_registry_is_unknown(unknown: dict[str, object]):
    assert reasons(judged(a_reading(**unknown))) == [(0, "unknown_meter")]


def test_a_reading_may_be_ahead_of_its_arrival_up_to_the_allowance():
    assert reasons(judged(a_reading(ts=NOON + 300_000), a_reading(ts=NOON + 300_001))) == [(1, "future_timestamp")]


def test_a_reading_may_be_as_old_as_the_allowance():
    assert reasons(judged(a_reading(ts=NOON - 3_600_000), a_reading(ts=NOON - 3_600_001))) == [(1, "too_old")]


@pytest.mark.parametrize(
    ("ts", "reason"), [(2**63 - 1, "future_timestamp"), (-(2**63), "too_old"), (NOON // 1000, "too_old")]
)
def test_times_of_another_age_are_refused(ts: int, reason: str):
    assert reasons(judged(a_reading(ts=ts))) == [(0, reason)]


def test_bounds_are_counted_from_the_arrival_of_each_message():
    messages = [RawMessage(0, n, NOON + n * 10_000, b"mill", json.dumps(a_reading(ts=NOON + 305_000)).encode())
                for n in range(2)]  # fmt: skip

    poll = Poll.of(messages)
    found = validate(decode(poll), poll, METERS, BOUNDS)

    assert reasons(found) == [(0, "future_timestamp")]


def test_a_reading_with_several_faults_has_one_reason():
    worst = {"ts": NOON + 10**9, "meter_id": "ghost", "site_id": None}

    assert reasons(judged(worst, key=None)) == [(0, "missing_field")]


def test_an_empty_registry_knows_no_meter():
    message = RawMessage(0, 0, NOON, b"mill", json.dumps(a_reading()).encode())

    poll = Poll.of([message])
    found = validate(decode(poll), poll, known_meters((), PARTITIONS), BOUNDS)

    assert found.refused.rows() == [(0, 0, "unknown_meter")]


def test_readings_keep_the_order_of_the_poll():
    readings = [a_reading(ts=NOON + step, meter_id=("main", "press")[step % 2]) for step in range(20)]

    assert judged(*readings).accepted["raw_offset"].to_list() == list(range(100, 120))


BY_INTERVAL = known_meters(
    [
        SiteRecord(
            a_site("mill", a_meter("main"), a_meter("oven", sends="intervals", interval_s=900, rated_kw=40.0)),
            1,
        )
    ],
    PARTITIONS,
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"meter_id": "oven", "import_kwh": None, "interval_kwh": 10.0}, []),
        ({"meter_id": "oven", "import_kwh": None, "interval_kwh": 0, "interval_export_kwh": 2.5, "power_kw": 3}, []),
        ({"meter_id": "oven"}, [(0, "not_declared")]),
        ({"meter_id": "oven", "interval_kwh": 1.0}, [(0, "not_declared")]),
        ({"meter_id": "oven", "import_kwh": None, "power_kw": 3}, [(0, "not_declared")]),
        ({"interval_kwh": 1.0}, [(0, "not_declared")]),
        ({"import_kwh": None, "interval_kwh": 1.0}, [(0, "not_declared")]),
        ({"meter_id": "oven", "import_kwh": None, "interval_kwh": -0.1}, [(0, "out_of_range")]),
        # Twice 40 kW for a quarter of an hour.
        ({"meter_id": "oven", "import_kwh": None, "interval_kwh": 20.0}, []),
        ({"meter_id": "oven", "import_kwh": None, "interval_kwh": 20.1}, [(0, "out_of_range")]),
    ],
)
def test_energy_of_intervals_is_taken_of_meters_that_are_declared_to_send_it(
    given: dict[str, object], expected: list[tuple[int, str]]
):
    poll = Poll.of([RawMessage(3, 100, NOON, b"mill", json.dumps(a_reading(**given)).encode())])

    assert reasons(validate(decode(poll), poll, BY_INTERVAL, BOUNDS)) == expected
