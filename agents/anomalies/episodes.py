"""One anomaly from its beginning to its end, and the records that tell it."""

from dataclasses import dataclass, replace

from agents.anomalies.words import sentences
from agents.pricing.pricing import Terms
from schemas.anomaly import RULE_VERSION, AnomalyKind, Severity, Status
from schemas.registry import Meter, Site

QUARTER_H, DAY_H = 0.25, 24.0
_SEVERE, _MODERATE = 3.0, 1.5  # times the limit


@dataclass(slots=True)
class Toll:
    """What some quarter hours drew, should have drawn, and what the difference cost.

    Costs are unknown as soon as the price or factor of a part is.
    """

    quarters: int = 0
    observed_kwh: float = 0.0
    expected_kwh: float = 0.0
    wasted_cny: float | None = 0.0
    wasted_kg: float | None = 0.0

    def add(self, observed_kw: float, expected_kw: float, terms: Terms) -> None:
        """Add a quarter hour."""
        wasted_kwh = (observed_kw - expected_kw) * QUARTER_H
        cny, kg = terms.cost_cny(wasted_kwh), terms.emitted_kg(wasted_kwh)
        self.quarters += 1
        self.observed_kwh += observed_kw * QUARTER_H
        self.expected_kwh += expected_kw * QUARTER_H
        self.wasted_cny = None if cny is None or self.wasted_cny is None else self.wasted_cny + cny
        self.wasted_kg = None if kg is None or self.wasted_kg is None else self.wasted_kg + kg

    def add_day(
        self, observed_kw: float, expected_kw: float, cny_per_kwh: float | None, kg_per_kwh: float | None
    ) -> None:
        """Add a day, priced as its energy was in the mean."""
        wasted_kwh = (observed_kw - expected_kw) * DAY_H
        self.quarters += round(DAY_H / QUARTER_H)
        self.observed_kwh += observed_kw * DAY_H
        self.expected_kwh += expected_kw * DAY_H
        self.wasted_cny = _plus(self.wasted_cny, wasted_kwh, cny_per_kwh)
        self.wasted_kg = _plus(self.wasted_kg, wasted_kwh, kg_per_kwh)

    def move(self, energy_kwh: float, dearer_cny_per_kwh: float | None) -> None:
        """Add energy of a day that was drawn at dearer hours; where it is drawn changes no carbon."""
        self.quarters += 96
        self.observed_kwh += energy_kwh
        known = self.wasted_cny is not None and dearer_cny_per_kwh is not None
        self.wasted_cny = (self.wasted_cny or 0.0) + energy_kwh * (dearer_cny_per_kwh or 0.0) if known else None

    @property
    def wasted_kwh(self) -> float:
        """Energy above what was expected. [kWh]."""
        return self.observed_kwh - self.expected_kwh

    @property
    def mean_kw(self) -> float:
        """Mean power; 0 where nothing is counted yet. [kW]."""
        return self.observed_kwh / (self.quarters * QUARTER_H) if self.quarters else 0.0


@dataclass(slots=True)
class Episode:
    """An anomaly that is open.

    Parameters
    ----------
    kind
        What it is.
    began_at, opened_at
        When the unusual began, and when that was known. [ms UTC]
    toll
        What it cost so far.
    score, limit
        Largest score, and what it had to exceed.
    high_kw
        Power that would just not have counted.
    compared_with, learnt_days
        Spans the limit rests on, and days the expectation was learnt from.
    drivers
        Meters below that account for it.
    sequence
        Of its next record.
    quiet
        Quarter hours in a row in which it was not seen.
    feedback, feedback_by
        What was said of it, and who did.
    """

    kind: AnomalyKind
    began_at: int
    opened_at: int
    toll: Toll
    score: float
    limit: float
    high_kw: float
    compared_with: int
    learnt_days: int
    drivers: str = ""
    share: float | None = None  # of peak_share: of the newest days, and of those before
    usual_share: float | None = None
    sequence: int = 0
    quiet: int = 0
    feedback: str | None = None
    feedback_by: str | None = None
    low_kw: float | None = None  # of whole days: what would just not have counted as too little
    before_kw: float | None = None  # and the comparison, as `schemas.anomaly.ANOMALY_RECORD`
    weather_kw: float | None = None
    production_kw: float | None = None

    def anomaly_id(self, site: str, meter: str) -> str:
        """Return what all its records carry."""
        return f"anomalies/{self.kind}/{site}/{meter}/{self.opened_at}"

    def severity(self) -> Severity:
        """Return how far beyond its limit it is."""
        times = self.score / self.limit if self.limit > 0 else _SEVERE
        return Severity.HIGH if times >= _SEVERE else Severity.MEDIUM if times >= _MODERATE else Severity.LOW

    def record(self, site: Site, meter: Meter, ts: int, status: Status, end_reason: str | None) -> dict[str, object]:
        """Return its next record, as `schemas.anomaly.ANOMALY_RECORD`."""
        toll = self.toll
        # A share is no power: what peak_share counts is energy that was drawn at dearer hours.
        hours = toll.quarters * QUARTER_H if self.share is None else 0.0
        anomaly_id = self.anomaly_id(site.id, meter.id)
        known = {
            "id": f"{anomaly_id}/{self.sequence}",
            "tenant_id": site.tenant,
            "site_id": site.id,
            "meter_id": meter.id,
            "ts": ts,
            "anomaly_id": anomaly_id,
            "sequence": self.sequence,
            "kind": self.kind.value,
            "status": status.value,
            "severity": self.severity().value,
            "began_at": self.began_at,
            "opened_at": self.opened_at,
            "ended_at": None if end_reason is None else ts,
            "end_reason": end_reason,
            "observed_kw": toll.observed_kwh / hours if hours else None,
            "expected_kw": toll.expected_kwh / hours if hours else None,
            "expected_high_kw": self.high_kw if self.share is None else None,
            "expected_low_kw": self.low_kw,
            "before_kw": self.before_kw,
            "weather_kw": self.weather_kw,
            "production_kw": self.production_kw,
            "observed_share": self.share,
            "expected_share": self.usual_share,
            "score": self.score,
            "limit": self.limit,
            "confidence": self.compared_with / (self.compared_with + 1),
            "compared_with": self.compared_with,
            "learnt_days": self.learnt_days,
            # What is drawn too little is not wasted, and must not be set off against what is.
            "wasted_kwh": 0.0 if self.kind is AnomalyKind.DAY_SAG else toll.wasted_kwh,
            "wasted_cny": toll.wasted_cny,
            "wasted_kg": toll.wasted_kg,
            "quarters": toll.quarters,
            "drivers": self.drivers,
            "feedback": self.feedback,
            "feedback_by": self.feedback_by,
            "rule_version": RULE_VERSION,
        }
        self.sequence += 1
        english, chinese = sentences(site, meter, known)
        return known | {"message_en": english, "message_zh": chinese}


def copied(toll: Toll) -> Toll:
    """Return a toll that goes on by itself."""
    return replace(toll)


def _plus(total: float | None, wasted_kwh: float, per_kwh: float | None) -> float | None:
    return None if total is None or per_kwh is None else total + wasted_kwh * per_kwh
