"""Activities as the field sends them: every line checked and priced, or refused with its reason."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl
from pydantic import ValidationError

from agents.pricing.activities import NoFactor, record_of
from schemas.activity import Activity
from schemas.flow import SiteRecord
from schemas.problem import in_words
from schemas.rejection import Reason


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that is not taken.

    Parameters
    ----------
    index
        Its place in the message.
    line
        As it came.
    reason, detail
        Why, and what was expected.
    """

    index: int
    line: bytes
    reason: Reason
    detail: str


def judged(
    value: bytes | None, sites: Mapping[str, SiteRecord], fuels: pl.DataFrame, version: str
) -> Iterator[dict[str, object] | Refused]:
    """Judge the activities of a message, one per line.

    Parameters
    ----------
    value
        A JSON object of `schemas.activity.Activity`, or several as NDJSON.
    sites
        The registry's sites by id.
    fuels
        Rows of `schemas.reference.catalogue.load_fuels`.
    version
        Version of the reference data.

    Yields
    ------
    dict or Refused
        `ACTIVITY_RECORD` of a line that is right, or what is wrong with it. A blank line is nothing.
    """
    lines = [line for line in (value or b"").splitlines() if line.strip()]
    if not lines:
        yield Refused(0, value or b"", Reason.UNDECODABLE, "expected a JSON object")
    for index, line in enumerate(lines):
        try:
            activity = Activity.model_validate_json(line)
        except ValidationError as invalid:
            yield _refused(index, line, invalid)
            continue
        record = sites.get(activity.site_id)
        if record is None:
            yield Refused(index, line, Reason.UNKNOWN_SITE, f"there is no site '{activity.site_id}' in the registry")
            continue
        try:
            yield record_of(activity, record.site, fuels, version)
        except NoFactor as unknown:
            yield Refused(index, line, Reason.NO_FACTOR, str(unknown))


def _refused(index: int, line: bytes, invalid: ValidationError) -> Refused:
    errors = invalid.errors(include_url=False)
    kinds = {error["type"] for error in errors}
    if "json_invalid" in kinds or "model_type" in kinds or "model_attributes_type" in kinds:
        return Refused(index, line, Reason.UNDECODABLE, "expected a JSON object")
    missing = [str(error["loc"][0]) for error in errors if error["type"] == "missing"]
    if missing:
        return Refused(index, line, Reason.MISSING_FIELD, f"expected {', '.join(missing)}")
    words = [f"{'.'.join(str(part) for part in error['loc'])}: {in_words(error)}".lstrip(": ") for error in errors]
    return Refused(index, line, Reason.INVALID_ACTIVITY, "; ".join(words))
