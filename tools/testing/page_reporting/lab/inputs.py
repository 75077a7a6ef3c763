# SPDX-License-Identifier: GPL-2.0
"""What a user gives: sizes and numbers, and the guest of `make demo` and `make top`.

Checked before anything is built, so with the standard library alone.
"""

import os
import re
from dataclasses import dataclass

from . import paths
from .errors import BadInput

_MIB = {"M": 1, "G": 1024, "T": 1024 * 1024}
DEFAULT_MEM = "4G"
# Each of the guest's CPUs keeps up to 28 MiB of what is freed in lists of its own, where nothing
# reports it: of less than this it could be 5 %.
MIN_FREE_MIB = 1024
MAX_ORDER, MAX_DELAY_MS = 10, 3600000
# As a delay, and the default: the kernel decides, and keeps large blocks for up to a second at first.
ADAPTIVE, ADAPTIVE_MS = -1, 1000


def parse_mib(name, text):
    """The MiB in a size such as "512M" or "4G"; BadInput, naming `name`, for anything else."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})([MGT])", text.strip().upper())
    if not match:
        raise BadInput(f"{name}={text}: not a size; give a whole number of M or G, such as 4G or 1536M")
    return int(match[1]) * _MIB[match[2]]


def parse_whole(name, text, low, high, unit=""):
    """An integer from `low` to `high`; BadInput, naming `name`, for anything else."""
    if not re.fullmatch(r"[0-9]{1,9}|-[1-9][0-9]{0,8}", text.strip()) or not low <= int(text) <= high:
        raise BadInput(f"{name}={text}: give a whole number from {low} to {high}{unit}")
    return int(text)


def format_mib(mib):
    """A size as parse_mib() reads it, in the largest unit that loses nothing."""
    return f"{mib // 1024}G" if mib % 1024 == 0 else f"{mib}M"


@dataclass(frozen=True)
class Guest:
    """Checked input; order and delay_ms are None when the kernel's defaults apply."""

    mem_mib: int
    free_mib: int
    order: int | None = None
    delay_ms: int | None = None

    @property
    def delay_s(self):
        """The delay that the guest will use, in seconds."""
        return (ADAPTIVE_MS if self.delay_ms in (None, ADAPTIVE) else self.delay_ms) / 1000

    @property
    def given(self):
        """What the user gave of order and delay."""
        return {name: value for name, value in (("order", self.order), ("delay", self.delay_ms)) if value is not None}

    @property
    def cmdline(self):
        """The same, as parameters for the boot line."""
        names = {"order": "page_reporting_order", "delay": "page_reporting_delay_ms"}
        return [f"page_reporting.{names[name]}={value}" for name, value in self.given.items()]

    @property
    def first_steps(self):
        """The guest's check that the boot line's values hold."""
        return [["params", "expect", *(f"{name}={value}" for name, value in self.given.items())]] if self.given else []


def guest_arguments(parser):
    """What `make demo` and `make top` take, as options or as variables of the environment."""
    for name, text in (("mem", "the guest's memory, such as 4G"), ("free", "memory to take and free, such as 3G"),
                       ("order", "page_reporting_order, 0 to 10"), ("delay", "page_reporting_delay_ms, milliseconds")):
        parser.add_argument("--" + name, default=os.environ.get(name.upper(), ""),
                            help=f"{text} (or {name.upper()} in the environment)")
    parser.add_argument("--check-only", action="store_true", help="check the input and start nothing")
    parser.add_argument("--kernel", default=paths.kernel(), help="kernel to boot (%(default)s)")
    parser.add_argument("--initrd", help="use this archive of guest programs instead of building one")


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
        raise BadInput(f"MEM={text}: the host has only {host_mib}M available; give at most MEM={host_mib}M")
    return mem_mib


def check_free(text, mem_mib):
    """What the guest frees, in MiB; three quarters of its memory unless it is said."""
    most = mem_mib - kept_mib(mem_mib)
    if not text:
        return max(MIN_FREE_MIB, min(mem_mib * 3 // 4, most))
    free_mib = parse_mib("FREE", text)
    if free_mib > most:
        raise BadInput(f"FREE={text}: a guest of MEM={format_mib(mem_mib)} needs {kept_mib(mem_mib)}M for itself; "
                       f"give at most FREE={format_mib(most)}")
    if free_mib < MIN_FREE_MIB:
        raise BadInput(f"FREE={text}: too little to see; give at least FREE={format_mib(MIN_FREE_MIB)}")
    return free_mib


def check_guest(mem, free, order, delay, host_mib):
    """A Guest from the user's words; an empty word means the default."""
    mem_mib = check_mem(mem or DEFAULT_MEM, host_mib)
    return Guest(mem_mib, check_free(free, mem_mib), parse_whole("ORDER", order, 0, MAX_ORDER) if order else None,
                 parse_whole("DELAY", delay, ADAPTIVE, MAX_DELAY_MS, " (milliseconds)") if delay else None)
