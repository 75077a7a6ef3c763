# SPDX-License-Identifier: GPL-2.0
"""From the bench's raw records to rows of results.json."""

from . import bench_plan, bench_stats
from .errors import LabError

META = ("accel", "qemu", "base", "commit", "date", "cpus", "repeat", "host_thp")
NUMBERS = ("stock", "ours", "off", "ratio", "spread_pct")
ROW = ("scenario", "variant", "figure", "unit", *NUMBERS, "better")
NO_PART = "no part of this scenario"
NOT_RUN = "not measured with these kernels"


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
    middle, spread = bench_stats.ratio(stock, ours), bench_stats.spread_pct(stock, ours)
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
    return bench_stats.summarize([run["figures"][figure.name] for run in runs]), None


def check(results):
    """LabError unless `results` has the form that the file promises."""
    if tuple(results) != ("meta", "rows") or set(results["meta"]) != set(META):
        raise LabError(f"results.json: meta has to be {', '.join(META)}")
    for made in results["rows"]:
        missing = [name for name in NUMBERS if made.get(name) is None]
        if set(made) - {"reason"} != set(ROW) or made["better"] not in ("lower", "higher"):
            raise LabError(f"results.json: not a row: {made}")
        if missing and not made.get("reason"):
            raise LabError(f"results.json: {', '.join(missing)} without a reason: {made}")


def runs(records):
    """What was measured in every run, without its curves and its events: what the rows are made of."""
    return [{name: value for name, value in record.items() if name not in ("points", "events", "memory")}
            for group in records.values() for record in group]


def outside(made):
    """The rows of stock against stock whose ratio their spread does not explain."""
    return [row for row in made if row["ratio"] is not None and row["spread_pct"] is not None
            and not bench_stats.within(row["ratio"], row["spread_pct"])]
