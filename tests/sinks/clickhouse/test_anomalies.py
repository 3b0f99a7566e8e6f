"""Anomalies are stored record by record, and the view says what is known of each now."""

from datetime import timedelta

from watched import LEARNT, MONDAY, a_works, but, day_of, from_to, learnt, told

from schemas.anomaly import ANOMALY_RECORD
from schemas.flow import Output
from schemas.topics import ANOMALIES
from sinks.clickhouse.anomalies import ANOMALIES_TABLE
from sinks.clickhouse.records import Record
from streams.frame.codec import Origin, envelopes
from tests.sinks.clickhouse.builders import rows_of
from tests.sinks.clickhouse.test_views import store

TODAY = MONDAY + timedelta(LEARNT)


def test_each_record_is_a_row_and_the_view_has_the_newest_of_each_anomaly(client):
    evening = but(TODAY, "press", from_to("18:00", "22:00"), 50.0)
    outcome = learnt(a_works()).step(day_of(a_works(), TODAY, evening))
    (rows,) = [output.rows for output in outcome.outputs if output.rows is not None]
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


def test_the_example_of_the_contract_is_what_is_said():
    evening = but(TODAY, "press", from_to("18:00", "22:00"), 50.0)
    rows = told(learnt(a_works()), [day_of(a_works(), TODAY, evening)])

    assert set(rows[0]) == set(ANOMALY_RECORD)
    assert next(row["id"] for row in rows if row["meter_id"] == "press") == (
        "anomalies/left_on/mill/press/1784544300000/0"
    )
