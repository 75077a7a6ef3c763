# SPDX-License-Identifier: GPL-2.0
"""Free memory that leaves on the host's command: by a freeze of the agent, whose hook flushes, and by a flush.

In a guest of 4 GiB under libvirt, of which a program has just freed 3. Reporting waits for an hour there, so that
nothing leaves by itself.
"""

import time

from . import domain

MEM_GIB, FREED_MIB = 4, 3072
# Beyond a guest at rest; beyond the time that the agent takes without the hook
MOST_MIB, MOST_S = 60, 1.0
HOOK = "/etc/qemu/fsfreeze-hook.d/page-reporting"
DELAY = "/sys/module/page_reporting/parameters/page_reporting_delay_ms"
SETTLE_S = 3


def free(agent):
    """Take memory in the guest, and free it."""
    agent.run("/bin/sh", "-c", f"dd if=/dev/zero of=/mnt/file bs=1M count={FREED_MIB} status=none && rm /mnt/file")


def after(act, guest):
    """How long `act` takes, and what is resident when it returns."""
    began = time.monotonic()
    act()
    seconds = time.monotonic() - began
    return {"s": seconds, "mib": guest.resident_mib()}


def frozen(session, agent, guest):
    """Memory freed, and a freeze."""
    free(agent)
    try:
        return after(lambda: session.virsh("domfsfreeze", domain.NAME), guest)
    finally:
        session.virsh("domfsthaw", domain.NAME)


def measure(session, guest):
    """All ways, in turn: {way: {"s", "mib"}}, and what is resident at rest."""
    agent = domain.Agent(session)
    agent.run("/bin/sh", "-c", f"echo 3600000 >{DELAY} && mount -o remount,size={FREED_MIB + 100}M /mnt")
    # TCG keeps what it has translated: all of it has to be there before anything is measured.
    frozen(session, agent, guest)
    time.sleep(SETTLE_S)
    rest_mib = guest.resident_mib()
    figures = {"rest_mib": rest_mib, "hook": frozen(session, agent, guest)}
    free(agent)
    figures["exec"] = after(lambda: agent.run("page-reporting", "flush"), guest)
    agent.run("mv", HOOK, "/root/")
    figures["no_hook"] = frozen(session, agent, guest)
    agent.run("mv", f"/root/{HOOK.rpartition('/')[2]}", HOOK)
    return figures


def verdict(figures):
    """What is wrong, a line each."""
    wrong, rest_mib = [], figures["rest_mib"]
    for way in ("hook", "exec"):
        if (beyond := figures[way]["mib"] - rest_mib) > MOST_MIB:
            wrong.append(f"{way}: {beyond:.0f} MiB more are resident than at rest, not {MOST_MIB} or less")
    if (longer := figures["hook"]["s"] - figures["no_hook"]["s"]) > MOST_S:
        wrong.append(f"hook: a freeze takes {longer:.2f} s longer with it, not {MOST_S:.0f} s or less")
    if figures["no_hook"]["mib"] - rest_mib < 0.9 * FREED_MIB:
        wrong.append(f"without the hook, {figures['no_hook']['mib']:.0f} MiB are resident: it is not off")
    return wrong


def rows(figures):
    """For a table: what was done, and what came of it."""
    names = {"hook": "3 GiB freed, domfsfreeze", "exec": "the same, guest-exec flush",
             "no_hook": "the same, domfsfreeze without hook"}
    return [("at rest", f"{figures['rest_mib']:.0f} MiB")] + [
        (name, f"{figures[way]['mib']:.0f} MiB, {figures[way]['s']:.2f} s") for way, name in names.items()]
