"""What goes through beside the readings (weather, production, feedback, zones, history), and what compares sites."""

import polars as pl

from schemas.flow import CONTEXT, Message, Outcome, Output, SiteRecord
from schemas.profile import PROFILE_RECORD
from schemas.topics import ENERGY, SITE_PROFILE


def passed_on(message: Message) -> Outcome:
    """Pass weather, production, feedback, zones or history on to the agents behind.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    if message.kind not in CONTEXT or message.rows is None:
        raise ValueError(f"only weather, production, feedback, zones and history are passed on, not {message.kind}")
    return Outcome([Output(ENERGY, message.kind, message.rows)])


def profile(record: SiteRecord, arrived_at: int) -> Output:
    """Return what a site is compared by, as of a revision of its record that arrived then. [ms UTC]"""
    site = record.site
    row = (
        f"profile/{site.id}/{record.revision}",
        site.tenant,
        site.id,
        arrived_at,
        site.sector or None,
        site.floor_area_m2,
        site.production_unit or None,
        record.revision,
    )
    return Output(SITE_PROFILE, rows=pl.DataFrame([row], schema=PROFILE_RECORD, orient="row"))
