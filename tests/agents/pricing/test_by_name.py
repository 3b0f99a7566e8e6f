"""Numbers of meters are found by their names, for whole columns."""

import numpy as np
import polars as pl

from agents.pricing.by_name import ByName

SITES, METERS = 40, 25
NAMES = pl.DataFrame(
    [(f"site-{site}", f"m{meter}") for site in range(SITES) for meter in range(METERS)],
    schema=["site_id", "meter_id"],
    orient="row",
)
KNOWN = ByName(NAMES["site_id"], NAMES["meter_id"], np.arange(NAMES.height) * 3)


def test_every_meter_has_its_number_in_whatever_order_it_is_asked_for():
    order = np.random.default_rng(1).permutation(NAMES.height)
    asked = NAMES[order]

    assert KNOWN.find(asked["site_id"], asked["meter_id"]).tolist() == (order * 3).tolist()


def test_names_nobody_knows_have_no_number_also_between_others():
    sites = pl.Series(["site-1", "site-1", "elsewhere", "site-39"])
    meters = pl.Series(["m2", "m99", "m2", "m24"])

    assert KNOWN.find(sites, meters).tolist() == [27 * 3, -1, -1, (SITES * METERS - 1) * 3]


def test_where_no_meter_is_known_none_is_found():
    nothing = pl.Series([], dtype=pl.String)
    empty = ByName(nothing, nothing, np.zeros(0, np.int64))

    assert empty.find(pl.Series(["mill"]), pl.Series(["main"])).tolist() == [-1]
    assert KNOWN.find(nothing, nothing).tolist() == []
