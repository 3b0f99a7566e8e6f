"""What is refused among the instruments of a registry, and why."""

from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from schemas.instrument_checks import instrument_faults
from schemas.registry_files import check_registry

BATCH = {
    "id": "gec-1",
    "kind": "gec",
    "market": "CN",
    "vintage": 2026,
    "for_year": 2026,
    "kwh": 1000,
    "kg_per_kwh": 0,
    "retired_on": "2027-01-05",
}
WIND = {"id": "wind", "market": "CN", "valid_from": "2026-01-01", "kg_per_kwh": 0, "share": 0.6}
RETAIL = {"id": "retail", "valid_from": "2026-01-01", "kg_per_kwh": 0.4, "source": "letter of 2026-01-05"}


def a_registry(market_based: object = None, *, shared: object = ()) -> dict[str, object]:
    sites = [
        {
            "id": name,
            "tenant": "acme",
            "name": name,
            "region": "CN-ZJ",
            "time_zone": "Asia/Shanghai",
            "tariff": {"plan": "cn-zj-large-industry"},
            "meters": [{"id": "main", "kind": "grid"}],
        }
        for name in ("mill", "press")
    ]
    sites[0]["market_based"] = market_based or {}
    return {"tenants": [{"id": "acme", "name": "Acme", "certificates": list(shared)}], "sites": sites}


def found(registry: object) -> list[str]:
    return [fault.text for fault in instrument_faults(registry)]


def test_instruments_that_fit_are_accepted(tmp_path: Path):
    supplier = RETAIL | {"valid_to": "2026-06-30"}
    next_one = RETAIL | {"id": "next", "valid_from": "2026-07-01"}
    market_based = {"certificates": [BATCH], "contracts": [WIND], "suppliers": [supplier, next_one]}
    written = a_registry(market_based, shared=[BATCH | {"id": "pool", "sites": ["mill", "press"]}])
    file = tmp_path / "registry.yaml"
    file.write_text(yaml.safe_dump(written), encoding="utf-8")

    registry, problems = check_registry(file, known_regions={"CN-ZJ"}, known_plans={"cn-zj-large-industry"})

    assert problems == []
    assert registry is not None
    assert registry.site("mill").market_based.certificates[0].kwh == 1000


@pytest.mark.parametrize(
    ("market_based", "reason"),
    [
        (
            {"certificates": [BATCH | {"vintage": 2024}]},
            "vintage 2024 is not near the reporting year 2026; expected 2025 or 2026",
        ),
        (
            {"certificates": [BATCH | {"market": "US"}]},
            "a certificate of market US cannot be claimed in CN; expected market 'CN'",
        ),
        (
            {"contracts": [WIND | {"market": "DE"}]},
            "a contract of market DE cannot be claimed in CN; expected market 'CN'",
        ),
        (
            {"contracts": [WIND, WIND | {"id": "sun", "valid_from": "2026-03-01", "share": 0.5}]},
            "the contracts valid on 2026-03-01 cover 1.1 of what is drawn; expected at most 1 together",
        ),
        (
            {"suppliers": [RETAIL, RETAIL | {"id": "next", "valid_from": "2026-07-01"}]},
            "'retail' is valid on 2026-07-01 too; expected one supplier rate a day",
        ),
        (
            {"certificates": [BATCH], "sold": [{"id": "gec-1", "vintage": 2026, "kwh": 10}]},
            (
                "certificate 'gec-1' is used by site mill and by the buyer of site mill; "
                "expected one claim to it in the whole registry"
            ),
        ),
    ],
)
def test_an_impossible_instrument_is_refused_with_the_reason(market_based: object, reason: str):
    assert found(a_registry(market_based)) == [reason]


def test_a_certificate_claimed_by_a_site_and_by_its_tenant_is_refused():
    registry = a_registry({"certificates": [BATCH]}, shared=[BATCH | {"sites": ["press"]}])

    assert found(registry) == [
        "certificate 'gec-1' is used by tenant acme and by site mill; expected one claim to it in the whole registry"
    ]


def test_a_tenant_shares_with_its_own_sites_only():
    assert found(a_registry(shared=[BATCH | {"sites": ["other"]}])) == [
        "there is no site 'other' of this tenant; expected the id of one of its own"
    ]


def test_shares_that_add_up_to_everything_are_fine():
    thirds = [WIND | {"id": f"c{number}", "share": share} for number, share in enumerate((0.1, 0.2, 0.7))]

    assert found(a_registry({"contracts": thirds})) == []


@pytest.mark.parametrize(
    ("left_out", "where"), [("kg_per_kwh", "kg_per_kwh"), ("retired_on", "retired_on"), ("vintage", "vintage")]
)
def test_a_certificate_without_rate_retirement_or_vintage_is_refused_with_its_place(
    tmp_path: Path, left_out: str, where: str
):
    batch = deepcopy(BATCH)
    del batch[left_out]
    file = tmp_path / "registry.yaml"
    file.write_text(yaml.safe_dump(a_registry({"certificates": [batch]})), encoding="utf-8")

    _, problems = check_registry(file, known_regions={"CN-ZJ"}, known_plans={"cn-zj-large-industry"})

    assert [problem.path for problem in problems] == [f"sites[mill].market_based.certificates[gec-1].{where}"]


@pytest.mark.parametrize("nonsense", [None, [], {"sites": [3, {"market_based": [1]}]}, {"sites": [{"id": 1}]}])
def test_checks_survive_nonsense(nonsense: object):
    assert found(nonsense) == []
