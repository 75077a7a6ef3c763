# SPDX-License-Identifier: GPL-2.0
"""What backs a guest's memory: QEMU's option for it, and which of QEMU's resident pages are the guest's.

ram: anonymous memory. Counted is RssAnon of proc(5), with what QEMU allocates for itself
memfd: a memfd that is mapped shared. Counted is RssShmem, which is the guest's memory alone
shared: a file that is mapped shared, as memory that another process uses, too. Counted are RssFile and RssShmem, as
    the file may be on tmpfs; QEMU's program and its libraries are among them
private: a file that is mapped privately, as a template for many guests. Counted are RssFile, for what was only read,
    and RssAnon, for what was written. Of a file on tmpfs, what was only read does not count

TCG translates the guest's code into memory that grows by hundreds of MiB as the guest runs new code. To keep this
memory out of the count, it is in a memfd, RssShmem, where the guest's memory is RssAnon (split-wx=on), and anonymous,
RssAnon, where the guest's memory is RssShmem (split-wx=off).
"""

from dataclasses import dataclass, replace
from pathlib import Path

from .errors import BadInput


@dataclass(frozen=True)
class Backing:
    """What backs one guest's memory.

    template: the class of QEMU's object and its options
    counted: the fields of /proc/PID/status that add up to resident memory; None for what statm has as anonymous
    split_wx: TCG's option split-wx
    huge: the fields of /proc/PID/smaps_rollup that add up to the guest's memory in huge pages
    """

    template: str
    counted: tuple | None
    split_wx: str
    huge: tuple
    path: Path | None = None

    def option(self, name, mib):
        """The value of QEMU's -object. No memory is reserved on the host."""
        # QEMU takes two commas for one.
        path = str(self.path).replace(",", ",,")
        return self.template.format(size=f"id={name},size={mib}M,reserve=off", path=path)


_SHARED_HUGE = ("ShmemPmdMapped", "FilePmdMapped")
_KINDS = {
    "ram": Backing("memory-backend-ram,{size}", None, "on", ("AnonHugePages",)),
    "memfd": Backing("memory-backend-memfd,{size},share=on", ("RssShmem",), "off", _SHARED_HUGE),
    "shared": Backing("memory-backend-file,{size},share=on,mem-path={path}", ("RssFile", "RssShmem"), "off",
                      _SHARED_HUGE),
    "private": Backing("memory-backend-file,{size},share=off,mem-path={path}", ("RssAnon", "RssFile"), "on",
                       ("AnonHugePages", "FilePmdMapped")),
}


def choose(kind, path, mem_mib, nodes):
    """The Backing for what a caller of VM gave; BadInput if it does not fit."""
    if kind not in _KINDS:
        raise BadInput(f"backing={kind}: give {', '.join(_KINDS)}")
    if "{path}" not in _KINDS[kind].template:
        if path:
            raise BadInput(f"backing={kind}: takes no backing_file")
        return _KINDS[kind]
    if not path or not Path(path).is_file():
        raise BadInput(f"backing={kind}: backing_file={path} is no file: make one of {mem_mib} MiB first")
    if nodes:
        raise BadInput(f"backing={kind}: one file cannot back {nodes} NUMA nodes")
    if Path(path).stat().st_size != mem_mib << 20:
        raise BadInput(f"backing={kind}: {path} has {Path(path).stat().st_size} bytes, the guest {mem_mib << 20}")
    return replace(_KINDS[kind], path=Path(path))
