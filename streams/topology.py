"""The picture of docs/architecture.md as code: every agent, the topics it reads and writes, and every sink.

meter.readings.v1 -> ingest -> telemetry.v1 -> metering -> energy.v1 -> emissions -> emissions.v1, site.live.v1
                       |                          |                 +-> billing -> demand.v1, demand.live.v1, ledger.v1
                       |                          |                 +-> balance -> balance.v1
                       |                          |                 +-> anomalies -> anomalies.v1, anomaly.learning.v1
                       |                          |                 +-> advice -> advice.v1
                       |                          |                 +-> comfort -> hvac.setpoints.v1
                       |                          |                 +-> savings -> savings.v1
                       |                          +--> corrections.v1, site.profile.v1
                       +--> dead-letters.v1 <-----+ (and what people said of an anomaly or a measure that is not there)
weather.v1, production.v1, anomaly.feedback.v1, zone.readings.v1, meter.history.v1 (from `wattloop learn`)
  -> ingest -> telemetry.v1 -> metering -> energy.v1, for the agents that ask for it
       +-> site.weather.v1, site.production.v1, site.feedback.v1, site.zones.v1
activities.v1 -> activities -> activity.v1, dead-letters.v1
factors.v1, tariffs.v1 and registry.v1 -> ingest, which puts what is in force in front of a site's readings
hvac.setpoints.v1, hvac.overrides.v1 -> hvac gateway (streams/hvac_gateway, a process beside a plant) -> hvac.acks.v1
sinks: telemetry.v1 -> readings, energy.v1 -> energy_windows, emissions.v1 -> emissions,
       demand.v1 -> demand, ledger.v1 -> ledger, corrections.v1 -> corrections, activity.v1 -> activities,
       dead-letters.v1 -> dead_letters, accounting.v1 -> accounting, site.weather.v1 -> weather,
       site.production.v1 -> production, site.profile.v1 -> site_profiles, balance.v1 -> balance,
       anomalies.v1 -> anomalies, anomaly.learning.v1 -> anomaly_learning, site.feedback.v1 -> feedback,
       advice.v1 -> advice, savings.v1 -> savings,
       site.zones.v1 -> zones, hvac.setpoints.v1 -> setpoints, hvac.acks.v1 -> setpoint_acks
ingest, every agent and the history say on accounting.v1 what they made of what they read
"""

from functools import partial

from agents.advice.step import Advice
from agents.anomalies.step import Anomalies
from agents.balance.step import Balance
from agents.billing.step import Billing
from agents.comfort.step import Comfort
from agents.emissions.step import Emissions
from agents.metering.step import Metering
from agents.pricing.pricing import Reference
from agents.savings.step import Savings
from schemas.reference.catalogue import REFERENCE_VERSION, load_charges, load_factors, load_tariffs
from schemas.topics import (
    ADVICE,
    ANOMALIES,
    ANOMALY_LEARNING,
    BALANCE,
    CORRECTIONS,
    DEAD_LETTERS,
    DEMAND,
    DEMAND_LIVE,
    EMISSIONS,
    ENERGY,
    HVAC_SETPOINTS,
    LEDGER,
    SAVINGS,
    SITE_LIVE,
    SITE_PROFILE,
    TELEMETRY,
)
from sinks.clickhouse.accounting import ACCOUNTING_TABLE
from sinks.clickhouse.activities import ACTIVITIES_TABLE
from sinks.clickhouse.advice import ADVICE_TABLE
from sinks.clickhouse.anomalies import ANOMALIES_TABLE, FEEDBACK_TABLE, LEARNING_TABLE
from sinks.clickhouse.balance import BALANCE_TABLE
from sinks.clickhouse.bills import DEMAND_TABLE, LEDGER_TABLE
from sinks.clickhouse.context import PRODUCTION_TABLE, PROFILES_TABLE, WEATHER_TABLE
from sinks.clickhouse.corrections import CORRECTIONS_TABLE
from sinks.clickhouse.letters import DEAD_LETTERS_TABLE
from sinks.clickhouse.rows import EMISSIONS_TABLE, READINGS_TABLE, WINDOWS_TABLE
from sinks.clickhouse.savings import SAVINGS_TABLE
from sinks.clickhouse.zones import ACKS_TABLE, SETPOINTS_TABLE, ZONES_TABLE
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
    ACTIVITIES_TABLE,
    WEATHER_TABLE,
    PRODUCTION_TABLE,
    PROFILES_TABLE,
    BALANCE_TABLE,
    ANOMALIES_TABLE,
    FEEDBACK_TABLE,
    LEARNING_TABLE,
    ADVICE_TABLE,
    ZONES_TABLE,
    SETPOINTS_TABLE,
    ACKS_TABLE,
    SAVINGS_TABLE,
)


def stages(settings: Settings) -> tuple[StageSpec, ...]:
    """Return every agent of a deployment, in the order of the flow."""
    reference = Reference(load_factors(), load_tariffs(), REFERENCE_VERSION)
    return (
        StageSpec(
            "metering",
            TELEMETRY,
            (ENERGY, CORRECTIONS, DEAD_LETTERS, SITE_PROFILE),
            partial(Metering, settings.allowed_lateness_s, settings.revision_horizon_s),
            context=True,
            history=True,
        ),
        StageSpec("emissions", ENERGY, (EMISSIONS, SITE_LIVE), partial(Emissions, reference)),
        StageSpec("billing", ENERGY, (DEMAND, DEMAND_LIVE, LEDGER), partial(Billing, reference, load_charges())),
        StageSpec("balance", ENERGY, (BALANCE,), partial(Balance, reference), live=False),
        StageSpec(
            "anomalies",
            ENERGY,
            (ANOMALIES, ANOMALY_LEARNING, DEAD_LETTERS),
            partial(Anomalies, reference),
            context=True,
            history=True,
            live=False,
            sites_at_once=25,
        ),
        StageSpec(
            "advice",
            ENERGY,
            (ADVICE, DEAD_LETTERS),
            partial(Advice, reference, load_charges()),
            context=True,
            history=True,
            live=False,
            sites_at_once=25,
        ),
        StageSpec(
            "comfort",
            ENERGY,
            (HVAC_SETPOINTS,),
            partial(Comfort, reference),
            context=True,
            windows=False,
            sites_at_once=100,
        ),
        StageSpec(
            "savings",
            ENERGY,
            (SAVINGS,),
            partial(Savings, reference),
            context=True,
            live=False,
            sites_at_once=50,
        ),
    )
