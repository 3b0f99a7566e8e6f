"""Logs of internal topics as Hypothesis strategies: what every agent must cope with."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass

import polars as pl
from builders import NOON, a_meter, a_reading, a_site
from hypothesis import strategies as st

from agents.advice.state import from_bytes as advice_state
from agents.anomalies.state import from_bytes as anomalies_state
from agents.balance.state import from_bytes as balance_state
from agents.billing.state import from_bytes as billing_state
from agents.comfort.building import SteeredSite
from agents.comfort.snapshot import from_bytes
from agents.emissions.state import from_bytes as emissions_state
from agents.metering.state import SiteState
from agents.metering.step import Metering
from agents.savings.state import from_bytes as savings_state
from schemas.flow import Agent, Kind, Message, Outcome, SiteRecord
from schemas.reading import TELEMETRY_ROWS
from schemas.registry import Meter, Site
from schemas.topics import ENERGY, TELEMETRY
from schemas.zone import ZONE_ROWS
from streams.frame.codec import Envelope, Origin, envelopes
from streams.frame.letters import letters_of

LATENESS_S = 60
PARTITION = 3

LONG_NAME = "weaver-with-a-name-of-more-than-twelve-bytes"
_METERS = [("mill", "main"), ("mill", "second"), ("mill", "press"), (LONG_NAME, "main"), ("ghost", "main")]

# Site and meter, seconds before its arrival, kWh since the last reading, kind of reading.
_READING = st.tuples(
    st.sampled_from([*_METERS[:4] * 4, _METERS[4]]),
    st.sampled_from([0, 0, 0, 10, 30, 45, 59, 100, 200, -5]),
    st.sampled_from([0.0, 0.1, 1 / 3, 2.75, 40.0, 40.0, -7.0]),
    st.sampled_from(["import", "import", "import", "both", "export", "power"]),
)


@dataclass(frozen=True)
class _Second:
    """What happens, and how long after what came before. [s]"""

    after_s: int
    what: str
    readings: Sequence[tuple[tuple[str, str], int, float, str]]


_SECONDS = st.builds(
    _Second,
    after_s=st.sampled_from([0, 1, 20, 60, 60, 90, 130, 900]),
    what=st.sampled_from(["readings"] * 5 + ["tick"] * 4 + ["site", "zones"]),
    readings=st.lists(_READING, min_size=3, max_size=12),
)


def _sites(revision: int) -> list[Site]:
    """Two sites; with every revision a multiplier changes and a meter comes or goes."""
    meters: list[Meter] = [a_meter("main", interval_s=30, multiplier=1.0 + revision), a_meter("second")]
    if revision % 2 == 0:
        meters.append(a_meter("press", kind="sub_meter", parent="main"))
    hall = {"id": "hall", "name": "Hall", "area_m2": 400.0, "hvac": {"equipment_kind": "dx", "mode": "act"}}
    hall |= {"meter": "press"} if revision % 2 == 0 else {}
    office = {"id": "office", "name": "Office", "area_m2": 90.0, "hvac": {"equipment_kind": "chiller"}}
    zones = (hall, office) if revision % 3 == 0 else (office,)
    experiment = {"starts_on": "2026-07-14"} if revision < 3 else None
    return [a_site("mill", *meters, zones=zones, experiment=experiment), a_site(LONG_NAME, a_meter(interval_s=20))]


@st.composite
def telemetry(draw: st.DrawFn, size: int = 12) -> list[Message]:
    """Site records, readings in any state, and ticks, as ingest sends them; it ends with a tick."""
    revision = 0
    messages = [Message(Kind.SITE, NOON, record=SiteRecord(site, revision)) for site in _sites(revision)]
    now_s = 0
    registers: dict[tuple[str, str], float] = {}
    for offset, second in enumerate(draw(st.lists(_SECONDS, min_size=size // 2, max_size=size))):
        now_s += second.after_s
        arrived_at = NOON + now_s * 1000
        if second.what == "tick":
            messages.append(Message(Kind.TICK, arrived_at))
        elif second.what == "site":
            revision += 1
            messages += [Message(Kind.SITE, arrived_at, record=SiteRecord(site, revision)) for site in _sites(revision)]
        elif second.what == "zones":
            messages.append(Message(Kind.ZONES, arrived_at, _of_zones(second, arrived_at, offset)))
        else:
            rows: list[dict[str, object]] = []
            for (site, meter), age_s, kwh, kind in second.readings:
                total = registers[site, meter] = registers.get((site, meter), 1000.0) + kwh
                measures = {
                    "import_kwh": total if kind in {"import", "both"} else None,
                    "export_kwh": total / 2 if kind in {"export", "both"} else None,
                    "power_kw": kwh * 10 if kind == "power" else None,
                }
                place = {"raw_partition": len(rows) % 2, "raw_offset": offset}
                rows.append(a_reading(site_id=site, meter_id=meter, s=now_s - age_s, **measures, **place))
            messages.append(Message(Kind.READINGS, arrived_at, pl.DataFrame(rows, schema=TELEMETRY_ROWS, orient="row")))
    messages.append(Message(Kind.TICK, NOON + (now_s + 90) * 1000))
    return messages


def _of_zones(second: _Second, arrived_at: int, offset: int) -> pl.DataFrame:
    """Readings of the zones of mill, as many as the second has readings."""
    rows = [
        {
            "tenant_id": "acme",
            "site_id": "mill",
            "zone_id": ("hall", "office")[number % 2],
            "ts": arrived_at - age_s * 1000,
            "air_c": 20.0 + kwh / 10,
            "occupied": kind == "import",
            "own_cooling_c": 26.0,
            "own_heating_c": 19.0,
            "raw_partition": 0,
            "raw_offset": offset,
            "raw_index": number,
        }
        for number, (_, age_s, kwh, kind) in enumerate(second.readings)
    ]
    return (
        pl.DataFrame(rows, schema_overrides=ZONE_ROWS | {"ts": pl.Int64()})
        .with_columns(
            pl.from_epoch("ts", "ms").dt.replace_time_zone("UTC"),
            *(pl.lit(None, kind).alias(name) for name, kind in ZONE_ROWS.items() if name not in rows[0]),
        )
        .select(*ZONE_ROWS)
    )


@st.composite
def energy(draw: st.DrawFn, size: int = 12) -> list[Message]:
    """What metering makes of telemetry."""
    agent = Metering(LATENESS_S)
    return [
        Message(output.kind, message.arrived_at, output.rows, output.record)
        for message in draw(telemetry(size))
        for output in agent.step(message).outputs
        if output.kind is not None
    ]


# By the topic an agent reads; an agent that reads another one needs a log of it here.
LOGS = {TELEMETRY.name: telemetry, ENERGY.name: energy}


def _metering_state(packed: bytes) -> object:
    state = SiteState.from_bytes(packed)
    meters = zip(state.head.meters, state.counts, state.closed_until, state.anchor_since, strict=True)
    # NaN, which is null there, equals itself in words.
    points = [list(map(repr, rows.tolist())) for rows in (state.rows, state.fresh, state.strips, state.marks)]
    past = state.strip_counts.tolist(), state.mark_counts.tolist()
    return state.head.record, list(meters), points, state.fresh_places.tolist(), past


def _emissions_state(packed: bytes) -> object:
    state, waiting, fresh, moved = emissions_state(packed)
    return state, waiting.rows(), fresh.rows(), moved


def _billing_state(packed: bytes) -> object:
    found = billing_state(packed)
    rings = [
        [one.reached, one.closed, *(list(map(repr, column.tolist())) for column in astuple(one.ring))]
        for one in found.meters
    ]
    return found.bill, found.newest, rings, found.pending, found.fresh.rows(), found.moved


def _balance_state(packed: bytes) -> object:
    state = balance_state(packed)
    return state.record, state.held.rows(), state.fresh.rows(), state.let_go.rows()


def _anomalies_state(packed: bytes) -> object:
    state, running = anomalies_state(packed)
    meters = {name: repr(asdict(watch)) for name, watch in state.meters.items()}
    return state.record, state.made, repr(asdict(state.sharing)), meters, running


def _advice_state(packed: bytes) -> object:
    state = advice_state(packed)
    tables = {name: repr((meter.days.tolist(), meter.running)) for name, meter in state.load.meters.items()}
    load = state.load
    site = repr((load.running, load.months, load.folded, load.newest, load.works, load.price.tolist()))
    return state.record, tables, site, state.measures, state.cooling_set_c, state.answers


def _comfort_state(packed: bytes) -> object:
    state = SteeredSite.from_bytes(packed)
    learnt = {} if state.controller is None else from_bytes(state.controller.snapshot())[0]
    arrays = {name: repr(array.tolist()) for name, array in learnt.items()}
    seen = repr(state.values.tolist()), state.measured_at.tolist(), repr(state.outdoor_c), state.outdoor_at
    return state.record, arrays, seen, state.turn, state.commands


def _savings_state(packed: bytes) -> object:
    state = savings_state(packed)
    quarters = {day: held.tolist() for day, held in state.open.days.items()}
    closed = [repr(getattr(state.closed, name).tolist()) for name in ("day", "outdoor_c", "produced", "figures")]
    times = state.newest, state.closed_until, state.touched, state.kept_from
    return state.record, quarters, closed, state.produced, state.acting_since, times


# By the name of the agent: what a snapshot says, so that snapshots can be compared by meaning.
STATES: dict[str, Callable[[bytes], object]] = {
    "metering": _metering_state,
    "emissions": _emissions_state,
    "billing": _billing_state,
    "balance": _balance_state,
    "anomalies": _anomalies_state,
    "advice": _advice_state,
    "comfort": _comfort_state,
    "savings": _savings_state,
}


def said(agent: str, snapshots: Mapping[str, bytes]) -> dict[str, object]:
    """What snapshots say, by site."""
    return {site: STATES[agent](packed) for site, packed in snapshots.items()}


def meaning(sent: Envelope) -> tuple[object, ...]:
    """A message as its reader understands it: Arrow may lay out the same rows in several ways."""
    kind = dict(sent.headers).get("kind", b"").decode()
    value: object = sent.value
    if kind in {Kind.WINDOWS, Kind.LIVE, Kind.READINGS, Kind.BALANCE}:
        rows = pl.read_ipc_stream(io.BytesIO(sent.value))
        value = (rows.schema, rows.rows())
    return sent.topic, sent.key, value, sent.timestamp_ms, sent.headers


def on_the_wire(outcome: Outcome, message: Message, offset: int, stage: str = "stage") -> list[Envelope]:
    """Everything that is sent because of one message, as the frame sends it."""
    origin = Origin("source", PARTITION, offset)
    made: list[Envelope] = []
    counts: dict[str, int] = {}
    for output in outcome.outputs:
        first = counts.get(output.topic.name, 0)
        envelopes_made = list(envelopes(output, origin, first, message.arrived_at, "test"))
        counts[output.topic.name] = first + len(envelopes_made)
        made += envelopes_made
    if outcome.rejected is not None:
        made += [letter.envelope for letter in letters_of(outcome.rejected, stage, origin, message.arrived_at)]
    return made


def everything_sent(agent: Agent, messages: Sequence[Message]) -> list[list[Envelope]]:
    """What is sent because of each message."""
    return [on_the_wire(agent.step(message), message, offset) for offset, message in enumerate(messages)]
