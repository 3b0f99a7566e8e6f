"""How much sun a roof gets: geometry of the sun, and how much of it clouds let through.

Where a site sends its own `solar_w_m2` on weather.v1, months that were measured are taken from it.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Hourly = NDArray[np.float64]

SOLAR_CONSTANT_W_M2 = 0.0820 * 1e6 / 60  # FAO-56 gives it as 0.0820 MJ/m²/min
MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_MIDDLE_OF_MONTH = (15, 46, 74, 105, 135, 166, 196, 227, 258, 288, 319, 349)  # day of the year
_LEAST_MEASURED_DAYS = 20  # of a month whose irradiance counts as measured


class Sky(NamedTuple):
    """Part of the radiation that reaches the ground."""

    low: float
    high: float


# Rs = (0.25 + 0.50 n/N) Ra, with a relative sunshine n/N of 0.25 (cloudy, as in Sichuan) to 0.55 (FAO-56, eq. 35).
CLEARNESS = Sky(0.25 + 0.50 * 0.25, 0.25 + 0.50 * 0.55)

# Latitude and longitude of the capitals of regions; a site lies within some degrees of it. [°]
CAPITALS: Mapping[str, tuple[float, float]] = {
    "CN-BJ": (39.9, 116.4),
    "CN-TJ": (39.1, 117.2),
    "CN-HE": (38.0, 114.5),
    "CN-SX": (37.9, 112.5),
    "CN-SD": (36.7, 117.0),
    "CN-NM": (40.8, 111.7),
    "CN-LN": (41.8, 123.4),
    "CN-JL": (43.9, 125.3),
    "CN-HL": (45.8, 126.5),
    "CN-SH": (31.2, 121.5),
    "CN-JS": (32.1, 118.8),
    "CN-ZJ": (30.3, 120.2),
    "CN-AH": (31.8, 117.2),
    "CN-FJ": (26.1, 119.3),
    "CN-JX": (28.7, 115.9),
    "CN-HA": (34.7, 113.6),
    "CN-HB": (30.6, 114.3),
    "CN-HN": (28.2, 113.0),
    "CN-SN": (34.3, 108.9),
    "CN-GS": (36.1, 103.8),
    "CN-QH": (36.6, 101.8),
    "CN-NX": (38.5, 106.2),
    "CN-XJ": (43.8, 87.6),
    "CN-GD": (23.1, 113.3),
    "CN-GX": (22.8, 108.4),
    "CN-HI": (20.0, 110.3),
    "CN-GZ": (26.6, 106.7),
    "CN-YN": (25.0, 102.7),
    "CN-CQ": (29.6, 106.5),
    "CN-SC": (30.7, 104.1),
    "CN-XZ": (29.7, 91.1),
}
_CLOCK_LONGITUDE = 120.0  # China's clocks follow UTC+8 everywhere


def above_the_air_w_m2(latitude: float, longitude: float, day_of_year: int) -> Hourly:
    """Return the mean radiation on a horizontal square metre above the air, by hour of China's clock, shape (24,).

    Parameters
    ----------
    latitude, longitude
        Of the place. [°]
    day_of_year
        1 to 365.

    References
    ----------
    Allen et al., Crop evapotranspiration, FAO Irrigation and Drainage Paper 56 (1998), eq. 23, 24, 28 and 31 to 33.

    Examples
    --------
    >>> daily = above_the_air_w_m2(-20.0, 120.0, 246)  # example 8 there: 3 September at 20 degrees south
    >>> round(float(daily.sum()) * 3600 / 1e6, 1)  # [MJ/m²/d]
    32.2
    """
    turn = 2 * math.pi * day_of_year / 365
    distance = 1 + 0.033 * math.cos(turn)
    declination = 0.409 * math.sin(turn - 1.39)
    b = 2 * math.pi * (day_of_year - 81) / 364
    season_h = 0.1645 * math.sin(2 * b) - 0.1255 * math.cos(b) - 0.025 * math.sin(b)
    phi = math.radians(latitude)
    sunset = math.acos(max(-1.0, min(1.0, -math.tan(phi) * math.tan(declination))))
    # Twelve parts of an hour, so that the hours of sunrise and sunset are right.
    clock_h = np.arange(24 * 12) / 12 + 1 / 24
    angle = math.pi / 12 * (clock_h + (longitude - _CLOCK_LONGITUDE) / 15 + season_h - 12)
    height = math.sin(phi) * math.sin(declination) + math.cos(phi) * math.cos(declination) * np.cos(angle)
    parts = np.where(np.abs(angle) < sunset, np.maximum(height, 0), 0)
    hourly: Hourly = SOLAR_CONSTANT_W_M2 * distance * parts.reshape(24, 12).mean(axis=1)
    return hourly


class Sun(NamedTuple):
    """Irradiance of a horizontal square metre by month and hour, shape (12, 24) each. [W/m²]."""

    low: Hourly
    high: Hourly
    measured_months: int


def sun_over(region: str, measured: Mapping[int, tuple[Hourly, Hourly]]) -> Sun | None:
    """Return the sun over a region; None where it is not known where that is.

    Parameters
    ----------
    region
        Of `CAPITALS`.
    measured
        By month (1 to 12): sums of hourly irradiances and how many they are, shape (24,) each. [W/m²]
    """
    place = CAPITALS.get(region)
    if place is None:
        return None
    above = np.array([above_the_air_w_m2(*place, day) for day in _MIDDLE_OF_MONTH])
    low, high = CLEARNESS.low * above, CLEARNESS.high * above
    months = 0
    for month, (sums, hours) in measured.items():
        if hours.min() >= _LEAST_MEASURED_DAYS:
            low[month - 1] = high[month - 1] = sums / hours
            months += 1
    return Sun(low, high, months)
