# SPDX-License-Identifier: GPL-2.0
"""The bench's charts: resident memory over time, and all ratios at a glance."""

from matplotlib import ticker

from .bench_results import within
from .chart import dress, pyplot, save

COLORS = {"stock": "#bf8700", "ours": "#1f6feb", "off": "#8c959f"}
BETTER, WORSE, SAME = "#1a7f37", "#cf222e", "#8c959f"
MEMORY_COLORS = ("#8c959f", "#bf8700", "#cf222e", "#1f6feb")


def curves(path, title, subtitle, points, kinds=(), memory=()):
    """One line per run of one variant; `points` are lists of (s, MiB) curves by column.

    memory: what the memory of the first guest of ours was used for, (s, MiB of each of `kinds`): a panel below.
    """
    figure, panels = pyplot.subplots(2 if memory else 1, figsize=(9, 8 if memory else 5), dpi=120, squeeze=False)
    axes = panels[0][0]
    for column, runs in points.items():
        for index, run in enumerate(runs):
            axes.plot(*zip(*run), color=COLORS[column], linewidth=1.2, alpha=0.8,
                      label=None if index else column)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("time (s); 0: the guest frees, or its first cycle begins")
    dress(axes, title, subtitle)
    axes.legend(frameon=False)
    if memory:
        draw_memory(panels[1][0], kinds, memory)
    save(figure, path)


def draw_memory(axes, kinds, memory):
    """What a guest's memory is used for, over time; what is not known is left out."""
    times, *columns = zip(*memory)
    known = [(kind, column, color) for kind, column, color in zip(kinds, columns, MEMORY_COLORS) if None not in column]
    labels, series, colors = zip(*known)
    axes.stackplot(times, *series, labels=labels, colors=colors, alpha=0.8)
    axes.set_xlabel("time since the guest booted (s)")
    dress(axes, "ours, run 1: what the guest's memory is used for", "small: free in blocks below 2 MiB; "
          "backed: free in larger ones, and not reported")
    axes.set_ylabel("MiB")
    axes.legend(frameon=False)


def scaling(path, subtitle, rows):
    """The figures of the scale scenario over the size of the guest, a panel each."""
    figures = list(dict.fromkeys(row["figure"] for row in rows if row["figure"] != "host_cpu_s"))
    figure, panels = pyplot.subplots(1, len(figures), figsize=(4.5 * len(figures), 4.5), dpi=120,
                                     squeeze=False)
    for axes, name in zip(panels[0], figures):
        mine = [row for row in rows if row["figure"] == name]
        sizes = [int(row["variant"].removesuffix("g")) for row in mine]
        for column in ("stock", "ours"):
            axes.plot(sizes, [row[column] for row in mine], "o-", color=COLORS[column], label=column)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel("guest's memory (GiB)")
        dress(axes, name, subtitle)
        axes.set_ylabel(mine[0]["unit"])
        axes.legend(frameon=False)
    save(figure, path)


def gain(row):
    """How many times better ours is."""
    return row["ratio"] if row["better"] == "higher" else 1 / row["ratio"]


def color_of(row):
    """Green and red are for what the spread does not explain."""
    if row["spread_pct"] is not None and within(row["ratio"], row["spread_pct"]):
        return SAME
    return BETTER if gain(row) > 1 else WORSE


def overview(path, rows):
    """A bar per figure that has a ratio: to the right ours is better, with the spread as a line."""
    shown = [row for row in rows if row["ratio"] and row["figure"] != "host_cpu_s"]
    figure, axes = pyplot.subplots(figsize=(9, 1 + 0.2 * len(shown)), dpi=100)
    for place, row in enumerate(reversed(shown)):
        middle, spread = gain(row), 1 + (row["spread_pct"] or 0) / 100
        axes.barh(place, middle - 1, left=1, color=color_of(row), height=0.6)
        axes.plot([middle / spread, middle * spread], [place, place], color="black", linewidth=1)
    axes.set_yticks(range(len(shown)), [f"{row['scenario']} {row['variant']} {row['figure']}"
                                        for row in reversed(shown)], fontsize=7)
    axes.set_ylim(-1, len(shown))
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.set_xlabel("ours is so many times better than stock (line: spread; grey: within it)")
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)
