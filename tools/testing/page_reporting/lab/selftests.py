# SPDX-License-Identifier: GPL-2.0
"""The kernel's selftests of page reporting: built from the patched source, run in a guest, read."""

import functools
from dataclasses import dataclass
from pathlib import Path

from . import files, modules, paths, programs, tap
from .errors import LabError, output

FOLDER = Path("tools/testing/selftests/mm")
COMMON = "page_reporting_util"

# What run_vmtests.sh calls before it comes to our category.
SHELL = ("bash", "cat", "echo", "grep", "nproc", "sed", "sleep", "tr", "uname")


@dataclass(frozen=True)
class Report:
    """What one program said: its exit status, its cases, and why it did not run at all, or None."""

    status: int
    cases: list
    skipped: str | None
    lines: list


def names():
    """The programs, as the patched source has them."""
    files = sorted((paths.REPO / FOLDER).glob("page_reporting_*.c"))
    return [path.stem for path in files if path.stem != COMMON]


@functools.lru_cache
def archive(kernel_build=None):
    """The archive of the selftests, up to date; for an arm64 kernel if its build is given."""
    out = paths.BUILD / ("selftests-arm64" if kernel_build else "selftests")
    compiler = programs.ARM64_COMPILER if kernel_build else "cc"
    command = ["make", "-s", "-C", programs.SOURCE, "-f", "selftests.mk", f"TREE={paths.TREE}",
               f"KBUILD={kernel_build or paths.kernel().parent}", f"OUT={out}", f"CC={compiler}"]
    with files.locked(Path(f"{out}.lock")):
        output("build the selftests", command, env=programs.environment())
    return out / "selftests.cpio.gz"


def initramfs(initrd, out, *more, kernel_build=None):
    """Write to `out` the archive `initrd` with the selftests and `more` archives."""
    out.write_bytes(b"".join(Path(part).read_bytes() for part in (initrd, archive(kernel_build), *more)))
    return out


def shell(out, more=(), own=()):
    """Write to `out` an archive of the host's shell, what run_vmtests.sh calls, and `more` of the host's programs.

    own: programs of the caller's own, (path in the guest, file)
    """
    tools = [Path("/usr/bin") / name for name in (*SHELL, *more)]
    libs = {Path(word) for program in tools for word in output("pack a shell", ["ldd", program]).split()
            if word.startswith("/")}
    folders = {folder for lib in libs for folder in lib.parents} - {Path("/"), Path("/bin")}
    lines = [f"dir {folder} 0755 0 0" for folder in sorted(folders)]
    lines += [f"file /bin/{program.name} {program} 0755 0 0" for program in tools]
    lines += [f"file {path} {file} 0755 0 0" for path, file in own]
    lines += [f"file {lib} {lib.resolve()} 0755 0 0" for lib in sorted(libs)]
    out.write_bytes(modules.archive(lines, paths.kernel().parent))
    return out


def reports(result):
    """The Report of each program that a finished run had, by its name."""
    ends = [event for event in result.events if event.name == "selftest"]
    groups = []
    for line in result.tap:
        if line.startswith("TAP version"):
            groups.append([])
        if groups:
            groups[-1].append(line)
    if len(groups) != len(ends):
        raise LabError(f"{len(groups)} TAP reports of {len(ends)} programs")
    return {event.fields["name"]: report(event.number("status"), lines)
            for event, lines in zip(ends, groups)}


def report(status, lines):
    """What one program's lines say."""
    whole = [line.removeprefix("1..0 # SKIP ") for line in lines if line.startswith("1..0 # SKIP ")]
    return Report(status, [] if whole else tap.parse(lines), whole[0] if whole else None, lines)
