"""Fees against bills worked out by hand; prices of Jiangsu and Guangdong as a contract would state them."""

from datetime import date

import pytest

from agents.pricing.fees import BasicFee, basic_fee, power_factor, power_factor_share
from schemas.contract import DemandTerms
from schemas.reference.catalogue import load_charges

CHARGES = load_charges()
MONTH = date(2026, 7, 1)


def terms(**given: object) -> DemandTerms:
    return DemandTerms.model_validate({"valid_from": MONTH} | given)


@pytest.mark.parametrize(
    ("agreed", "max_kw", "fee"),
    [
        # By transformer capacity (Jiangsu, 10 kV): 1250 kVA x 32 = 40000, whatever was drawn.
        ({"mode": "transformer_capacity", "capacity_kva": 1250.0}, 700.0, BasicFee(None, None, 40_000.0)),
        ({"mode": "transformer_capacity", "capacity_kva": 1250.0}, None, BasicFee(None, None, 40_000.0)),
        # By contract (51.2 CNY/kW): 800 kW x 51.2 = 40960 up to 105 % = 840 kW.
        ({"mode": "contract_max_demand", "contract_kw": 800.0}, 500.0, BasicFee(800.0, 0.0, 40_960.0)),
        ({"mode": "contract_max_demand", "contract_kw": 800.0}, 840.0, BasicFee(800.0, 0.0, 40_960.0)),
        # 900 kW: 60 kW above the band cost twice, 40960 + 60 x 2 x 51.2 = 47104.
        ({"mode": "contract_max_demand", "contract_kw": 800.0}, 900.0, BasicFee(800.0, 60.0, 47_104.0)),
        # Not below 40 % of the capacity: 0.4 x 1250 = 500 kW although 300 were contracted, 500 x 51.2 = 25600.
        (
            {"mode": "contract_max_demand", "contract_kw": 300.0, "capacity_kva": 1250.0},
            450.0,
            BasicFee(500.0, 0.0, 25_600.0),
        ),
        # Nothing measured yet: the contract is paid in any case.
        ({"mode": "contract_max_demand", "contract_kw": 800.0}, None, BasicFee(800.0, 0.0, 40_960.0)),
        # By actual maximum: 612.5 kW x 51.2 = 31360.
        ({"mode": "actual_max_demand"}, 612.5, BasicFee(612.5, None, 31_360.0)),
        ({"mode": "actual_max_demand"}, None, BasicFee(None, None, None)),
        ({"mode": "single_part"}, 90.0, BasicFee(None, None, 0.0)),
    ],
)
def test_the_basic_fee_of_a_month_is_that_of_the_bill(
    agreed: dict[str, object], max_kw: float | None, fee: BasicFee
) -> None:
    assert basic_fee(terms(**agreed), CHARGES.two_part_rule, max_kw, 51.2, 32.0) == fee


def test_a_fee_without_a_price_is_not_known_and_its_demand_is() -> None:
    agreed = terms(mode="contract_max_demand", contract_kw=800.0)

    assert basic_fee(agreed, CHARGES.two_part_rule, 900.0, None, None) == BasicFee(800.0, 60.0, None)


@pytest.mark.parametrize(
    ("factor", "share"),
    [
        (0.90, 0.0),
        (0.91, -0.0015),
        (0.94, -0.006),
        (0.95, -0.0075),
        (1.00, -0.0075),
        (0.89, 0.005),
        (0.85, 0.025),
        (0.70, 0.10),  # 20 x 0.5 %
        (0.69, 0.11),
        (0.65, 0.15),  # and 5 x 1 %
        (0.64, 0.17),
        (0.60, 0.25),  # and 5 x 2 %
        (0.8949, 0.005),  # billed as 0.89
        (0.895, 0.0),  # billed as 0.90
    ],
)
def test_the_power_factor_changes_the_bill_by_the_share_of_the_table(factor: float, share: float) -> None:
    assert power_factor_share(factor, CHARGES.power_factor_rule) == pytest.approx(share, abs=1e-12)


@pytest.mark.parametrize(
    ("kwh", "kvarh", "factor"),
    [(400.0, 300.0, 0.8), (1000.0, 0.0, 1.0), (1000.0, 484.32, 0.9), (0.0, 10.0, 0.0), (0.0, 0.0, None)],
)
def test_the_power_factor_of_a_month_is_that_of_its_energies(kwh: float, kvarh: float, factor: float | None) -> None:
    assert power_factor(kwh, kvarh) == factor
