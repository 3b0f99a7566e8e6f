"""Activities from the field: what is right is priced and passed on, the rest is a dead letter with its reason."""

import json
from types import SimpleNamespace
from typing import cast

import pytest
from aiokafka import ConsumerRecord
from builders import a_site

from schemas.accounting import Caused
from schemas.flow import SiteRecord
from schemas.reference.catalogue import REFERENCE_VERSION, load_fuels
from schemas.rejection import Reason
from streams.ingest.activities import followed, segments_of
from streams.ingest.activity_lines import Refused, judged

FUELS = load_fuels()
SITES = {"mill": SiteRecord(a_site(), 1)}
GAS = {
    "id": "gas-06",
    "site_id": "mill",
    "fuel": "natural_gas",
    "quantity": 1000.0,
    "unit": "Nm3",
    "first_day": "2026-06-01",
    "last_day": "2026-06-30",
}


def found(value: bytes) -> list[dict[str, object] | Refused]:
    return list(judged(value, SITES, FUELS, REFERENCE_VERSION))


def reason_of(**changed: object) -> tuple[Reason, str]:
    given = {name: value for name, value in (GAS | changed).items() if value is not None}
    (refused,) = found(json.dumps(given).encode())
    assert isinstance(refused, Refused)
    return refused.reason, refused.detail


def test_an_activity_is_priced_with_its_factor_and_names_the_reference_data():
    (record,) = found(json.dumps(GAS).encode())

    assert isinstance(record, dict)
    assert record["emitted_kg"] == pytest.approx(2162.19)
    assert (record["scope"], record["reference_version"]) == ("1", REFERENCE_VERSION)


@pytest.mark.parametrize(
    ("changed", "reason", "words"),
    [
        ({"site_id": "mil"}, Reason.UNKNOWN_SITE, "no site 'mil'"),
        ({"fuel": "moonlight"}, Reason.NO_FACTOR, "moonlight per Nm3"),
        ({"quantity": -1.0}, Reason.INVALID_ACTIVITY, "quantity: "),
        ({"unit": "m3"}, Reason.INVALID_ACTIVITY, "unit: "),
        ({"last_day": "2026-05-01"}, Reason.INVALID_ACTIVITY, "expected last_day not before first_day"),
        ({"colour": "blue"}, Reason.INVALID_ACTIVITY, "colour: "),
        ({"first_day": None, "unit": None}, Reason.MISSING_FIELD, "expected unit, first_day"),
    ],
)
def test_what_is_wrong_is_refused_with_its_reason(changed: dict[str, object], reason: Reason, words: str):
    slug, detail = reason_of(**changed)
    assert slug is reason
    assert words in detail


@pytest.mark.parametrize("value", [b"", b"\xff\xfe", b"[1, 2]", b'"gas"', b"{"])
def test_what_is_no_object_is_undecodable(value: bytes):
    (refused,) = found(value)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.UNDECODABLE


def test_lines_of_a_message_are_judged_by_themselves_and_keep_their_place():
    bad = GAS | {"id": "gas-07", "unit": "m3"}
    value = b"\n".join(json.dumps(row).encode() for row in (GAS, bad, GAS | {"id": "gas-08"}))
    message = SimpleNamespace(partition=2, offset=7, timestamp=1_000, key=b"mill", value=value, headers=())

    sent = [one for _, one in followed(cast("ConsumerRecord", message), SITES, FUELS, 4)]

    assert [one.topic for one in sent] == ["activity.v1", "dead-letters.v1", "activity.v1"]
    assert [dict(one.headers).get("origin") for one in sent] == [b"2:7:0", None, b"2:7:2"]
    letter = dict(sent[1].headers)
    assert (letter["dlq_reason"], letter["dlq_topic"], letter["dlq_index"]) == (
        b"invalid_activity",
        b"activities.v1",
        b"1",
    )
    assert b"unit" in letter["dlq_detail"]
    assert json.loads(sent[1].value) == bad


def test_the_account_of_a_poll_goes_on_where_the_last_one_ended_and_is_cut_at_minutes():
    arrivals = [(10, 1_000), (11, 59_999), (13, 60_000), (14, 61_000)]
    records = [
        (cast("ConsumerRecord", SimpleNamespace(offset=offset, timestamp=at)), used, refused)
        for (offset, at), (used, refused) in zip(arrivals, [(1, 0), (0, 2), (0, 0), (3, 1)], strict=True)
    ]

    told = list(segments_of(2, 8, records, Caused()))

    assert [(one.first_offset, one.last_offset, one.arrived_at) for one in told] == [(8, 11, 59_999), (12, 14, 61_000)]
    assert [(one.tally.messages, one.tally.received, one.tally.refused) for one in told] == [(2, 3, 2), (2, 4, 1)]
    assert [one.tally.rows_until for one in told] == [11, 14]
