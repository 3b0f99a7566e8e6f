"""What is measured: the shapes of the input, the fixed rates, and who takes part in which."""

import re
from dataclasses import dataclass
from math import ceil

from bench.job.workload import Shape

DEFAULT_SHAPES = ("json1-500-15s", "json1-50000-15s", "ndjson100-500-15s", "arrow1000-500-15s")
MORE_SHAPES = (
    "json1-500-1s",
    "json1-500-15min",
    "ndjson100-50000-15s",
    "arrow1000-50000-15s",
    "arrow1000-500-1s",
    "arrow1000-500-15min",
    "ndjson100-1000000-15s",
    "arrow1000-1000000-15s",
)
RATES = (5_000, 20_000, 50_000)
RATE_S = 10.0  # how long a fixed rate is held
RATE_METERS = 500
RATE_INTERVAL_S = 15  # event time runs faster than the clock, so that many minutes close

_READINGS = {"json": 200_000, "ndjson": 2_000_000, "arrow": 2_000_000}
_SPARE_READINGS = 2
_SHAPE = re.compile(r"(json|ndjson|arrow)(\d+)-(\d+)-(\d+)(s|min)")


@dataclass(frozen=True, slots=True)
class Plan:
    """A campaign."""

    shapes: tuple[Shape, ...]
    rates: tuple[int, ...]
    implementations: tuple[str, ...]
    rounds: int


def shape_of(name: str, lateness_s: int, scale: float) -> Shape:
    """Return the shape of a name such as `ndjson100-500-15s`.

    It has enough readings to close a minute or two of every meter, and else as many as take some seconds; every reading
    that is a quarter of an hour after the one before makes fifteen windows, so there are fewer of these.

    Parameters
    ----------
    name
        Encoding and readings per message, meters, interval.
    lateness_s
        How far out of order readings may come. [s]
    scale
        Multiplies the number of readings.

    Examples
    --------
    >>> shape_of("ndjson100-500-15s", 30, 1.0)
    Shape(encoding='ndjson', per_message=100, meters=500, interval_s=15, per_meter=4000)
    >>> shape_of("json1-50000-15s", 30, 1.0).per_meter
    12
    """
    found = _SHAPE.fullmatch(name)
    if found is None:
        raise ValueError(f"a shape is like ndjson100-500-15s, not {name}")
    encoding, per_message, meters, every, unit = found.groups()
    interval_s = int(every) * (60 if unit == "min" else 1)
    wanted = _READINGS[encoding] * scale / max(1.0, interval_s / 60)
    least = ceil((lateness_s + 2 * 60) / interval_s) + _SPARE_READINGS
    return Shape(encoding, int(per_message), int(meters), interval_s, max(least, round(wanted / int(meters))))


def shape_at(rate: int) -> Shape:
    """Return the shape that is sent at a fixed rate. [readings/s]."""
    return Shape("json", 1, RATE_METERS, RATE_INTERVAL_S, round(rate * RATE_S / RATE_METERS))
