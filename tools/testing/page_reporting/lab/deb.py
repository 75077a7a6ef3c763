# SPDX-License-Identifier: GPL-2.0
"""Install the kernel's package in a Debian userland, boot it under libvirt, and see memory come back.

Takes the package that `scripts/build package` made. Exit status: 0 if systemd came up, the balloon's
driver has the device, at least 90 % of 1 GiB came back to the host, and all of 3 GiB when the host
froze the guest's file systems; 1 if not; 2 for bad input.
"""

import shutil
import time
from pathlib import Path

from . import console, domain, files, freeze, image, paths, qemu
from .display import Pace
from .errors import BadInput

TAKEN_MIB = 1024
ENOUGH_PCT = 90
# A KVM that hangs every guest does so at once.
UP_S, KVM_UP_S, STEP_S = 600, 90, 120
# "degraded" is not up: some unit failed.
UP = "running"
OUT = paths.BUILD / "deb"


def arguments(parser):
    parser.add_argument("--package", type=Path, help="the .deb of a kernel (default: the one in build/deb)")
    parser.add_argument("--kernel", type=Path, help="boot this kernel, in a userland with only the tools' package")
    parser.add_argument("--check-only", action="store_true", help="check the input and start nothing")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for results (%(default)s)")


def files_of_builds(folder):
    """Packages, and what an archive wants to know: what was built with what."""
    return sorted([*folder.glob("linux-*.deb"), *folder.glob("linux-upstream_*")])


def version_of(path):
    """NAME_VERSION_ARCH.deb"""
    return path.name.partition("_")[2].partition("_")[0]


def take_newest(out):
    """Move the newest build to `out`, and remove all others.

    Its kernel goes last: as long as that is not in `out`, the next run goes on with what is left.
    """
    kernels = [*paths.BUILD.glob("linux-image-*.deb")]
    if not kernels:
        return
    version = version_of(max(kernels, key=lambda path: path.stat().st_mtime))
    for path in (*files_of_builds(out), *files_of_builds(paths.BUILD)):
        if version_of(path) != version:
            path.unlink()
    for path in sorted(files_of_builds(paths.BUILD), key=lambda path: path in kernels):
        shutil.move(path, out / path.name)


def find_package(out, name="linux-image"):
    """The package in `out`, where the one that was just built goes first."""
    out.mkdir(parents=True, exist_ok=True)
    take_newest(out)
    found = sorted(out.glob(f"{name}[-_]*.deb"))
    if len(found) != 1:
        raise BadInput(f"{len(found)} packages {name}-*.deb in {out}, not one: run `make deb`, or give --package")
    return found[0]


class Watcher:
    """Keeps what was resident last, and says every ten seconds where the guest is."""

    def __init__(self):
        self.rss_mib, self.step, self._pace = 0, "boots", Pace()

    def __call__(self, rss_mib):
        self.rss_mib = rss_mib
        if self._pace.due():
            print(f"    guest {self.step}: {rss_mib:.0f} MiB resident", flush=True)


def boot(kernel, disk, accel, out):
    """Boot the guest and watch it through: what it said of itself, and figures."""
    (out / "console.log").write_text("", encoding="utf-8")
    with domain.Session() as session:
        own_disk = session.copy_in(disk)
        log = session.folder / "console.log"
        xml = domain.adapt(domain.documented_xml(), session.copy_in(kernel), own_disk, log,
                           "page-reporting-demo", accel, freeze.MEM_GIB)
        began, watcher = time.monotonic(), Watcher()
        guest = domain.Domain(session, xml, log)
        try:
            up = guest.wait("up", KVM_UP_S if accel == "kvm" else UP_S, watcher)
            figures = {"boot_s": time.monotonic() - began, "accel": accel}
            for event in ("settled", "taken", "freed", "done"):
                watcher.step = f"is on its way to '{event}'"
                said = guest.wait(event, STEP_S, watcher)
                figures[f"{event}_mib"] = watcher.rss_mib
            figures["doctor"] = said["doctor"]
            figures["freeze"] = freeze.measure(session, guest)
        finally:
            (out / "console.log").write_text(guest.text(), encoding="utf-8")
        figures["complaints"] = complaints(guest.text())
    return up, figures


def complaints(text):
    """What a console has of WARN, BUG, stalls and their like, as in the lab's other guests."""
    return [line for line in text.splitlines() if console.complaint(line)]


def verdict(up, figures):
    """What is wrong, a line each."""
    wrong = []
    if up["state"] != UP or up["init"] != "systemd":
        wrong.append(f"systemd is {up['state']}, not {UP} (process 1 is {up['init']})")
    if up["balloons"] != "1" or up["device"] == "none":
        wrong.append(f"{up['balloons']} devices are bound to virtio_balloon; reports go to {up['device']}")
    if figures["taken_mib"] - figures["settled_mib"] < 0.9 * TAKEN_MIB:
        wrong.append(f"the guest took {figures['taken_mib'] - figures['settled_mib']:.0f} MiB, not {TAKEN_MIB}")
    if figures["returned_pct"] < ENOUGH_PCT:
        wrong.append(f"{figures['returned_pct']:.1f} % of {TAKEN_MIB} MiB came back, not {ENOUGH_PCT}")
    if figures["doctor"] != "0":
        wrong.append(f"page-reporting doctor ended with status {figures['doctor']}: see the console")
    wrong += freeze.verdict(figures["freeze"])
    wrong += [f"the kernel complained: {line}" for line in figures["complaints"]]
    return wrong


def show(package, up, figures):
    from rich.console import Console
    from rich.table import Table
    table = Table(title=f"{TAKEN_MIB} MiB freed under Debian and systemd, libvirt, {figures['accel']}",
                  show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in (("package", f"{package.name}, {package.stat().st_size / (1 << 20):.1f} MiB"),
                        ("kernel", up["release"]), ("systemd", f"{up['state']} after {figures['boot_s']:.0f} s"),
                        ("balloon", f"driver bound, reports go to {up['device']}"),
                        ("resident before", f"{figures['settled_mib']:.0f} MiB"),
                        ("with 1 GiB taken", f"{figures['taken_mib']:.0f} MiB"),
                        ("12 s after the free", f"{figures['done_mib']:.0f} MiB"),
                        ("came back", f"{figures['returned_pct']:.1f} %"), *freeze.rows(figures["freeze"])):
        table.add_row(name, value)
    Console(width=max(80, Console().width)).print(table)


def main(args):
    for option, path in (("--package", args.package), ("--kernel", args.kernel)):
        if path and not path.is_file():
            raise BadInput(f"{option} {path}: no such file: give the {'.deb' if option == '--package' else 'file'} "
                           "of a kernel")
    accels = qemu.choose_accel()
    if args.check_only:
        return 0
    package = args.package or find_package(args.out, "linux-page-reporting-tools" if args.kernel else "linux-image")
    disk = image.make(package, args.out)
    kernel = args.kernel or image.installed_kernel(disk, args.out)
    print("boot under libvirt ...", flush=True)
    up, figures = qemu.with_any(accels, lambda accel, _: boot(kernel, disk, accel, args.out),
                                lambda: not (args.out / "console.log").stat().st_size)
    figures["returned_pct"] = 100 * (figures["taken_mib"] - figures["done_mib"]) / TAKEN_MIB
    files.write_json(args.out / "summary.json", {**up, **figures})
    show(package, up, figures)
    wrong = verdict(up, figures)
    print("\n".join(f"FAILED: {line}" for line in wrong) or f"OK: {package} installs, boots and gives memory back")
    return 1 if wrong else 0
