"""Activities from a CSV file: every row checked, everything that is wrong said with file, row and field."""

import csv
from collections.abc import Mapping
from pathlib import Path

import polars as pl
from pydantic import ValidationError

from agents.pricing.activities import NoFactor, record_of
from schemas.activity import ACTIVITY_RECORD, Activity
from schemas.problem import Problem, in_words
from schemas.reference.catalogue import REFERENCE_VERSION, load_fuels
from schemas.registry import Site

COLUMNS = tuple(Activity.model_fields)


def read_activities(path: Path, sites: Mapping[str, Site]) -> tuple[pl.DataFrame, list[Problem]]:
    """Read activities and compute their carbon.

    Parameters
    ----------
    path
        CSV with the columns of `schemas.activity.Activity`; `basis` may be left out.
    sites
        The registry's sites by id.

    Returns
    -------
    tuple
        `ACTIVITY_RECORD` of the rows that are right, and what is wrong with the others.
    """
    fuels = load_fuels()
    records: list[dict[str, object]] = []
    problems: list[Problem] = []
    seen: dict[tuple[str, str], int] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, restkey="(extra)")
        missing = [name for name in COLUMNS if name != "basis" and name not in (reader.fieldnames or ())]
        if missing:
            text = f"the columns {', '.join(missing)} are missing; expected {', '.join(COLUMNS)}"
            return pl.DataFrame(schema=ACTIVITY_RECORD), [Problem(str(path), text, line=1)]
        for raw in reader:
            line = reader.line_num
            try:
                activity = Activity.model_validate(raw)
            except ValidationError as invalid:
                problems += [
                    Problem(str(path), in_words(error), line=line, path=".".join(str(part) for part in error["loc"]))
                    for error in invalid.errors(include_url=False)
                ]
                continue
            site = sites.get(activity.site_id)
            if site is None:
                text = f"there is no site '{activity.site_id}' in the registry"
                problems.append(Problem(str(path), text, line=line, path="site_id"))
                continue
            if (earlier := seen.setdefault((activity.site_id, activity.id), line)) != line:
                problems.append(Problem(str(path), f"the id is in line {earlier} already", line=line, path="id"))
                continue
            try:
                records.append(record_of(activity, site, fuels, REFERENCE_VERSION))
            except NoFactor as unknown:
                problems.append(Problem(str(path), str(unknown), line=line, path="fuel"))
    return pl.DataFrame(records, schema=ACTIVITY_RECORD), problems
