import polars as pl
import pytest

from schemas.reference.factors import parse_factors, parse_regions
from schemas.reference.problems import ReferenceDataError

REGIONS = "region_code,region_name_en,region_name_zh,grid_code,note\nCN-ZJ,Zhejiang,浙江,CN-GRID-EC,\n"
HEADER = "region_code,region_name_en,region_name_zh,year,kind,kg_co2_per_kwh,source,checked,seen_in,gas,note\n"
GOOD = 'CN-ZJ,Zhejiang,浙江,2022,average,0.5153,MEE/NBS,2,A;B,CO2,"a note, quoted"\n'


def factors_of(*lines: str) -> pl.DataFrame:
    regions = parse_regions(REGIONS, "regions.csv")
    return parse_factors(HEADER + "".join(lines), "emission_factors.csv", regions, "v1")


def problems_of(*lines: str) -> list[str]:
    with pytest.raises(ReferenceDataError) as refusal:
        factors_of(*lines)
    return [str(problem) for problem in refusal.value.problems]


def test_a_factor_row_gets_its_grid_and_version() -> None:
    assert factors_of(GOOD).to_dicts() == [
        {
            "region_code": "CN-ZJ",
            "grid_code": "CN-GRID-EC",
            "year": 2022,
            "kind": "average",
            "kg_co2_per_kwh": 0.5153,
            "source": "MEE/NBS",
            "checked": 2,
            "gas": "CO2",
            "reference_version": "v1",
        }
    ]


def test_every_bad_field_of_every_row_is_listed_at_once() -> None:
    problems = problems_of(
        GOOD,
        "CN-ZJ,Zhejiang,浙江,soon,average,nan,MEE/NBS,2,A,CO2,\n",
        "CN-ZJ,Zhejiang,浙江,2023,mean,5153,,-1,A,CO2,\n",
    )

    assert [problem.split(": expected")[0] for problem in problems] == [
        "emission_factors.csv: line 3 (CN-ZJ soon average): year",
        "emission_factors.csv: line 3 (CN-ZJ soon average): kg_co2_per_kwh",
        "emission_factors.csv: line 4 (CN-ZJ 2023 mean): kind",
        "emission_factors.csv: line 4 (CN-ZJ 2023 mean): kg_co2_per_kwh",
        "emission_factors.csv: line 4 (CN-ZJ 2023 mean): source",
        "emission_factors.csv: line 4 (CN-ZJ 2023 mean): checked",
    ]


def test_an_unknown_province_and_a_repeated_key_are_refused() -> None:
    problems = problems_of(GOOD, GOOD, GOOD.replace("CN-ZJ", "CN-ZZ"))

    assert len(problems) == 2
    assert problems[0].startswith("emission_factors.csv: CN-ZZ 2022 average: region_code: expected a country")
    assert problems[1].endswith("year: expected one row per key, found it twice")


def test_a_file_with_other_columns_is_refused_by_its_header() -> None:
    with pytest.raises(ReferenceDataError, match=r"line 1: \(header\): expected the columns region_code"):
        parse_factors("a,b\n1,2\n", "emission_factors.csv", parse_regions(REGIONS, "regions.csv"), "v1")


def test_a_row_with_a_column_too_many_or_too_few_is_refused() -> None:
    assert "(extra)" in problems_of(GOOD.replace('"\n', '",what\n'))[0]
    assert "note: expected a valid string" in problems_of(GOOD.replace(',"a note, quoted"', ""))[0]


def test_a_repeated_region_is_refused() -> None:
    with pytest.raises(ReferenceDataError, match="CN-ZJ: region_code: expected one row per key"):
        parse_regions(REGIONS + REGIONS.splitlines()[1] + "\n", "regions.csv")
