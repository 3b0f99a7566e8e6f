"""What emissions remember of one site: running totals, the newest live figures, minutes that wait for a meter."""

import json
import zlib
from dataclasses import asdict, dataclass, field
from datetime import date

from schemas.flow import SiteRecord

_FASTEST = 1

# A snapshot of a release without the market-based line: what it would have added up to is unknown.
_WITHOUT_MARKET: dict[str, float | None] = {"market_kg": None}


@dataclass(slots=True)
class Sum:
    """Energy, carbon and money of a period; carbon or money is unknown (None) once a part of it is.

    Examples
    --------
    >>> total = Sum()
    >>> total.add(Sum(2.0, 1.0, None, 1.25)); total.add(Sum(3.0, 1.5, 2.0, 1.75))
    >>> total
    Sum(kwh=5.0, kg=2.5, cny=None, market_kg=3.0)
    """

    kwh: float = 0.0
    kg: float | None = 0.0
    cny: float | None = 0.0
    market_kg: float | None = 0.0

    def add(self, part: "Sum") -> None:
        """Add a part."""
        self.kwh += part.kwh
        self.kg = _both(self.kg, part.kg)
        self.cny = _both(self.cny, part.cny)
        self.market_kg = _both(self.market_kg, part.market_kg)


def _both(total: float | None, part: float | None) -> float | None:
    return None if total is None or part is None else total + part


@dataclass(slots=True)
class LiveMeter:
    """Newest figures of one grid meter."""

    ts: int
    power_kw: float | None
    open_kwh: float | None


@dataclass(slots=True)
class SiteState:
    """Totals of the newest local day and its month, and the live figures of the site's grid meters."""

    record: SiteRecord
    day: str = ""  # ISO 8601
    today: Sum = field(default_factory=Sum)
    month: Sum = field(default_factory=Sum)
    settled_until: int = 0
    live: dict[str, LiveMeter] = field(default_factory=dict)
    packed_record: bytes = field(default=b"", compare=False)  # kept, because records hardly ever change

    def settle(self, day: date, part: Sum, until: int) -> None:
        """Add closed windows of a local day; a newer day or month starts new totals."""
        name = day.isoformat()
        if name > self.day:
            if name[:7] != self.day[:7]:
                self.month = Sum()
            self.day, self.today = name, Sum()
        if name == self.day:
            self.today.add(part)
        if name[:7] == self.day[:7]:
            self.month.add(part)
        self.settled_until = max(self.settled_until, until)

    def configure(self, record: SiteRecord) -> None:
        """Take over a newer record; a meter that is no longer at the grid connection counts no more."""
        self.record, self.packed_record = record, b""
        grid = {meter.id for meter in record.site.grid_meters}
        self.live = {meter: one for meter, one in self.live.items() if meter in grid}

    def newest_ts(self) -> int:
        """Time of the newest reading; of the newest closed window while none is known. [ms UTC]."""
        return max((one.ts for one in self.live.values()), default=self.settled_until)

    def record_bytes(self) -> bytes:
        """Return the record, packed."""
        if not self.packed_record:
            self.packed_record = zlib.compress(self.record.to_json(), _FASTEST)
        return self.packed_record

    def to_json(self) -> dict[str, object]:
        """Return the state without its record as plain values."""
        return {
            "day": self.day,
            "today": asdict(self.today),
            "month": asdict(self.month),
            "settled_until": self.settled_until,
            "live": {meter: [one.ts, one.power_kw, one.open_kwh] for meter, one in self.live.items()},
        }

    @classmethod
    def restored(cls, packed_record: bytes, text: bytes) -> "SiteState":
        """Take over what `record_bytes` and `to_json` gave."""
        found = json.loads(text)
        return cls(
            SiteRecord.of_json(zlib.decompress(packed_record)),
            found["day"],
            Sum(**_WITHOUT_MARKET | found["today"]),
            Sum(**_WITHOUT_MARKET | found["month"]),
            found["settled_until"],
            {meter: LiveMeter(*one) for meter, one in found["live"].items()},
            packed_record,
        )
