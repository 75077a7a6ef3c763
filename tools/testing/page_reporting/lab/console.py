# SPDX-License-Identifier: GPL-2.0
"""What on a guest's console makes a run a failure."""

import re

# (pattern, reason); the first that matches a line names what happened.
DIRTY = [(re.compile(pattern), reason) for pattern, reason in (
    (r"Kernel panic - not syncing", "the kernel panicked"),
    (r"\bKASAN:", "KASAN found a bad access"),
    (r"\bKCSAN:", "KCSAN found a data race"),
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


def tail(lines, count=30):
    """The last `count` console lines as an indented block for an error message."""
    if not lines:
        return "  (the console is empty)"
    return "\n".join("  | " + line for line in lines[-count:])
