# SPDX-License-Identifier: GPL-2.0
"""The guest programs: built from guest/ when they are needed, and only then."""

import functools
import os
from pathlib import Path

from . import files, paths
from .errors import output

SOURCE = Path(__file__).resolve().parents[1] / "guest"
ARM64_COMPILER = "aarch64-linux-gnu-gcc"


@functools.lru_cache
def initramfs():
    """The archive of the guest programs, up to date."""
    return build(paths.kernel().parent, paths.BUILD / "guest-programs")


def environment():
    """Ours, without the flags and targets of a make that may have started us."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}


def build(kernel_build, out, compiler="cc"):
    """Build into `out` what is not up to date there, with the packer of a built kernel's directory."""
    command = ["make", "-s", "-C", str(SOURCE), f"KBUILD={kernel_build}", f"OUT={out}", f"CC={compiler}"]
    with files.locked(Path(f"{out}.lock")):
        output("build the guest programs", command, env=environment())
    return Path(out) / "initramfs.cpio.gz"
