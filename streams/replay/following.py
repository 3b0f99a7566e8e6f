"""What follows from windows, as in the live run: emissions, balance, demand and the running bill.

Emissions and balance look at one minute at a time, so they are given the minutes of the period only. A bill is the sum
of its month, so billing is given every window that metering makes, from the beginning of the month on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import polars as pl

from agents.balance.step import Balance
from agents.billing.spans import QUARTER_MS, day_of
from agents.billing.step import Billing
from agents.emissions.step import Emissions
from agents.pricing.pricing import Reference
from schemas.balance import BALANCE_ROWS
from schemas.bill import DEMAND_RECORD, LEDGER_RECORD
from schemas.emission import EMISSION_RECORD
from schemas.flow import Kind, Message
from schemas.reference.charges import Charges
from schemas.topics import BALANCE, DEMAND, EMISSIONS, LEDGER
from schemas.window import WINDOW_ROWS
from streams.replay.period import Period

Agent = Emissions | Balance | Billing

_START_MS = pl.col("window_start").dt.epoch("ms")


@dataclass(frozen=True, slots=True)
class Followed:
    """What followed within the period.

    Parameters
    ----------
    windows
        `WINDOW_ROWS`.
    emissions
        `EMISSION_RECORD`, for each reference.
    balance
        `BALANCE_ROWS`.
    demand
        `DEMAND_RECORD` of quarter hours that lie wholly in the period.
    ledger
        `LEDGER_RECORD`, for each reference: of days and months that lie wholly in the period, or with what-if of those
        that have a part in it.
    """

    windows: pl.DataFrame
    emissions: tuple[pl.DataFrame, ...]
    balance: pl.DataFrame
    demand: pl.DataFrame
    ledger: tuple[pl.DataFrame, ...]


@dataclass(slots=True)
class Following:
    """The agents behind metering.

    Parameters
    ----------
    period
        What is wanted.
    references
        Reference data, one for each outcome.
    charges
        Charges beside the energy price; None leaves demand and ledger out.
    as_it_was
        Whether to give what the live run gave, with the editions the site records carried; else all of the period is
        priced with `references`, bills end where the period ends, and there is no balance.
    """

    period: Period
    references: Sequence[Reference]
    charges: Charges | None
    as_it_was: bool = True
    agents: tuple[Agent, ...] = field(init=False)
    _emissions: tuple[Emissions, ...] = field(init=False)
    _balance: Balance | None = field(init=False)
    _billing: tuple[Billing, ...] = field(init=False)
    _windows: list[pl.DataFrame] = field(default_factory=list)
    _sent: dict[tuple[int, str], list[pl.DataFrame]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin without any state."""
        self._emissions = tuple(Emissions(reference, live=False) for reference in self.references)
        self._balance = Balance(self.references[0]) if self.as_it_was else None
        charges = self.charges
        self._billing = () if charges is None else tuple(Billing(one, charges, live=False) for one in self.references)
        balance = () if self._balance is None else (self._balance,)
        self.agents = (*self._emissions, *balance, *self._billing)

    def take(self, message: Message) -> None:
        """Let them take what metering gave."""
        record = message.record
        if record is not None and not self.as_it_was:
            message = replace(message, record=replace(record, edition=None))
        rows = message.rows
        inside, billed = message, message
        if message.kind is Kind.WINDOWS and rows is not None:
            mine = rows.filter(_START_MS.is_between(self.period.first_ms, self.period.end_ms - 1))
            if not mine.is_empty():
                self._windows.append(mine)
            inside = replace(message, rows=mine)
            if not self.as_it_was:
                billed = replace(message, rows=rows.filter(self.period.end_ms > _START_MS))
        if inside.rows is None or not inside.rows.is_empty():
            for number, priced in enumerate(self._emissions):
                self._step(number, priced, inside)
            if self._balance is not None:
                self._step(0, self._balance, inside)
        if billed.rows is None or not billed.rows.is_empty():
            for number, one in enumerate(self._billing):
                self._step(number, one, billed)

    def taken(self, zones: Mapping[str, str]) -> Followed:
        """Return what followed since the last time.

        Parameters
        ----------
        zones
            Time zone of each site.
        """
        first, end = self.period.first_ms, self.period.end_ms
        windows = pl.concat([pl.DataFrame(schema=WINDOW_ROWS), *self._windows])
        outcomes = range(len(self.references))
        quarters = pl.col("ts").is_between(first, end - QUARTER_MS)
        found = Followed(
            windows,
            tuple(self._all(number, EMISSIONS.name, EMISSION_RECORD) for number in outcomes),
            self._all(0, BALANCE.name, BALANCE_ROWS),
            self._all(0, DEMAND.name, DEMAND_RECORD).filter(quarters),
            tuple(self._of_period(self._all(number, LEDGER.name, LEDGER_RECORD), zones) for number in outcomes),
        )
        self._windows, self._sent = [], {}
        return found

    def _step(self, number: int, agent: Agent, message: Message) -> None:
        for output in agent.step(message).outputs:
            if output.rows is not None:
                self._sent.setdefault((number, output.topic.name), []).append(output.rows)

    def _all(self, number: int, topic: str, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
        return pl.concat([pl.DataFrame(schema=dict(schema)), *self._sent.get((number, topic), [])])

    def _of_period(self, ledger: pl.DataFrame, zones: Mapping[str, str]) -> pl.DataFrame:
        spans = ledger.select("site_id", "last_day").unique()
        ends = [day_of(zones[site], date.fromisoformat(last)).ends_at for site, last in spans.iter_rows()]
        within = pl.col("ts") >= self.period.first_ms, pl.col("ends_at") <= self.period.end_ms
        touching = pl.col("ts") < self.period.end_ms, pl.col("ends_at") > self.period.first_ms
        ended = spans.with_columns(ends_at=pl.Series(ends, dtype=pl.Int64))
        return (
            ledger.join(ended, on=["site_id", "last_day"], how="left", maintain_order="left")
            .filter(*(within if self.as_it_was else touching))
            .select(*LEDGER_RECORD)
        )
