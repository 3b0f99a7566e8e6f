"""The picture of docs/architecture.md as code: every agent, the topics it reads and writes, and every sink.

meter.readings.v1 -> ingest -> telemetry.v1 -> metering -> energy.v1 -> emissions -> emissions.v1, site.live.v1
                       |                          |                 +-> billing -> demand.v1, demand.live.v1, ledger.v1
                       +--> dead-letters.v1 <-----+--> corrections.v1 +-> balance -> balance.v1
sinks: telemetry.v1 -> readings, energy.v1 -> energy_windows, emissions.v1 -> emissions,
       demand.v1 -> demand, ledger.v1 -> ledger, corrections.v1 -> corrections,
       balance.v1 -> balance,
       dead-letters.v1 -> dead_letters, accounting.v1 -> accounting
ingest, every agent and the history say on accounting.v1 what they made of what they read
"""

from functools import partial

from agents.balance.step import Balance
from agents.billing.step import Billing
from agents.emissions.step import Emissions
from agents.metering.step import Metering
from agents.pricing.pricing import Reference
from schemas.reference.catalogue import REFERENCE_VERSION, load_charges, load_factors, load_tariffs
from schemas.topics import (
    BALANCE,
    CORRECTIONS,
    DEAD_LETTERS,
    DEMAND,
    DEMAND_LIVE,
    EMISSIONS,
    ENERGY,
    LEDGER,
    SITE_LIVE,
    TELEMETRY,
)
from sinks.clickhouse.accounting import ACCOUNTING_TABLE
from sinks.clickhouse.balance import BALANCE_TABLE
from sinks.clickhouse.bills import DEMAND_TABLE, LEDGER_TABLE
from sinks.clickhouse.corrections import CORRECTIONS_TABLE
from sinks.clickhouse.letters import DEAD_LETTERS_TABLE
from sinks.clickhouse.rows import EMISSIONS_TABLE, READINGS_TABLE, WINDOWS_TABLE
from streams.frame.stage import StageSpec
from streams.settings import Settings

APP_ID = "wattloop"

# What the history store keeps; each names its topic and its table.
STORED = (
    READINGS_TABLE,
    WINDOWS_TABLE,
    EMISSIONS_TABLE,
    DEMAND_TABLE,
    LEDGER_TABLE,
    DEAD_LETTERS_TABLE,
    ACCOUNTING_TABLE,
    CORRECTIONS_TABLE,
    BALANCE_TABLE,
)


def stages(settings: Settings) -> tuple[StageSpec, ...]:
    """Return every agent of a deployment, in the order of the flow."""
    reference = Reference(load_factors(), load_tariffs(), REFERENCE_VERSION)
    return (
        StageSpec(
            "metering",
            TELEMETRY,
            (ENERGY, CORRECTIONS, DEAD_LETTERS),
            partial(Metering, settings.allowed_lateness_s, settings.revision_horizon_s),
        ),
        StageSpec("emissions", ENERGY, (EMISSIONS, SITE_LIVE), partial(Emissions, reference)),
        StageSpec("billing", ENERGY, (DEMAND, DEMAND_LIVE, LEDGER), partial(Billing, reference, load_charges())),
        StageSpec("balance", ENERGY, (BALANCE,), partial(Balance, reference)),
    )
