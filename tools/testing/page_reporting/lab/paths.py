# SPDX-License-Identifier: GPL-2.0
"""Where the build puts what the lab boots."""

import os
from pathlib import Path

REPO = Path(__file__).resolve().parents[4]
DEFAULT_BASE = "6.12"
BASE = os.environ.get("BASE") or DEFAULT_BASE
BUILD = REPO / "build" if BASE == DEFAULT_BASE else REPO / "build" / BASE
BASE_TREE = BUILD / "base"
TREE = BUILD / "tree"
GUIDE = REPO / "Documentation" / "admin-guide" / "mm" / "free_page_reporting.rst"
LAB = REPO / "tools" / "testing" / "page_reporting"
PACING = LAB / "pacing"


def vmlinux(name):
    """A kernel that scripts/build has built."""
    return BUILD / name / "vmlinux"


def bzimage(name):
    """The same, as a boot loader takes it."""
    return BUILD / name / "arch" / "x86" / "boot" / "bzImage"


def kernel():
    """The guest kernel; PR_KERNEL in the environment names another."""
    return Path(os.environ.get("PR_KERNEL") or vmlinux("guest"))


def shown(path):
    """A path for a message: short where it lies in the repository."""
    path = Path(path)
    return str(path.relative_to(REPO)) if path.is_relative_to(REPO) else str(path)
