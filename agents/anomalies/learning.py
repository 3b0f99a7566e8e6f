"""How far the detectors are with a meter: learning, N of M days."""

from typing import NamedTuple

from agents.anomalies.drifting import DAY, LEAST_KEPT_DAYS, LEAST_OFF_DAYS, Drifting
from agents.anomalies.idling import NIGHT, RULES, Idling
from agents.anomalies.profile import DayClass, Profile
from agents.anomalies.sharing import KEPT_DAYS as SHARE_DAYS
from agents.anomalies.sharing import SHARE, Sharing
from agents.anomalies.shifting import CREEP, Shifting
from agents.anomalies.shifting import KEPT_DAYS as CREEP_DAYS
from agents.anomalies.surging import SURGE, Surging
from schemas.anomaly import AnomalyKind
from schemas.learning import LearningState
from schemas.registry import Meter, Site

_NIGHTS = tuple(name for name, rule in RULES.items() if rule is NIGHT)
_WHAT_EN = {
    AnomalyKind.LEFT_ON: "what is left on",
    AnomalyKind.PEAK_SURGE: "surges in peak hours",
    AnomalyKind.STANDBY_CREEP: "creeping stand-by",
    AnomalyKind.PEAK_SHARE: "the share of peak hours",
    AnomalyKind.DAY_SURGE: "days that draw too much",
    AnomalyKind.DAY_SAG: "days that draw too little",
    AnomalyKind.DRIFT: "consumption that grows slowly",
}
_WHAT_ZH = {
    AnomalyKind.LEFT_ON: "未及时关停",
    AnomalyKind.PEAK_SURGE: "尖峰时段用电突增",
    AnomalyKind.STANDBY_CREEP: "待机用电上升",
    AnomalyKind.PEAK_SHARE: "尖峰用电占比",
    AnomalyKind.DAY_SURGE: "日用电突增",
    AnomalyKind.DAY_SAG: "日用电突降",
    AnomalyKind.DRIFT: "用电缓慢上升",
}


class Progress(NamedTuple):
    """How far one detector is: N of M days."""

    kind: AnomalyKind
    state: LearningState
    learnt_days: int
    needed_days: int


def of_idling(profile: Profile, idling: Idling) -> Progress:
    """Return how far it is with what is left on: nights it has seen."""
    learnt = max(idling.limits[name].count for name in _NIGHTS)
    expected = profile.expectation(DayClass.WORKING)
    has_nights = expected is None or (expected.knows_off and expected.off_hours(at_night=True) > 0)
    if not has_nights and not learnt:
        return Progress(AnomalyKind.LEFT_ON, LearningState.NOT_APPLICABLE, 0, NIGHT.least)
    return _progress(AnomalyKind.LEFT_ON, learnt, NIGHT.least)


def of_surging(surging: Surging) -> Progress:
    """Return how far it is with surges: working days it has seen."""
    return _progress(AnomalyKind.PEAK_SURGE, surging.limit.count, SURGE.least)


def of_creep(creep: Shifting) -> Progress:
    """Return how far it is with creeping stand-by: days, of which the first fill what is compared."""
    learnt = min(len(creep.levels), CREEP_DAYS - 1) + creep.limit.count
    return _progress(AnomalyKind.STANDBY_CREEP, learnt, CREEP_DAYS - 1 + CREEP.least)


def of_days(drifting: Drifting) -> list[Progress]:
    """Return how far it is with whole days: days that make an expectation, and then days that were held against it."""
    kept = min(drifting.known_days(), LEAST_KEPT_DAYS - 1)
    needed = {
        AnomalyKind.DAY_SURGE: (drifting.surge.count, DAY.least),
        AnomalyKind.DAY_SAG: (drifting.sag.count, DAY.least),
        AnomalyKind.DRIFT: (len(drifting.off), LEAST_OFF_DAYS),
    }
    return [
        _progress(kind, kept + min(judged, least), LEAST_KEPT_DAYS - 1 + least)
        for kind, (judged, least) in needed.items()
    ]


def of_sharing(sharing: Sharing) -> Progress:
    """Return how far it is with the share of peak hours: days, of which the first fill what is compared."""
    learnt = min(len(sharing.days), SHARE_DAYS - 1) + sharing.limit.count
    return _progress(AnomalyKind.PEAK_SHARE, learnt, SHARE_DAYS - 1 + SHARE.least)


def record(site: Site, meter: Meter, said: Progress, ts: int) -> dict[str, object]:
    """Return a row of `schemas.learning.LEARNING_RECORD`, said at a local midnight. [ms UTC]"""
    name, english, chinese = meter.name or meter.id, _WHAT_EN[said.kind], _WHAT_ZH[said.kind]
    match said.state:
        case LearningState.LEARNING:
            en = f"{name}: learning {english}, {said.learnt_days} of {said.needed_days} days."
            zh = f"{name}：正在学习{chinese}，已学 {said.learnt_days} 天，共需 {said.needed_days} 天。"
        case LearningState.WATCHING:
            en, zh = f"{name}: {english} is watched from now on.", f"{name}：已开始监测{chinese}。"
        case _:
            en, zh = f"{name} is never off: nothing can be left on.", f"{name}从不停机，不监测{chinese}。"
    return {
        "id": f"learning/{site.id}/{meter.id}/{said.kind}/{ts}",
        "tenant_id": site.tenant,
        "site_id": site.id,
        "meter_id": meter.id,
        "ts": ts,
        "kind": said.kind.value,
        "state": said.state.value,
        "learnt_days": said.learnt_days,
        "needed_days": said.needed_days,
        "message_en": en,
        "message_zh": zh,
    }


def _progress(kind: AnomalyKind, learnt: int, needed: int) -> Progress:
    state = LearningState.LEARNING if learnt < needed else LearningState.WATCHING
    return Progress(kind, state, min(learnt, needed), needed)
