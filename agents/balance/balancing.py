"""The balance of minutes: load, self-use, the rest of every meter, and who causes which cost and carbon.

Everything is added up in whole numbers of 1e-9 kWh (CNY, kg), so that parts and wholes agree to the last digit.
"""

import polars as pl

from agents.balance.minutes import MINUTE, WORST
from agents.balance.tree import Trees
from agents.pricing.editions import EditionPricing
from schemas.balance import BALANCE_ROWS, METER, SITE, VIRTUAL
from schemas.registry import MeterKind
from schemas.window import WINDOW_S

_UNIT = 1e9
_PLACE = ["site_id", "window_start"]
_METER = [*_PLACE, "meter_id"]
_TO_SHARE = ("cost_cny", "emitted_kg", "market_emitted_kg")


def balanced(windows: pl.DataFrame, trees: Trees, pricing: EditionPricing) -> pl.DataFrame:
    """Balance minutes.

    Parameters
    ----------
    windows
        `minutes.HELD` of the minutes.
    trees
        The meters of their sites.
    pricing
        Knows their sites.

    Returns
    -------
    pl.DataFrame
        `BALANCE_ROWS`.
    """
    flows = _flows(windows, trees)
    sites = _sites(flows, trees, pricing)
    meters = _meters(flows, trees).join(
        sites.select(*MINUTE, "revision", "local_day", "period"), on=MINUTE, how="left", maintain_order="left"
    )
    virtual = _virtual(flows, trees, sites)
    # The rest of the site comes first: where nothing was used, it takes what there is to share.
    parts = pl.concat([sites, meters], how="diagonal").sort(*_PLACE, "name", maintain_order=True)
    shared = _shared(parts, sites)
    rows = pl.concat([shared, virtual], how="diagonal").sort(*_PLACE, "part", "name", descending=[False] * 4)
    measures = [name for name, kind in BALANCE_ROWS.items() if kind == pl.Float64()]
    return rows.with_columns(
        *((pl.col(name) / _UNIT).cast(pl.Float64) for name in measures),
        pl.from_epoch("window_start", "ms").cast(BALANCE_ROWS["window_start"]),
        window_s=pl.lit(WINDOW_S, pl.Int32),
        quality=pl.col("worst").replace_strict([0, 1, 2], WORST, return_dtype=pl.String),
    ).select(pl.col(name).cast(kind) for name, kind in BALANCE_ROWS.items())


def _whole(name: str) -> pl.Expr:
    return (pl.col(name) * _UNIT).round().cast(pl.Int64)


def _flows(windows: pl.DataFrame, trees: Trees) -> pl.DataFrame:
    """Say what each meter passed on, in whole numbers; a window without energy is none."""
    imported, exported = _whole("import_kwh"), _whole("export_kwh")
    drawn = imported - exported.fill_null(0)
    generated = pl.coalesce(drawn, exported)
    return (
        windows.join(trees.nodes, on=["site_id", "meter_id"], how="left", maintain_order="left")
        .with_columns(
            drawn=imported,
            sent=exported,
            net=pl.when(pl.col("meter_kind") == MeterKind.GENERATION.value).then(generated).otherwise(drawn),
        )
        .drop("import_kwh", "export_kwh")
    )


def _sites(flows: pl.DataFrame, trees: Trees, pricing: EditionPricing) -> pl.DataFrame:
    """Balance sites."""
    grid = pl.col("meter_kind") == MeterKind.GRID.value
    source = grid | pl.col("generates").fill_null(value=False)
    made = pl.col("generates").fill_null(value=False)
    known = flows.group_by(MINUTE, maintain_order=True).agg(
        revision=pl.col("revision").max(),
        worst=pl.col("worst").filter(source).max(),
        grids=(grid & pl.col("net").is_not_null()).sum().cast(pl.Int32),
        makers=(made & pl.col("net").is_not_null()).sum().cast(pl.Int32),
        drawn=pl.col("drawn").filter(grid).sum(),
        sent=pl.col("sent").filter(grid).sum(),
        sees_export=pl.col("sent").filter(grid).is_not_null().any(),
        made=pl.col("net").filter(made).sum(),
    )
    counted = known.join(trees.sites, on="site_id", how="left", maintain_order="left").join(
        _loose(flows, trees), on=MINUTE, how="left", maintain_order="left"
    )
    import_kwh = pl.when(pl.col("grids") >= pl.col("grid_meters")).then("drawn")
    generation_kwh = pl.when((pl.col("generators") > 0) & (pl.col("makers") >= pl.col("generators"))).then("made")
    load_kwh = import_kwh + pl.when(pl.col("generators") > 0).then(generation_kwh).otherwise(0) - pl.col("sent")
    own = pl.when(load_kwh.is_not_null()).then(pl.col("loose").fill_null(0))
    sites = counted.with_columns(
        part=pl.lit(SITE),
        name=pl.lit(""),
        import_kwh=import_kwh,
        export_kwh=pl.when("sees_export").then("sent"),
        generation_kwh=generation_kwh,
        load_kwh=load_kwh,
        own_kwh=own,
        meters_missing=pl.col("grid_meters") + pl.col("generators") - pl.col("grids") - pl.col("makers"),
    ).with_columns(
        self_use_kwh=pl.when(pl.col("load_kwh").is_not_null() & pl.col("generation_kwh").is_not_null()).then(
            pl.min_horizontal(pl.col("generation_kwh") - pl.col("sent"), "load_kwh").clip(lower_bound=0)
        ),
        flag=pl.when(pl.col("load_kwh") < 0)
        .then(pl.lit("negative_load"))
        .when((pl.col("generators") > 0) & (pl.col("sent") > pl.col("generation_kwh")))
        .then(pl.lit("export_above_generation"))
        .when((pl.col("generators") > 0) & ~pl.col("sees_export"))
        .then(pl.lit("export_not_measured")),
    )
    priced = pricing.priced(sites.select(*_PLACE, import_kwh=pl.col("import_kwh") / _UNIT))
    return sites.hstack(priced.select("local_day", "period", *(_whole(name).alias(name) for name in _TO_SHARE))).drop(
        "drawn", "sent", "made", "loose", "grids", "makers", "sees_export", *trees.sites.columns[1:]
    )


def _loose(flows: pl.DataFrame, trees: Trees) -> pl.DataFrame:
    """Add up what hangs on no known meter at all: only where several grid meters leave open which one feeds it."""
    known = flows.filter(pl.col("above").is_not_null(), pl.col("net").is_not_null())
    hung = _hung_up(known, known.filter(~pl.col("generates")), trees)
    loose = (pl.col("above") == "") & (pl.col("meter_kind") != MeterKind.GRID.value)
    return hung.filter(loose).group_by(*MINUTE).agg(loose=_passed_on().sum())


def _passed_on() -> pl.Expr:
    """What a meter adds to the rest of the one above it: generation flows in, everything else out."""
    return pl.when("generates").then("net").otherwise(-pl.col("net"))


def _meters(flows: pl.DataFrame, trees: Trees) -> pl.DataFrame:
    """Take from every meter what the meters below it account for."""
    known = flows.filter(pl.col("above").is_not_null(), pl.col("net").is_not_null())
    users = known.filter(~pl.col("generates"))
    direct = known.group_by(*_PLACE, "above").agg(seen=pl.len().cast(pl.Int32))
    below = (
        _hung_up(known, users, trees)
        .group_by(*_PLACE, meter_id="above")
        .agg(passed_on=_passed_on().sum(), worst_below=pl.col("worst").max())
    )
    missing = (pl.col("below") - pl.col("seen").fill_null(0)).cast(pl.Int32)
    is_alone = (pl.col("below") == 0) & pl.col("passed_on").is_null()
    return (
        users.join(below, on=_METER, how="left", maintain_order="left")
        .join(direct.rename({"above": "meter_id"}), on=_METER, how="left", maintain_order="left")
        .with_columns(own_kwh=pl.col("net") + pl.col("passed_on").fill_null(0), meters_missing=missing)
        .with_columns(rest_kwh=pl.when((missing == 0) & ~is_alone).then("own_kwh"))
        .select(
            *MINUTE,
            "meter_kind",
            "equipment_class",
            "area",
            "own_kwh",
            "rest_kwh",
            "meters_missing",
            part=pl.lit(METER),
            name="meter_id",
            load_kwh="net",
            worst=pl.max_horizontal("worst", "worst_below"),
            flag=pl.when(pl.col("rest_kwh") < 0).then(pl.lit("negative_rest")),
        )
    )


def _hung_up(known: pl.DataFrame, users: pl.DataFrame, trees: Trees) -> pl.DataFrame:
    """Hang every meter below the nearest one that is known: what is below a missing meter is part of the next."""
    there = users.select(_METER).with_columns(there=pl.lit(value=True))
    higher = trees.nodes.select("site_id", above="meter_id", higher="above")
    while True:
        looked = known.join(there, left_on=[*_PLACE, "above"], right_on=_METER, how="left", maintain_order="left").join(
            higher, on=["site_id", "above"], how="left", maintain_order="left"
        )
        lost = pl.col("there").is_null() & (pl.col("above") != "")
        if not looked.select(lost.any()).item():
            return known
        known = looked.with_columns(above=pl.when(lost).then("higher").otherwise("above")).drop("there", "higher")


def _shared(parts: pl.DataFrame, sites: pl.DataFrame) -> pl.DataFrame:
    """Share what a site used, paid and emitted in the proportion of what each part used."""
    totals = sites.select(
        *MINUTE,
        load=pl.col("load_kwh"),
        sun=pl.col("self_use_kwh").fill_null(0),
        **{f"{name}_of_site": pl.col(name) for name in _TO_SHARE},
    )
    of_site = parts.drop(_TO_SHARE).join(totals, on=MINUTE, how="left", maintain_order="left")
    # Without a load there is nothing that parts could be parts of.
    known = of_site.with_columns(own_kwh=pl.when(pl.col("load").is_not_null()).then("own_kwh"))
    sun = known.with_columns(own_from_generation_kwh=_portion("own_kwh", pl.col("sun")))
    grid = sun.with_columns(own_from_grid_kwh=pl.col("own_kwh") - pl.col("own_from_generation_kwh"))
    return grid.with_columns(_portion("own_from_grid_kwh", pl.col(f"{name}_of_site")).alias(name) for name in _TO_SHARE)


def _portion(weight: str, total: pl.Expr) -> pl.Expr:
    """Part of a total by weight; its running sum is what is rounded, so the parts of a minute add up to it exactly."""
    reached = pl.col(weight).cum_sum().over(MINUTE)
    whole = pl.col(weight).sum().over(MINUTE)
    ratio = pl.when(whole == 0).then(1.0).otherwise(reached / whole)
    upto = (total * ratio).round().cast(pl.Int64)
    return pl.when(pl.col(weight).is_not_null()).then(upto - upto.shift(1).over(MINUTE).fill_null(0))


def _virtual(flows: pl.DataFrame, trees: Trees, sites: pl.DataFrame) -> pl.DataFrame:
    """Add up virtual meters; one of which a part is missing is not known."""
    about = sites.select(*MINUTE, "revision", "local_day", "period")
    wanted = about.join(trees.terms, on="site_id", how="inner", maintain_order="left")
    passed = flows.select(*_METER, "net", "worst", "meter_kind")
    missing = pl.col("net").null_count()
    return (
        wanted.join(passed, on=_METER, how="left", maintain_order="left")
        .group_by(*MINUTE, "revision", "local_day", "period", "name", "equipment_class", maintain_order=True)
        .agg(
            load_kwh=pl.when(missing == 0).then((pl.col("net") * pl.col("times")).sum()),
            meters_missing=missing.cast(pl.Int32),
            worst=pl.col("worst").max(),
        )
        .with_columns(part=pl.lit(VIRTUAL))
    )
