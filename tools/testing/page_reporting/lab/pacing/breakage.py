# SPDX-License-Identifier: GPL-2.0
"""Break the policy on purpose, in a copy, and see whether the test that has to notice does."""

import subprocess
import tomllib
from pathlib import Path

from .. import paths
from ..errors import LabError, output

TABLE = paths.PACING / "mutations.toml"
SOURCE = paths.REPO / "mm" / "page_reporting_pacing.c"
# What a mutation may name as its file, and the Makefile's word for it.
FILES = {"guest.c": (paths.PACING / "guest.c", "GUEST"),
         "page_reporting_plan.c": (paths.REPO / "mm" / "page_reporting_plan.c", "PLAN")}


def mutations():
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))["mutation"]


def make(build, *arguments):
    return output(f"make {' '.join(arguments)}", ["make", "-s", "-C", paths.PACING, f"O={build}", *arguments])


def broken_source(mutation, folder):
    """The copy with one mutation; LabError if it fits not one place."""
    source = FILES[mutation["file"]][0] if "file" in mutation else SOURCE
    text = source.read_text(encoding="utf-8")
    parts = (mutation[key] if isinstance(mutation[key], list) else [mutation[key]] for key in ("old", "new"))
    for old, new in zip(*parts):
        if (count := text.count(old)) != 1:
            raise LabError(f"\"{mutation['about']}\" fits {count} places, not one: {old}")
        text = text.replace(old, new)
    path = folder / source.name
    path.write_text(text, encoding="utf-8")
    return path


def build(folder, mutation, *programs):
    """Builds programs with one mutation; what is left over of the source may be unused."""
    folder.mkdir(parents=True, exist_ok=True)
    which = FILES[mutation["file"]][1] if "file" in mutation else "SOURCE"
    make(folder, f"{which}={broken_source(mutation, folder)}", "WARN=-std=gnu11",
         *(str(folder / program) for program in programs))


def failing(program, *cases):
    """The names of the cases that fail."""
    done = subprocess.run([str(program), *cases], text=True, check=False, capture_output=True)
    lines = done.stdout.splitlines()
    if done.returncode and not any(line.startswith("not ok") for line in lines):
        raise LabError(f"pacing-test {' '.join(cases)}: {done.stdout}{done.stderr}")
    return [line.split()[3] for line in lines if line.startswith("not ok")]


def try_one(where, mutation):
    """Builds one mutant; the cases that fail because of it."""
    # One folder for each source, as make looks at times only.
    folder = Path(where) / f"mutant-{mutation.get('file', SOURCE.name)}"
    build(folder, mutation, "pacing-test")
    return failing(folder / "pacing-test", mutation["caught_by"])
