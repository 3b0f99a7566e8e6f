"""How long the tables keep their rows: TTLs, set where they differ from what is wanted."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from sinks.clickhouse.errors import unavailable_is_named

_TABLES = """
SELECT name, engine_full
FROM system.tables
WHERE database = currentDatabase()
"""
_TTL = re.compile(r" TTL (?P<expression>.*?)(?: SETTINGS |$)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long rows are kept, by event time.

    Parameters
    ----------
    readings_months, windows_months, quarters_months, hours_months, dead_letters_months
        Age at which rows are dropped: readings; windows, emissions and balance of 60 s, zones and corrections; sums
        of 15 minutes and demand; sums of hours and days, the ledger, weather, production, set-points and anomalies;
        dead letters.
    replayed_days
        How long a row stays at least after it was written, however old its event time is: what is replayed has to be
        there until its sums are made of it.
    """

    readings_months: int
    windows_months: int
    quarters_months: int
    hours_months: int
    dead_letters_months: int
    replayed_days: int

    def expressions(self) -> Iterator[tuple[str, str]]:
        """Yield each table and its TTL, as ClickHouse writes it.

        Examples
        --------
        >>> dict(Retention(13, 14, 36, 120, 13, 30).expressions())["energy_day"]
        'greatest(window_start + toIntervalMonth(120), computed_at + toIntervalDay(30))'
        """
        stored = (
            ("readings", "ts", self.readings_months),
            ("energy_windows", "window_start", self.windows_months),
            ("emissions", "ts", self.windows_months),
            ("demand", "ts", self.quarters_months),
            ("ledger", "ts", self.hours_months),
            ("dead_letters", "arrived_at", self.dead_letters_months),
            ("corrections", "ts", self.windows_months),
            ("weather", "ts", self.hours_months),
            ("production", "ts", self.hours_months),
            ("balance", "window_start", self.windows_months),
            ("anomalies", "ts", self.hours_months),
            ("feedback", "ts", self.hours_months),
            ("anomaly_learning", "ts", self.hours_months),
            ("advice", "ts", self.hours_months),
            ("zones", "ts", self.windows_months),
            ("setpoints", "ts", self.hours_months),
            ("setpoint_acks", "ts", self.hours_months),
            ("savings", "ts", self.hours_months),
        )
        for table, time, months in stored:
            yield table, self._kept(f"toDateTime({time})", months, "toDateTime(written_at)")
        for level, months in (
            ("15min", self.quarters_months),
            ("hour", self.hours_months),
            ("day", self.hours_months),
        ):
            for kind in ("energy", "emissions"):
                yield f"{kind}_{level}", self._kept("window_start", months, "computed_at")

    def _kept(self, time: str, months: int, written: str) -> str:
        return f"greatest({time} + toIntervalMonth({months}), {written} + toIntervalDay({self.replayed_days}))"


def keep(client: Client, retention: Retention) -> list[str]:
    """Set the TTLs that differ, and return the names of their tables.

    Parameters
    ----------
    client
        A migrated database.
    retention
        What is wanted.

    Raises
    ------
    SinkUnavailable
        When ClickHouse cannot answer now: call it again.
    """
    with unavailable_is_named("setting how long rows are kept"):
        found = {str(name): _ttl(str(engine)) for name, engine in client.query(_TABLES).result_rows}
        changed = [(table, ttl) for table, ttl in retention.expressions() if found[table] != ttl]
        for table, ttl in changed:
            client.command(f"ALTER TABLE {table} MODIFY TTL {ttl}")
    return [table for table, _ in changed]


def _ttl(engine: str) -> str | None:
    match = _TTL.search(engine)
    return match["expression"] if match else None
