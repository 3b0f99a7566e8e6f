"""Results on disk: written after each score, always in the same order."""

import json
from pathlib import Path

import pytest
from simulated import office

from bench.hvac.__main__ import Results, read_score
from bench.hvac.scoring import Score, score

ABOUT: dict[str, object] = {"package": "of a test"}


def of(controller: str) -> Score:
    return score(("office", "year", controller, "neutral"), office(), office(), 1)


def test_results_are_in_one_order_whoever_is_done_first(tmp_path: Path):
    results = Results(tmp_path / "deep" / "hvac", ABOUT, add=False)

    results.keep(of("timer"))
    results.keep(of("own"))

    written = json.loads((tmp_path / "deep" / "hvac.json").read_text())
    assert written["package"] == "of a test"
    assert [read_score(row) for row in written["scores"]] == [of("own"), of("timer")]
    assert "| office | year | own | neutral | 384 | 384 | 0.0% |" in (tmp_path / "deep" / "hvac.md").read_text()


def test_scores_that_are_there_stay_only_if_that_is_asked_for(tmp_path: Path):
    def names(*, add: bool) -> list[str]:
        results = Results(tmp_path / "hvac", ABOUT, add=add)
        results.keep(of("wattloop"))
        return [row["controller"] for row in json.loads((tmp_path / "hvac.json").read_text())["scores"]]

    Results(tmp_path / "hvac", ABOUT, add=False).keep(of("timer"))

    assert names(add=True) == ["timer", "wattloop"]
    assert names(add=False) == ["wattloop"]


def test_scores_of_other_conditions_are_not_put_together(tmp_path: Path):
    Results(tmp_path / "hvac", ABOUT, add=False).keep(of("timer"))

    with pytest.raises(ValueError, match="expected results of"):
        Results(tmp_path / "hvac", {"package": "of another"}, add=True)
