from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.problem import ConfigurationError
from schemas.registry import MeterKind, Registry
from schemas.registry_files import check_registry, load_registry

REGIONS = {"CN-ZJ", "CN-GD"}
PLANS = {"cn-zj-large-industry"}

TENANT = """\
tenants:
  - {id: demo, name: Demo}
"""
SITE = """\
sites:
  - id: mill
    tenant: demo
    name: Mill
    region: CN-ZJ
    time_zone: Asia/Shanghai
    tariff: {plan: cn-zj-large-industry}
    meters:
      - {id: main, kind: grid}
"""


def load(path: Path) -> Registry:
    return load_registry(path, known_regions=REGIONS, known_plans=PLANS)


def problems(path: Path) -> list[str]:
    """Return the problems, without the folder in front."""
    registry, found = check_registry(path, known_regions=REGIONS, known_plans=PLANS)
    assert (registry is None) == bool(found)
    folder = path if path.is_dir() else path.parent
    return [str(problem).replace(f"{folder}/", "") for problem in found]


def a_file(folder: Path, text: str, name: str = "plant.yaml") -> Path:
    file = folder / name
    file.write_text(dedent(text), encoding="utf-8")
    return file


def test_a_whole_site_is_read_as_it_was_written(tmp_path):
    file = a_file(
        tmp_path,
        TENANT
        + """\
sites:
  - id: mill
    tenant: demo
    name: Mill No. 1
    name_zh: 一号厂
    region: CN-ZJ
    time_zone: Asia/Shanghai
    tariff:
      plan: cn-zj-large-industry
      prices:
        - {valid_from: 2026-07-01, floating_base_cny_per_kwh: 0.5252, fixed_part_cny_per_kwh: 0}
    shifts:
      - {name: night, weekdays: [1, 5], start: 22:00, end: 06:00}
    meters:
      - {id: main, kind: grid, rated_kw: 800, multiplier: 400, interval_s: 900}
      - {id: ahu, kind: hvac, parent: main, equipment: ahu-1}
    equipment:
      - {id: ahu-1, name: Air handler, kind: air_handler}
    zones:
      - {id: hall, name: Hall, area_m2: 1200.5, meter: ahu}
""",
    )

    site = load(file).site("mill")

    assert site.name_zh == "一号厂"
    assert site.tariff.prices[0].valid_from.isoformat() == "2026-07-01"
    assert (site.shifts[0].start_min, site.shifts[0].end_min) == (22 * 60, 6 * 60)
    assert site.meter("main").multiplier == 400
    assert site.meter("ahu").kind is MeterKind.HVAC
    assert site.zones[0].area_m2 == 1200.5


def test_a_directory_is_one_registry(tmp_path):
    a_file(tmp_path, TENANT, "tenants.yaml")
    a_file(tmp_path, SITE, "mill.yml")
    a_file(tmp_path, SITE.replace("mill", "yard"), "yard.yaml")
    a_file(tmp_path, "not: ours", "notes.txt")

    assert [site.id for site in load(tmp_path).sites] == ["mill", "yard"]


def test_every_problem_of_every_file_is_listed_with_file_line_and_field(tmp_path):
    a_file(tmp_path, TENANT, "a.yaml")
    a_file(tmp_path, SITE.replace("kind: grid", "kind: grid, rated_kw: -5, mulitplier: 2"), "b.yaml")
    a_file(tmp_path, SITE.replace("CN-ZJ", "CN-ZX").replace("tenant: demo", "tenant: dmeo"), "c.yaml")

    assert problems(tmp_path) == [
        "b.yaml:9: sites[mill].meters[main].rated_kw: got -5; expected a number above 0",
        "b.yaml:9: sites[mill].meters[main].mulitplier: there is no such field; did you mean 'multiplier'?",
        "c.yaml:2: sites[mill].id: 'mill' is used twice in this registry; expected ids to be unique",
        "c.yaml:3: sites[mill].tenant: there is no tenant 'dmeo' in this registry; did you mean 'demo'?",
        (
            "c.yaml:5: sites[mill].region: 'CN-ZX' is not known; expected a region of the reference data; "
            "did you mean 'CN-ZJ'?"
        ),
    ]


@pytest.mark.parametrize(
    ("was", "becomes", "expected"),
    [
        ("    name: Mill\n", "", "plant.yaml:4: sites[mill].name: is missing"),
        ("    name: Mill\n", "    name: 7\n", "plant.yaml:6: sites[mill].name: got 7; expected text"),
        (
            "cn-zj-large-industry",
            "cn-zj-large-industy",
            (
                "plant.yaml:9: sites[mill].tariff.plan: 'cn-zj-large-industy' is not known; "
                "expected a tariff plan of the reference data; did you mean 'cn-zj-large-industry'?"
            ),
        ),
        (
            "kind: grid",
            "kind: grd",
            (
                "plant.yaml:11: sites[mill].meters[main].kind: got 'grd'; "
                "expected one of 'grid', 'generation', 'sub_meter' or 'hvac'"
            ),
        ),
        (
            "kind: grid",
            "kind: grid, interval_s: 60.5",
            "plant.yaml:11: sites[mill].meters[main].interval_s: got 60.5; expected a whole number",
        ),
        (
            "kind: grid",
            "kind: hvac",
            (
                "plant.yaml:10: sites[mill].meters: no meter is of kind 'grid'; "
                "expected at least one: it is what the site pays for"
            ),
        ),
        (
            "kind: grid",
            "kind: grid, equipment: press",
            (
                "plant.yaml:11: sites[mill].meters[main].equipment: there is no equipment 'press' "
                "at this site; expected the id of a piece of equipment"
            ),
        ),
        (
            "    name: Mill\n",
            "    name: Mill\n    name: Mill\n",
            "plant.yaml:7: the field 'name' is given twice, first on line 6",
        ),
        (
            "Asia/Shanghai",
            "Asia/Shangai",
            (
                "plant.yaml:8: sites[mill].time_zone: got 'Asia/Shangai'; "
                "expected an IANA time zone such as Asia/Shanghai"
            ),
        ),
        (
            "    meters:\n      - {id: main, kind: grid}\n",
            "    meters:\n",
            "plant.yaml:10: sites[mill].meters: got nothing; expected a list",
        ),
        ("sites:", "site:", "plant.yaml:3: site: there is no such section; did you mean 'sites'?"),
        (
            "    tariff: {plan: cn-zj-large-industry}\n",
            (
                "    tariff: {plan: cn-zj-large-industry, prices: [{valid_from: soon, "
                "floating_base_cny_per_kwh: 1, fixed_part_cny_per_kwh: 0}]}\n"
            ),
            ("plant.yaml:9: sites[mill].tariff.prices[0].valid_from: got 'soon'; expected a date such as 2026-07-01"),
        ),
    ],
)
def test_one_mistake_is_one_problem_that_says_what_was_expected(tmp_path, was, becomes, expected):
    text = TENANT + SITE
    assert was in text

    assert problems(a_file(tmp_path, text.replace(was, becomes))) == [expected]


def test_a_file_that_is_not_yaml_does_not_hide_the_problems_of_the_others(tmp_path):
    a_file(tmp_path, "tenants: [\n  {id: demo", "a.yaml")
    a_file(tmp_path, SITE.replace("grid", "grd"), "b.yaml")

    found = problems(tmp_path)

    assert [problem.split(":")[:2] for problem in found] == [["a.yaml", "2"], ["b.yaml", "9"]]
    assert "is not YAML" in found[0]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "plant.yaml:1: expected `tenants:` and `sites:` at the top"),
        (b"- a\n", "plant.yaml:1: expected `tenants:` and `sites:` at the top"),
        (b"tenants: []\n", "plant.yaml: there are no sites; expected at least one under `sites:`"),
        (b"tenants: {}\nsites: []\n", "plant.yaml:1: tenants: expected a list of tenants, each beginning"),
        (b"sites:\n  - \xff\n", "plant.yaml:2: is not UTF-8 text"),
        (b"sites:\n  - \x07\n", "plant.yaml:2: is not YAML: special characters are not allowed"),
        (b"sites: []\n---\nsites: []\n", "plant.yaml:2: is not YAML: expected a single document"),
        (b"tenants: &a\n  - *a\n", "plant.yaml:1: an alias may not contain itself"),
        (b"? [a]\n: b\n", "plant.yaml:1: expected a field name in front of the colon"),
        (b"sites: [3]\n", "plant.yaml:1: sites[0]: got 3; expected a block of fields"),
    ],
)
def test_a_file_that_is_no_registry_is_refused_with_a_reason(tmp_path, content, expected):
    file = tmp_path / "plant.yaml"
    file.write_bytes(content)

    assert any(problem.startswith(expected) for problem in problems(file)), problems(file)


def test_a_path_that_leads_nowhere_is_a_problem(tmp_path):
    assert problems(tmp_path / "plant.yaml") == ["plant.yaml: cannot be read: no such file or directory"]


def test_a_directory_without_files_is_a_problem(tmp_path):
    with pytest.raises(ConfigurationError, match=r"holds no \*\.yaml file"):
        load(tmp_path)


def test_aliases_of_aliases_cannot_fill_the_memory(tmp_path):
    layers = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    layers += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]

    assert problems(a_file(tmp_path, "\n".join(layers))) == ["plant.yaml:1: has more than 500000 parts"]


def test_shared_prices_may_be_written_once(tmp_path):
    prices = "tariff: {plan: cn-zj-large-industry}"
    second = SITE.removeprefix("sites:\n").replace("mill", "yard").replace(prices, "tariff: *shared")
    text = TENANT + SITE.replace("tariff: {", "tariff: &shared {") + second

    registry = load(a_file(tmp_path, text))

    assert registry.site("mill").tariff == registry.site("yard").tariff


@given(text=st.text(alphabet="sites:- {}[],&*a\n\"'|>?0.1#", max_size=60))
def test_no_text_makes_the_checker_fail_in_another_way(tmp_path_factory, text):
    file = tmp_path_factory.mktemp("any") / "plant.yaml"
    file.write_text("tenants:\n" + text, encoding="utf-8")

    registry, found = check_registry(file, known_regions=REGIONS, known_plans=PLANS)

    assert registry is None
    assert found
