# SPDX-License-Identifier: GPL-2.0
"""What on a guest's console makes a run a failure."""

import re

A_RACE = "KCSAN found a data race"

# (pattern, reason); the first that matches a line names what happened.
DIRTY = [(re.compile(pattern), reason) for pattern, reason in (
    (r"Kernel panic - not syncing", "the kernel panicked"),
    (r"\bKASAN:", "KASAN found a bad access"),
    (r"\bKCSAN:", A_RACE),
    (r"\bUBSAN:", "UBSAN found undefined behaviour"),
    (r"\bkmemleak: \d+ new suspected memory leaks", "kmemleak found a leak"),
    (r"\bpagealloc: (memory corruption|single bit error)", "a free page was written to"),
    (r"\blist_(add|del) corruption", "a list is corrupt"),
    (r"possible circular locking|possible recursive locking|inconsistent lock state"
     r"|possible irq lock inversion|irq-unsafe lock order|Invalid wait context"
     r"|bad unlock balance|held lock freed|DEBUG_LOCKS_WARN_ON", "lockdep found a locking error"),
    (r"suspicious RCU usage", "lockdep found a misuse of RCU"),
    (r"\brcu: INFO: .*stall|self-detected stall|rcu_\w+ detected stalls|rcu_\w+ kthread starved",
     "an RCU stall"),
    (r"soft lockup", "a soft lockup"),
    (r"workqueue lockup", "a stuck work queue"),
    (r"INFO: task .* blocked for more than", "a hung task"),
    (r"\bOops\b", "an oops"),
    (r"general protection fault", "a general protection fault"),
    (r"\bkernel BUG at\b", "a BUG()"),
    (r"\bBUG: |\bBUG [\w-]+ ?\(", "the kernel found a bug"),
    (r"\bWARNING: ", "a WARN()"),
    (r"invoked oom-killer", "the guest ran out of memory"),
    (r"\bCall Trace:", "a stack dump"),
)]

KCSAN = re.compile(r"\bBUG: KCSAN:")
REPORT_END = re.compile(r"={30}")
REPORT_MAX = 200        # lines, of which one that is cut off must not hide what follows
STACK_DUMP = re.compile(r"\bCall Trace:")

# Lines that quote somebody else's words, or are only worded like a complaint.
HARMLESS = re.compile(r"[Cc]ommand line|Spectre V2 : WARNING: ")


def complaint(line):
    """Why this console line makes the run a failure, or None for a harmless one."""
    if HARMLESS.search(line):
        return None
    for pattern, reason in DIRTY:
        if pattern.search(line):
            return reason
    return None


class Judge:
    """Which lines of one guest's console make its run a failure.

    allow: patterns; each lets one complaint pass, together with its stack dump. `allowed` has the
        lines that passed
    tolerate: patterns of complaints that pass whenever they come, if they do; with their stack dumps
    races: a pattern. What KCSAN reports is a complaint only if a line of the report matches it.
        None: every report is one
    """

    def __init__(self, allow=(), races=None, tolerate=()):
        self._allow = [re.compile(pattern) for pattern in allow]
        self._tolerate = [re.compile(pattern) for pattern in tolerate]
        self._races = re.compile(races) if races else None
        self._dump_follows = False
        self._report = []           # the lines of the report of KCSAN that is being read
        self.allowed = []

    def complaint(self, line):
        """As complaint(), with what was allowed."""
        if self._races and (self._report or KCSAN.search(line)):
            return self._race(line)
        reason = complaint(line)
        if not reason or self._pass(line):
            return None
        return reason

    def _pass(self, line):
        if self._dump_follows and STACK_DUMP.search(line):
            self._dump_follows = False
            return True
        if any(pattern.search(line) for pattern in self._tolerate):
            self._dump_follows = True
            return True
        for pattern in self._allow:
            if pattern.search(line):
                self._allow.remove(pattern)
                self.allowed.append(line)
                self._dump_follows = True
                return True
        return False

    def _race(self, line):
        self._report.append(line)
        if not REPORT_END.search(line):
            return A_RACE if len(self._report) > REPORT_MAX else None
        report, self._report = self._report, []
        return A_RACE if any(self._races.search(said) for said in report) else None


def tail(lines):
    """The last console lines as an indented block for an error message."""
    if not lines:
        return "  (the console is empty)"
    return "\n".join("  | " + line for line in lines[-30:])
