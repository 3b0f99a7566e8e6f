"""One measure from its proposal to its proof, and the records that tell it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, tzinfo
from typing import Any

from agents.advice.findings import Finding, Range, View, Words, number
from agents.advice.measuring import MEASURED, week_before
from agents.advice.proving import MOST_WEEKS, Proof, prove
from schemas.advice import RULE_VERSION, AdviceStatus, MeasureKind
from schemas.feedback import FeedbackVerdict
from schemas.registry import Site

_WEEK = 7
_KEPT_WEEKS = 60
_CHANGED = 0.2  # of an end of a range, before it is said again
_FORGOTTEN_DAYS = 28  # for which nothing gave a reason for a measure that was not answered
_AGAIN_DAYS = 365  # after which one that was declined or ended may be proposed anew

_OPEN = frozenset({AdviceStatus.PROPOSED, AdviceStatus.ACCEPTED})
_STATUS_OF = {
    FeedbackVerdict.ACCEPTED: AdviceStatus.ACCEPTED,
    FeedbackVerdict.DECLINED: AdviceStatus.DECLINED,
    FeedbackVerdict.DONE: AdviceStatus.DONE,
}
_LIFE = {
    AdviceStatus.PROPOSED: Words("", ""),
    AdviceStatus.ACCEPTED: Words("It was accepted.", "已采纳。"),
    AdviceStatus.DECLINED: Words("It was declined.", "未采纳。"),
    AdviceStatus.WITHDRAWN: Words("The load no longer gives a reason for it.", "近期负荷已无此必要，建议撤回。"),
    AdviceStatus.NOT_SHOWN: Words(
        f"Done, but in {MOST_WEEKS} weeks meters did not show it.", f"已完成，但{MOST_WEEKS}周内计量数据未显示效果。"
    ),
}
ENDED = frozenset({AdviceStatus.VERIFIED, AdviceStatus.NOT_SHOWN, AdviceStatus.WITHDRAWN})


@dataclass(slots=True)
class Measure:
    """A measure that was proposed.

    Parameters
    ----------
    kind, meter
        What, and of which meter; None = of the whole site.
    proposed_at
        Local midnight at which it was. [ms UTC]
    status
        Where in its life it is.
    sequence
        Of its next record.
    said
        What records say of it beside its life: the columns from evidence to assumptions, and the message.
    memory
        What is needed to measure it.
    seen_on
        Day on which the load last gave a reason for it, as an ordinal.
    answered_at, answered_by, why
        What people said last.
    done_on
        Local day on which it was done, as an ordinal; 0 before.
    weeks
        Ordinal of the Monday of a week, and its figure.
    proof
        What meters said last.
    ended_on
        Day on which it was declined or ended, as an ordinal.
    """

    kind: MeasureKind
    meter: str | None
    proposed_at: int
    status: AdviceStatus = AdviceStatus.PROPOSED
    sequence: int = 0
    said: dict[str, Any] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)
    seen_on: int = 0
    answered_at: int | None = None
    answered_by: str | None = None
    why: str | None = None
    done_on: int = 0
    weeks: list[tuple[int, float]] = field(default_factory=list)
    proof: Proof | None = None
    ended_on: int = 0

    @property
    def place(self) -> tuple[MeasureKind, str]:
        """What it is about."""
        return self.kind, self.meter or ""

    @property
    def is_open(self) -> bool:
        """Whether it may still be done: it was neither declined, nor done, nor has it ended."""
        return self.status in _OPEN

    def advice_id(self, site: str) -> str:
        """Return what all its records carry."""
        return f"advice/{self.kind}/{site}/{self.meter or 'site'}/{self.proposed_at}"

    def find(self, found: Finding, view: View) -> bool:
        """Take in that the load still gives a reason for it; return whether that is to be said."""
        self.seen_on = view.today
        said = _said(found, view)
        if self.said and not _differs(self.said, said):
            return False
        self.said, self.memory = said, dict(self.memory or found.memory)
        return True

    def answer(self, verdict: FeedbackVerdict, at: int, by: str | None, why: str | None, zone: tzinfo) -> bool:
        """Take in what people say; return whether it may be said now: what has ended stays as it is."""
        if self.status in ENDED:
            return False
        self.status, self.answered_at, self.answered_by, self.why = _STATUS_OF[verdict], at, by, why
        day = datetime.fromtimestamp(at / 1000, zone).toordinal()
        self.done_on = day if verdict is FeedbackVerdict.DONE else 0
        self.ended_on = day if verdict is FeedbackVerdict.DECLINED else 0
        self.proof = self._prove() if self.done_on else None
        return True

    def measure(self, view: View, weeks_ago: int = 0) -> None:
        """Take in the figure of a week that ended, if it is known."""
        measured, week = MEASURED.get(self.kind), week_before(view, weeks_ago)
        if measured is None or week is None:
            return
        monday = view.today - (view.today - 1) % _WEEK - _WEEK * (weeks_ago + 1)
        figure = measured.of(week, self.meter, self.memory)
        if figure is not None:
            others = [one for one in self.weeks if one[0] != monday]
            self.weeks = sorted([*others, (monday, figure)])[-_KEPT_WEEKS:]

    def look(self, view: View) -> bool:
        """See what became of it; return whether that is to be said."""
        if self.status in _OPEN and self._is_forgotten(view.today):
            if self.status is AdviceStatus.PROPOSED:
                self.status, self.ended_on = AdviceStatus.WITHDRAWN, view.today
                return True
            return False
        if self.status is not AdviceStatus.DONE:
            return False
        if self.kind is MeasureKind.CONTRACT_DEMAND:
            return self._look_at_contract(view)
        before, self.proof = self.proof, self._prove()
        if self.proof is None:
            return False
        if self.proof.shown:
            self.status, self.ended_on = AdviceStatus.VERIFIED, view.today
        elif view.today - self.done_on > (MOST_WEEKS + 2) * _WEEK:
            self.status, self.ended_on = AdviceStatus.NOT_SHOWN, view.today
        return self.proof != before

    def may_come_again(self, today: int) -> bool:
        """Return whether the same may be proposed anew."""
        wait = _FORGOTTEN_DAYS if self.status is AdviceStatus.WITHDRAWN else _AGAIN_DAYS
        return bool(self.ended_on) and today - self.ended_on >= wait

    def record(self, site: Site, ts: int) -> dict[str, object]:
        """Return its next record, as `schemas.advice.ADVICE_RECORD`."""
        advice_id, proof = self.advice_id(site.id), self.proof
        measured = MEASURED.get(self.kind) if proof is not None else None
        life = self._life()
        said = dict(self.said)
        core = Words(said.pop("core_en"), said.pop("core_zh"))
        row: dict[str, object] = {
            "id": f"{advice_id}/{self.sequence}",
            "tenant_id": site.tenant,
            "site_id": site.id,
            "meter_id": self.meter,
            "ts": ts,
            "advice_id": advice_id,
            "sequence": self.sequence,
            "kind": self.kind.value,
            "status": self.status.value,
            "proposed_at": self.proposed_at,
            "answered_at": self.answered_at,
            "answered_by": self.answered_by,
            "why": self.why,
            **said,
            "measured": None if measured is None else measured.name,
            "measured_before": None if proof is None else proof.before,
            "measured_after": None if proof is None else proof.after,
            "measured_change_low": None if proof is None else proof.low,
            "measured_change_high": None if proof is None else proof.high,
            "weeks_before": None if proof is None else proof.weeks_before,
            "weeks_after": None if proof is None else proof.weeks_after,
            "weeks_needed": None if proof is None else proof.weeks_needed,
            "rule_version": RULE_VERSION,
            "message_en": f"{core.en} {life.en}".strip(),
            "message_zh": f"{core.zh}{life.zh}",
        }
        self.sequence += 1
        return row

    def _is_forgotten(self, today: int) -> bool:
        return today - self.seen_on >= _FORGOTTEN_DAYS

    def _prove(self) -> Proof | None:
        measured = MEASURED.get(self.kind)
        if measured is None:
            return None
        before = [figure for monday, figure in self.weeks if monday + _WEEK <= self.done_on]
        # The week in which it was done is neither.
        after = [figure for monday, figure in self.weeks if monday > self.done_on]
        return prove(before, after, rises=measured.rises)

    def _look_at_contract(self, view: View) -> bool:
        terms = view.site.tariff.demand_on(date.fromordinal(view.today))
        wanted = self.memory.get("mode"), self.memory.get("contract_kw")
        if terms is None or terms.mode.value != wanted[0]:
            return False
        if terms.contract_kw != wanted[1] and terms.mode.value == "contract_max_demand":
            return False
        self.status, self.ended_on = AdviceStatus.VERIFIED, view.today
        return True

    def _life(self) -> Words:
        """Return where in its life it is, in words."""
        match self.status:
            case AdviceStatus.DONE:
                return self._not_yet()
            case AdviceStatus.VERIFIED:
                return self._shown()
            case AdviceStatus.DECLINED if self.why:
                return Words(f"It was declined: {self.why}.", f"未采纳：{self.why}。")
            case status:
                return _LIFE[status]

    def _shown(self) -> Words:
        proof = self.proof
        if proof is None:
            return Words("Done, and the registry has it.", "已完成，登记信息已更新。")
        measured = MEASURED[self.kind]
        if proof.before is None or proof.after is None or proof.low is None or proof.high is None:
            raise ValueError(f"{self.kind} is verified without a proof")
        change = f"{_signed(proof.low)} to {_signed(proof.high)}"
        figures = f"{number(proof.before)} before, {number(proof.after)} after (change {change}, 95 %)"
        return Words(
            f"Done, and meters show it: {measured.name} {figures}.",
            f"已完成，计量验证有效：{measured.zh}由{number(proof.before)}变为{number(proof.after)}"
            f"（变化{_signed(proof.low)}至{_signed(proof.high)}，置信度95%）。",
        )

    def _not_yet(self) -> Words:
        proof = self.proof
        if proof is None:
            return Words("Done; the registry does not have it yet.", "已完成，登记信息尚未更新。")
        if not proof.weeks_after:
            return Words("Done; meters have not seen a whole week since.", "已完成，尚无完整一周的计量数据。")
        if proof.weeks_needed is None:
            return Words("Done; not shown by meters yet.", "已完成，计量数据尚未显示效果。")
        weeks = max(proof.weeks_needed, 1)
        return Words(
            f"Done; not shown by meters yet: about {weeks} more weeks if it goes on like this.",
            f"已完成，计量数据尚不足以证明：按目前情况约需再观察{weeks}周。",
        )


def _said(found: Finding, view: View) -> dict[str, Any]:
    until = midnight_ms(view.site, view.today)
    since = midnight_ms(view.site, view.today - max(found.days, 1))
    payback = found.payback_years
    ends: dict[str, Range | None] = {
        "saved_kwh": found.kwh,
        "saved_cny": found.cny,
        "saved_kg": found.kg,
        "investment_cny": found.investment_cny,
        "payback_years": payback,
    }
    return {
        "evidence_from": since,
        "evidence_until": until,
        "evidence_days": found.days,
        **{f"{name}_low": None if one is None else float(one.low) for name, one in ends.items()},
        **{f"{name}_high": None if one is None else float(one.high) for name, one in ends.items()},
        "evidence": ", ".join(f"{name}={value:.6g}" for name, value in found.evidence.items()),
        "assumptions_en": found.assumptions.en,
        "assumptions_zh": found.assumptions.zh,
        "core_en": found.message.en,
        "core_zh": found.message.zh,
    }


def _differs(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether a range has changed so much that it is worth saying."""
    for name in ("saved_kwh", "saved_cny"):
        for end in ("low", "high"):
            old, new = before[f"{name}_{end}"], now[f"{name}_{end}"]
            if (old is None) != (new is None):
                return True
            if old is not None and abs(new - old) > _CHANGED * max(abs(old), abs(new)):
                return True
    return False


def midnight_ms(site: Site, ordinal: int) -> int:
    """Return where a local day begins. [ms UTC]."""
    return int(datetime.combine(date.fromordinal(ordinal), time(), site.zone_info).timestamp() * 1000)


def _signed(value: float) -> str:
    return f"{'-' if value < 0 else '+'}{number(abs(value))}"
