"""An anomaly in a sentence, in English and Chinese, for whoever runs the factory."""

from collections.abc import Mapping
from datetime import UTC, datetime

from schemas.anomaly import AnomalyKind, Status
from schemas.registry import Meter, Site

_ENDED_EN = {
    "stopped": "It has stopped.",
    "usual_hours": "Its usual hours have begun.",
    "normal_again": "It is as usual again.",
    "new_normal": "It has stayed like this; from now on this counts as usual.",
    "production": "Something was made meanwhile, so it was wanted.",
    "said_normal": "It was said to be normal; the same will not be told again.",
    "fixed": "It was said to be fixed.",
    "muted": "It was muted.",
}
_ENDED_ZH = {
    "stopped": "现已停止。",
    "usual_hours": "已进入其正常运行时段。",
    "normal_again": "现已恢复正常。",
    "new_normal": "该状态持续未变，今后按正常处理。",
    "production": "期间有生产，属正常用电。",
    "said_normal": "已反馈为正常，同样情况不再提示。",
    "fixed": "已反馈为处理完毕。",
    "muted": "已静音。",
}


def sentences(site: Site, meter: Meter, record: Mapping[str, object]) -> tuple[str, str]:
    """Return what a record says, in English and in Chinese.

    Parameters
    ----------
    site, meter
        Where.
    record
        Fields of `schemas.anomaly.ANOMALY_RECORD`, without the sentences.
    """
    english, chinese = _found(_name(site, meter), site, record)
    cost_en, cost_zh = _costs(record)
    if record["status"] not in (Status.CLOSED, Status.SUPPRESSED):
        return f"{english} {cost_en}".rstrip(), f"{chinese}{cost_zh}"
    reason = str(record["end_reason"])
    return " ".join(filter(None, (english, cost_en, _ENDED_EN[reason]))), f"{chinese}{cost_zh}{_ENDED_ZH[reason]}"


def _found(name: str, site: Site, record: Mapping[str, object]) -> tuple[str, str]:
    began = _clock(site, record["began_at"])
    observed, expected = _number(record["observed_kw"]), _number(record["expected_kw"])
    drivers = str(record["drivers"])
    match AnomalyKind(str(record["kind"])):
        case AnomalyKind.LEFT_ON:
            return (
                f"{name} should have stopped at {began}: it draws {observed} kW, usually {expected} kW at this time.",
                f"{name}应在{began}停机：现用电{observed} kW，往常此时{expected} kW。",
            )
        case AnomalyKind.PEAK_SURGE:
            because_en = f" Most of it: {drivers}." if drivers else ""
            because_zh = f"主要来自：{drivers}。" if drivers else ""
            return (
                f"{name} draws {observed} kW in peak hours since {began}, usually {expected} kW.{because_en}",
                f"{name}自{began}起在尖峰时段用电{observed} kW，往常{expected} kW。{because_zh}",
            )
        case AnomalyKind.PEAK_SHARE:
            share, usual = (f"{100 * _float(record[of]):.1f} %" for of in ("observed_share", "expected_share"))
            return (
                f"{share} of the energy of {site.name} in seven days fell into sharp and peak hours, usually {usual}.",
                f"{site.name_zh or site.name}近七天用电中尖峰时段占{share}，往常为{usual}。",
            )
        case AnomalyKind.DAY_SURGE | AnomalyKind.DAY_SAG as kind:
            more_en, more_zh = ("more", "偏高") if kind is AnomalyKind.DAY_SURGE else ("less", "偏低")
            compared_en, compared_zh = _compared(record, "of the same sort")
            day, percent = began[:5], _percent(record)
            return (
                (
                    f"{name} drew {observed} kW in the mean since {day}, expected of such days: {expected} kW, "
                    f"{percent} {more_en}.{compared_en}"
                ),
                f"{name}自{day}起日均用电{observed} kW，较同类日预期{expected} kW{more_zh}{percent}。{compared_zh}",
            )
        case AnomalyKind.DRIFT:
            compared_en, compared_zh = _compared(record, "of the four weeks before")
            day, percent = began[:5], _percent(record)
            return (
                (
                    f"{name} has drawn more and more since {day}: {observed} kW in the mean, {percent} more than is "
                    f"expected, {expected} kW.{compared_en}"
                ),
                f"{name}自{day}起用电持续上升：日均{observed} kW，较预期{expected} kW高{percent}。{compared_zh}",
            )
        case AnomalyKind.STANDBY_CREEP:
            return (
                f"The least {name} draws, day and night, has grown from {expected} to {observed} kW within weeks.",
                f"{name}的最低负荷在数周内由{expected} kW升至{observed} kW。",
            )


def _percent(record: Mapping[str, object]) -> str:
    """Return how far a mean power is from what was expected."""
    expected = _float(record["expected_kw"])
    return f"{100 * abs(_float(record['observed_kw']) - expected) / expected:.0f} %" if expected > 0 else "? %"


def _compared(record: Mapping[str, object], days: str) -> tuple[str, str]:
    """Return the comparison with days before, and what of the difference is explained."""
    if record["before_kw"] is None:
        return "", ""
    explained = [
        (f"{_signed(record[of])} kW because of {en}", f"{zh}影响{_signed(record[of])} kW")
        for of, en, zh in (("weather_kw", "the weather", "天气"), ("production_kw", "what was made", "产量"))
        if record[of] is not None
    ]
    english = ", ".join([f" Days {days} drew {_number(record['before_kw'])} kW", *(en for en, _ in explained)])
    chinese = "，".join([f"前几周同类日均{_number(record['before_kw'])} kW", *(zh for _, zh in explained)])
    return f"{english}.", f"{chinese}。"


def _signed(value: object) -> str:
    return f"{_float(value):+.1f}"


def _name(site: Site, meter: Meter) -> str:
    for equipment in site.equipment:
        if equipment.id == meter.equipment:
            return equipment.name
    return meter.name or meter.id


def _clock(site: Site, at: object) -> str:
    moment = datetime.fromtimestamp(_float(at) / 1000, UTC).astimezone(site.zone_info)
    return f"{moment:%m-%d %H:%M}"


def _costs(record: Mapping[str, object]) -> tuple[str, str]:
    kwh, cny, kg = (record[name] for name in ("wasted_kwh", "wasted_cny", "wasted_kg"))
    parts = [f"{_number(kwh)} kWh"]
    parts += [] if cny is None else [f"{_number(cny)} CNY"]
    if record["kind"] == AnomalyKind.DAY_SAG:
        return "", ""  # what is drawn too little is no waste
    if record["kind"] == AnomalyKind.PEAK_SHARE:
        return f"Drawn at dearer hours so far: {', '.join(parts)} more.", f"累计移入高价时段：{'，'.join(parts)}。"
    parts += [] if kg is None else [f"{_number(kg)} kg CO2"]
    return f"Too much so far: {', '.join(parts)}.", f"累计多耗：{'，'.join(parts)}。"


def _number(value: object) -> str:
    if value is None:
        return "?"
    number = _float(value)
    return f"{number:.1f}" if abs(number) < 1000 else f"{number:,.0f}"


def _float(value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"expected a number, got {value!r}")
    return float(value)
