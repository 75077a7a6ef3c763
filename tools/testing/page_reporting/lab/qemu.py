# SPDX-License-Identifier: GPL-2.0
"""QEMU: whether it can serve, which accelerator, and its command line."""

import functools
import os
import platform
import re
import shutil
import subprocess
import sys

from . import arch as arches
from . import host
from .errors import BadInput, LabError, MissingTool, output

BINARY = arches.X86_64.qemu
_given_up = set()       # accelerators that failed while others were left to try
PORT = "org.kernel.page_reporting.0"

# Starts its arguments as a program that gets no huge pages, not even where it asks for them.
WITHOUT_THP = f"""import ctypes, os, sys
if ctypes.CDLL(None).prctl({host.PR_SET_THP_DISABLE}, 1, 0, 0, 0):
    sys.exit("prctl(PR_SET_THP_DISABLE) failed")
os.execv(sys.argv[1], sys.argv[1:])"""

# What the kernel takes: CONFIG_INIT_ENV_ARG_LIMIT programs' words, COMMAND_LINE_SIZE bytes.
MAX_WORDS = 32
MAX_CMDLINE = 2047


def cpu_virtualizes():
    """Whether this machine's CPU says that it can run KVM guests."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as cpuinfo:
        return re.search(r"^flags\s*:.*\b(vmx|svm)\b", cpuinfo.read(), re.M) is not None


def kvm_error():
    """Why /dev/kvm cannot be opened, or None if it can."""
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return error.strerror
    return None


def choose_accel(choice=None, arch=arches.X86_64):
    """The accelerators to try in turn; `choice` or else the environment's ACCEL decides.

    Without either, KVM comes first where it looks usable. /dev/kvm alone says little: it may
    open and still hang every guest.
    """
    if platform.machine() != arch.name:
        return ["tcg"]
    choice = choice or os.environ.get("ACCEL") or "auto"
    if choice not in ("auto", "tcg", "kvm"):
        raise BadInput(f"ACCEL={choice}: give tcg or kvm, or leave it out to have the lab choose")
    if choice == "kvm" and kvm_error():
        raise BadInput(f"ACCEL=kvm: /dev/kvm: {kvm_error()}; give ACCEL=tcg, or leave it out")
    if choice == "auto":
        return ["kvm", "tcg"] if cpu_virtualizes() and not kvm_error() else ["tcg"]
    return [choice]


def with_any(accels, boot, said_nothing):
    """boot(accel, whether it is the last) with the first accelerator that gets a guest to say something.

    One that does not work leaves the console empty, which a kernel that fails does not, and is not tried again here.
    """
    accels = [accel for accel in accels if accel not in _given_up] or accels
    for accel in accels[:-1]:
        try:
            return boot(accel, False)
        except LabError as error:
            if not said_nothing():
                raise
            _given_up.add(accel)
            print(f"warning: {accel} does not boot a guest here ({str(error).splitlines()[0]}): going on without it",
                  file=sys.stderr)
    return boot(accels[-1], True)


def find(arch=arches.X86_64):
    """The path of QEMU; MissingTool when it, or what starts it, is not there."""
    path = shutil.which(arch.qemu)
    if not path:
        raise MissingTool(f"start a guest: {arch.qemu} is not installed: run `make setup`, "
                          f"or `apt-get install {arch.package}`")
    if not shutil.which("setpriv"):
        raise MissingTool("start a guest: setpriv is not installed: run `apt-get install util-linux`")
    return path


@functools.lru_cache
def version(path):
    """What QEMU calls itself, one line."""
    said = output(f"start a guest: {path} --version fails", [path, "--version"], timeout=30).partition("\n")[0]
    if not said:
        raise MissingTool(f"start a guest: {path} --version says nothing: it is no QEMU, see `make setup`")
    return said


@functools.lru_cache
def check_balloon(path):
    """MissingTool unless this QEMU's balloon can report free pages."""
    run = subprocess.run([path, "-device", "virtio-balloon-pci,help"], capture_output=True,
                         text=True, timeout=30, check=False)
    remedy = "install Debian's QEMU (6.0 or newer has what is needed)"
    if run.returncode:
        raise MissingTool(f"start a guest: {path} has no virtio-balloon-pci device: {remedy}")
    if "free-page-reporting" not in run.stdout:
        raise MissingTool(f"start a guest: {path} has a virtio-balloon without "
                          f"free-page-reporting: {remedy}")


def boot_line(cmdline, steps, arch=arches.X86_64):
    """The kernel's boot line: parameters, then the guest programs, joined by "+"."""
    words = []
    for step in steps:
        words += (["+"] if words else []) + [str(word) for word in step]
    for word in words:
        if not word or re.search(r'[\s"]', word):
            raise BadInput(f"guest program's argument {word!r}: no blanks or quotes, and not empty")
    if len(words) > MAX_WORDS:
        raise BadInput(f"{len(words)} words for the guest's programs: the kernel takes {MAX_WORDS}")
    line = " ".join([*arch.boot_words, *cmdline] + (["--", *words] if words else []))
    if len(line) > MAX_CMDLINE:
        raise BadInput(f"a boot line of {len(line)} characters: the kernel takes {MAX_CMDLINE}")
    return line


def memory(mem_mib, nodes, backing):
    """The guest's memory, a Backing, in so many NUMA nodes; none if it need not be known to which it belongs."""
    args = []
    for node in range(nodes or 1):
        name, size = (f"ram{node}", mem_mib // nodes) if nodes else ("ram", mem_mib)
        args += ["-object", backing.option(name, size)]
        if nodes:
            args += ["-numa", f"node,nodeid={node},memdev={name},cpus={node}"]
    return args


def command(path, accel, vm, channel_fd, console_fd):
    """The command line that starts `vm`, a VM, with its channel and console on open sockets."""
    threads = (f",thread={'multi' if vm.parallel else 'single'},split-wx={vm.backing.split_wx}" if accel == "tcg"
               else "")
    machine = vm.machine or vm.arch.machine
    bus = "device" if machine.startswith("microvm") else "pci"
    args = [
        path, "-machine", machine if vm.nodes else f"{machine},memory-backend=ram", "-accel", accel + threads,
        "-cpu", "host" if accel == "kvm" else vm.arch.cpu,
        "-smp", f"{vm.smp},sockets={vm.nodes}" if vm.nodes else str(vm.smp), "-m", f"{vm.mem_mib}M",
        *memory(vm.mem_mib, vm.nodes, vm.backing),
        "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
        "-kernel", str(vm.kernel), "-append", vm.boot_line,
        "-chardev", f"socket,id=console,fd={console_fd}", "-serial", "chardev:console",
        "-device", f"virtio-serial-{bus}",
        "-chardev", f"socket,id=channel,fd={channel_fd}",
        "-device", f"virtserialport,chardev=channel,name={PORT}",
    ]
    if vm.initrd:
        args += ["-initrd", str(vm.initrd)]
    if vm.balloon:
        args += ["-device", f"virtio-balloon-{bus},free-page-reporting={vm.balloon}"]
    args += vm.extra_args
    return args if vm.host_thp else [sys.executable, "-S", "-c", WITHOUT_THP, *args]
