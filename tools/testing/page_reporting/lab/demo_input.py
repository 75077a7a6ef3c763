# SPDX-License-Identifier: GPL-2.0
"""What `make demo` takes. Checked before anything is built, so with the standard library alone."""

import re
from dataclasses import dataclass

from .errors import BadInput
from .units import format_mib, parse_mib, parse_whole

DEFAULT_MEM = "4G"
# Each of the guest's CPUs keeps up to 28 MiB of what is freed in lists of its own, where nothing
# reports it: of less than this it could be 5 %.
MIN_FREE_MIB = 1024
MAX_ORDER = 10
MAX_DELAY_MS = 3600000
# As a delay, and the default: the kernel decides, and keeps large blocks for up to a second at first.
ADAPTIVE = -1
ADAPTIVE_MS = 1000


@dataclass(frozen=True)
class DemoInput:
    """Checked input; order and delay_ms are None when the kernel's defaults apply."""

    mem_mib: int
    free_mib: int
    order: int | None
    delay_ms: int | None

    @property
    def delay_s(self):
        """The delay that the guest will use, in seconds."""
        return (ADAPTIVE_MS if self.delay_ms in (None, ADAPTIVE) else self.delay_ms) / 1000

    @property
    def given(self):
        """What the user gave of order and delay."""
        values = {"order": self.order, "delay": self.delay_ms}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def cmdline(self):
        """The same, as parameters for the boot line."""
        names = {"order": "page_reporting_order", "delay": "page_reporting_delay_ms"}
        return [f"page_reporting.{names[name]}={value}" for name, value in self.given.items()]


def available_mib():
    """The host's memory that is free or can be made free, in MiB."""
    with open("/proc/meminfo", encoding="ascii") as meminfo:
        return int(re.search(r"^MemAvailable:\s+(\d+) kB", meminfo.read(), re.M)[1]) // 1024


def kept_mib(mem_mib):
    """What a guest of this size keeps for itself: its kernel, and the map of its pages."""
    return max(512, mem_mib // 16)


def check_mem(text, host_mib):
    """The guest's size in MiB, checked against what the host has."""
    mem_mib = parse_mib("MEM", text)
    smallest = MIN_FREE_MIB + kept_mib(0)
    if mem_mib < smallest:
        raise BadInput(f"MEM={text}: too small for a demo; give at least MEM={format_mib(smallest)}")
    if mem_mib > host_mib:
        raise BadInput(f"MEM={text}: the host has only {host_mib}M available; "
                       f"give at most MEM={host_mib}M")
    return mem_mib


def check_free(text, mem_mib):
    """What the guest frees, in MiB; three quarters of its memory unless it is said."""
    most = mem_mib - kept_mib(mem_mib)
    if not text:
        return max(MIN_FREE_MIB, min(mem_mib * 3 // 4, most))
    free_mib = parse_mib("FREE", text)
    if free_mib > most:
        raise BadInput(f"FREE={text}: a guest of MEM={format_mib(mem_mib)} needs "
                       f"{kept_mib(mem_mib)}M for itself; give at most FREE={format_mib(most)}")
    if free_mib < MIN_FREE_MIB:
        raise BadInput(f"FREE={text}: too little to see; give at least FREE={format_mib(MIN_FREE_MIB)}")
    return free_mib


def check(mem, free, order, delay, host_mib):
    """A DemoInput from the user's words; an empty word means the default."""
    mem_mib = check_mem(mem or DEFAULT_MEM, host_mib)
    return DemoInput(
        mem_mib=mem_mib,
        free_mib=check_free(free, mem_mib),
        order=parse_whole("ORDER", order, 0, MAX_ORDER) if order else None,
        delay_ms=parse_whole("DELAY", delay, ADAPTIVE, MAX_DELAY_MS, " (milliseconds)") if delay else None)
