# SPDX-License-Identifier: GPL-2.0
"""Guests whose device is the sample driver, and the stress of memory around it."""

from pathlib import Path

from . import modules, paths, programs
from .errors import BadInput

SAMPLE = "page_reporting_sample"

# These guests are slow, and may have more CPUs than the host can spare: one that does not run for
# half a minute is no lockup yet.
PATIENCE = ("watchdog_thresh=60", "workqueue.watchdog_thresh=120",
            "rcupdate.rcu_cpu_stall_timeout=120")

# A guest for the stress: movable memory that can be taken offline, an area for contiguous
# allocations, and a name for whoever holds a page. MOVING_CMDLINE is for one whose kernel does not
# compact memory: isolate_migratepages_block() of the kernel also reads the struct pages of a
# pageblock that goes offline meanwhile, and ends in an oops if these are poisoned then, as with
# CONFIG_DEBUG_VM they are without vm_debug=-.
MOVING_CMDLINE = ("movablecore=768M", "cma=64M", "page_owner=on", "sysctl.vm.compaction_proactiveness=0", *PATIENCE)
STRESS_CMDLINE = (*MOVING_CMDLINE, "vm_debug=-")

# By how much the memory that nobody accounts for may grow, in KiB. The CPUs' own lists of free
# pages are read and added; what is left are tables that grow by a page here and there. A lost
# batch of the smallest capacity at the default order is 2 MiB.
MISSING_KIB = 512


def initramfs(kernel, out, initrd=None):
    """The guest programs, or `initrd`, and the modules of the stress, for the kernel `kernel`, a vmlinux."""
    build = Path(kernel).parent
    sample = build / "samples" / "page_reporting" / f"{SAMPLE}.ko"
    if not sample.is_file():
        raise BadInput(f"start a guest: {paths.shown(sample)} does not exist: `make test` builds it")
    orders = modules.build(build, "orders")
    return modules.pack(initrd or programs.initramfs(), [sample, orders], build, Path(out) / "drivers.cpio.gz")


def load(**parameters):
    return ["sample", "load", *(f"{name}={value}" for name, value in parameters.items())]


def await_stat(name, least):
    """The step that waits until one of the sample's counters is large enough."""
    return ["sample", f"{name}={least}"]


UNLOAD = ["sample", "unload"]
READ_STATS = ["sample", "stats"]


def stats_of(result):
    """What each READ_STATS of a finished run found, in turn."""
    return [{key: int(value) for key, value in event.fields.items()}
            for event in result.events if event.name == "stats"]


def last(result, name):
    return [event for event in result.events if event.name == name][-1]
