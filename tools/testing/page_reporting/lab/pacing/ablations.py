# SPDX-License-Identifier: GPL-2.0
"""The policy without one of its terms: which figures get worse, and which better."""

import shutil
import tomllib

from .. import paths
from ..errors import LabError, output
from . import tradeoff, traces

TABLE = paths.PACING / "ablations.toml"
POLICY = "mm/page_reporting_pacing.c"
FOLDER = paths.PACING.relative_to(paths.REPO)
# What differs by less is noise: a part of the figure, and as much of its unit. Of more rows, the first.
PART = 0.03
MOST = 8
LEAST = {"%": 0.5, "MiB": 8, "ms": 40, "/s": 0.1, "": 0.03}


def ablations():
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))["ablation"]


def copy(folder):
    """The sources, in their places, in a folder of their own."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "mm").mkdir(parents=True)
    for name in ("page_reporting_pacing.c", "page_reporting_pacing.h"):
        shutil.copy(paths.REPO / "mm" / name, folder / "mm")
    shutil.copytree(paths.PACING, folder / FOLDER, ignore=shutil.ignore_patterns("results", "recorded"))


def change(folder, ablation):
    if "old" not in ablation:
        return
    path = folder / ablation.get("file", POLICY)
    text = path.read_text(encoding="utf-8")
    if (count := text.count(ablation["old"])) != 1:
        raise LabError(f"{TABLE.name}: \"{ablation['about']}\" fits {count} places, not one")
    path.write_text(text.replace(ablation["old"], ablation["new"]), encoding="utf-8")


def figures(build, ablation):
    """{row: (figure, unit)} of all workloads and traces."""
    folder = build / "ablation"
    copy(folder)
    change(folder, ablation)
    programs = [folder / "out" / name for name in ("figures", "replay")]
    output(ablation["about"], ["make", "-s", "-C", folder / FOLDER, f"O={folder}/out", "CHECKED=-O2", "WARN=-std=gnu11",
                               *programs])
    arguments = ablation.get("arguments", [])
    lines = output(ablation["about"], [programs[0], *arguments])
    rows = {name: (float(value), unit) for name, value, unit in
            (line.split("\t") for line in lines.splitlines())}
    for name, trace in {} if arguments else traces.everything().items():
        best = tradeoff.cost(tradeoff.replay(programs[1], tradeoff.OFFLINE, trace))
        ours = tradeoff.replay(programs[1], tradeoff.OURS, trace)
        if best > 1000:
            rows[f"cost trace {name}"] = (tradeoff.cost(ours) / best, "")
    return rows


def differs(ours, other, unit):
    return abs(other - ours) > max(LEAST[unit], PART * abs(ours))


def table(build, names):
    """Yields the lines of the table: the rows that each ablation changes, the worst first."""
    ours = figures(build, {"about": "as it is"})
    yield f"{'without, or with another':34} {'figure':40} {'ours':>8} {'then':>8}"
    for ablation in ablations():
        if names and not any(name in ablation["about"] for name in names):
            continue
        then = figures(build, ablation)
        changed = [(name, ours[name][0], value, unit) for name, (value, unit) in then.items()
                   if name in ours and differs(ours[name][0], value, unit)]
        changed.sort(key=lambda row: row[1] - row[2] if not row[1] else 1 - row[2] / row[1])
        about = ablation["about"]
        if not changed:
            yield f"{about:34} no figure differs"
        for name, value, other, unit in changed[:MOST]:
            yield f"{about:34} {name:40} {value:8.2f} {other:8.2f} {unit:4} {'worse' if other > value else 'better'}"
            about = ""
        if len(changed) > MOST:
            yield f"{'':34} and {len(changed) - MOST} more"
