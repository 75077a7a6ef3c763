# SPDX-License-Identifier: GPL-2.0
"""What a guest's counters say, from one report of guest/top.c to the next."""

from dataclasses import dataclass

KIB_PER_MIB = 1024


@dataclass(frozen=True)
class Reading:
    """A guest at one instant: sizes in MiB, what happened since it booted, and the host's view."""

    t: float                    # the host's clock
    guest_s: float              # the guest's
    free_mib: float
    reported_mib: float         # of the free memory, what the host has
    sent_mib: float             # reported in all
    refaulted_mib: float        # taken out of reported blocks in all
    failed_mib: float
    passes: int
    calls: int
    skips: int
    resident_mib: float         # QEMU's, on the host

    @classmethod
    def of(cls, event):
        """From an event "vmstat"."""
        def mib(name):
            return event.number(name) * event.number("page_kib") / KIB_PER_MIB

        return cls(t=event.t, guest_s=event.number("t_ms") / 1000, free_mib=mib("nr_free_pages"),
                   reported_mib=mib("nr_free_reported"), sent_mib=mib("pgreport"),
                   refaulted_mib=mib("pgreport_refault"), failed_mib=mib("pgreport_fail"),
                   passes=event.number("page_reporting_pass"),
                   calls=event.number("page_reporting_call"),
                   skips=event.number("page_reporting_skip"), resident_mib=event.sample.rss_mib)

    def refault_rate(self, before):
        """MiB a second that were taken out of reported blocks since the Reading `before`, or None."""
        if before is None or self.guest_s <= before.guest_s:
            return 0.0
        return (self.refaulted_mib - before.refaulted_mib) / (self.guest_s - before.guest_s)
