"""When two clocks are too far apart."""

from streams.checkup.finding import Level

WARN_SKEW_S = 2.0  # clocks kept by NTP are within a tenth of a second
FAIL_SKEW_S = 30.0
CLOCK_ADVICE = (
    "let both machines keep their time by NTP: readings are judged late or in the future by these clocks, and seconds "
    "of lag are measured with them"
)


def level_of_skew(skew_s: float) -> Level:
    """Return how bad a difference between two clocks is.

    Parameters
    ----------
    skew_s
        The difference, of either sign. [s]

    Examples
    --------
    >>> level_of_skew(-0.3).value, level_of_skew(-5.0).value, level_of_skew(600.0).value
    ('ok', 'warn', 'fail')
    """
    if abs(skew_s) >= FAIL_SKEW_S:
        return Level.FAIL
    return Level.WARN if abs(skew_s) >= WARN_SKEW_S else Level.OK
