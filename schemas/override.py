"""An operator's override: a zone is taken from the controller for a while, as one record on hvac.overrides.v1."""

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from schemas.entry import Id, Name
from schemas.hvac import Degrees
from schemas.setpoint import CommandId, Ms

# One record per override on hvac.overrides.v1; `ts` is when it was given, in ms UTC. The newest one of a zone counts.
OVERRIDE_RECORD: dict[str, pl.DataType] = {
    "id": pl.String(),  # deterministic: overrides/<site>/<zone>/<ts>
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "zone_id": pl.String(),
    "ts": pl.Int64(),
    "until": pl.Int64(),  # when it ends, ms UTC; not after `ts`: it ends the one before it
    "cooling_c": pl.Float64(),  # both null: nothing is written, the zone follows the building's own control
    "heating_c": pl.Float64(),
    "operator": pl.String(),  # who
    "why": pl.String(),
}


def override_id(site_id: str, zone_id: str, ts: int) -> str:
    """Return the id of an override.

    Examples
    --------
    >>> override_id("mill", "hall", 1784008800000)
    'overrides/mill/hall/1784008800000'
    """
    return f"overrides/{site_id}/{zone_id}/{ts}"


class Override(BaseModel):
    """An override as its consumers read it; fields they do not know are ignored.

    Examples
    --------
    >>> given = '''{"id": "overrides/mill/hall/1784008800000", "tenant_id": "acme", "site_id": "mill",
    ...   "zone_id": "hall", "ts": 1784008800000, "until": 1784012400000, "operator": "Chen Wei",
    ...   "why": "inspection of the ducts"}'''
    >>> Override.model_validate_json(given).releases
    True
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: CommandId
    tenant_id: Id
    site_id: Id
    zone_id: Id
    ts: Ms
    until: Ms
    cooling_c: Degrees | None = None
    heating_c: Degrees | None = None
    operator: Name
    why: str = Field("", max_length=1000)

    @property
    def releases(self) -> bool:
        """Whether nothing is written while it holds."""
        return self.cooling_c is None and self.heating_c is None
