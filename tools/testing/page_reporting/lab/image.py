# SPDX-License-Identifier: GPL-2.0
"""A disk with a Debian userland, and a kernel's package or programs of the lab in it, made by mmdebstrap."""

import hashlib
import os
import signal
import subprocess
import tempfile
from pathlib import Path

from .errors import LabError, MissingTool, output

SUITE = "bookworm"
PACKAGES = ("systemd-sysv", "udev", "kmod", "dbus", "qemu-guest-agent")
USERLAND = Path(__file__).resolve().parents[1] / "userland"
SOURCES = Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d")
SIZE_MIB = 1536


def sources():
    """The host's own files of package sources, as mmdebstrap takes them."""
    main, folder = SOURCES
    found = [main] if main.is_file() and main.read_text(encoding="utf-8").strip() else []
    found += sorted(path for path in folder.glob("*") if path.suffix in (".list", ".sources"))
    if not found:
        raise LabError(f"make a userland: no package sources in {main} and {folder}: "
                       "mmdebstrap needs those that apt uses here")
    return found


def key_of(package, programs):
    """Changes when the disk has to be made anew."""
    key = hashlib.sha256(repr((SUITE, PACKAGES, SIZE_MIB)).encode())
    for path in (*packages(package), *programs, *sorted(USERLAND.iterdir())):
        key.update(path.read_bytes())
    return key.hexdigest()


def packages(package):
    """The kernel's package, if any, and that of page-reporting where it lies beside it."""
    if not package:
        return []
    return list(dict.fromkeys([package, *sorted(package.parent.glob("linux-page-reporting-tools_*.deb"))]))


def place(path, folder):
    """What copies one file to a folder of the new userland, with its mode."""
    mode = "755" if os.access(path, os.X_OK) else "644"
    return [f"--customize-hook=upload {path} {folder}/{path.name}",
            f"--customize-hook=chmod {mode} \"$1{folder}/{path.name}\""]


def hooks(package, programs):
    """What to do in the new userland: its services, the lab's programs, our packages."""
    units = sorted(USERLAND.glob("*.service"))
    copies = [(unit, "/etc/systemd/system") for unit in units]
    copies += [(path, "/usr/local/bin") for path in (*(unit.with_suffix("") for unit in units), *programs)]
    return [*[hook for path, folder in copies for hook in place(path, folder)],
            *[f"--customize-hook=chroot \"$1\" systemctl -q enable {unit.name}" for unit in units],
            *[f"--customize-hook={hook}" for each in packages(package) for hook in (
                f"upload {each} /tmp/{each.name}", f"chroot \"$1\" dpkg --install /tmp/{each.name}",
                f"rm \"$1/tmp/{each.name}\"")],
            # A guest has no use for them, and is smaller without.
            "--customize-hook=rm -rf \"$1\"/var/lib/apt/lists/* \"$1\"/var/cache/apt/archives/*"]


def run_mmdebstrap(arguments, log):
    """Run it, its words in `log`, and pass on its steps (lines with "I: ") as they come.

    It has a session of its own, since it hangs up on its whole process group when it is ended, and
    a directory of its own, since it does not take all of its files away.
    """
    command = ["mmdebstrap", *arguments]
    try:
        with tempfile.TemporaryDirectory(prefix="page-reporting-userland-", ignore_cleanup_errors=True) as folder, \
                open(log, "w", encoding="utf-8") as out:
            # In a user namespace, it is somebody else.
            os.chmod(folder, 0o755)
            with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True,
                                  env={**os.environ, "TMPDIR": folder}) as child:
                follow(child, out)
    except FileNotFoundError as error:
        raise MissingTool("make a userland: mmdebstrap is not installed: run `make deb`, or "
                          "`apt-get install mmdebstrap genext2fs`") from error
    if child.returncode:
        tail = "\n".join(log.read_text(encoding="utf-8").rstrip().split("\n")[-8:])
        raise LabError(f"make a userland: mmdebstrap failed; the end of {log}:\n{tail}")


def follow(child, out):
    """Read what mmdebstrap says until it ends; whatever keeps us from that ends it."""
    try:
        for line in child.stderr:
            out.write(line)
            if line.startswith("I: "):
                print(f"    {line[3:].rstrip()}", flush=True)
    except BaseException:
        print("    interrupted: mmdebstrap takes its files away ...", flush=True)
        # All of them, as Ctrl-C would: by itself it ends when its programs have.
        os.killpg(child.pid, signal.SIGTERM)
        child.communicate()
        raise


def tool(name, *arguments):
    """What a program of e2fsprogs prints."""
    return output(f"{name} {arguments[-1]}", [f"/sbin/{name}", *arguments], "`apt-get install e2fsprogs`")


def make(package, out, programs=()):
    """Make a disk in `out`, unless it is there already; its path.

    package: the .deb of a kernel to install, or None
    programs: files for /usr/local/bin
    """
    out.mkdir(parents=True, exist_ok=True)
    disk, stamp, key = out / "disk.img", out / "disk.key", key_of(package, programs)
    if not (stamp.is_file() and stamp.read_text(encoding="utf-8") == key and disk.is_file()):
        print(f"userland: Debian, systemd{' and the kernel' if package else ''} ...", flush=True)
        stamp.unlink(missing_ok=True)
        part = out / "disk.part"
        try:
            run_mmdebstrap(["--variant=minbase", f"--include={','.join(PACKAGES)}", "--format=ext2",
                            *hooks(package, programs), SUITE, str(part), *map(str, sources())], out / "mmdebstrap.log")
            if part.stat().st_size > SIZE_MIB << 20:
                raise LabError(f"make a userland: it takes {part.stat().st_size >> 20} MiB, more than the {SIZE_MIB} "
                               "of the disk: raise SIZE_MIB in lab/image.py")
            os.truncate(part, SIZE_MIB << 20)
            tool("resize2fs", "-f", str(part))
            part.replace(disk)
        finally:
            part.unlink(missing_ok=True)
        stamp.write_text(key, encoding="utf-8")
    return disk


def installed_kernel(disk, out):
    """Copy the kernel that the package installed on the disk to `out`, for QEMU to start."""
    # A line is /inode/mode/uid/gid/name/size/
    entries = [line.split("/") for line in tool("debugfs", "-R", "ls -p /boot", str(disk)).split("\n")]
    kernels = [(entry[5], int(entry[6])) for entry in entries if len(entry) > 6 and entry[5].startswith("vmlinuz-")]
    if len(kernels) != 1:
        raise LabError(f"the disk {disk} has {len(kernels)} kernels in /boot, not one")
    (name, size), part = kernels[0], out / "vmlinuz.part"
    try:
        # debugfs ends with 0 whatever happened.
        said = tool("debugfs", "-R", f"dump /boot/{name} {part}", str(disk))
        if not part.is_file() or part.stat().st_size != size:
            raise LabError(f"read /boot/{name} from {disk}: not all of its {size} bytes: "
                           f"{said.strip() or 'disk full?'}")
        return part.replace(out / name)
    finally:
        part.unlink(missing_ok=True)
