# SPDX-License-Identifier: GPL-2.0
"""How far, and how fast, a VM's resident memory fell after its guest freed memory."""

import statistics
from dataclasses import dataclass

SHARES = (50, 90, 99)


@dataclass(frozen=True)
class Fall:
    """MiB before, after and returned; the share of what was freed; seconds to 50, 90, 99 % of the
    return, None when less than 5 % of what was freed came back."""

    start_mib: float
    end_mib: float
    returned_mib: float
    returned_pct: float
    times_s: dict


def measure(points, freed_mib):
    """The Fall in `points`, (seconds since the guest freed, resident MiB) from then on, in order.

    The end is the median of the last second, so that one odd sample decides nothing.
    """
    start = points[0][1]
    end = statistics.median(mib for t, mib in points if t >= points[-1][0] - 1)
    returned = max(0.0, start - end)
    pct = 100 * returned / freed_mib
    times = {share: time_to(points, start - returned * share / 100) if pct >= 5 else None
             for share in SHARES}
    return Fall(start, end, returned, pct, times)


def time_to(points, level_mib):
    """When resident memory first was at `level_mib` or below, in seconds; None if never."""
    return next((t for t, mib in points if mib <= level_mib), None)


class Settling:
    """Tells when resident memory has stopped to fall: by less than 8 MiB for `quiet_s`."""

    def __init__(self, quiet_s):
        self._quiet_s = quiet_s
        self._low_t = self._low_mib = None

    def settled(self, t, mib):
        """Take in one sample; True once it has been quiet for long enough."""
        if self._low_mib is None or mib < self._low_mib - 8:
            self._low_t, self._low_mib = t, mib
        return t - self._low_t >= self._quiet_s
