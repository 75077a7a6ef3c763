# SPDX-License-Identifier: GPL-2.0
"""What the bench makes of repeated runs: medians, ranges, a ratio and how far it may be trusted."""

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """Repeated measurements of one figure of one kernel."""

    median: float
    low: float
    high: float
    count: int


def summarize(values):
    """The Summary of `values`; None for none."""
    if not values:
        return None
    return Summary(statistics.median(values), min(values), max(values), len(values))


def ratio(stock, ours):
    """The ratio of the medians, ours / stock; None where one is missing or stock is 0."""
    if not stock or not ours or not stock.median:
        return None
    return ours.median / stock.median


# How far the ratio of two medians of equal kernels gets, in units of the farthest pair of their runs,
# once in 1000 times: simulated with 200,000 pairs of samples of a log-normal distribution. More
# runs than five need no allowance.
ALLOWANCE = {2: 27.3, 3: 3.1, 4: 1.7, 5: 1.2}


def spread_pct(stock, ours):
    """By how many percent the ratio may be off, in either direction: chance goes beyond once in 1000 rows.

    Any run of ours may meet any run of stock: the farthest of these pairs says how much runs differ,
    and few runs show less of that than there is. None where it cannot be told: after a single run, or
    with a value of 0.
    """
    middle, count = ratio(stock, ours), min(stock.count, ours.count) if stock and ours else 0
    if not middle or min(stock.low, ours.low) <= 0 or count < 2:
        return None
    upper, lower = ours.high / stock.low, ours.low / stock.high
    return 100 * max(upper / middle - 1, middle / lower - 1) * ALLOWANCE.get(count, 1)


def within(middle, spread):
    """Whether two kernels with this ratio and this spread, in percent, may well be equal."""
    return max(middle, 1 / middle) <= 1 + spread / 100
