import json
from importlib.resources import files
from typing import get_args

import polars as pl
import pytest

from schemas.emission import PERIODS
from schemas.reference.catalogue import (
    REFERENCE_VERSION,
    load_factors,
    load_regions,
    load_tariffs,
    version_of,
)
from schemas.reference.factors import FACTOR_ROWS
from schemas.reference.tariffs import Period


def test_the_shipped_files_load_and_every_province_knows_its_grid() -> None:
    factors = load_factors()

    assert dict(factors.schema) == FACTOR_ROWS
    provinces = factors.filter(pl.col("region_code").is_in(load_regions()["region_code"].to_list()))
    assert provinces["region_code"].n_unique() == 31
    assert provinces["grid_code"].null_count() == 0


def test_a_region_without_a_factor_of_its_own_has_one_row_of_nulls() -> None:
    without = load_factors().filter(pl.col("kg_co2_per_kwh").is_null())

    assert without["region_code"].to_list() == ["CN-XZ"]
    assert without["grid_code"].to_list() == ["CN-GRID-SW"]


def test_factors_under_a_share_alike_licence_are_not_shipped() -> None:
    assert set(load_factors()["kind"].drop_nulls()) == {"average", "residual", "fossil", "reporting"}


def test_the_version_carries_the_date_of_the_edition_and_stands_on_every_factor() -> None:
    assert REFERENCE_VERSION.startswith("2026-11-22+")
    assert load_factors()["reference_version"].unique().to_list() == [REFERENCE_VERSION]


DATA_FILES = [
    "emission_factors.csv",
    "regions.csv",
    "tariffs.json",
    "charges.json",
    "fuel_factors.csv",
    "lifecycle_electricity.csv",
]


@pytest.mark.parametrize("name", DATA_FILES)
def test_a_changed_number_in_any_data_file_changes_the_version(name: str) -> None:
    folder = files("schemas.reference")
    texts = {data: folder.joinpath(data).read_text(encoding="utf-8") for data in DATA_FILES}
    assert version_of(texts, "2026-11-22") == REFERENCE_VERSION

    texts[name] += " "

    assert version_of(texts, "2026-11-22") != REFERENCE_VERSION


def test_the_editions_of_a_plan_follow_one_another() -> None:
    plans = load_tariffs()

    assert set(plans) == {
        "cn-zj-large-industry",
        "cn-js-two-part-industry-315kva",
        "cn-js-single-part-100kva",
        "cn-gd-industry",
        "cn-sd-industry",
        "cn-sh-two-part",
        "cn-ah-industry",
    }
    zhejiang = plans["cn-zj-large-industry"]
    assert [(edition.id, str(edition.valid_from), str(edition.valid_to)) for edition in zhejiang.editions] == [
        ("cn-zj-2024-large-industry", "2024-03-01", "2026-06-30"),
        ("cn-zj-2026-large-industry", "2026-07-01", "None"),
    ]


def test_the_periods_of_the_tariffs_are_the_periods_of_the_events() -> None:
    assert get_args(Period) == PERIODS


def test_the_file_states_the_order_in_which_rules_are_taken() -> None:
    text = files("schemas.reference").joinpath("tariffs.json").read_text(encoding="utf-8")

    assert json.loads(text)["period_priority"] == [
        "holiday_rules",
        "hot_day_rule",
        "date_range_overrides",
        "periods",
    ]
