"""Detectors that begin with the history: they live through it beside the present, and then take its place.

What is found in the past is told to nobody. What is open now stays open, and what people said holds.
"""

from agents.anomalies.hearing import Hearing
from agents.anomalies.profile import DayClass
from agents.anomalies.site import SiteWatch


def begun(state: SiteWatch, until: int) -> SiteWatch:
    """Return the past of a site whose history ends then; a history that ends at another time begins anew. [ms UTC]."""
    if state.past is None or state.past.until != until:
        state.past = SiteWatch(state.record, hearing=Hearing(usual=list(state.hearing.usual)), until=until)
    return state.past


def take_over(state: SiteWatch) -> None:
    """Let what was learnt from the history take the place of what was learnt so far, where it is not less."""
    past, state.past = state.past, None
    if past is None:
        return
    # The days that detectors have learnt from: which of them were working days.
    for day, known in sorted(past.conditions.days.items()):
        if known.of >= 0:
            state.conditions.classify(day, DayClass(known.of))
    for name, watch in past.meters.items():
        held = state.meters.get(name)
        if held is not None and sum(held.profile.days) > sum(watch.profile.days):
            continue
        watch.episodes = {} if held is None else held.episodes
        watch.learning = {} if held is None else held.learning
        watch.news, watch.packed = [], b""
        state.meters[name] = watch
    if past.sharing.day and len(past.sharing.days) >= len(state.sharing.days):
        past.sharing.episode = state.sharing.episode
        past.sharing.meter = state.sharing.meter or past.sharing.meter
        state.sharing = past.sharing
