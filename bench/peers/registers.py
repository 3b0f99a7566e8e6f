"""The arithmetic of the job for frameworks that hand over one reading at a time: registers to energy per minute."""

from bisect import bisect_left, insort

MINUTE_MS = 60_000

# Time in ms and register in kWh of a reading; the end of the last closed minute has a third member.
Point = tuple[int, float] | tuple[int, float, bool]
Points = list[Point]


def added(points: Points, ts: int, register_kwh: float, lateness_ms: int) -> list[tuple[int, float]]:
    """Add a reading to the points of a meter and close the minutes it settles.

    A minute is closed once a reading at or after its end lies `lateness_ms` behind the newest one. What lies before
    the last closed minute is late and left out; the same time twice counts once.

    Parameters
    ----------
    points
        Readings not fully used, sorted, the first one being the end of the last closed minute; changed in place.
    ts
        Time of the reading. [ms]
    register_kwh
        Cumulative register. [kWh]
    lateness_ms
        How far out of order readings may come. [ms]

    Returns
    -------
    list[tuple[int, float]]
        Start and energy of each minute that was closed. [ms, kWh]

    Examples
    --------
    >>> points = []
    >>> added(points, 0, 10.0, 30_000), added(points, 90_000, 11.5, 30_000)
    ([], [])
    >>> added(points, 120_000, 12.0, 30_000), added(points, 30_000, 10.4, 30_000)
    ([(0, 1.0)], [])
    """
    if points and len(points[0]) == 3 and ts <= points[0][0]:
        return []
    point = (ts, register_kwh)
    if not points or ts > points[-1][0]:
        points.append(point)
    elif points[bisect_left(points, (ts,))][0] != ts:
        insort(points, point)
    bound = points[-1][0] - lateness_ms
    first_end = (points[0][0] // MINUTE_MS + 1) * MINUTE_MS
    if bound < first_end:
        return []
    settled = bisect_left(points, (bound + 1,)) - 1
    close_to = points[settled][0] // MINUTE_MS * MINUTE_MS
    if close_to < first_end:
        return []
    closed = []
    start, before_kwh, place = first_end - MINUTE_MS, points[0][1], 0
    for end in range(first_end, close_to + 1, MINUTE_MS):
        while points[place + 1][0] <= end:
            place += 1
        low_ts, low_kwh = points[place][:2]
        high_ts, high_kwh = points[place + 1][:2]
        at_end_kwh = low_kwh + (high_kwh - low_kwh) * ((end - low_ts) / (high_ts - low_ts))
        closed.append((start, at_end_kwh - before_kwh))
        start, before_kwh = end, at_end_kwh
    points[: place + 1] = [(close_to, before_kwh, True)]
    return closed
