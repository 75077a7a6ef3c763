# SPDX-License-Identifier: GPL-2.0
"""The machines that a guest can be: what QEMU, the boot line and the build have to know of each."""

from dataclasses import dataclass

from .errors import BadInput

_ELF_MACHINES = {62: "x86_64", 183: "aarch64"}      # elf.h: EM_X86_64, EM_AARCH64


@dataclass(frozen=True)
class Arch:
    """An architecture.

    name: as uname -m has it
    qemu, package: QEMU's program, and the Debian package that it is in
    machine: QEMU's board
    cpu: the plainest of QEMU's CPUs that will do
    boot_words: for each boot line; where the console is
    """

    name: str
    qemu: str
    package: str
    machine: str
    cpu: str
    boot_words: tuple


# "pc" boots sooner than "q35". A CPU with newer features makes the kernel clear memory with string
# instructions, which TCG runs three times slower. Without no_timer_check, a kernel whose QEMU gets
# no CPU for some ticks at boot panics.
X86_64 = Arch("x86_64", "qemu-system-x86_64", "qemu-system-x86", "pc", "qemu64",
              ("console=ttyS0", "panic=-1", "no_timer_check"))
# The oldest CPU of this board that has pages of 64 KiB, as all Cortex-A do; "max" is slower.
ARM64 = Arch("aarch64", "qemu-system-aarch64", "qemu-system-arm", "virt", "cortex-a57",
             ("console=ttyAMA0", "panic=-1"))
ARCHES = {arch.name: arch for arch in (X86_64, ARM64)}


def of(kernel):
    """The architecture of a kernel's file: a vmlinux, x86's bzImage or arm64's Image."""
    with open(kernel, "rb") as image:
        head = image.read(64)
    if head[:4] == b"\x7fELF":
        name = _ELF_MACHINES.get(int.from_bytes(head[18:20], "little"))
        if name not in ARCHES:
            raise BadInput(f"start a guest: {kernel} is for another machine: give a kernel for "
                           f"{' or '.join(ARCHES)}")
        return ARCHES[name]
    # Documentation/arch/arm64/booting.rst: the magic number of an Image
    return ARM64 if head[56:60] == b"ARM\x64" else X86_64
