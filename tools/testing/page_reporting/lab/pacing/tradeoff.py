# SPDX-License-Identifier: GPL-2.0
"""What a policy costs on a trace: memory that is held although free, against memory that is refaulted."""

import json

from .. import chart
from ..errors import output
from . import traces

GIB = 1 << 18               # pages
BLOCK = 512                 # pages of a block of 2 MiB
# As in mm/page_reporting_pacing.c, "Price".
BREAK_EVEN_MS = 720
REPORT_US, REFAULT_US = 14, 340

OURS, OFFLINE = "pacing", f"offline={BREAK_EVEN_MS}"
POLICIES = {OURS: "pacing", "delay=2000": "fixed 2 s", "delay=250": "fixed 250 ms",
            "delay=100": "fixed 100 ms", OFFLINE: "known future"}
# The curves: one surplus for each fixed tau, one known future for each price of memory.
CURVE_MS = (45, 90, 180, 360, 720, 1440, 2880, 5760, 11520, 23040)
COLORS = ("#cf222e", "#8c959f", "#6e7781", "#57606a", "#1a7f37")
MARKS = ("*", "o", "s", "^", "D")


def replay(program, policy, trace):
    """The sums of one replay, as replay.c prints them."""
    total = max(traces.GUEST, max(pages for _, pages in trace))
    text = "".join(f"{ms},{pages}\n" for ms, pages in trace)
    return json.loads(output(f"replay {policy}", [program, policy, total], input=text, stdin=None))


def cost(sums):
    """Pages times ms, with a refault as dear as keeping a page for the break-even time."""
    return sums["held"] + BREAK_EVEN_MS * sums["refaulted"]


def figures(sums, best, trace):
    """One row of the table, in the units that it is read in."""
    report_us, refault_us = (sums[key] / BLOCK * us for key, us in
                             (("sent", REPORT_US), ("refaulted", REFAULT_US)))
    used = sum(pages * (later - ms) for (ms, pages), (later, _) in zip(trace, trace[1:]))      # by the trace itself
    return {
        "refaulted_gib": round(sums["refaulted"] / GIB, 3),
        "held_gib_s": round(sums["held"] / GIB / 1000, 3),
        "mean_resident_gib": round((sums["held"] + used) / GIB / sums["ms"], 3),
        "report_cpu_s": round(report_us / 1e6, 4),
        "refault_cpu_s": round(refault_us / 1e6, 4),
        "report_cpu_pct": round(report_us / sums["ms"] / 10, 3),
        "cost_to_known_future": round(cost(sums) / cost(best), 3) if cost(best) else None,
    }


def measure(program, trace):
    """All policies and both curves on one trace."""
    run = {policy: replay(program, policy, trace) for policy in POLICIES}
    curves = {kind: [replay(program, f"{kind}={ms}", trace) for ms in CURVE_MS]
              for kind in ("surplus", "offline")}
    return {
        "policies": {POLICIES[policy]: figures(sums, run[OFFLINE], trace)
                     for policy, sums in run.items()},
        "curves": {kind: [[ms, round(sums["refaulted"] / GIB, 3), round(sums["held"] / GIB / 1000, 3)]
                          for ms, sums in zip(CURVE_MS, points)] for kind, points in curves.items()},
    }


def table(results):
    lines = [f"{'trace':16} {'policy':13} {'refaulted':>9} {'held':>8} {'resident':>8} {'reports':>8} "
             f"{'refaults':>8} {'cost to':>8}",
             f"{'':16} {'':13} {'GiB':>9} {'GiB*s':>8} {'mean GiB':>8} {'CPU s':>8} {'CPU s':>8} {'future':>8}"]
    for name, result in results.items():
        for policy, row in result["policies"].items():
            ratio = row["cost_to_known_future"]
            lines.append(f"{name:16} {policy:13} {row['refaulted_gib']:9.2f} {row['held_gib_s']:8.2f} "
                         f"{row['mean_resident_gib']:8.3f} {row['report_cpu_s']:8.3f} "
                         f"{row['refault_cpu_s']:8.2f} {'-' if ratio is None else f'{ratio:.2f}':>8}")
            name = ""
    return lines


def draw(path, results):
    """A PNG with one field for each trace."""
    columns = 3
    rows = -(-len(results) // columns)
    figure, fields = chart.pyplot.subplots(rows, columns, figsize=(4.6 * columns, 4 * rows), dpi=100,
                                     squeeze=False)
    for axes, (name, result) in zip(fields.flat, results.items()):
        draw_one(axes, name, result)
    for axes in fields.flat[len(results):]:
        axes.axis("off")
    fields.flat[0].legend(frameon=False, fontsize=8)
    chart.save(figure, path)


def draw_one(axes, name, result):
    for kind, label, style in (("surplus", "surplus, fixed tau", "--"), ("offline", "known future", "-")):
        points = [(refaulted, held) for _, refaulted, held in result["curves"][kind]]
        axes.plot(*zip(*points), style, color="#1f6feb" if kind == "surplus" else "#1a7f37",
                  linewidth=1, label=label)
    for (policy, row), color, mark in zip(result["policies"].items(), COLORS, MARKS):
        axes.plot(row["refaulted_gib"], row["held_gib_s"], mark, color=color, label=policy,
                  markersize=13 if policy == OURS else 6)
    chart.dress(axes, name, "lower left is better")
    axes.set_xlabel("refaulted (GiB)")
    axes.set_ylabel("free memory held (GiB*s)")
