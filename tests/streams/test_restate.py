"""An edition of the reference data is laid beside the figures that stand: both can be asked for."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from builders import a_site, ms
from clickhouse_connect.driver.client import Client

from agents.pricing.pricing import Reference
from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_tariffs
from sinks.clickhouse.client import connect
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.restatements import Restatements
from streams.replay.outputs import History
from streams.replay.what_if import FACTORS, with_files
from streams.restate import Restated, restate

SHIPPED = Reference(load_factors(), load_tariffs(), REFERENCE_VERSION)
HEADER = "region_code,region_name_en,region_name_zh,year,kind,kg_co2_per_kwh,source,checked,seen_in,gas,note\n"
# Two quarter hours on both sides of the local midnight between June and July, and one whose factor was unknown.
QUARTERS = (ms(2026, 6, 30, 15, 45), ms(2026, 6, 30, 16, 0), ms(2026, 7, 31, 15, 45))
FILL = """
INSERT INTO emissions_15min (
    tenant_id, site_id, window_start, import_kwh, emitted_kg, market_emitted_kg, cost_cny, windows,
    windows_without_factor, version, computed_at
)
VALUES (
    'acme', '{site}', toDateTime({start} / 1000, 'UTC'), {kwh}, {kg}, {market_kg}, {cny}, 15,
    {without}, {version}, now('UTC')
)
"""


_NUMBERS = count(1)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Path]]:
    path = tmp_path_factory.mktemp("restatements")
    client = connect(f"chdb://{path}")
    yield client, path
    client.close()


@pytest.fixture
def client(engine: tuple[Client, Path]) -> Iterator[Client]:
    """A history with three quarter hours of a site, as a former edition had them."""
    keeper, path = engine
    database = f"restatements_{next(_NUMBERS)}"
    client = connect(f"chdb://{path}?database={database}")
    migrate(client)
    for start in QUARTERS:
        fill(client, start, kwh=100)
    yield client
    keeper.command(f"DROP DATABASE {database}")
    client.close()


def fill(client: Client, start: int, kwh: float, *, version: int = 15) -> None:
    figures = {"kg": kwh * 0.6, "market_kg": kwh * 0.7, "cny": kwh * 0.5, "without": 0}
    client.command(FILL.format(site="mill", start=start, kwh=kwh, version=version, **figures))


def edition(tmp_path: Path, factor: float, checked: int = 1) -> Reference:
    file = tmp_path / "factors.csv"
    file.write_text(f"{HEADER}CN-ZJ,Zhejiang,浙江,2024,average,{factor},a notice,{checked},,CO2,\n", encoding="utf-8")
    return with_files(SHIPPED, {FACTORS: file}, "2026-12-01")


def restated(client: Client, reference: Reference, **how: object) -> Restated:
    return restate(Restatements(client), reference, {"factors": "as published"}, [a_site()], **how)


def as_of(client: Client, moment: int) -> list[tuple[object, ...]]:
    query = f"""
        SELECT round(emitted_kg, 9), reference_version, energy_changed
        FROM v_site_15min_as_of(as_of = fromUnixTimestamp64Milli({moment}, 'UTC')) ORDER BY window_start
    """
    return [tuple(row) for row in client.query(query).result_rows]


def test_the_difference_is_told_by_site_and_local_month(client: Client, tmp_path: Path):
    told = restated(client, edition(tmp_path, 0.5)).differences

    # June has one quarter hour, July two: the second one is after midnight in Zhejiang
    columns = ("period", "import_kwh", "emitted_kg", "former_emitted_kg", "difference_kg", "market_emitted_kg")
    assert [tuple(round(x, 9) if isinstance(x, float) else x for x in row) for row in told.select(columns).rows()] == [
        ("2026-06", 100, 50, 60, -10, 60.96),
        ("2026-07", 200, 100, 120, -20, 121.92),
    ]
    assert told["ts"].to_list() == [ms(2026, 5, 31, 16), ms(2026, 6, 30, 16)]
    assert told["id"][0].startswith("restatement/mill/2026-06/2026-12-01+")
    assert client.query("SELECT count(), sum(difference_kg) FROM v_restatements").result_rows == [(2, -30.0)]


def test_old_and_new_figures_can_be_asked_for_as_of_their_date(client: Client, tmp_path: Path):
    first = restated(client, edition(tmp_path, 0.5))
    version = first.differences["reference_version"][0]

    assert as_of(client, first.known_from - 1) == [(60.0, None, 0)] * 3
    assert as_of(client, first.known_from) == [(50.0, version, 0)] * 3
    assert client.query("SELECT sum(emitted_kg) FROM v_site_15min").result_rows == [(180.0,)]  # as computed at first


def test_a_second_edition_differs_from_the_first_and_leaves_it(client: Client, tmp_path: Path):
    first = restated(client, edition(tmp_path, 0.5))
    second = restated(client, edition(tmp_path, 0.4))

    assert second.differences["former_emitted_kg"].to_list() == pytest.approx([50, 100])
    assert second.differences["former_version"].to_list() == first.differences["reference_version"].to_list()
    assert [kg for kg, _, _ in as_of(client, first.known_from)] == [50.0] * 3
    assert [kg for kg, _, _ in as_of(client, second.known_from)] == [40.0] * 3


def test_the_same_edition_again_changes_nothing_and_tells_the_same(client: Client, tmp_path: Path):
    first = restated(client, edition(tmp_path, 0.5))
    second = restated(client, edition(tmp_path, 0.5))

    assert second.known_from == first.known_from
    assert second.differences.equals(first.differences)
    assert client.query("SELECT count() FROM restated_15min FINAL").result_rows == [(3,)]
    assert client.query("SELECT count() FROM v_restatements").result_rows == [(2,)]


def test_energy_that_came_late_is_shown_as_changed_until_it_is_restated_again(client: Client, tmp_path: Path):
    first = restated(client, edition(tmp_path, 0.5))
    fill(client, QUARTERS[0], kwh=110, version=16)
    before = as_of(client, first.known_from)[0]

    restated(client, edition(tmp_path, 0.5))

    assert before[2] == 1
    assert as_of(client, first.known_from)[0] == (55.0, first.differences["reference_version"][0], 0)


def test_an_unchecked_factor_changes_nothing(client: Client, tmp_path: Path):
    told = restated(client, edition(tmp_path, 0.1, checked=0)).differences

    assert told["emitted_kg"].to_list() == pytest.approx([51.53, 103.06])  # Zhejiang 2022 as before


def test_a_dry_run_tells_and_writes_nothing(client: Client, tmp_path: Path):
    told = restated(client, edition(tmp_path, 0.5), dry=True).differences

    assert told.height == 2
    for table in ("reference_editions", "restated_15min", "restatements"):
        assert client.query(f"SELECT count() FROM {table}").result_rows == [(0,)]


def test_only_the_wanted_months_are_restated(client: Client, tmp_path: Path):
    done = restated(client, edition(tmp_path, 0.5), months=("2026-07", "2026-07"))

    assert (done.quarters, done.differences["period"].to_list()) == (2, ["2026-07"])
    assert [kg for kg, _, _ in as_of(client, done.known_from)] == [60.0, 50.0, 50.0]


def test_a_figure_that_was_unknown_becomes_known_with_no_difference_invented(client: Client, tmp_path: Path):
    client.command("TRUNCATE TABLE emissions_15min")
    client.command(
        FILL.format(
            site="mill", start=QUARTERS[0], kwh=100, kg="NULL", market_kg="NULL", cny="NULL", without=15, version=15
        )
    )

    told = restated(client, edition(tmp_path, 0.5)).differences.row(0, named=True)

    assert (told["former_emitted_kg"], told["emitted_kg"], told["difference_kg"]) == (None, 50.0, None)


def test_what_an_edition_was_is_kept_with_it(client: Client, tmp_path: Path):
    restated(client, edition(tmp_path, 0.5))

    assert client.query("SELECT file, text FROM reference_editions").result_rows == [("factors", "as published")]


def test_the_provenance_of_both_factors_is_in_every_row(client: Client, tmp_path: Path):
    restated(client, edition(tmp_path, 0.5))

    columns = "factor_region, factor_year, factor_kind, factor_source, market_rest_kind, market_rest_year"
    rows = client.query(f"SELECT DISTINCT {columns} FROM restated_15min").result_rows
    assert rows == [("CN-ZJ", 2024, "average", "a notice", "residual", 2023)]


def test_a_month_that_stays_as_it_is_is_not_told(client: Client, tmp_path: Path):
    reference = edition(tmp_path, 0.5)
    told = restated(client, reference).differences
    same = restate(
        Restatements(client),
        with_files(reference, {FACTORS: tmp_path / "factors.csv"}, "later"),
        {},
        [a_site()],
        dry=True,
    )

    assert told.height == 2
    assert same.differences.is_empty()


def test_a_replay_is_told_which_other_editions_it_would_replace(client: Client):
    start = QUARTERS[0]
    client.command(
        "INSERT INTO emissions (id, tenant_id, site_id, ts, window_s, quality, reference_version)"
        f" VALUES ('e', 'acme', 'mill', toDateTime64({start} / 1000, 3, 'UTC'), 60, 'measured', '2025-01-01+old')"
    )
    history = History(client, "run")

    assert history.other_editions(start, start + 60_000, (), REFERENCE_VERSION) == ["2025-01-01+old"]
    assert history.other_editions(start, start + 60_000, ("press",), REFERENCE_VERSION) == []
    assert history.other_editions(start + 60_000, start + 120_000, (), REFERENCE_VERSION) == []
    assert history.other_editions(start, start + 60_000, (), "2025-01-01+old") == []
