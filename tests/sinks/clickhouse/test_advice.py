"""Advice is stored record by record; the view has the newest of each measure, and the anomalies behind it."""

from datetime import timedelta

import polars as pl
import pytest
from advised import advised, answered, left_on_every, lived, of_kind, tick_on, told_of
from watched import MONDAY, a_works, at_ms, days_of, learnt, told

from schemas.advice import ADVICE_RECORD
from schemas.anomaly import ANOMALY_RECORD
from schemas.flow import Output
from schemas.topics import ADVICE, ANOMALIES, Topic
from sinks.clickhouse.advice import ADVICE_TABLE, measures
from sinks.clickhouse.anomalies import ANOMALIES_TABLE
from sinks.clickhouse.records import Record
from sinks.clickhouse.rows import TableSpec
from streams.cli.advice import said
from streams.frame.codec import Origin, envelopes
from tests.sinks.clickhouse.builders import rows_of
from tests.sinks.clickhouse.test_views import store

Rows = list[dict[str, object]]
LATER = MONDAY + timedelta(70)  # the detectors of anomalies have learnt by then


def kept(client: object, table: TableSpec, topic: Topic, rows: Rows, schema: dict[str, pl.DataType]) -> None:
    """Store records as they travel."""
    sent = envelopes(Output(topic, rows=pl.DataFrame(rows, schema=schema)), Origin("energy.v1", 0, 7), 0, 0, "test")
    records = (Record(n, one.timestamp_ms, one.key, one.value, dict(one.headers)) for n, one in enumerate(sent))
    store(client, table, *records)


@pytest.fixture
def stored(client) -> Rows:
    """Advice of a works whose press is left on twice a week, and what became of it."""
    agent, rows = told_of(a_works(), left_on_every(2, 4))
    first = of_kind(rows, "shut_down")[0]
    day = MONDAY + timedelta(35)
    rows += advised(agent, [answered(at_ms(day), "declined", first["advice_id"], "too hot"), tick_on(day)])
    kept(client, ADVICE_TABLE, ADVICE, rows, ADVICE_RECORD)
    return rows


def test_each_record_is_a_row_and_the_newest_says_all(client, stored: Rows):
    assert rows_of(client, "SELECT count() FROM advice") == [(len(stored),)]
    newest = {row["advice_id"]: row for row in stored}
    columns = [
        name for name in ADVICE_RECORD if name not in ("ts", "proposed_at", "answered_at") and "_from" not in name
    ]
    columns.remove("evidence_until")
    found = rows_of(client, f"SELECT {', '.join(columns)} FROM v_advice ORDER BY advice_id")
    assert found == [tuple(newest[name][column] for column in columns) for name in sorted(map(str, newest))]


def test_what_may_still_be_done_comes_first(client, stored: Rows):
    found = measures(client, "acme", "mill")

    assert found["kind"].to_list()[-1] == "shut_down"
    assert found["status"].to_list()[-1] == "declined"
    assert found.height == len({row["advice_id"] for row in stored})
    assert measures(client, "other", "mill").is_empty()


def test_a_measure_is_printed_with_its_ranges_and_why(client, stored: Rows):
    row = measures(client, "acme", "mill").row(-1, named=True)
    text = "\n".join(said(row))

    assert text.startswith("shut_down (declined) advice/shut_down/mill/press/")
    assert f"{row['saved_kwh_low']:,.0f} to {row['saved_kwh_high']:,.0f} kWh" in text
    assert "declined: too hot" in text
    assert "anomalies behind it: 0" in text
    assert "未采纳：too hot" in "\n".join(said(row, zh=True))


def test_the_view_counts_the_anomalies_behind_a_measure(client):
    def load(meter: str, day):
        return left_on_every(2, 4)(meter, day) if day >= LATER else left_on_every()(meter, day)

    agent, _ = told_of(a_works(), left_on_every(), days=70)
    rows = advised(agent, lived(a_works(), LATER, 28, load))
    alarms = told(learnt(a_works()), days_of(a_works(), LATER, 28, load))
    kept(client, ADVICE_TABLE, ADVICE, rows, ADVICE_RECORD)
    kept(client, ANOMALIES_TABLE, ANOMALIES, alarms, ANOMALY_RECORD)
    found = of_kind(rows, "shut_down")[-1]
    behind = {
        row["anomaly_id"]
        for row in alarms
        if row["kind"] == "left_on"
        and row["meter_id"] == "press"
        and int(str(found["evidence_from"])) <= int(str(row["opened_at"])) < int(str(found["evidence_until"]))
    }

    assert behind
    assert rows_of(client, "SELECT anomalies FROM v_advice WHERE kind = 'shut_down'") == [(len(behind),)]
