# SPDX-License-Identifier: GPL-2.0
"""tools/mm/page-reporting on trees of made-up files: what it prints, every check of doctor, bad input.

On a live kernel it is run by the kselftest page_reporting_tool, and doctor here, in guests in which something is wrong.
"""

import json
import os
import re
import resource
import shutil
import subprocess
import time

import psutil
import pytest

from lab import drivers, modules, paths, programs, selftests
from lab.vm import VM

pytestmark = pytest.mark.product

SOURCE = paths.REPO / "tools/mm/page-reporting.c"
GUIDE = paths.REPO / "Documentation/admin-guide/mm/free_page_reporting.rst"
FILES = "sys/kernel/mm/page_reporting"
PARAMS = "sys/module/page_reporting/parameters"
BALLOON = "sys/bus/virtio/devices/virtio0"
PID = 4242
MIB_PAGES = 256
PAGES_OF = {"nr_free_pages": 3072, "nr_free_reported": 3000, "pgreport": 9000, "pgreport_fail": 0,
            "pgreport_refault": 5000, "pgreport_merge": 500, "pgreport_clear": 500}       # MiB


@pytest.fixture(scope="module")
def tool(tmp_path_factory):
    program = tmp_path_factory.mktemp("tool") / "page-reporting"
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, SOURCE], check=True, timeout=60)
    return program


class Root:
    """A folder with the files that the tool reads."""

    def __init__(self, folder):
        self.folder = folder

    def put(self, path, text):
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        # In one step, as a file of the kernel's is read.
        target.with_name(target.name + ".new").write_text(text, encoding="utf-8")
        target.with_name(target.name + ".new").rename(target)

    def remove(self, path):
        (self.folder / path).unlink()

    def link(self, path, target):
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).symlink_to(target)

    def vmstat(self, **mib):
        counters = {**PAGES_OF, **mib}
        numbers = {name: value * MIB_PAGES for name, value in counters.items() if name in PAGES_OF}
        numbers.update({"page_reporting_pass": 100, "page_reporting_skip": 0,
                        **{name: value for name, value in counters.items() if name not in PAGES_OF}})
        self.put("proc/vmstat", "".join(f"{name} {value}\n" for name, value in numbers.items()))

    def meminfo(self, **kib):
        lines = {"MemTotal": 4 << 20, "MemFree": 3 << 20, "Buffers": 1 << 10, "Cached": 100 << 10, "Shmem": 1 << 10,
                 "HugePages_Total": 0, "HugePages_Free": 0, "Hugepagesize": 2048, **kib}
        self.put("proc/meminfo", "".join(f"{name}:{'':8}{value}{'' if 'Pages' in name else ' kB'}\n"
                                         for name, value in lines.items()))

    def features(self, *bits):
        self.put(f"{BALLOON}/features", "".join("1" if bit in bits else "0" for bit in range(64)) + "\n")


def guest(root):
    """A healthy guest of 4 GiB, of which 3 are free."""
    for name, text in {"device": "virtballoon_free_page_report [virtio_balloon]", "state": "idle", "order": "9",
                       "report_age_ms": "0", "flush": "pages=512 duration_us=2500 error=0"}.items():
        root.put(f"{FILES}/{name}", text + "\n")
    root.put(f"{PARAMS}/page_reporting_delay_ms", "-1\n")
    root.put(f"{PARAMS}/page_reporting_order", "9\n")
    root.put("proc/cmdline", "root=/dev/vda ro quiet\n")
    root.put("proc/uptime", "1000.00 3900.00\n")
    root.put("proc/buddyinfo", "Node 0, zone      DMA      0      0      0      0      0      0      0      0      "
                               "1      1      2 \n"
                               "Node 0, zone    DMA32      5      4      3      2      1      9      9      9      "
                               "9      8    760 \n")
    root.put(f"{BALLOON}/device", "0x0005\n")
    root.link(f"{BALLOON}/driver", "../../drivers/virtio_balloon")
    (root.folder / "sys/bus/virtio/drivers/virtio_balloon").mkdir(parents=True)
    root.features(4, 5)
    root.vmstat()
    root.meminfo()


def no_device(root):
    root.put(f"{FILES}/device", "none\n")
    root.vmstat(nr_free_reported=0, pgreport=0, pgreport_refault=0, pgreport_merge=0, pgreport_clear=0)


MAPPING = ("{start:x}-{end:x} {flags} 00000000 00:00 0 {path}\n"
           "Size:           {kib} kB\nKernelPageSize:    {page} kB\nMMUPageSize:           4 kB\nRss: {kib} kB\n")
# Larger than guest memory, and none of it: what nobody may use, and QEMU's translations of the guest's code.
OTHERS = (("---p", "", 64), ("rw-s", "/memfd:tcg-jit (deleted)", 16), ("rwxp", "", 16))


def smaps(root, path="", flags="rw-p", page=4, more=0, resident_mib=1024, size_mib=4096, nodes=()):
    """The guest's memory, behind a program, and `more` small mappings.

    nodes: more memory of the guest's, each a dictionary of what differs
    """
    base, text = 0x7f0000000000, ""
    for number in range(more + 1):
        start = 0x550000000000 + number * 0x10000
        text += MAPPING.format(start=start, end=start + 0x8000, flags="r-xp", path="/usr/bin/qemu", kib=32, page=4)
    for other_flags, other_path, gib in OTHERS:
        text += MAPPING.format(start=base, end=base + (gib << 30), flags=other_flags, path=other_path, kib=0, page=4)
        base += 128 << 30
    first = {"path": path, "flags": flags, "page": page, "mib": size_mib, "kib": resident_mib << 10}
    for node in (first, *({**first, **differs} for differs in nodes)):
        text += MAPPING.format(start=base, end=base + (node.pop("mib") << 20), **node)
        base += 128 << 30
    root.put(f"proc/{PID}/smaps", text)


def rollup(root, **kib):
    lines = {"Rss": 900 << 10, "AnonHugePages": 800 << 10, "ShmemPmdMapped": 0, "Shared_Hugetlb": 0,
             "Private_Hugetlb": 0, "Locked": 0, **kib}
    root.put(f"proc/{PID}/smaps_rollup", "55-7f ---p 00000000 00:00 0 [rollup]\n" +
             "".join(f"{name}:{'':8}{value} kB\n" for name, value in lines.items()))


def command(root, *words):
    root.put(f"proc/{PID}/cmdline", "\0".join(("/usr/bin/qemu-system-x86_64", "-m", "4G", *words)) + "\0")


def host(root):
    """A host with a healthy machine of 4 GiB, QEMU, on anonymous memory."""
    command(root, "-device", "virtio-balloon-pci,free-page-reporting=on")
    root.put(f"proc/{PID}/comm", "qemu-system-x86\n")
    smaps(root)
    rollup(root)
    root.link(f"proc/{PID}/fd/0", "/dev/null")
    root.link(f"proc/{PID}/fd/9", "anon_inode:kvm-vm")
    root.put("proc/sys/vm/max_map_count", "65530\n")
    root.put("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n")
    root.put("guest.json", json.dumps({"on": True, "total_bytes": 4 << 30, "reported_bytes": 3 << 30}))


def case(check, result, saw, *changes):
    return pytest.param(check, result, saw, changes, id=f"{check}-{saw[:30].strip().replace(' ', '-')}")


CONFIG = f"boot/config-{os.uname().release}"
CLEARS = "CONFIG_HAVE_ARCH=y\nCONFIG_INIT_ON_FREE_DEFAULT_ON=y\n"


def log(clears):
    return lambda root: root.put("dev/kmsg", "6,1,0,-;Linux version 6.12\n" + "6,212,90,-;mem auto-init: "
                                 f"stack:all(zero), heap alloc:off, heap free:{clears}\n6,213,91,-;Memory: 1024K\n")


# What makes each check fire: its name, its result, words of what it saw, and what is wrong.
GUEST_CASES = [
    case("kernel", "bad", "no free page reporting", lambda root: root.remove(f"{FILES}/device"),
         lambda root: root.remove(f"{PARAMS}/page_reporting_order")),
    case("kernel", "bad", "an implementation without counters", lambda root: root.remove(f"{FILES}/device")),
    case("balloon", "bad", "no balloon is on the virtio bus", no_device,
         lambda root: root.put(f"{BALLOON}/device", "0x0001\n")),
    case("driver", "bad", "no driver is bound to the balloon", no_device, lambda root: root.remove(f"{BALLOON}/driver")),
    case("offer", "bad", "does not offer reporting", no_device, lambda root: root.features(4)),
    case("offer", "bad", "offers reporting, but the driver has not registered", no_device),
    case("poison", "bad", "page_poison=1", lambda root: root.put("proc/cmdline", "quiet page_poison=1\n")),
    case("poison", "bad", "init_on_free=1", no_device, lambda root: root.features(),
         lambda root: root.put("proc/cmdline", "init_on_free=0 init_on_free=1\n")),
    case("poison", "bad", "the kernel log has 'heap free:on'", no_device, lambda root: root.features(), log("on")),
    case("poison", "bad", "the kernel has CONFIG_INIT_ON_FREE_DEFAULT_ON", no_device, lambda root: root.features(),
         lambda root: root.put(CONFIG, CLEARS)),
    case("confidential", "bad", "private", lambda root: root.put("sys/class/misc/sev-guest/dev", "10:1\n")),
    case("confidential", "bad", "private", lambda root: root.put("sys/class/misc/tdx_guest/dev", "10:1\n")),
    case("answer", "bad", "for 61 s", lambda root: root.put(f"{FILES}/report_age_ms", "61200\n")),
    case("errors", "bad", "of 1000 MiB failed", lambda root: root.vmstat(pgreport_fail=1000)),
    case("share", "bad", "of 3072 MiB that are free, 200 MiB", lambda root: root.vmstat(nr_free_reported=200)),
    case("blocks", "bad", "8 MiB are in blocks", lambda root: root.put(
        "proc/buddyinfo", "Node 0, zone   Normal 400000 90000 9000 9000 5000 2000 0 0 0 2 1\n")),
    case("delay", "note", "after 3600 s", lambda root: root.put(f"{PARAMS}/page_reporting_delay_ms", "3600000\n")),
    case("order", "note", "of 64 KiB break up", lambda root: root.put(f"{FILES}/order", "4\n")),
    case("order", "note", "below 4 MiB", lambda root: root.put(f"{FILES}/order", "10\n")),
    case("shortage", "note", "in 100 passes", lambda root: root.vmstat(page_reporting_skip=90)),
    case("merges", "note", "8000 MiB merged", lambda root: root.vmstat(pgreport_merge=8000)),
    case("cache", "note", "3000 of 4096 MiB hold", lambda root: root.meminfo(Cached=3000 << 10)),
    case("hugetlb", "note", "1024 MiB of huge pages", lambda root: root.meminfo(HugePages_Free=512)),
]

HOST_CASES = [
    case("switch", "bad", "no balloon with", lambda root: command(root, "-device", "virtio-balloon-pci")),
    case("template", "bad", "private mapping of /srv/template", lambda root: smaps(root, "/srv/template")),
    case("pages", "bad", "1024 MiB", lambda root: smaps(root, "/dev/hugepages/qemu (deleted)", "rw-s", 1 << 20)),
    case("vfio", "bad", "assigned by vfio", lambda root: root.link(f"proc/{PID}/fd/7", "anon_inode:[vfio-device]")),
    case("vfio", "bad", "assigned by vfio", lambda root: root.link(f"proc/{PID}/fd/7", "/dev/vfio/12")),
    case("locked", "bad", "3000 MiB are locked", lambda root: rollup(root, Locked=3000 << 10)),
    case("private", "bad", "confidential", lambda root: command(
        root, "-object", "sev-guest,id=sev0", "-device", "virtio-balloon-pci,free-page-reporting=on")),
    case("private", "bad", "confidential", lambda root: command(
        root, "-object", "sev-snp-guest,id=sev0", "-device", "virtio-balloon-pci,free-page-reporting=on")),
    case("private", "bad", "confidential", lambda root: command(
        root, "-object", '{"qom-type":"tdx-guest","id":"tdx"}', "-device",
        "virtio-balloon-pci,free-page-reporting=on")),
    case("userfaultfd", "note", "is open", lambda root: root.link(f"proc/{PID}/fd/7", "anon_inode:[userfaultfd]")),
    case("maps", "bad", "90 of at most 100 mappings are in use", lambda root: smaps(root, more=85),
         lambda root: root.put("proc/sys/vm/max_map_count", "100\n")),
    case("huge", "note", "5 % of resident memory", lambda root: rollup(root, Rss=3000 << 10, AnonHugePages=150 << 10),
         lambda root: root.put("guest.json", json.dumps({"total_bytes": 4 << 30, "reported_bytes": 0}))),
    case("huge", "note", "no transparent huge pages", lambda root: root.put(
        "sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n")),
    case("dropped", "bad", "4000 MiB of guest memory are resident",
         lambda root: smaps(root, resident_mib=4000)),
    # Of a small guest, too: it reported 150 MiB.
    case("dropped", "bad", "256 MiB of guest memory are resident",
         lambda root: smaps(root, size_mib=256, resident_mib=256),
         lambda root: root.put("guest.json", json.dumps({"total_bytes": 216 << 20, "reported_bytes": 150 << 20}))),
    # With NUMA nodes, each may have another backing.
    case("template", "bad", "private mapping of /srv/node1",
         lambda root: smaps(root, nodes=[{"path": "/srv/node1", "mib": 1024, "kib": 0}])),
    case("pages", "bad", "1024 MiB",
         lambda root: smaps(root, nodes=[{"path": "/dev/hugepages/1", "flags": "rw-s", "page": 1 << 20, "kib": 0}])),
    case("dropped", "bad", "4000 MiB of guest memory",
         lambda root: smaps(root, resident_mib=2000, size_mib=2048, nodes=[{}])),
]

# They only say how things are.
NEVER_WRONG = {"resident", "backing"}
# What the device that is missing, or what was changed, leads to as well.
FOLLOWS = {"poison": {"offer"}, "share": {"blocks"}}


@pytest.fixture
def bare(tmp_path):
    return Root(tmp_path)


@pytest.fixture
def root(bare):
    """That of a healthy guest."""
    guest(bare)
    return bare


def run(tool, root, *words, **arguments):
    return subprocess.run([tool, "--root", root.folder, *words],
                          **{"capture_output": True, "text": True, "check": False, "timeout": 60, **arguments})


def by_check(said):
    """What doctor found, as JSON, by check."""
    return {found["check"]: found for found in json.loads(said)["checks"]}


def findings(tool, root, *words):
    """What doctor found, by check, and its exit status."""
    done = run(tool, root, "--json", "doctor", *words)
    assert not done.stderr
    report = json.loads(done.stdout)
    assert report["bad"] == sum(found["result"] == "bad" for found in report["checks"])
    assert done.returncode == bool(report["bad"])
    return by_check(done.stdout)


@pytest.fixture
def on_host(bare):
    """Paths of the option --guest are below the prefix, too."""
    host(bare)
    return lambda tool: findings(tool, bare, "--host", str(PID), "--guest", "/guest.json")


def expect(found, check, result, saw):
    assert found[check]["result"] == result and saw in found[check]["saw"], found[check]
    assert found[check]["todo"]
    others = {name for name, finding in found.items() if finding["result"] not in ("ok", "skipped")} - {check}
    assert others <= FOLLOWS.get(check, set()), others


@pytest.mark.parametrize("check, result, saw, changes", GUEST_CASES)
def test_check_of_a_guest(tool, root, check, result, saw, changes):
    for change in changes:
        change(root)
    expect(findings(tool, root), check, result, saw)


@pytest.mark.parametrize("check, result, saw, changes", HOST_CASES)
def test_check_on_the_host(tool, bare, on_host, check, result, saw, changes):
    for change in changes:
        change(bare)
    expect(on_host(tool), check, result, saw)


def await_sleep(child):
    """Wait until a process sleeps, between its two looks at what grows."""
    deadline = time.monotonic() + 30
    while psutil.Process(child.pid).status() != psutil.STATUS_SLEEPING:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("check, saw, first, then", [
    ("reuse", "MiB/s are used again", {}, {"pgreport": 9500, "pgreport_refault": 5500}),
    # Few of many reports failed, and one more while doctor looks.
    ("errors", "2 MiB failed", {"pgreport_fail": 1}, {"pgreport_fail": 2}),
])
def test_check_of_what_goes_on(tool, root, check, saw, first, then):
    """Rates are those of a second, in which the counters grow."""
    root.vmstat(**first)
    child = subprocess.Popen([tool, "--root", root.folder, "--json", "doctor"], stdout=subprocess.PIPE, text=True)
    await_sleep(child)
    root.vmstat(**then)
    expect(by_check(child.communicate(timeout=60)[0]), check, "bad", saw)


@pytest.mark.parametrize("changes", [
    [log("off"), lambda root: root.put("proc/cmdline", "init_on_free=1\n"), lambda root: root.put(CONFIG, CLEARS)],
    [lambda root: root.put("proc/cmdline", "init_on_free=0\n"), lambda root: root.put(CONFIG, CLEARS)],
    [lambda root: root.put(CONFIG, "# CONFIG_INIT_ON_FREE_DEFAULT_ON is not set\n")],
], ids=["log", "boot-line", "config"])
def test_free_pages_are_not_cleared(tool, root, changes):
    """What the kernel did counts more than what it was told to do, and that more than the default."""
    no_device(root)
    root.features()
    for change in changes:
        change(root)
    found = findings(tool, root)
    assert (found["poison"]["result"], found["offer"]["result"]) == ("ok", "bad")


def test_healthy_guest(tool, root):
    found = findings(tool, root)
    assert {finding["result"] for finding in found.values()} == {"ok", "skipped"}, found
    assert {name for name, finding in found.items() if finding["result"] == "skipped"} == {"driver", "offer"}


def test_healthy_host(tool, on_host):
    found = on_host(tool)
    assert {finding["result"] for finding in found.values()} == {"ok"}, found
    assert "900 MiB are resident, 800 MiB of them in huge pages" in found["resident"]["saw"]
    assert "4096 MiB of guest memory are private, anonymous, in pages of 4 KiB" in found["backing"]["saw"]


def test_backing_of_two_numa_nodes(tool, bare, on_host):
    """The sum of what is alike, and how much is not; a quarter of the largest is the least that counts."""
    smaps(bare, nodes=[{"mib": 2048}])
    assert "6144 MiB of guest memory are private, anonymous, in pages of 4 KiB" in on_host(tool)["backing"]["saw"]
    smaps(bare, nodes=[{"mib": 2048, "path": "/dev/shm/node1", "flags": "rw-s"}, {"mib": 1023}])
    assert on_host(tool)["backing"]["saw"] == ("4096 MiB of guest memory are private, anonymous, in pages of 4 KiB, "
                                               "and 2048 MiB are of another kind")


@pytest.mark.parametrize("word, result", [
    ('{"driver":"virtio-balloon-pci","id":"balloon0","free-page-reporting":true}', "ok"),
    ('{"driver": "virtio-balloon-pci", "free-page-reporting": true}', "ok"),
    ('{"driver": "virtio-balloon-pci", "free-page-reporting": false}', "bad"),
    ("virtio-balloon-pci,free-page-reporting=true", "ok"), ("virtio-balloon-pci,free-page-reporting=yes", "ok"),
    ("virtio-balloon-pci,free-page-reporting=only", "bad"), ("virtio-balloon-pci,free-page-reporting=off", "bad"),
    ("virtio-balloon-pci", "bad")])
def test_switch_in_all_its_spellings(tool, bare, on_host, word, result):
    smaps(bare, "/srv/template")
    command(bare, "-device", word)
    found = on_host(tool)
    assert (found["switch"]["result"], found["template"]["result"]) == (result, {"ok": "bad", "bad": "ok"}[result])


def test_balloon_that_was_added_later_may_damage_a_template(tool, bare, on_host):
    """Over QMP, or by -readconfig: the command line does not say."""
    smaps(bare, "/srv/template")
    command(bare)
    found = on_host(tool)
    assert (found["switch"]["result"], found["template"]["result"]) == ("bad", "bad")


@pytest.mark.parametrize("lost", ["smaps_rollup", "smaps", "cmdline", "fd"])
def test_trouble_on_the_host_prints_no_half_answer(tool, bare, on_host, lost):
    """As for one who may not read them, or when the machine is gone."""
    if lost == "fd":
        shutil.rmtree(bare.folder / "proc" / str(PID) / "fd")
    else:
        bare.remove(f"proc/{PID}/{lost}")
    done = run(tool, bare, "--json", "doctor", "--host", str(PID))
    assert done.returncode and len(done.stderr.splitlines()) == 1
    assert not done.stdout


def test_file_that_ends_in_a_number_is_no_answer(tool, bare, on_host):
    bare.put("guest.json", '{"total_bytes": 4294967296, "reported_bytes": 12')
    done = run(tool, bare, "doctor", "--host", str(PID), "--guest", "/guest.json")
    assert done.returncode == 2 and "give the output of" in done.stderr


def test_other_hypervisor(tool, bare, on_host):
    bare.put(f"proc/{PID}/comm", "firecracker\n")
    command(bare, "--api-sock", "/run/fc")
    assert on_host(tool)["switch"]["result"] == "skipped"


def test_kernel_without_counters(tool, root):
    """CONFIG_VM_EVENT_COUNTERS=n: what cannot be known is no trouble."""
    root.put("proc/vmstat", "nr_free_pages 786432\nnr_free_reported 780000\n")
    found = findings(tool, root)
    assert {name for name, finding in found.items() if finding["result"] == "skipped"} == \
        {"driver", "offer", "errors", "shortage", "reuse", "merges"}
    assert "used again      not counted by this kernel\n" in run(tool, root, "status").stdout


def test_guide_has_every_check_and_every_check_fires(tool, root):
    """The table of the guide is what doctor looks for, in its order; each row was made to fire above."""
    host(root)
    checks = [*findings(tool, root), *findings(tool, root, "--host", str(PID))]
    text = GUIDE.read_text(encoding="utf-8").partition("Troubleshooting\n====")[2].partition("Tracepoints\n====")[0]
    assert re.findall(r"^``([a-z]+)``", text, re.M) == checks
    fired = {param.values[0] for param in (*GUEST_CASES, *HOST_CASES)} | {"reuse"}
    assert fired == set(checks) - NEVER_WRONG


def test_doctor_for_people(tool, root):
    root.vmstat(nr_free_reported=200)
    done = run(tool, root, "doctor")
    assert done.returncode == 1
    assert "bad  share         of 3072 MiB that are free, 200 MiB are reported\n" + \
        " " * 19 + "-> page-reporting flush" in done.stdout
    assert "skipped" not in done.stdout


STATUS = """\
reporting       on, to virtballoon_free_page_report [virtio_balloon], idle
smallest block  2048 KiB (order 9)
delay           decided by the kernel
free memory     3072 MiB, of which 3000 MiB are reported (97.7 %)
used again      5000 MiB since boot, on average 5.0 MiB/s
pending report  none
"""


def test_status(tool, root):
    done = run(tool, root, "status")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", STATUS)


def test_status_of_what_is_set_and_waits(tool, root):
    root.put(f"{FILES}/report_age_ms", "61234\n")
    root.put(f"{FILES}/order", "-1\n")
    root.put(f"{PARAMS}/page_reporting_delay_ms", "2000\n")
    said = run(tool, root, "status").stdout
    assert "61.2 s, not answered yet" in said and "smallest block  decided by" in said and "2000 ms" in said
    root.put(f"{FILES}/device", "none\n")
    assert "off: there is no device" in run(tool, root, "status").stdout


def test_status_for_programs(tool, root):
    root.put(f"{FILES}/device", 'odd"name\\\n')
    assert json.loads(run(tool, root, "status", "--json").stdout) == {
        "on": True, "device": 'odd"name\\', "state": "idle", "order": 9, "delay_ms": -1, "report_age_ms": 0,
        "total_bytes": 4 << 30, "free_bytes": 3072 << 20, "reported_bytes": 3000 << 20,
        "refaulted_bytes": 5000 << 20, "refaulted_bytes_per_s_since_boot": 5 << 20}


def test_status_has_the_present_rate(tool, root):
    """With --over, from two looks; the average since boot stays what it was."""
    words = [tool, "--root", root.folder, "status", "--over", "1"]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    for_programs = subprocess.Popen([*words, "--json"], stdout=subprocess.PIPE, text=True)
    await_sleep(child)
    await_sleep(for_programs)
    root.vmstat(pgreport_refault=5100)
    lines = child.communicate(timeout=60)[0].splitlines()
    assert "used again      5100 MiB since boot, on average 5.1 MiB/s" in lines
    assert 10 < float(re.fullmatch(r"used again now  ([\d.]+) MiB/s", lines[-2])[1]) <= 100
    said = json.loads(for_programs.communicate(timeout=60)[0])
    assert said["refaulted_bytes_per_s_since_boot"] == round(5100 * (1 << 20) / 1000)
    assert 10 << 20 < said["refaulted_bytes_per_s"] <= 100 << 20


def test_status_is_quick(tool, root):
    """5 ms, of which the machine that this runs on may be short at times."""
    times = [1]
    while min(times) >= 0.005 and len(times) < 300:
        start = time.monotonic()
        run(tool, root, "status")
        times.append(time.monotonic() - start)
    assert min(times) < 0.005


def test_status_without_the_feature(tool, bare):
    done = run(tool, bare, "status")
    assert (done.returncode, done.stderr) == (1, "page-reporting: there is no /sys/kernel/mm/page_reporting/device: "
                                                 "page-reporting doctor says more\n")


def test_watch(tool, root):
    child = subprocess.Popen([tool, "--root", root.folder, "watch", "--count", "2"], stdout=subprocess.PIPE, text=True)
    assert "used again 0.0 MiB/s, no report pending" in child.stdout.readline()
    root.vmstat(pgreport_refault=5100)
    root.put(f"{FILES}/report_age_ms", "1500\n")
    line = child.stdout.readline()
    rate = float(re.search(r"used again ([\d.]+) MiB/s, report pending for 1.5 s$", line)[1])
    assert 50 < rate <= 100
    assert child.wait(timeout=60) == 0 and not child.stdout.read()


def test_watch_for_programs(tool, root):
    lines = [json.loads(line) for line in run(tool, root, "--json", "watch", "--count=2").stdout.splitlines()]
    assert [line["reported_bytes"] for line in lines] == [3000 << 20] * 2
    assert [line["refaulted_bytes_per_s"] for line in lines] == [0, 0]
    assert [line["refaulted_bytes_per_s_since_boot"] for line in lines] == [5 << 20] * 2


@pytest.mark.parametrize("target, status, reason", [
    ("/dev/full", 1, "No space left on device"),
    ("/nowhere/flush", 1, "this kernel has no /sys/kernel/mm/page_reporting/flush"),
])
def test_flush_that_fails(tool, root, target, status, reason):
    root.remove(f"{FILES}/flush")
    root.link(f"{FILES}/flush", target)
    done = run(tool, root, "flush")
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr == f"page-reporting: flush all: {reason}\n"


@pytest.mark.parametrize("what", ["all", "again", "compact", "1", "512M", "4g", "15E"])
def test_flush_writes_the_word(tool, root, what):
    done = run(tool, root, "flush", what)
    # The file is none of the kernel's, and has the word in place of its beginning.
    text = (root.folder / FILES / "flush").read_text(encoding="utf-8")
    assert text == what + "pages=512 duration_us=2500 error=0\n"[len(what):]
    assert (done.returncode, done.stderr) == (1, f"page-reporting: /sys/kernel/mm/page_reporting/flush reads "
                                                 f"'{text.strip()}'\n")


BAD_WORDS = [
    ([], "give status"), (["foo"], "foo: no such command"), (["status", "x"], "too many words"),
    (["--foo", "status"], "--foo: no such option"), (["-x", "status"], "no such option"),
    (["flush", "0"], "flush 0: give all"), (["flush", ""], "flush : give all"), (["flush", "12x"], "give all"),
    (["flush", "-1"], "no such option"), (["flush", "16E"], "give all"), (["flush", "ALL"], "give all"),
    (["flush", "99999999999999999999"], "give all"), (["flush", "512MB"], "give all"),
    (["flush", "all", "all"], "too many words"), (["watch", "--count"], "needs a value"),
    (["watch", "--count", "0"], "--count 0: give a number"), (["watch", "--count", "1x"], "give a number"),
    (["status", "--count", "2"], "--count is for watch"), (["status", "--host", "1"], "--host is for doctor"),
    (["status", "--over"], "needs a value"), (["status", "--over", "0"], "--over 0: give a number"),
    (["status", "--over", "1s"], "give a number"), (["watch", "--over", "1"], "--over is for status"),
    (["doctor", "--host", "abc"], "--host abc: give a number"), (["doctor", "--host", "-1"], "give a number"),
    (["doctor", "--host", str(PID)], f"--host {PID}: there is no such process"),
    (["doctor", "--guest", "x"], "--guest is for doctor --host"),
    (["doctor", "--host", "1", "--guest", "/nowhere"], "--guest /nowhere: No such file"),
    (["doctor", "--host", "1", "--guest", "/proc/cmdline"], "give the output of page-reporting --json status"),
]


@pytest.mark.parametrize("words, reason", BAD_WORDS)
def test_bad_input_is_one_line(tool, root, words, reason):
    done = run(tool, root, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"page-reporting: .+\n", done.stderr) and reason in done.stderr


def test_help(tool):
    done = subprocess.run([tool, "--help"], capture_output=True, text=True, check=True, timeout=60)
    for word in ("status", "watch", "flush", "doctor", "--host", "--json", "--root"):
        assert word in done.stdout


def test_what_the_guest_says_comes_by_a_pipe(tool, root):
    host(root)
    said = run(tool, root, "--json", "status").stdout
    done = run(tool, root, "--json", "doctor", "--host", str(PID), "--guest", "-", input=said)
    assert by_check(done.stdout)["dropped"]["result"] == "ok"


@pytest.mark.parametrize("balloon, found", [("on", set()), ("off", {"switch"})])
def test_doctor_of_a_real_machine(tool, boot, balloon, found):
    with boot(steps=[["hog", "mem=128M"]], balloon=balloon) as vm:
        vm.wait_event("freed")
        done = subprocess.run([tool, "--json", "doctor", "--host", str(vm.pid)], capture_output=True, text=True,
                              check=False, timeout=60)
        vm.send("quit")
        vm.finish()
    checks = by_check(done.stdout)
    assert {name for name, check in checks.items() if check["result"] == "bad"} == found, checks
    assert done.returncode == bool(found)
    assert "1024 MiB of guest memory are private, anonymous" in checks["backing"]["saw"]


# On live kernels: what the shell of a guest does before each look of doctor, and what it then has to find, and nothing
# else. The balloon's device may have any number.
PREPARE = """\
#!/bin/bash
set -e
cd /selftests
files=/sys/kernel/mm/page_reporting
params=/sys/module/page_reporting/parameters
look() {
        echo "row=$1"
        ./page-reporting --json doctor || [ $? = 1 ]
}
free_kib() {
        grep MemFree /proc/meminfo | tr -dc 0-9
}
count() {
        grep "page_reporting_$1 " /proc/vmstat | tr -dc 0-9
}
"""
BALLOON_ROWS = [
    ("healthy", "echo all > $files/flush", set()),
    ("small", "echo 4 > $params/page_reporting_order; echo all > $files/flush", {"order"}),
    ("large", "echo 10 > $params/page_reporting_order", {"order"}),
    ("default", "echo -1 > $params/page_reporting_order", set()),
    ("delay", "echo 3600000 > $params/page_reporting_delay_ms", {"delay"}),
    # An hour is late enough for the next rows, on any host.
    ("pool", "echo 128 > /proc/sys/vm/nr_hugepages", {"delay", "hugetlb"}),
    ("no-pool", "echo 0 > /proc/sys/vm/nr_hugepages; echo all > $files/flush", {"delay"}),
    # Files of ramfs are in the page cache, and nowhere else.
    ("cached", "mount -t ramfs none /tmp; head -c 600M /dev/zero > /tmp/file", {"delay", "cache"}),
    ("removed", "rm /tmp/file; echo all > $files/flush", {"delay"}),
    ("freed", "/bin/hog mem=640M limit=0", {"delay", "share"}),
    # Half of 760 MiB, in pieces of 8 KiB. First it is all in use.
    ("pieces", "echo never > /sys/kernel/mm/transparent_hugepage/enabled; echo all > $files/flush; "
               "/bin/fragment mib=760 each=16 hole=8 hold=1 wait=600 & "
               "until [ $(free_kib) -lt 300000 ]; do sleep 0.1; done; "
               "until [ $(free_kib) -gt 450000 ]; do sleep 0.1; done; sleep 1", {"delay", "share", "blocks"}),
    ("whole", "kill $!; wait $! || true; echo -1 > $params/page_reporting_delay_ms; sleep 1; echo all > $files/flush",
     set()),
    ("unbound", "cd /sys/bus/virtio/drivers/virtio_balloon; balloon=$(echo virtio*); echo $balloon > unbind; "
                "cd /selftests", {"driver"}),
    ("bound", "echo $balloon > /sys/bus/virtio/drivers/virtio_balloon/bind; echo all > $files/flush", set()),
    # At last, as it counts from boot on, however many passes that was: free memory is below what the zones want.
    ("short", "echo 3600000 > $params/page_reporting_delay_ms; "
              "echo 3000 > /proc/sys/vm/watermark_scale_factor; /bin/hog mem=720M hold=600000 & "
              "until [ $(free_kib) -lt 270000 ]; do sleep 0.2; done; "
              "until [ $((2 * $(count skip))) -gt $(($(count pass) + 10)) ]; do echo all > $files/flush; done",
     {"delay", "shortage"}),
]
SAMPLE = "/sys/module/page_reporting_sample/parameters"
SAMPLE_ROWS = [
    ("absent", ":", {"balloon"}),
    ("healthy", "/bin/sample load; sleep 3; echo all > $files/flush", set()),
    ("silent", f"echo 60000 > {SAMPLE}/delay_ms; /bin/hog mem=64M limit=0; sleep 13", {"answer"}),
    ("answered", f"echo 0 > {SAMPLE}/delay_ms; echo all > $files/flush", set()),
    # One report that fails may be less than 1 % of all: go on until 10000 pages are. Reported memory is forgotten.
    ("failing", f"echo 100 > {SAMPLE}/fail_percent; "
                "until [ $(grep pgreport_fail /proc/vmstat | tr -dc 0-9) -gt 10000 ]; "
                "do echo again > $files/flush || sleep 0.1; done", {"errors", "share"}),
]
MORE_TOOLS = ("head", "mount", "rm")        # beside those of selftests.SHELL
NO_POISON = ["-global", "virtio-balloon-device.page-poison=off"]
LIVE = {
    "balloon": (BALLOON_ROWS, {"balloon": "on"}),
    "sample": (SAMPLE_ROWS, {"balloon": None, "cmdline": drivers.PATIENCE}),
    "not-offered": ([("off", ":", {"offer"})], {"balloon": "off"}),
    "filled": ([("init_on_free", ":", {"poison"})],
               {"balloon": "on", "cmdline": ["init_on_free=1"], "extra_args": NO_POISON}),
}


def guest_of(name, folder, arguments):
    """A kernel and an archive with the selftests, a shell and the script of the rows."""
    kernel = paths.vmlinux("debug") if name == "sample" else paths.kernel()
    initrd = drivers.initramfs(kernel, folder) if name == "sample" else programs.initramfs()
    script = folder / "rows.sh"
    script.write_text(PREPARE + "".join(f"{prepare}\nlook {row}\n" for row, prepare, _ in LIVE[name][0]),
                      encoding="ascii")
    shell = selftests.shell(folder / "shell", MORE_TOOLS, [("/selftests/rows.sh", script)])
    whole = selftests.initramfs(initrd, folder / "initramfs", shell)
    if name == "sample":
        arguments = {**arguments, "parallel": True, "boot_deadline_s": 180, "run_deadline_s": 300}
    return VM(kernel, whole, mem_mib=1024, steps=[["selftest", "rows.sh"]], **arguments)


@pytest.mark.parametrize("name", LIVE)
def test_doctor_on_a_live_kernel(tmp_path, name):
    rows, arguments = LIVE[name]
    with guest_of(name, tmp_path, arguments) as vm:
        result = vm.finish()
        lines = vm.progress
    assert drivers.last(result, "selftest").number("status") == 0, "\n".join([*lines, *result.console])
    found, row = {}, None
    for line in lines:
        if line.startswith("row="):
            row = line.removeprefix("row=")
        elif line.startswith('{"checks"'):
            found[row] = by_check(line)
    fired = {row: {check for check, finding in checks.items() if finding["result"] not in ("ok", "skipped")}
             for row, checks in found.items()}
    assert fired == {row: expected for row, _, expected in rows}, found
    if name == "filled":
        assert "the kernel log has 'heap free:on'" in found["init_on_free"]["poison"]["saw"]


# On a real host, with what a real guest says of itself

@pytest.fixture(scope="module")
def static_tool(tmp_path_factory):
    """An archive with the tool, for a guest that has no libraries."""
    folder = tmp_path_factory.mktemp("static")
    program = folder / "page-reporting"
    subprocess.run(["cc", "-O2", "-static", "-o", program, SOURCE], check=True, timeout=60)
    return modules.archive(["dir /selftests 0755 0 0", f"file /selftests/page-reporting {program} 0755 0 0"],
                           paths.kernel().parent)


# Whether this user may have QEMU lock its memory, which the kernel allows root.
MAY_LOCK = os.geteuid() == 0 or resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY
LOCKED = {"extra_args": ["-overcommit", "mem-lock=on"]}
POISONED = {"kernel": paths.vmlinux("debug"), "boot_deadline_s": 180, "parallel": True,
            "cmdline": [*drivers.PATIENCE, "page_poison=1"]}


@pytest.mark.parametrize("mem_mib, arguments, bad", [
    # What an ordinary guest holds is told apart from what was not dropped.
    (256, {}, set()), (512, {}, set()), (512, {"nodes": 2}, set()),
    # QEMU cannot drop what is locked, and answers the guest as if it had.
    *(pytest.param(mem_mib, LOCKED, {"locked", "dropped"}, marks=pytest.mark.skipif(
        not MAY_LOCK, reason="only root may lock so much memory")) for mem_mib in (256, 512)),
    # QEMU ignores the reports of a guest with page_poison=1; the host alone cannot see why.
    (1024, POISONED, {"dropped"}),
], ids=["256-mib", "512-mib", "two-numa-nodes", "256-mib-locked", "512-mib-locked", "ignored"])
def test_what_a_host_has_dropped(tool, static_tool, tmp_path, mem_mib, arguments, bad):
    """doctor's findings about a guest that had memory and gave it back, with the guest's own status."""
    initrd = tmp_path / "initrd"
    initrd.write_bytes(programs.initramfs().read_bytes() + static_tool)
    steps = [["hog", f"mem={mem_mib // 2}M", "hold=host"], ["file", "write", f"/{FILES}/flush", "all"],
             ["selftest", "page-reporting", "--json", "status"], ["hog", "mem=4M"]]
    with VM(initrd=initrd, mem_mib=mem_mib, steps=steps, **{"kernel": paths.kernel(), **arguments}) as vm:
        vm.wait_event("ready")
        vm.send("go")
        vm.wait_event("freed")
        vm.send("quit")
        vm.wait_event("ready")
        said, = [line for line in vm.progress if line.startswith('{"on"')]
        done = subprocess.run([tool, "--json", "doctor", "--host", str(vm.pid), "--guest", "-"], input=said,
                              capture_output=True, text=True, check=False, timeout=60)
        vm.send("go")
        vm.send("quit")
        vm.finish()
    assert not done.stderr
    assert json.loads(said)["reported_bytes"] > mem_mib << 19
    found = by_check(done.stdout)
    print(mem_mib, *(found[name]["saw"] for name in ("resident", "backing", "dropped", "locked")), sep="; ")
    assert {name for name, check in found.items() if check["result"] == "bad"} == bad


def test_kernels_own_makefile(tmp_path):
    """tools/mm/Makefile builds it, without a warning, and cleans up."""
    folder = tmp_path / "tools" / "mm"
    folder.parent.mkdir()
    subprocess.run(["cp", "-r", *(paths.TREE / "tools" / name for name in ("mm", "lib", "scripts", "build", "include")),
                    folder.parent], check=True)
    made = subprocess.run(["make", "-C", folder, "page-reporting"], capture_output=True, text=True, check=False,
                          env=programs.environment(), timeout=300)
    assert made.returncode == 0 and "warning" not in made.stderr, made.stderr
    assert (folder / "page-reporting").is_file()
    subprocess.run(["make", "-C", folder, "clean"], capture_output=True, check=True, env=programs.environment())
    assert not (folder / "page-reporting").exists()
