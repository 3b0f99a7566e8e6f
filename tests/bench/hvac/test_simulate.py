"""EnergyPlus itself, where the extra `hvac` is installed: the own schedule replayed changes nothing at all."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyenergyplus")

from bench.hvac.buildings import shipped
from bench.hvac.simulate import Job, simulate


@pytest.mark.timeout(120)
def test_the_own_schedule_replayed_gives_what_was_recorded(tmp_path: Path):
    office, recording = shipped("office"), tmp_path / "own.npz"
    job = Job(
        idf=str(office.idf),
        epw=str(office.epw),
        window="test",
        first=date(2023, 3, 11).isoformat(),
        days=2,  # with the change to daylight saving time on 12 March
        learning_days=1,
        controller="recording",
        mode="neutral",
        wall=True,
        keep_empty=False,
        recording=str(recording),
        result="",
    )

    own = simulate(job)
    own.save(recording)
    replayed = simulate(replace(job, controller="own"))
    timer = simulate(replace(job, controller="timer+1K"))

    np.testing.assert_array_equal(replayed.electric_kwh, own.electric_kwh)
    np.testing.assert_array_equal(replayed.fuel_kwh, own.fuel_kwh)
    np.testing.assert_array_equal(replayed.air_c, own.air_c)
    assert len(own) == 3 * 96
    assert [own.is_dst[:192].any(), own.is_dst[210:].all()] == [False, True]
    assert timer.people.sum() == own.people.sum()
