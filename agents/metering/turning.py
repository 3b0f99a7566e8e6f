"""Registers that do not simply go on: rollovers, declared swaps, resets, faults and impossible jumps.

Only intervals between two real readings are judged. An interpolated point inside such an interval counts in the frame
of the later reading, so what follows it is an ordinary difference.
"""

from dataclasses import dataclass

import numpy as np

from agents.metering.meters import Meters, Swapped
from agents.metering.ragged import Flags, Floats, Ints, Rows

REGISTERS = ("import_kwh", "export_kwh")

# A register that goes back is a rollover when it was in the last tenth of its range and is in the first one.
_NEAR_END = 0.1

_HOUR_MS = 3_600_000.0

# One that falls to this share of what it was, or below, began anew.
_ABOUT_ZERO = 0.01

# No circuit carries this many times what it is rated for; and a register may owe its last digits.
_IMPOSSIBLE = 10.0
_OWED_STEPS = 2.0

# The energy of an interval is not known from FAULT on.
NOTHING, SWAP, ROLLOVER, RESET, FAULT, JUMP = range(6)


@dataclass(frozen=True, slots=True)
class Turns:
    """What became of intervals.

    Parameters
    ----------
    how
        Of each interval `NOTHING`, `SWAP`, `ROLLOVER`, `RESET`, `FAULT` or `JUMP`.
    import_kwh, export_kwh
        Energy of each interval; NaN where it is not known.
    """

    how: Ints
    import_kwh: Floats
    export_kwh: Floats


def judged(a: Rows, b: Rows, real: Flags, meters: Ints, known: Meters) -> Turns:
    """Say what the registers did between pairs of points, and how much energy that is.

    Parameters
    ----------
    a, b
        The points at both ends.
    real
        Whether `a` is a reading and not interpolated.
    meters
        Whose they are.
    known
        What the registry says about these.
    """
    energies = {name: b[name] - a[name] for name in REGISTERS}
    how = np.zeros(len(a), np.int64)
    back = (energies["import_kwh"] < 0) | (energies["export_kwh"] < 0)
    suspects = back & real
    how[back] = FAULT
    if known.swaps:
        suspects |= real & np.isin(meters, list(known.swaps))
    at = np.flatnonzero(suspects)
    if len(at):
        swapped = _swaps_between(a["ts"][at], b["ts"][at], meters[at], known)
        for number, place in enumerate(at.tolist()):
            if back[place] or number in swapped:
                maximum_kwh = float(known.config(meters[place : place + 1])["register_max_kwh"][0])
                how[place] = _resolve((a[place], b[place]), maximum_kwh, swapped.get(number), energies, place)
    config = known.config(meters)
    rated_kw = config["rated_kw"]
    if not np.isnan(rated_kw).all():
        most_kwh = _IMPOSSIBLE * rated_kw * (b["ts"] - a["ts"]) / _HOUR_MS + _OWED_STEPS * config["multiplier"]
        beyond = (energies["import_kwh"] > most_kwh) | (energies["export_kwh"] > most_kwh)
        how[beyond & real & (how != SWAP)] = JUMP
    fault = how >= FAULT
    for energy in energies.values():
        energy[fault] = np.nan
    return Turns(how, energies["import_kwh"], energies["export_kwh"])


def _swaps_between(since: Ints, until: Ints, meters: Ints, known: Meters) -> dict[int, Swapped]:
    """Return the swap in each interval that has one; of two the whole is not known, and none is taken."""
    found = {}
    for number, (first, last, meter) in enumerate(zip(since.tolist(), until.tolist(), meters.tolist(), strict=True)):
        within = [swap for swap in known.swaps.get(meter, ()) if first < swap.at_ms <= last]
        if len(within) == 1:
            multiplier = float(known.config(np.array([meter]))["multiplier"][0])
            (swap,) = within
            found[number] = Swapped(swap.at_ms, *(kwh * multiplier for kwh in swap[1:]))
    return found


def _resolve(
    pair: tuple[np.void, np.void], maximum_kwh: float, swap: Swapped | None, energies: dict[str, Floats], place: int
) -> int:
    """Put the energy of one interval right, if it can be; return what happened."""
    a, b = pair
    if swap is not None:
        ends = ((swap.final_kwh, swap.initial_kwh), (swap.final_export_kwh, swap.initial_export_kwh))
        found = [_across(float(a[name]), float(b[name]), *end) for name, end in zip(REGISTERS, ends, strict=True)]
        if not any(kwh < 0 for kwh in found):
            for name, kwh in zip(REGISTERS, found, strict=True):
                energies[name][place] = kwh
            return SWAP
    hows = []
    for name in REGISTERS:
        if energies[name][place] < 0:
            how, kwh = of_register(float(a[name]), float(b[name]), maximum_kwh)
            energies[name][place] = kwh
            hows.append(how)
    return max(hows, default=NOTHING)


def _across(before_kwh: float, after_kwh: float, final_kwh: float, initial_kwh: float) -> float:
    """Energy across a swap; what the old meter counted after its last reading is unknown when nobody noted it."""
    last_kwh = before_kwh if np.isnan(final_kwh) else final_kwh
    first, second = last_kwh - before_kwh, after_kwh - initial_kwh
    return -1.0 if first < 0 or second < 0 else first + second


def of_register(before_kwh: float, after_kwh: float, maximum_kwh: float) -> tuple[int, float]:
    """Say what a register that went back did, and the energy between.

    Parameters
    ----------
    before_kwh, after_kwh
        The register at the earlier and the later reading. [kWh]
    maximum_kwh
        Where it begins again at 0; NaN where that is not known. [kWh]

    Returns
    -------
    tuple[int, float]
        `ROLLOVER`, `RESET` or `FAULT`, and the energy: after a reset what was counted since then, of a fault NaN. [kWh]

    Examples
    --------
    >>> of_register(999_990.0, 15.0, 1_000_000.0) == (ROLLOVER, 25.0)
    True
    >>> of_register(5_000.0, 2.5, float("nan")) == (RESET, 2.5)
    True
    >>> of_register(5_000.0, 4_999.0, 1_000_000.0)[0] == FAULT
    True
    """
    if before_kwh >= maximum_kwh * (1 - _NEAR_END) and after_kwh <= maximum_kwh * _NEAR_END:
        return ROLLOVER, maximum_kwh - before_kwh + after_kwh
    if 0 <= after_kwh <= before_kwh * _ABOUT_ZERO:
        return RESET, after_kwh
    return FAULT, np.nan
