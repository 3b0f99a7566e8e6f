"""What a tariff of the registry may say about contracts, demand and prices."""

from datetime import date

import pytest
from pydantic import ValidationError

from schemas.contract import DemandTerms, PeakLimit, RetailContract, Tariff

ALL_DAY = {"name": "flat", "hours": ["00:00-24:00"], "ratio": 1.0}


def a_tariff(**given: object) -> Tariff:
    return Tariff.model_validate({"plan": "cn-js-two-part-industry-315kva"} | given)


@pytest.mark.parametrize(
    ("periods", "expected"),
    [
        ([{"name": "flat", "hours": ["00:00-23:00"], "ratio": 1.0}], "23:00-24:00 is in none"),
        ([ALL_DAY, {"name": "peak", "hours": ["08:00-09:00"], "ratio": 2.0}], "08:00-09:00 is in 2 periods"),
        ([{"name": "flat", "hours": ["08:10-24:00"], "ratio": 1.0}], "on quarter hours"),
        ([{"name": "flat", "hours": ["22:00-06:00"], "ratio": 1.0}], "over midnight are two of them"),
        ([ALL_DAY, {"name": "peak", "ratio": 2.0}], "hours in every period, or in none"),
        ([{"name": "flat", "hours": ["00:00-24:00"]}], "a ratio or cny_per_kwh"),
        ([ALL_DAY | {"cny_per_kwh": 0.5}], "not both"),
    ],
)
def test_a_contract_whose_periods_do_not_fit_is_refused_with_the_reason(
    periods: list[dict[str, object]], expected: str
) -> None:
    with pytest.raises(ValidationError, match=expected):
        RetailContract.model_validate({"id": "retail", "valid_from": "2026-03-01", "periods": periods})


def test_contracts_follow_one_another() -> None:
    first = {"id": "first", "valid_from": "2026-03-01", "valid_to": "2026-12-31"}
    second = {"id": "second", "valid_from": "2027-01-01"}

    tariff = a_tariff(contracts=[second, first])

    named = [tariff.contract_on(day) for day in (date(2026, 2, 28), date(2026, 12, 31), date(2027, 1, 1))]
    assert [contract.id if contract else None for contract in named] == [None, "first", "second"]
    with pytest.raises(ValidationError, match="contract second begins before first ends"):
        a_tariff(contracts=[first, second | {"valid_from": "2026-12-31"}])


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"valid_from": "2026-08-02", "mode": "single_part"}, "first day of a month"),
        ({"valid_from": "2026-08-01", "mode": "transformer_capacity"}, "expected capacity_kva"),
        ({"valid_from": "2026-08-01", "mode": "contract_max_demand"}, "expected contract_kw"),
        ({"valid_from": "2026-08-01", "mode": "actual_max_demand", "limit": "contract"}, "expected contract_kw"),
    ],
)
def test_terms_of_demand_that_lack_something_are_refused(terms: dict[str, object], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        DemandTerms.model_validate(terms)


def test_the_terms_of_a_month_are_those_that_began_last() -> None:
    tariff = a_tariff(
        demand=[
            {"valid_from": "2026-08-01", "mode": "actual_max_demand"},
            {"valid_from": "2026-11-01", "mode": "transformer_capacity", "capacity_kva": 1250.0},
        ]
    )

    found = [tariff.demand_on(day) for day in (date(2026, 7, 31), date(2026, 10, 31), date(2026, 11, 30))]
    assert [terms.mode.value if terms else None for terms in found] == [
        None,
        "actual_max_demand",
        "transformer_capacity",
    ]
    assert [terms.peak_limit for terms in found if terms] == [PeakLimit.MONTH_MAXIMUM, PeakLimit.NONE]


def test_a_tariff_travels_as_json_and_stays_the_same() -> None:
    tariff = a_tariff(
        contracts=[{"id": "retail", "valid_from": "2026-03-01", "periods": [ALL_DAY], "contains": ["network"]}],
        hot_days=["2026-05-20"],
        demand=[{"valid_from": "2026-08-01", "mode": "contract_max_demand", "contract_kw": 800.0}],
        power_factor=0.92,
    )

    assert Tariff.model_validate(tariff.model_dump(mode="json")) == tariff
    assert hash(tariff) == hash(Tariff.model_validate_json(tariff.model_dump_json()))
