# SPDX-License-Identifier: GPL-2.0
"""The bench's table on the screen."""

from rich.table import Table

from . import bench_stats


def number(value):
    """A value with as many digits as one wants to read."""
    if value is None:
        return "n/a"
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def verdict(row):
    """Whether ours is better, worse, or not to be told from stock; nothing without a spread."""
    if row["spread_pct"] is None:
        return ""
    if bench_stats.within(row["ratio"], row["spread_pct"]):
        return "same"
    return "better" if (row["ratio"] > 1) == (row["better"] == "higher") else "worse"


def table(results):
    """One line per figure."""
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
    """The words of one line."""
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
