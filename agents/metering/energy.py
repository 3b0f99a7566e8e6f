"""Energy between two readings of a meter: plain arithmetic, for a number and for a column alike."""

from typing import TypeVar

import numpy as np

from agents.metering.ragged import Floats, Ints

Quantity = TypeVar("Quantity", float, Floats)

MS_PER_HOUR = 3_600_000


def register_at(first_kwh: Quantity, last_kwh: Quantity, share: Quantity) -> Quantity:
    """Cumulative register at a moment between two readings, energy taken as evenly spread.

    Parameters
    ----------
    first_kwh, last_kwh
        Register at the earlier and the later reading. [kWh]
    share
        Elapsed part of the time between them, 0 to 1. [-]

    Returns
    -------
    Quantity
        The register at that moment; the parts before and after it add up to the whole. [kWh]

    Examples
    --------
    >>> register_at(100.0, 104.0, 0.25)
    101.0
    """
    return first_kwh + (last_kwh - first_kwh) * share


def share_of_energy(energy_kwh: Quantity, part_ms: Quantity, whole_ms: Quantity) -> Quantity:
    """Part of a known energy that falls into a part of its time, spread evenly.

    Parameters
    ----------
    energy_kwh
        Energy of the whole time. [kWh]
    part_ms, whole_ms
        Length of the part and of the whole. [ms]

    Returns
    -------
    Quantity
        Energy of the part. [kWh]

    Examples
    --------
    >>> share_of_energy(3.0, 20_000, 60_000)
    1.0
    """
    return energy_kwh * part_ms / whole_ms


def interval_left(since_ms: Ints, end_ms: Ints, before_ms: Ints, length_ms: Ints) -> tuple[Ints, Floats]:
    """Say what is left of intervals whose energy is known, behind a moment up to which it was used.

    Parameters
    ----------
    since_ms
        Up to when energy was used: the end of the last closed window, or the interval before. [ms UTC]
    end_ms
        End of each interval. [ms UTC]
    before_ms
        End of the interval before: one that came sooner than its length after it is shorter. [ms UTC]
    length_ms
        Length of an interval. [ms]

    Returns
    -------
    tuple[Ints, Floats]
        Where what is left begins [ms UTC], and its share of the energy [-].

    Examples
    --------
    >>> minute = 60_000
    >>> of = np.array
    >>> interval_left(of([0]), of([15 * minute]), of([0]), of([15 * minute]))
    (array([0]), array([1.]))
    >>> interval_left(of([10 * minute]), of([15 * minute]), of([0]), of([15 * minute]))[1].round(6).tolist()
    [0.333333]
    >>> interval_left(of([0]), of([45 * minute]), of([0]), of([15 * minute]))  # half an hour was not sent
    (array([1800000]), array([1.]))
    """
    starts_at = np.maximum(before_ms, end_ms - length_ms)
    begins = np.maximum(starts_at, since_ms)
    return begins, (end_ms - begins) / (end_ms - starts_at)


def trapezoid_kwh(first_kw: Quantity, last_kw: Quantity, duration_ms: Quantity) -> Quantity:
    """Energy between two samples of power, power taken as changing evenly (trapezoidal rule).

    Parameters
    ----------
    first_kw, last_kw
        Momentary power at both ends. [kW]
    duration_ms
        Time between the samples. [ms]

    Returns
    -------
    Quantity
        Energy. [kWh]

    Examples
    --------
    >>> trapezoid_kwh(10.0, 20.0, 240_000)  # a mean of 15 kW for four minutes
    1.0
    """
    return (first_kw + last_kw) / 2 * duration_ms / MS_PER_HOUR


def drawn_kwh(first_kw: Floats, last_kw: Floats, duration_ms: Floats) -> Floats:
    """Energy drawn between two samples of power that may change its direction: what lies above zero, exactly.

    Cut anywhere, the parts add up to the whole. What was delivered is `drawn_kwh` of the negated samples.

    Parameters
    ----------
    first_kw, last_kw
        Momentary power at both ends, negative when it flows out; taken as changing evenly. [kW]
    duration_ms
        Time between the samples. [ms]

    Returns
    -------
    Floats
        Energy, not negative; NaN where a sample is. [kWh]

    Examples
    --------
    >>> four_minutes = np.array([240_000.0])
    >>> drawn_kwh(np.array([10.0]), np.array([20.0]), four_minutes).item()
    1.0
    >>> drawn_kwh(np.array([-30.0]), np.array([30.0]), four_minutes).item()  # two minutes, a mean of 15 kW
    0.5
    """
    turns = first_kw * last_kw < 0
    top_kw = np.maximum(first_kw, last_kw)
    with np.errstate(invalid="ignore", divide="ignore"):
        above = top_kw * top_kw / (2 * np.abs(last_kw - first_kw)) * duration_ms / MS_PER_HOUR
    return np.where(turns, above, np.maximum(trapezoid_kwh(first_kw, last_kw, duration_ms), 0.0))
