# SPDX-License-Identifier: GPL-2.0
"""Have spin check model/protocol.pml, the model of when a pass runs, as it is and with one place left out.

    model           frees and passes with each kind of event, and with most pairs of kinds; each mutation
    model --deep    also all pairs, and more frees and faults: takes minutes and some GiB of memory

For a violated property, the steps that lead to it are printed. Exit 0 only if the model has none and each
mutation of model/mutations.toml has one.
"""

import concurrent.futures
import os
import re
import subprocess
import tempfile
import tomllib
from dataclasses import dataclass

from . import paths
from .errors import LabError, output

FOLDER = paths.LAB / "model"
MODEL = FOLDER / "protocol.pml"
TABLE = FOLDER / "mutations.toml"
EVENTS = ("ORDER", "SLEEP", "FLUSH", "DELAY", "UNREGISTER")
# Together, one flush and no free, or there are too many states for a minute. ORDER and FLUSH are more even so.
PAIRS = (("FLUSH", "DELAY"), ("FLUSH", "UNREGISTER"), ("FLUSH", "SLEEP"), ("DELAY", "UNREGISTER"), ("DELAY", "SLEEP"),
         ("SLEEP", "UNREGISTER"), ("ORDER", "UNREGISTER"))
DEPTH = 1000000
DEADLINE_S = 1200


@dataclass(frozen=True)
class Run:
    """One search: what is in the model, what is broken, and whether for endless runs or for bad states."""

    events: tuple = ()
    broken: str = ""
    endless: bool = False
    frees: int = 1
    faults: int = 1

    @property
    def name(self):
        """For messages and for pytest."""
        return "+".join([*map(str.lower, self.events or ("FREES",)), *(["endless"] if self.endless else [])])

    @property
    def defines(self):
        """What the preprocessor is given."""
        alone = len(set(self.events) & set(EVENTS)) < 2
        counts = {"FREES": self.frees if alone else self.frees - 1, "FLUSHES": 2 if alone else self.frees,
                  "FAULTS": self.faults}
        return [*(f"-DWITH_{event}" for event in self.events), *([f"-DBREAK_{self.broken}"] if self.broken else []),
                *(f"-D{key}={value}" for key, value in counts.items())]


# Nothing is found with these.
RUNS = [Run(events) for events in ((), ("AGE",), *((event,) for event in EVENTS), ("SLEEP", "BOTH"),
                                   ("UNREGISTER", "BOTH"), *PAIRS)]
RUNS += [Run(events, endless=True) for events in ((), ("SLEEP",), ("ORDER",), ("UNREGISTER",))]
DEEP = [Run(("ORDER", "FLUSH")), Run(("ORDER", "SLEEP")), Run(("ORDER", "DELAY")), Run(frees=2, faults=2),
        Run(("SLEEP",), frees=2), Run(("UNREGISTER",), frees=2), Run(("FLUSH",), faults=2), Run(("FLUSH", "BOTH")),
        Run(("DELAY",), endless=True), Run(("FLUSH", "DELAY", "SLEEP"))]


def mutations():
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))["mutation"]


def run_of(mutation):
    """The search that has to find it."""
    return Run(tuple(mutation["with"]), broken=mutation["name"])


def fault(run):
    """The steps to a violated property, or "" if there is none; LabError if the search was not complete."""
    step = f"model {run.name} {run.broken}".rstrip()
    # -A: the assertions are for the other runs
    endless = ("-a", "-f", "-A") if run.endless else ()
    compile_time = ["-DNFAIR=3"] if run.endless else ["-DSAFETY", "-DNOCLAIM"]
    with tempfile.TemporaryDirectory(prefix="page-reporting-model-") as folder:
        output(step, ["spin", *run.defines, "-a", MODEL], cwd=folder)
        output(step, ["gcc", "-O0" if run.broken else "-O1", "-w", *compile_time, "-DVECTORSZ=512", "-o", "pan", "pan.c"], cwd=folder)
        said = output(step, ["./pan", f"-m{DEPTH}", *endless], cwd=folder, timeout=DEADLINE_S)
        found = re.search(r"errors: (\d+)", said)
        if not found or re.search(r"out of memory|max search depth too small|aborting|Search not completed", said) \
                and found[1] == "0":
            raise LabError(f"{step}: spin has not looked at all states:\n{said}")
        if found[1] == "0":
            return ""
        # The claim and the trail name the model without its folder.
        (trail,) = (name for name in os.listdir(folder) if name.endswith(".trail"))
        steps = output(step, ["spin", *run.defines, "-t", "-p", "-k", trail, MODEL], cwd=folder)
    return re.search(r"pan:1: (.*)", said)[1] + "\n" + brief(steps)


def brief(steps):
    """Of the steps of a trail those that do something: the line, the process, the statement."""
    found = re.findall(r"\((\w+):\d+\) \S*:(\d+) \(state \d+\)\s+\[(.*)\]$", steps, re.M)
    return "\n".join(f"  {process:14} {line:>4} {what}" for process, line, what in found
                     if what not in ("else", ".(goto)", "goto :b0"))


def faults(runs):
    """{run: its fault}, or the LabError, of several at a time."""
    def try_one(run):
        try:
            return fault(run)
        except (LabError, subprocess.TimeoutExpired) as error:
            return error
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(runs, pool.map(try_one, runs)))


def arguments(parser):
    parser.add_argument("--deep", action="store_true", help="explore more: takes minutes and some GiB of memory")


def main(args):
    wrong = 0
    for run in [*RUNS, *(DEEP if args.deep else [])]:
        found = fault(run)
        wrong += bool(found)
        print(f"{run.name}: {'FAULT: ' + found if found else 'no fault'}", flush=True)
    for mutation in mutations():
        found = fault(run_of(mutation))
        wrong += not found
        print(f"without {mutation['name']}, {mutation['about']}: {found.splitlines()[0] if found else 'NOT FOUND'}",
              flush=True)
    return 1 if wrong else 0
