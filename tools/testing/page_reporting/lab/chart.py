# SPDX-License-Identifier: GPL-2.0
"""The demo's chart: resident memory over time, with reporting and without."""

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402  (after the choice of a backend)

ON, OFF, MARK = "#1f6feb", "#8c959f", "#cf222e"
LEAD_S = 6      # how much of the time before the guest's free to show


def draw(path, on, off, fall, title, subtitle):
    """Write a PNG of the curves `on` and `off`, lists of (s, MiB), with the times of `fall`."""
    figure, axes = pyplot.subplots(figsize=(9, 5), dpi=120)
    for points, color, label in ((off, OFF, "reporting off"), (on, ON, "reporting on")):
        shown = [(t, mib) for t, mib in points if t >= -LEAD_S]
        axes.plot(*zip(*shown), color=color, linewidth=2, label=label)
    axes.axvline(0, color="black", linewidth=0.8, linestyle=":")
    axes.annotate("guest frees", (0, 0.03), xycoords=("data", "axes fraction"), xytext=(5, 0),
                  textcoords="offset points", fontsize=9)
    # A dot and a label where 50, 90 and 99 % of what came back was back
    for share, t in fall.times_s.items():
        if t is None:
            continue
        level = fall.start_mib - fall.returned_mib * share / 100
        axes.plot(t, level, "o", color=MARK, markersize=6, zorder=3)
        axes.annotate(f"{share} % back: {t:.1f} s", (t, level), xytext=(8, 6), textcoords="offset points", color=MARK,
                      fontsize=9)
    axes.set_xlim(left=-LEAD_S)
    axes.set_ylim(0, 1.12 * max(mib for _, mib in on + off))
    axes.set_xlabel("time since the guest freed its memory (s)")
    dress(axes, title, subtitle)
    axes.legend(frameon=False, loc="center right")
    save(figure, path)


def save(figure, path):
    figure.tight_layout()
    figure.savefig(path, format="png")
    pyplot.close(figure)


def dress(axes, title, subtitle):
    """What all charts of resident memory have in common."""
    axes.set_ylabel("resident memory of the VM on the host (MiB)")
    axes.set_title(title, loc="left", fontsize=13, pad=22)
    axes.text(0, 1.025, subtitle, transform=axes.transAxes, fontsize=9, color="#57606a")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
