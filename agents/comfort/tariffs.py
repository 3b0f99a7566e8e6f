"""What sites pay and cause in the coming hours: their tariff calendars and emission factors, as billing prices them."""

from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl

from agents.pricing.editions import EditionPricing
from agents.pricing.pricing import Reference
from schemas.flow import SiteRecord

_MINUTE_MS = 60_000
_AHEAD_STEPS = 32

Ahead = Mapping[str, list[float]]  # price and carbon by step [CNY/kWh, kg/kWh]


class Tariffs:
    """Tariffs of the steered sites of a partition.

    Parameters
    ----------
    reference
        Emission factors and tariff plans, for sites whose record carries no edition; None: no prices are known.
    """

    def __init__(self, reference: Reference | None) -> None:
        self._pricing = None if reference is None else EditionPricing(reference)
        self._priced: frozenset[str] = frozenset()

    def learn(self, records: Iterable[SiteRecord]) -> None:
        """Take over the sites; those whose plan is not known have no prices."""
        if self._pricing is not None:
            known = [record for record in records if self._pricing.has_plan(record)]
            self._pricing.learn(known)
            self._priced = frozenset(record.site.id for record in known)

    def ahead(self, sites: Iterable[str], at: int, step_ms: int) -> Mapping[str, Ahead]:
        """Return `price` and `carbon` of sites, one for each step from a moment on, NaN where unknown. [ms UTC]"""
        asked = sorted(self._priced.intersection(sites))
        if self._pricing is None or not asked:
            return {}
        begins = at // _MINUTE_MS * _MINUTE_MS + step_ms * np.arange(_AHEAD_STEPS)
        moments = pl.DataFrame(
            {"site_id": np.repeat(asked, _AHEAD_STEPS), "window_start": np.tile(begins, len(asked))}
        ).with_columns(import_kwh=0.0)
        priced = self._pricing.priced(moments)
        prices, factors = (
            priced[name].cast(pl.Float64).fill_null(np.nan).to_numpy().reshape(len(asked), _AHEAD_STEPS).tolist()
            for name in ("price_cny_per_kwh", "factor_kg_per_kwh")
        )
        return {
            site: {"price": price, "carbon": carbon} for site, price, carbon in zip(asked, prices, factors, strict=True)
        }
