"""`wattloop account`: what it prints, and what it says when it cannot look."""

import polars as pl
from click.testing import CliRunner

from streams.accounting.checks import Period
from streams.accounting.proof import Imbalance, Proof
from streams.cli.account import as_document, as_text
from streams.cli.main import wattloop

NOON_MS = 1_780_315_200_000  # 2026-06-01 12:00 UTC
MISSING = Imbalance("log", "ingest", "meter.readings.v1", 3, 1200, 1263, "readings stored", 64.0, 63.0)
TOO_MUCH = Imbalance("log", "metering", "telemetry.v1", 3, 7, 9, "windows stored", 1.5, 1.75, kwh=True)
HOLE = Imbalance("log", "metering", "telemetry.v1", 3, 10, 12, "metering does not account")


def a_proof(*imbalances: Imbalance, in_flight: tuple[Imbalance, ...] = ()) -> Proof:
    rows = [("ingest", "meter.readings.v1", 900, 0, 100), ("metering", "telemetry.v1", 890, 10, 0)]
    totals = pl.DataFrame(
        [
            {
                "log_id": "log",
                "station": station,
                "topic": topic,
                "partition": 3,
                "first_offset": 0,
                "last_offset": 1263,
                "received": used + late + refused,
                "used": used,
                "late": late,
                "refused": refused,
                "duplicates": 0,
                "sent_rows": 0,
                "sent_import_kwh": 0.0,
                "segments": 2,
            }
            for station, topic, used, late, refused in rows
        ]
    )
    return Proof(totals, imbalances, in_flight, 0, {})


def lines(proof: Proof, *, each: bool = False) -> list[str]:
    return list(as_text(proof, Period(NOON_MS, NOON_MS + 3_600_000), each=each))


def test_what_balances_is_said_in_one_sentence() -> None:
    assert lines(a_proof())[-1] == (
        "balances from 2026-06-01T12:00Z to 2026-06-01T13:00Z: 1,000 readings in = 900 accepted (10 of them late) + "
        "100 rejected"
    )


def test_every_imbalance_is_a_line_with_topic_partition_offsets_and_difference() -> None:
    assert lines(a_proof(MISSING, TOO_MUCH, HOLE))[-4:] == [
        (
            "IMBALANCE meter.readings.v1[3] offsets 1200 to 1263: readings stored: ingest says 64, the history has 63, "
            "difference -1 (log log)"
        ),
        (
            "IMBALANCE telemetry.v1[3] offsets 7 to 9: windows stored: metering says 1.500000 kWh, the history has "
            "1.750000 kWh, difference +0.250000 kWh (log log)"
        ),
        "IMBALANCE telemetry.v1[3] offsets 10 to 12: metering does not account (log log)",
        "does not balance: 3 differences from 2026-06-01T12:00Z to 2026-06-01T13:00Z",
    ]


def test_what_is_in_flight_is_shown_and_is_no_imbalance() -> None:
    shown = lines(a_proof(in_flight=(MISSING,)))
    assert shown[-2].startswith("in flight: meter.readings.v1[3] offsets 1200 to 1263")
    assert shown[-1].endswith("; some of it is in flight")


def test_partitions_are_shown_with_their_offsets() -> None:
    assert any("meter.readings.v1[3] 0-1263" in line for line in lines(a_proof(), each=True))


def test_the_document_has_the_offsets_as_numbers() -> None:
    document = as_document(a_proof(MISSING), Period())
    assert (document["balances"], document["from"]) == (False, None)
    [one] = document["imbalances"]
    assert (one["partition"], one["first_offset"], one["said"], one["unit"]) == (3, 1200, 64.0, "rows")


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(wattloop, ["account", *arguments])
    return done.exit_code, done.output


def test_without_a_history_it_says_so(tmp_path) -> None:
    code, text = run("--data-dir", str(tmp_path))
    assert (code, "there is no history at" in text) == (1, True)


def test_all_and_from_exclude_each_other() -> None:
    code, text = run("--all", "--from", "2026-06-01")
    assert (code, "exclude each other" in text) == (2, True)
