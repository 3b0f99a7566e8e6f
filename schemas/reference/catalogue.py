"""Reference data as it is shipped: read from the package, checked, and named by a version.

`REFERENCE_VERSION` is the date of the edition and a hash over the data files, so that a row can say exactly
which numbers it was computed with, and two installations can see whether they used the same.
"""

import hashlib
import json
from importlib.resources import files

import polars as pl

from schemas.reference.charges import Charges, parse_charges
from schemas.reference.factors import parse_factors, parse_regions
from schemas.reference.fuels import parse_fuels, parse_lifecycle
from schemas.reference.tariffs import TariffPlan, parse_tariffs

FACTORS_FILE = "emission_factors.csv"
REGIONS_FILE = "regions.csv"
TARIFFS_FILE = "tariffs.json"
CHARGES_FILE = "charges.json"
FUELS_FILE = "fuel_factors.csv"
LIFECYCLE_FILE = "lifecycle_electricity.csv"


def load_regions() -> pl.DataFrame:
    """Return the provinces and the regional grid each belongs to (`REGION_ROWS`).

    Raises
    ------
    ReferenceDataError
        With every problem of the file.
    """
    return parse_regions(_text(REGIONS_FILE), REGIONS_FILE)


def load_factors() -> pl.DataFrame:
    """Return all emission factors, the unverified ones (`checked` 0) included (`FACTOR_ROWS`). [kg/kWh].

    `agents.pricing.carbon` chooses among them; a region without any factor of its own has one row of nulls.

    Raises
    ------
    ReferenceDataError
        With every problem of the file.

    Examples
    --------
    >>> factors = load_factors()
    >>> factors.filter(region_code="CN-ZJ", year=2022)["kg_co2_per_kwh"].to_list()
    [0.5153]
    """
    return parse_factors(_text(FACTORS_FILE), FACTORS_FILE, load_regions(), REFERENCE_VERSION)


def load_tariffs() -> dict[str, TariffPlan]:
    """Return the time-of-use plans by id, each with its editions over time.

    Raises
    ------
    ReferenceDataError
        With every problem of the file.

    Examples
    --------
    >>> [edition.id for edition in load_tariffs()["cn-zj-large-industry"].editions]
    ['cn-zj-2024-large-industry', 'cn-zj-2026-large-industry']
    """
    return parse_tariffs(_text(TARIFFS_FILE), TARIFFS_FILE, frozenset(load_regions()["region_code"]))


def load_charges() -> Charges:
    """Return charges beside the energy price: demand, network, funds, and the rules of the power factor.

    Raises
    ------
    ReferenceDataError
        With every problem of the file.

    Examples
    --------
    >>> load_charges().power_factor_rule.standard
    0.9
    """
    return parse_charges(_text(CHARGES_FILE), CHARGES_FILE, frozenset(load_regions()["region_code"]))


def load_fuels() -> pl.DataFrame:
    """Return the factors of fuels and purchased heat, the unverified ones included (`FUEL_ROWS`).

    Raises
    ------
    ReferenceDataError
        With every problem of the file.
    """
    return parse_fuels(_text(FUELS_FILE), FUELS_FILE)


def load_lifecycle() -> pl.DataFrame:
    """Return life-cycle factors of electricity by technology, the unverified ones included. [kgCO₂e/kWh].

    Raises
    ------
    ReferenceDataError
        With every problem of the file.
    """
    return parse_lifecycle(_text(LIFECYCLE_FILE), LIFECYCLE_FILE)


def version_of(texts: dict[str, str], as_of: str) -> str:
    """Name an edition of the data by its date and its content.

    Parameters
    ----------
    texts
        Content by file name.
    as_of
        Date of the edition, ISO 8601.

    Examples
    --------
    >>> version_of({"a.csv": "x\\n"}, "2026-11-22") == version_of({"a.csv": "x\\r\\n"}, "2026-11-22")
    True
    >>> version_of({"a.csv": "x\\n"}, "2026-11-22") == version_of({"a.csv": "y\\n"}, "2026-11-22")
    False
    """
    digest = hashlib.sha256()
    for name in sorted(texts):
        # A checkout may turn line ends around; the numbers stay the same.
        content = texts[name].replace("\r\n", "\n").encode()
        digest.update(f"{name}:{len(content)}:".encode() + content)
    return f"{as_of}+{digest.hexdigest()[:12]}"


def _text(name: str) -> str:
    return files("schemas.reference").joinpath(name).read_text(encoding="utf-8")


def _shipped_version() -> str:
    texts = {
        name: _text(name)
        for name in (FACTORS_FILE, REGIONS_FILE, TARIFFS_FILE, CHARGES_FILE, FUELS_FILE, LIFECYCLE_FILE)
    }
    return version_of(texts, str(json.loads(texts[TARIFFS_FILE])["as_of"]))


REFERENCE_VERSION: str = _shipped_version()
