import json
from collections.abc import Callable
from datetime import date
from importlib.resources import files
from typing import Any

import pytest

from schemas.reference.problems import ReferenceDataError
from schemas.reference.tariffs import DateRangeRule, parse_tariffs

Document = dict[str, Any]
REGIONS = frozenset({"CN-ZJ", "CN-JS", "CN-GD", "CN-SD", "CN-SH", "CN-AH"})


def the_document() -> Document:
    text = files("schemas.reference").joinpath("tariffs.json").read_text(encoding="utf-8")
    document: Document = json.loads(text)
    return document


def problems_of(document: Document) -> list[str]:
    with pytest.raises(ReferenceDataError) as refusal:
        parse_tariffs(json.dumps(document), "tariffs.json", REGIONS)
    assert str(refusal.value).splitlines() == [str(problem) for problem in refusal.value.problems]
    return [str(problem) for problem in refusal.value.problems]


def test_every_problem_is_listed_at_once_with_file_entry_field_and_expectation() -> None:
    document = the_document()
    zhejiang, later, jiangsu, *_ = document["tariffs"]
    zhejiang["valid_from"] = "March 2024"
    zhejiang["periods"][0]["ratio"] = "high"
    later["region_code"] = "CN-ZZ"
    jiangsu["holiday_rules"][0]["holidays"] = ["spring_festival", "christmas"]

    problems = problems_of(document)

    assert [problem.split(": expected")[0] for problem in problems] == [
        "tariffs.json: cn-zj-2024-large-industry: valid_from",
        "tariffs.json: cn-zj-2024-large-industry: periods[0].ratio",
        "tariffs.json: cn-zj-2026-large-industry: region_code",
        "tariffs.json: cn-js-2025-two-part-industry-315kva: holiday_rules[0].holidays",
    ]
    assert problems[1].endswith("expected a valid number; found 'high'")
    assert problems[3].endswith("found 'christmas'")


def test_an_hour_in_no_period_and_an_hour_in_two_are_both_named() -> None:
    document = the_document()
    guangdong = document["tariffs"][4]
    guangdong["periods"][0]["hours"] = [[10, 11.5], [14, 20]]

    problems = problems_of(document)

    assert len(problems) == 2
    assert "periods: expected every minute in exactly one period; 11:30-12:00 is in none" in problems[0]
    assert "19:00-20:00 is in 2 periods on month/weekday 1/1" in problems[1]


def test_editions_of_a_plan_that_overlap_are_refused() -> None:
    document = the_document()
    document["tariffs"][0]["valid_to"] = "2026-07-01"

    (problem,) = problems_of(document)
    assert problem == (
        "tariffs.json: cn-zj-2026-large-industry: valid_from: expected a day after cn-zj-2024-large-industry "
        "of the same plan ended (2026-07-01), found 2026-07-01"
    )


def test_an_open_edition_cannot_be_followed_by_another() -> None:
    document = the_document()
    document["tariffs"][0]["valid_to"] = None

    assert "ended (open)" in problems_of(document)[0]


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda entry: entry.update(valid_to="2021-09-30"), "valid_to not before valid_from"),
        (lambda entry: entry.update(id="cn-zj-2026-large-industry"), "an id of its own"),
        (lambda entry: entry.update(region_code="CN-SH", plan="cn-ah-industry"), "as cn-"),
        (lambda entry: entry.update(colour="green"), "colour: expected Extra inputs are not permitted"),
        (lambda entry: entry.pop("plan"), "plan: expected Field required"),
        (lambda entry: entry["periods"][0].update(hours=[[10.001, 12], [14, 19]]), "quarter hours"),
        (lambda entry: entry["periods"][0].update(hours=[[12, 10]]), "hours that end after they start"),
        (lambda entry: entry["periods"][0].update(hours=[[14, 25]]), "less than or equal to 24"),
        (lambda entry: entry["periods"][0].update(name="rush"), "'sharp', 'peak', 'flat'"),
        (lambda entry: entry["periods"][0].update(months=[13]), "less than or equal to 12"),
        (lambda entry: entry["periods"][0].update(ratio=-1.0), "greater than 0"),
        (
            lambda entry: entry.update(
                date_range_overrides=[
                    {"name": "sharp", "hours": [[1, 2]], "ratio": 2, "date_range": ["02-30", "03-01"]}
                ]
            ),
            "days that exist (MM-DD), not 02-30",
        ),
    ],
)
def test_a_spoilt_entry_is_refused_with_what_was_expected(spoil: Callable[[Document], object], expected: str) -> None:
    document = the_document()
    spoil(document["tariffs"][4])

    assert any(expected in problem for problem in problems_of(document))


def test_a_file_that_is_no_tariff_file_is_refused_with_its_name() -> None:
    with pytest.raises(ReferenceDataError, match=r"tariffs\.json: \(file\): tariffs: expected Field required"):
        parse_tariffs("{}", "tariffs.json", REGIONS)


@pytest.mark.parametrize(
    ("day", "inside"),
    [
        (date(2026, 12, 14), False),
        (date(2026, 12, 15), True),
        (date(2027, 1, 31), True),
        (date(2028, 2, 29), True),
        (date(2028, 3, 1), False),
    ],
)
def test_a_date_range_may_run_over_the_new_year_and_end_on_a_leap_day(day: date, inside: bool) -> None:
    rule = DateRangeRule(name="sharp", hours=((19, 21),), ratio=2.0, date_range=("12-15", "02-29"))

    assert rule.holds_on(day) is inside
