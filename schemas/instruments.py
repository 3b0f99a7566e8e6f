"""Instruments of the market-based line: certificates, contracts and supplier rates, and certificates that were sold.

What each must look like on its own is here; what they must be together is in `schemas.instrument_checks`.
"""

from datetime import date
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.entry import Entry, Id, Name, Positive

Rate = Annotated[float, Field(ge=0, le=5, strict=True, allow_inf_nan=False)]  # [kgCO₂/kWh]
Share = Annotated[float, Field(gt=0, le=1, strict=True)]
Year = Annotated[int, Field(ge=1990, le=2100, strict=True)]
Market = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]  # the country: certificates are not traded across it

# A certificate may be of the year it is claimed for or of the one before (product rule, see docs/adr/0027).
VINTAGE_AGE_YEARS = 1


class CertificateKind(StrEnum):
    """Which register a certificate is kept in."""

    GEC = "gec"
    I_REC = "i-rec"
    GO = "go"
    REC = "rec"


class Certificate(Entry):
    """Certificates of one batch, retired in the name of the site (or tenant) that claims them.

    Parameters
    ----------
    id
        As in the register; claimed once in the whole registry.
    vintage
        Year the electricity was made in.
    for_year
        Reporting year it is claimed for.
    kwh
        Energy. A Chinese GEC is 1000 kWh. [kWh]
    kg_per_kwh
        Emission rate that the certificate carries; usually 0. [kgCO₂/kWh]
    retired_on
        Day it was retired. One that is not retired proves nothing.
    """

    id: Id
    kind: CertificateKind
    market: Market
    vintage: Year
    for_year: Year
    kwh: Positive
    kg_per_kwh: Rate
    retired_on: date


class SharedCertificate(Certificate):
    """Certificates of a tenant, shared among sites in proportion to what is left uncovered there."""

    sites: Annotated[tuple[Id, ...], Field(min_length=1)]


class PowerContract(Entry):
    """A direct contract (PPA) whose attributes stay with the buyer: a share of what is drawn, or kWh a year.

    Parameters
    ----------
    share
        Of the energy of each minute while it is valid.
    kwh_per_year
        Energy of a calendar year, settled when the year is known. [kWh]
    """

    id: Id
    market: Market
    valid_from: date  # local days, both included
    valid_to: date | None = None
    kg_per_kwh: Rate
    share: Share | None = None
    kwh_per_year: Positive | None = None

    def holds_on(self, day: date) -> bool:
        """Return whether it is valid on a local day."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        if (self.share is None) == (self.kwh_per_year is None):
            raise PydanticCustomError("amount", "expected either share or kwh_per_year")
        if self.valid_to is not None and self.valid_to < self.valid_from:
            raise PydanticCustomError("validity", "expected valid_to not before valid_from")
        return self


class SupplierRate(Entry):
    """Emission rate of the supplier's product, net of attributes it sold to others."""

    id: Id
    valid_from: date  # local days, both included
    valid_to: date | None = None
    kg_per_kwh: Rate
    source: Name  # the document that states it

    def holds_on(self, day: date) -> bool:
        """Return whether it is valid on a local day."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.valid_to is not None and self.valid_to < self.valid_from:
            raise PydanticCustomError("validity", "expected valid_to not before valid_from")
        return self


class SoldCertificate(Entry):
    """Certificates of on-site generation that were sold: as much self-used energy carries the residual factor."""

    id: Id
    vintage: Year
    kwh: Positive


class MarketBased(Entry):
    """What a site's market-based line rests on, in the order it is used."""

    certificates: tuple[Certificate, ...] = ()
    contracts: tuple[PowerContract, ...] = ()
    suppliers: tuple[SupplierRate, ...] = ()
    sold: tuple[SoldCertificate, ...] = ()
