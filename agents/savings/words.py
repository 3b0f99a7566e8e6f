"""A verdict as a record, and in words: English and Chinese."""

from datetime import date
from math import isfinite

from agents.savings.judging import LEAST_BASELINE_DAYS, Verdict
from agents.savings.local import QUARTER_MS, quarters_of
from agents.savings.scopes import Scope
from agents.savings.switchback import LEAST_PAIRS
from schemas.registry import Site
from schemas.saving import SAVING_RECORD, Method

MODEL_VERSION = "savings/1"

_WHY_EN = {
    "experiment_to_come": "the experiment has not begun",
    "too_few_pairs": "{pairs} of at least {least_pairs} pairs of blocks are over",
    "interval_holds_zero": "{share:.1%}, but between {low:.1%} and {high:.1%}",
    "none_in_sight": "{share:.1%}, between {low:.1%} and {high:.1%}: at this rate no saving will be shown",
    "too_few_days_before": "{before} of {least_days} days before the measure are known",
    "measure_to_come": "the measure has not begun; {before} of {least_days} days before it are known",
    "too_few_days_since": "{measured} days since the measure began are known",
}
_WHY_ZH = {
    "experiment_to_come": "试验尚未开始",
    "too_few_pairs": "至少需要 {least_pairs} 对对照时段，已完成 {pairs} 对",
    "interval_holds_zero": "目前估计为 {share:.1%}，区间为 {low:.1%} 至 {high:.1%}",
    "none_in_sight": "目前估计为 {share:.1%}，区间为 {low:.1%} 至 {high:.1%}：照此无法证实",
    "too_few_days_before": "措施实施前需要 {least_days} 天数据，已有 {before} 天",
    "measure_to_come": "措施尚未开始；实施前需要 {least_days} 天数据，已有 {before} 天",
    "too_few_days_since": "措施实施后已有 {measured} 天数据",
}


def record(site: Site, scope: Scope, today: int, found: Verdict) -> dict[str, object]:
    """Return a row of `schemas.saving.SAVING_RECORD` at the end of a local day."""
    ts = quarters_of(site.time_zone, today)[1] * QUARTER_MS
    whose = f"site/{site.id}" if scope.zone_id is None else f"zone/{site.id}/{scope.zone_id}"
    english, chinese = _sentences(_name(site, scope), found)
    saved, fit, is_experiment = found.saved, found.fit, found.method is Method.SWITCHBACK
    said: dict[str, object] = {
        "id": f"savings/{whose}/{ts}",
        "tenant_id": site.tenant,
        "site_id": site.id,
        "zone_id": scope.zone_id,
        "ts": ts,
        "method": found.method.value,
        "state": found.state.value,
        "reason": found.reason,
        "more_days": found.more_days,
        "from_day": date.fromordinal(found.from_day).isoformat(),
        "to_day": date.fromordinal(today).isoformat(),
        "share": _known(found.share),
        "share_low": _known(found.low),
        "share_high": _known(found.high),
        "used_kwh": _known(found.used_kwh),
        "message_en": english,
        "message_zh": chinese,
        "model_version": MODEL_VERSION,
    }
    if saved is not None:
        said |= {
            "saved_kwh": saved.kwh,
            "saved_kwh_low": saved.low_kwh,
            "saved_kwh_high": saved.high_kwh,
            "saved_cny": _known(saved.cny),
            "saved_kg": _known(saved.kg),
            "market_saved_kg": _known(saved.market_kg),
        }
    if is_experiment:
        said |= {
            "experiment": found.experiment,
            "pairs": found.pairs,
            "blocks_on": found.pairs,
            "blocks_off": found.pairs,
        }
    elif fit is not None:
        said |= {
            "cv_rmse": _known(fit.cv_rmse),
            "nmbe": _known(fit.nmbe),
            "fractional_uncertainty": _known(found.fractional_uncertainty),
            "baseline_days": fit.days,
            "measured_days": found.measured_days,
        }
    return {name: said.get(name) for name in SAVING_RECORD}


def _sentences(name: str, found: Verdict) -> tuple[str, str]:
    numbers = {
        "share": found.share,
        "low": found.low,
        "high": found.high,
        "pairs": found.pairs,
        "least_pairs": LEAST_PAIRS,
        "before": 0 if found.fit is None else found.fit.days,
        "least_days": LEAST_BASELINE_DAYS,
        "measured": found.measured_days,
    }
    if found.saved is not None:
        how, how_zh = f"{found.pairs} pairs of blocks with and without it", f"{found.pairs} 对启用与停用对照时段"
        if found.method is Method.BASELINE:
            how = f"{found.measured_days} days, against {numbers['before']} days before"
            how_zh = f"实施后 {found.measured_days} 天，对照实施前 {numbers['before']} 天"
        share, low, high, kwh = found.share, found.low, found.high, found.saved.kwh
        return (
            f"{name}: {share:.1%} saved (between {low:.1%} and {high:.1%}), {kwh:,.0f} kWh, measured in {how}.",
            f"{name}：节能 {share:.1%}（区间 {low:.1%} 至 {high:.1%}），共 {kwh:,.0f} kWh，依据{how_zh}。",
        )
    more = found.more_days
    until = "not shown yet" if more is None else f"not shown yet: {more} more {'day' if more == 1 else 'days'}"
    until_zh = "节能量尚未证实" if more is None else f"节能量尚未证实：还需 {more} 天"
    why, why_zh = (words[found.reason].format(**numbers) for words in (_WHY_EN, _WHY_ZH))
    return f"{name}: {until} ({why}).", f"{name}：{until_zh}（{why_zh}）。"


def _name(site: Site, scope: Scope) -> str:
    if scope.zone_id is None:
        return site.name
    zone = site.zone(scope.zone_id)
    return scope.zone_id if zone is None else zone.name


def _known(value: float) -> float | None:
    return value if isfinite(value) else None
