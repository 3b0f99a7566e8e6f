"""Anomalies are stored record by record, and the view says what is known of each now."""

from datetime import timedelta

import polars as pl
from builders import site_at
from watched import (
    LEARNT,
    MONDAY,
    REFERENCE,
    a_works,
    but,
    day_of,
    days_of,
    from_to,
    learnt,
    told,
    usual_kw,
)

from agents.anomalies.step import Anomalies
from schemas.anomaly import ANOMALY_RECORD
from schemas.flow import Output
from schemas.learning import LEARNING_RECORD
from schemas.topics import ANOMALIES, ANOMALY_LEARNING
from sinks.clickhouse.anomalies import ANOMALIES_TABLE, LEARNING_TABLE
from sinks.clickhouse.records import Record
from streams.frame.codec import Origin, envelopes
from tests.sinks.clickhouse.builders import rows_of
from tests.sinks.clickhouse.test_views import store

TODAY = MONDAY + timedelta(LEARNT)


def test_each_record_is_a_row_and_the_view_has_the_newest_of_each_anomaly(client):
    evening = but(TODAY, "press", from_to("18:00", "22:00"), 50.0)
    outcome = learnt(a_works()).step(day_of(a_works(), TODAY, evening))
    (rows,) = [one.rows for one in outcome.outputs if one.topic is ANOMALIES and one.rows is not None]
    sent = list(envelopes(Output(ANOMALIES, rows=rows), Origin("energy.v1", 0, 7), 0, 0, "test"))
    store(
        client,
        ANOMALIES_TABLE,
        *(Record(n, one.timestamp_ms, one.key, one.value, dict(one.headers)) for n, one in enumerate(sent)),
    )

    assert rows_of(client, "SELECT count() FROM anomalies") == [(rows.height,)]
    newest = {row["anomaly_id"]: row for row in rows.iter_rows(named=True)}
    columns = [name for name in ANOMALY_RECORD if not name.endswith("_at") and name != "ts"]
    found = rows_of(client, f"SELECT {', '.join(columns)} FROM v_anomalies ORDER BY anomaly_id")
    assert found == [tuple(newest[name][column] for column in columns) for name in sorted(newest)]
    times = "toUnixTimestamp64Milli(began_at), toUnixTimestamp64Milli(opened_at), toUnixTimestamp64Milli(ended_at)"
    assert rows_of(client, f"SELECT {times} FROM v_anomalies ORDER BY anomaly_id") == [
        (newest[name]["began_at"], newest[name]["opened_at"], newest[name]["ended_at"]) for name in sorted(newest)
    ]


def test_how_far_the_detectors_are_is_stored_and_the_view_says_how_far_they_are_now(client):
    agent = Anomalies(REFERENCE)
    agent.step(site_at(a_works()))
    rows = told(agent, days_of(a_works(), MONDAY, 5, usual_kw), ANOMALY_LEARNING)
    sent = envelopes(
        Output(ANOMALY_LEARNING, rows=pl.DataFrame(rows, schema=LEARNING_RECORD)),
        Origin("energy.v1", 0, 7),
        0,
        0,
        "test",
    )
    store(
        client,
        LEARNING_TABLE,
        *(Record(n, one.timestamp_ms, one.key, one.value, dict(one.headers)) for n, one in enumerate(sent)),
    )

    assert rows_of(client, "SELECT count() FROM anomaly_learning") == [(len(rows),)]
    columns = "meter_id, kind, state, learnt_days, needed_days, message_zh"
    assert rows_of(
        client, f"SELECT {columns} FROM v_anomaly_learning WHERE kind = 'standby_creep' ORDER BY meter_id"
    ) == [
        (meter, "standby_creep", "learning", 4, 86, f"{meter}：正在学习待机用电上升，已学 4 天，共需 86 天。")
        for meter in ("main", "press", "racks")
    ]


def test_the_example_of_the_contract_is_what_is_said():
    evening = but(TODAY, "press", from_to("18:00", "22:00"), 50.0)
    rows = told(learnt(a_works()), [day_of(a_works(), TODAY, evening)])

    assert set(rows[0]) == set(ANOMALY_RECORD)
    assert next(row["id"] for row in rows if row["meter_id"] == "press") == (
        "anomalies/left_on/mill/press/1784544300000/0"
    )
