# SPDX-License-Identifier: GPL-2.0
"""Kernel modules for a guest: built against one of the lab's kernels, and packed for its boot.

A module of the lab that measures is built against any kernel from one source. The archive of the
guest programs stays as it is; the modules come behind it, in an archive of their own, and the
kernel unpacks one after the other.
"""

import gzip
import subprocess
from pathlib import Path

from . import files, paths, programs
from .errors import LabError

SOURCE = Path(__file__).resolve().parents[1] / "module"


def build(kernel_build, name):
    """Build module/NAME.c against the kernel in `kernel_build`: the path of the .ko file."""
    # make looks for a relative one where its own source is.
    kernel_build = Path(kernel_build).resolve()
    out, source = kernel_build / "lab-modules", (kernel_build / "source").resolve()
    with files.locked(out / ".lock"):
        files.update(out / f"{name}.c", (SOURCE / f"{name}.c").read_text(encoding="utf-8"))
        (out / "Kbuild").write_text(f"obj-m := {name}.o\n", encoding="ascii")
        run = subprocess.run(["make", "-s", "-C", source, f"O={kernel_build}", f"M={out}", "modules"],
                             env=programs.environment(), capture_output=True, text=True, check=False)
    if run.returncode or "WARNING" in run.stderr:
        raise LabError(f"build the module {name} for {paths.shown(kernel_build)}: "
                       f"{(run.stderr or run.stdout).strip()}")
    return out / f"{name}.ko"


def pack(initrd, modules, kernel_build, out):
    """Write to `out` the archive `initrd` with `modules`, paths of .ko files, in /modules."""
    lines = ["dir /modules 0755 0 0"] + [f"file /modules/{Path(module).name} {module} 0644 0 0" for module in modules]
    files.write_atomic(out, Path(initrd).read_bytes() + archive(lines, kernel_build))
    return out


def archive(lines, kernel_build):
    """What the packer of a built kernel's directory makes of a list of files, compressed."""
    made = subprocess.run([Path(kernel_build) / "usr" / "gen_init_cpio", "-t", "0", "-"], capture_output=True,
                          input="".join(f"{line}\n" for line in lines).encode(), check=False)
    if made.returncode:
        raise LabError(f"pack an archive: {made.stderr.decode().strip()}")
    return gzip.compress(made.stdout, mtime=0)
