# SPDX-License-Identifier: GPL-2.0
"""The host's huge pages: its setting, its counters, and what a process has of them."""

import re
from pathlib import Path

THP_ENABLED = Path("/sys/kernel/mm/transparent_hugepage/enabled")
VMSTAT = Path("/proc/vmstat")
PR_SET_THP_DISABLE = 41


def thp_setting():
    """The host's setting of transparent huge pages: always, madvise or never; "none" without the feature."""
    try:
        return re.search(r"\[(\w+)\]", THP_ENABLED.read_text(encoding="ascii"))[1]
    except FileNotFoundError:
        return "none"


def no_huge_pages_reason():
    """Why QEMU, which asks for huge pages, has none on this host; None if it has."""
    setting = thp_setting()
    return None if setting in ("always", "madvise") else f"the host's transparent huge pages are set to {setting}"


def sizes_mib(path, names):
    """The sum of some sizes of a file such as /proc/PID/smaps_rollup, in MiB."""
    with open(path, encoding="ascii", errors="replace") as file:
        sizes = dict(line.split(":", 1) for line in file)
    return sum(int(sizes[name].split()[0]) for name in names) / 1024


def splits():
    """(thp_split_page, thp_deferred_split_page) of the whole host since its boot."""
    counters = dict(line.split() for line in VMSTAT.read_text(encoding="ascii").splitlines())
    return tuple(int(counters.get(name, 0)) for name in ("thp_split_page", "thp_deferred_split_page"))
