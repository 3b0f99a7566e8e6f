"""What a site is compared by: its sector, floor area and unit of production, from the registry."""

import polars as pl

# One record per revision of a site's registry entry on site.profile.v1; `ts` is when it came into force, in ms UTC.
PROFILE_RECORD: dict[str, pl.DataType] = {
    "id": pl.String(),  # deterministic: profile/<site>/<revision>
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "ts": pl.Int64(),
    "sector": pl.String(),  # null where it takes part in no comparison
    "floor_area_m2": pl.Float64(),
    "production_unit": pl.String(),
    "revision": pl.Int64(),
}
