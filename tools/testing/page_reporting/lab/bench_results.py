# SPDX-License-Identifier: GPL-2.0
"""What the bench makes of its raw records: medians, a ratio and how far it may be trusted, rows, a table."""

import statistics
from dataclasses import dataclass

from . import bench_plan

NO_PART = "no part of this scenario"
NOT_RUN = "not measured with these kernels"


@dataclass(frozen=True)
class Summary:
    """Repeated measurements of one figure of one kernel."""

    median: float
    low: float
    high: float
    count: int


def summarize(values):
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


def rows(variants, records):
    """One row per variant and figure; `records` are lists of raw records by (variant's title, column)."""
    return [row(variant, figure, records) for variant in variants for figure in variant.figures]


def row(variant, figure, records):
    """One row: medians, ratio, spread; whatever is missing is None, and the reason says why."""
    columns, reasons = {}, []
    for column in bench_plan.WITH_OFF:
        columns[column], reason = column_summary(variant, figure, column, records)
        reasons += [reason] if reason else []
    stock, ours = columns["stock"], columns["ours"]
    middle, spread = ratio(stock, ours), spread_pct(stock, ours)
    reasons += doubts(figure, stock, ours, middle, spread)
    values = {column: summary.median if summary else None for column, summary in columns.items()}
    made = {"scenario": variant.scenario, "variant": variant.name, "figure": figure.name,
            "unit": figure.unit, **values, "ratio": middle, "spread_pct": spread,
            "better": figure.better}
    return {**made, "reason": "; ".join(dict.fromkeys(reasons))} if reasons else made


def doubts(figure, stock, ours, middle, spread):
    """What there is to say of a figure that both kernels have."""
    if not stock or not ours:
        return []
    said = []
    if middle is None:
        said.append("ratio: of a value of 0")
    elif spread is None:
        single = min(stock.count, ours.count) < 2
        said.append("spread: of a single run" if single else "spread: a run measured 0")
    if figure.exact and (stock.low < stock.high or ours.low < ours.high):
        said.append(f"exact: runs differ, stock {stock.low} to {stock.high}, ours {ours.low} to {ours.high}")
    return said


def column_summary(variant, figure, column, records):
    """(Summary, None), or (None, reason): a figure that one run could not measure has no median."""
    if column not in variant.columns:
        return None, f"{column}: {NO_PART}"
    runs = records.get((variant.title, column), [])
    lost = [run["reasons"].get(figure.name, "not measured") for run in runs
            if run["figures"][figure.name] is None]
    if not runs:
        return None, NOT_RUN
    if lost:
        return None, f"{column}: {lost[0]}"
    return summarize([run["figures"][figure.name] for run in runs]), None


def runs(records):
    """What was measured in every run, without its curves and its events: what the rows are made of."""
    return [{name: value for name, value in record.items() if name not in ("points", "events", "memory")}
            for group in records.values() for record in group]


def number(value):
    """A value with as many digits as one wants to read."""
    if value is None:
        return "n/a"
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def verdict(row):
    """Whether ours is better, worse, or not to be told from stock; nothing without a spread."""
    if row["spread_pct"] is None:
        return ""
    if within(row["ratio"], row["spread_pct"]):
        return "same"
    return "better" if (row["ratio"] > 1) == (row["better"] == "higher") else "worse"


def table(results):
    from rich.table import Table
    meta = results["meta"]
    made = Table("scenario", "figure", "unit", title=f"stock and ours, {meta['accel']}, {meta['repeat']} "
                 f"runs each, host THP {meta['host_thp']}, {meta['base']}, {meta['commit'][:12]}, {meta['date'][:10]}")
    for title in ("stock", "ours", "off", "ratio", "spread"):
        made.add_column(title, justify="right")
    made.add_column("ours is")
    for row in results["rows"]:
        made.add_row(*cells(row))
    return made


def cells(row):
    ratio = "n/a" if row["ratio"] is None else f"{row['ratio']:.3f}"
    spread = "n/a" if row["spread_pct"] is None else f"{row['spread_pct']:.1f} %"
    numbers = [number(row[column]) for column in ("stock", "ours", "off")]
    return [f"{row['scenario']} {row['variant']}", row["figure"], row["unit"], *numbers, ratio, spread,
            verdict(row)]


def notes(results):
    """Which exact counts differ; one line per scenario, and reason, for what has no number."""
    seen, lines = {}, [f"{row['scenario']} {row['variant']} {row['figure']}: {row['reason']}"
                       for row in results["rows"] if "exact:" in row.get("reason", "")]
    for row in results["rows"]:
        if row["stock"] is None or row["ours"] is None:
            seen.setdefault((row["scenario"], row["reason"]), []).append(row)
    for (scenario, reason), rows in seen.items():
        names = list(dict.fromkeys(row["variant"] for row in rows))
        which = ", ".join(names) if len(names) <= 6 else f"{len(names)} variants"
        lines.append(f"n/a {scenario} ({which}): {reason}")
    return lines
