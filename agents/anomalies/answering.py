"""What follows from what people say of anomalies: records that end or mark them, and what is learnt."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from agents.anomalies.episodes import Episode
from agents.anomalies.hearing import Ended, mute_of
from agents.anomalies.moments import Said
from agents.anomalies.site import SiteWatch
from schemas.anomaly import AnomalyKind, Status
from schemas.feedback import FeedbackVerdict

_HAS_HOURS = frozenset({AnomalyKind.LEFT_ON, AnomalyKind.PEAK_SURGE})


def answer(state: SiteWatch, row: Mapping[str, object]) -> Iterator[tuple[str, Said]]:
    """Take in a row of `schemas.feedback.FEEDBACK_ROWS`; yield meters and the records that follow.

    What is said of an anomaly that is not among the open ones and the newest that ended changes nothing (`hits`).
    """
    at = row["ts"]
    if not isinstance(at, datetime):
        raise TypeError(f"expected a time, got {at!r}")
    ts = int(at.timestamp() * 1000)
    verdict = FeedbackVerdict(str(row["verdict"]))
    if verdict is FeedbackVerdict.MUTED:
        state.hearing.mute(mute_of(row), ts)
        yield from _end_muted(state, ts)
        return
    found = _place(state, str(row["anomaly_id"]))
    if found is None:
        return
    meter, kind, opened_at = found
    said_by = row["said_by"]
    episode = _open(state, meter, kind, opened_at)
    if episode is not None:
        episode.feedback, episode.feedback_by = verdict.value, None if said_by is None else str(said_by)
        yield meter, _of_open(state, meter, episode, ts, verdict)
        return
    ended = next((one for one in state.hearing.ended if _is(one, found)), None)
    if ended is not None:
        ended.episode.feedback, ended.episode.feedback_by = verdict.value, None if said_by is None else str(said_by)
        if verdict is FeedbackVerdict.NORMAL:
            _learn(state, meter, ended.episode, ended.ts)
            ended.status, ended.end_reason = Status.SUPPRESSED, "said_normal"
        yield meter, Said(ended.episode, ended.ts, ended.status, ended.end_reason)


def hits(state: SiteWatch, row: Mapping[str, object]) -> bool:
    """Return whether a row of `schemas.feedback.FEEDBACK_ROWS` is of something that is there to be answered."""
    if row["verdict"] == FeedbackVerdict.MUTED:
        return True
    found = _place(state, str(row["anomaly_id"]))
    return found is not None and (
        _open(state, *found) is not None or any(_is(ended, found) for ended in state.hearing.ended)
    )


def _of_open(state: SiteWatch, meter: str, episode: Episode, ts: int, verdict: FeedbackVerdict) -> Said:
    if verdict is FeedbackVerdict.RIGHT:
        return Said(episode, ts, Status.UPDATED)
    if verdict is FeedbackVerdict.FIXED:
        return _end(state, meter, episode, ts, "fixed")
    _learn(state, meter, episode, ts)
    return _end(state, meter, episode, ts, "said_normal")


def _learn(state: SiteWatch, meter: str, episode: Episode, until: int) -> None:
    if episode.kind in _HAS_HOURS:
        state.hearing.learn(meter, episode, until, state.site.zone_info)
    elif episode.kind is AnomalyKind.PEAK_SHARE:
        state.sharing.allow(episode.score)
    else:
        state.meters[meter].allow(episode.kind, episode.score)


def _end_muted(state: SiteWatch, ts: int) -> Iterator[tuple[str, Said]]:
    for meter, watch in state.meters.items():
        for kind in sorted(state.hearing.muted(meter, ts) & watch.episodes.keys()):
            yield meter, _end(state, meter, watch.episodes[kind], ts, "muted")
    share = state.sharing.episode
    if share is not None and AnomalyKind.PEAK_SHARE in state.hearing.muted(state.sharing.meter, ts):
        yield state.sharing.meter, _end(state, state.sharing.meter, share, ts, "muted")


def _end(state: SiteWatch, meter: str, episode: Episode, ts: int, reason: str) -> Said:
    status = Status.CLOSED if reason == "fixed" else Status.SUPPRESSED
    if episode.kind is AnomalyKind.PEAK_SHARE:
        return state.sharing.hear(ts, status, reason)
    return state.meters[meter].hear(episode.kind, ts, status, reason)


def _open(state: SiteWatch, meter: str, kind: AnomalyKind, opened_at: int) -> Episode | None:
    if kind is AnomalyKind.PEAK_SHARE:
        episode = state.sharing.episode
    else:
        watch = state.meters.get(meter)
        episode = None if watch is None else watch.episodes.get(kind)
    return episode if episode is not None and episode.opened_at == opened_at else None


def _is(ended: Ended, place: tuple[str, AnomalyKind, int]) -> bool:
    return (ended.meter, ended.episode.kind, ended.episode.opened_at) == place


def _place(state: SiteWatch, anomaly_id: str) -> tuple[str, AnomalyKind, int] | None:
    """Return meter, kind and opening of an id as `Episode.anomaly_id` makes it; None where it is none of this site."""
    parts = anomaly_id.split("/")
    if len(parts) != 5 or parts[0] != "anomalies" or parts[2] != state.site.id or not parts[4].isdecimal():
        return None
    try:
        return parts[3], AnomalyKind(parts[1]), int(parts[4])
    except ValueError:
        return None
