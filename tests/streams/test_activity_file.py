"""Activities from CSV: what is right is computed, what is wrong is said with file, row and field."""

from pathlib import Path

import pytest
from builders import a_site

from streams.activity_file import read_activities

HEADER = "id,site_id,fuel,quantity,unit,first_day,last_day,basis\n"
GAS = "gas-06,mill,natural_gas,1000,Nm3,2026-06-01,2026-06-30,\n"


def read(tmp_path: Path, *lines: str, header: str = HEADER):
    path = tmp_path / "fuel.csv"
    path.write_text(header + "".join(lines), encoding="utf-8")
    rows, problems = read_activities(path, {"mill": a_site()})
    return rows, [str(problem).removeprefix(str(path)) for problem in problems]


def test_a_right_file_gives_a_record_per_row(tmp_path: Path):
    rows, problems = read(tmp_path, GAS, "heat-06,mill,heat,30,GJ,2026-06-01,2026-06-30,\n")

    assert problems == []
    assert rows["emitted_kg"].to_list() == pytest.approx([2162.19, 3300.0])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (GAS.replace("1000", "-5"), ":2: quantity: "),
        (GAS.replace("1000", "many"), ":2: quantity: "),
        (GAS.replace("Nm3", "m3"), ":2: unit: "),
        (GAS.replace("mill", "mil"), ":2: site_id: there is no site 'mil' in the registry"),
        (GAS.replace("natural_gas", "moonlight"), ":2: fuel: there is no checked factor of moonlight per Nm3"),
        (GAS.replace("2026-06-30", "2026-05-30"), "expected last_day not before first_day"),
    ],
)
def test_a_wrong_field_is_named_with_its_row(tmp_path: Path, line: str, words: str):
    rows, problems = read(tmp_path, line)

    assert rows.is_empty()
    assert len(problems) == 1
    assert words in problems[0]


def test_an_id_used_twice_is_named_with_the_earlier_line(tmp_path: Path):
    assert read(tmp_path, GAS, GAS)[1] == [":3: id: the id is in line 2 already"]


def test_a_missing_column_is_named(tmp_path: Path):
    assert (
        "the columns unit are missing" in read(tmp_path, header="id,site_id,fuel,quantity,first_day,last_day\n")[1][0]
    )
