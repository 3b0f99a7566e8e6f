"""What the simulated building pays under the agent, with the tariff of its record and without."""

from datetime import datetime

import numpy as np
import pytest

from agents.comfort.step import Comfort
from agents.comfort.tariffs import Tariffs
from bench.hvac.prices import demonstrated, lived, reference
from schemas.flow import SiteRecord

MONDAY_IN_JUNE_2026 = 2359
STEP_MS = 900_000


def test_prices_ahead_are_those_of_the_tariff():
    tariffs = Tariffs(reference())
    tariffs.learn([SiteRecord(demonstrated(), 1)])
    at = round(datetime.fromisoformat("2026-07-01T12:30:20+08:00").timestamp() * 1000)

    ahead = tariffs.ahead(["sim-building", "nobody"], at, STEP_MS)

    # 0.2443 fixed and 0.3957 that floats: valley, flat from one, peak by a fifth more (sharp) from two on.
    assert list(ahead) == ["sim-building"]
    price = ahead["sim-building"]["price"]
    assert len(price) == 32
    assert price[2:6] == pytest.approx([0.2443 + 0.3957] * 4)
    assert price[0] == price[1] < price[2] < price[10] < price[6]
    assert len(set(ahead["sim-building"]["carbon"])) == 1
    assert 0.3 < ahead["sim-building"]["carbon"][0] < 0.9


def test_without_a_plan_that_is_known_nothing_is_said_of_prices():
    tariffs = Tariffs(None)
    tariffs.learn([SiteRecord(demonstrated(), 1)])

    assert tariffs.ahead(["sim-building"], 0, STEP_MS) == {}


def test_the_agent_knows_the_tariff_and_draws_less_when_energy_is_dear():
    own, steered = (lived(agent, MONDAY_IN_JUNE_2026, 9, 2) for agent in (None, Comfort(reference())))

    assert steered.said["precooling"] > 0
    assert steered.cny < 0.98 * own.cny
    assert steered.outside_kh <= own.outside_kh + 0.1
    dear = own.cny_per_kwh >= np.nanmax(own.cny_per_kwh) - 1e-9
    assert steered.kwh[dear].sum() < 0.92 * own.kwh[dear].sum()
