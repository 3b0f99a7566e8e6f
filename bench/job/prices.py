"""What the reference data says about each minute of the job: factor and price, for the peers and for the judge.

Runs in Wattloop's environment, because the reference data is a part of the product; peers get its answer as a table,
which spares them the work of choosing a factor and building a tariff calendar.
"""

import json
import sys

import polars as pl

from agents.pricing.pricing import Pricing, Reference
from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_tariffs
from schemas.registry import Site


def main() -> None:
    """Read `{"site": …, "first_ms": …, "end_ms": …}` and print factor and price of each minute."""
    asked = json.load(sys.stdin)
    site = Site.model_validate(asked["site"])
    pricing = Pricing(Reference(load_factors(), load_tariffs(), REFERENCE_VERSION))
    pricing.learn([site])
    starts = pl.int_range(asked["first_ms"], asked["end_ms"], 60_000, eager=True)
    minutes = pl.DataFrame({"site_id": [site.id] * len(starts), "window_start": starts, "import_kwh": 1.0})
    priced = pricing.priced(minutes).select("window_start", "factor_kg_per_kwh", "price_cny_per_kwh")
    json.dump({str(start): [factor, price] for start, factor, price in priced.iter_rows()}, sys.stdout)


if __name__ == "__main__":
    main()
