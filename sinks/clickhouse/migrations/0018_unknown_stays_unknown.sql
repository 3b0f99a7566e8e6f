-- `least` and `greatest` leave unknown values out: an hour whose load or generation is not known showed a match of 0 or
-- of all that was generated.
CREATE OR REPLACE VIEW v_carbon_free_hour AS
SELECT
    tenant_id,
    site_id,
    window_start,
    e.grid_kwh + ifNull(e.generated_kwh, 0) - ifNull(e.exported_kwh, 0) AS load_kwh,
    e.generated_kwh AS carbon_free_kwh,
    if(isNull(load_kwh), NULL, least(load_kwh, ifNull(e.generated_kwh, 0))) AS matched_kwh,
    if(isNull(e.generated_kwh), NULL, greatest(0, e.generated_kwh - ifNull(e.exported_kwh, 0))) AS self_use_kwh
FROM
(
    SELECT
        tenant_id,
        site_id,
        window_start,
        sumIf(h.import_kwh, h.meter_kind = 'grid') AS grid_kwh,
        sumIf(h.export_kwh, h.meter_kind = 'grid') AS exported_kwh,
        sumIf(h.import_kwh, h.meter_kind = 'generation') AS generated_kwh
    FROM v_energy_hour AS h
    WHERE h.meter_kind IN ('grid', 'generation')
    GROUP BY tenant_id, site_id, window_start
) AS e;
