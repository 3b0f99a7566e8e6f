"""What the history holds becomes messages, and detectors that read them know what those know that lived through it."""

from datetime import date, timedelta

import polars as pl
import pytest
from watched import MONDAY, REFERENCE, a_works, at_ms, days_of, site_at, told, usual_kw

from agents.anomalies.state import from_bytes
from agents.anomalies.step import Anomalies
from schemas.flow import Kind, Message, SiteRecord
from schemas.history import HISTORY_ROWS
from sinks.clickhouse.records import Record
from sinks.clickhouse.rows import WINDOWS_TABLE
from streams.frame.codec import batch_value, control_headers
from streams.ingest.context import known_sites
from streams.ingest.decode import decode
from streams.ingest.field import HISTORY
from streams.ingest.poll import ARROW_TYPE, Poll, RawMessage
from streams.ingest.validate import Bounds
from streams.learning import history_of, messages_of
from tests.sinks.clickhouse.test_views import store

DAYS = 20
TODAY = MONDAY + timedelta(DAYS)
ARRIVED = at_ms(TODAY, "09:00")
SITE = a_works()


def kept(offset: int, windows: pl.DataFrame) -> Record:
    """Windows as they are on energy.v1."""
    headers = dict(control_headers(Kind.WINDOWS, 0)) | {"origin": f"0:{offset}:0".encode()}
    return Record(offset, 0, None, batch_value(windows), headers)


@pytest.fixture
def lived(client) -> Anomalies:
    """A detector that lived through some days, which are in the history as well."""
    agent = Anomalies(REFERENCE)
    agent.step(site_at(SITE))
    messages = list(days_of(SITE, MONDAY, DAYS, usual_kw))
    told(agent, messages)
    records = [kept(number, one.rows) for number, one in enumerate(messages) if one.rows is not None]
    store(client, WINDOWS_TABLE, *records)
    return agent


def through_ingest(history: pl.DataFrame) -> pl.DataFrame:
    """The rows as they are on telemetry.v1."""
    raw = [
        RawMessage(0, number, ARRIVED, b"mill", batch_value(rows), ARROW_TYPE)
        for number, rows in enumerate(messages_of(history))
    ]
    poll = Poll.of(raw)
    decoded = decode(poll, HISTORY.sends)
    sites = known_sites([SiteRecord(SITE, 0)], 4)
    found = HISTORY.validate(decoded, poll, sites, Bounds(future_ms=300_000, past_ms=400 * 86_400_000))
    assert found.refused.is_empty()
    return found.accepted.select(*HISTORY_ROWS)


def test_a_detector_that_learnt_from_the_history_knows_what_one_knows_that_lived_through_it(client, lived: Anomalies):
    agent = Anomalies(REFERENCE)
    agent.step(site_at(SITE))
    rows = through_ingest(history_of(client, SITE, TODAY, DAYS))
    assert told(agent, [Message(Kind.HISTORY, ARRIVED, rows)]) == []

    states = [from_bytes(one.snapshot(["mill"])["mill"])[0] for one in (lived, agent)]
    assert states[0].meters.keys() == states[1].meters.keys()
    for name, watch in states[0].meters.items():
        learnt = states[1].meters[name]
        assert learnt.profile.days == watch.profile.days
        assert learnt.profile.mean_kw == pytest.approx(watch.profile.mean_kw, rel=1e-5, nan_ok=True)
        for span, limit in watch.idling.limits.items():
            assert learnt.idling.limits[span].numbers() == pytest.approx(limit.numbers(), rel=1e-5, abs=1e-6)


def test_the_history_ends_at_the_last_midnight_with_a_row_that_says_so(client, lived: Anomalies):
    history = history_of(client, SITE, TODAY - timedelta(2), 3)

    assert history["until"].unique().to_list() == [at_ms(TODAY - timedelta(2))]
    assert history.row(-1) == ("mill", None, at_ms(TODAY - timedelta(2)), None, at_ms(TODAY - timedelta(2)))
    assert len(history) == 3 * 96 * 3 + 1
    assert history["ts"].is_sorted()


def test_what_was_not_measured_for_long_enough_has_no_power(client):
    powers = usual_kw("main", MONDAY)
    powers[40] = float("nan")
    (message,) = days_of(SITE, MONDAY, 1, lambda meter, _: powers if meter == "main" else None)
    assert message.rows is not None
    # Six of fifteen minutes are estimated in one quarter hour.
    start = at_ms(MONDAY, "03:00")
    minute = pl.col("window_start").dt.epoch("ms")
    rows = message.rows.with_columns(
        quality=pl.when(minute.is_between(start, start + 5 * 60_000)).then(pl.lit("estimated")).otherwise("quality")
    )
    store(client, WINDOWS_TABLE, kept(0, rows))
    found = {ts: kw for _, _, ts, kw, _ in history_of(client, SITE, MONDAY + timedelta(1), 1).rows()}

    assert found[start] is None
    assert found[start + 900_000] == pytest.approx(powers[13])
    assert at_ms(MONDAY, "10:00") not in found


def test_of_a_site_nobody_measured_nothing_is_sent(client):
    assert history_of(client, SITE, date(2026, 6, 1), 30).is_empty()
