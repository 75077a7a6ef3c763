# SPDX-License-Identifier: GPL-2.0
"""The tree: what scripts/tree makes of a base, our files and the hooks, on a tiny kernel."""

import hashlib
import os
from pathlib import Path
import re
import shutil
import subprocess
import tarfile

import pytest

REPO = Path(__file__).resolve().parents[4]
TREE = REPO / "scripts" / "tree"
BASES = sorted(path.name for path in (REPO / "bases").iterdir())

MAINTAINERS = """List of maintainers

How to read it

Maintainers List
----------------

ABACUS
M:\tA <a@example.org>
S:\tMaintained
F:\tabacus/

ZEBRA STRAY
S:\tOrphan
F:\tz/

BANANAS
S:	Orphan
F:	b/

CHERRIES
S:	Orphan
F:	c/

FREEVXFS FILESYSTEM
S:\tMaintained
F:\tfs/freevxfs/

FREEZER
S:\tMaintained
F:\tkernel/freezer.c

THE REST
S:\tBuried alive in reporters
F:\t*
"""
ENTRY = "FREE PAGE REPORTING\nM:\tB <b@example.org>\nS:\tMaintained\nF:\tmm/page_reporting*\n"
NUMBERS = "".join(f"line {n}\n" for n in range(1, 41))


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def hook(path, number, insertion, shift=0, context=None):
    """A git-format patch that adds one line after line `number` of the numbered file."""
    before = context or [f"line {n}" for n in range(number - 2, number + 1)]
    after = [f"line {n}" for n in range(number + 1, number + 4)]
    body = "".join(f" {line}\n" for line in before) + f"+{insertion}\n" + "".join(f" {line}\n" for line in after)
    start = number - 2 + shift
    return ("From 0 Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\nSubject: [PATCH] hook\n\n---\n"
            f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n"
            f"@@ -{start},6 +{start},7 @@\n{body}-- \n2.39.5\n")


def make_kernel(path, sublevel=7, version="6", patchlevel="12"):
    write(path / "Makefile", f"VERSION = {version}\nPATCHLEVEL = {patchlevel}\nSUBLEVEL = {sublevel}\nall:\n")
    write(path / "MAINTAINERS", MAINTAINERS)
    write(path / "mm" / "page_alloc.c", NUMBERS)
    write(path / "mm" / "page_reporting.c", "the base's own\n")
    write(path / "mm" / "Kconfig", NUMBERS)
    write(path / "tools" / "run.sh", "#!/bin/sh\n")
    (path / "tools" / "run.sh").chmod(0o755)
    (path / "link").symlink_to("mm/Kconfig")
    return path


def make_repo(path):
    write(path / "Kconfig", "config OURS\n")
    write(path / "MAINTAINERS", ENTRY)
    write(path / "mm" / "page_reporting.c", "ours\n")
    write(path / "mm" / "tests" / "kunit.c", "tests\n")
    write(path / "tools" / "testing" / "page_reporting" / "run", "#!/bin/sh\n")
    write(path / "tools" / "testing" / "page_reporting" / "results" / "big.csv", "1,2\n")
    write(path / "hooks" / "0001-alloc.patch", hook("mm/page_alloc.c", 20, "hooked"))
    write(path / "hooks" / "series", "# in this order\n0001-alloc.patch\n")
    return path


def snapshot(path):
    """Name -> (content, mode, time) of everything below a directory."""
    return {str(p.relative_to(path)): (os.readlink(p) if p.is_symlink() else p.is_file() and p.read_bytes(),
                                       p.lstat().st_mode, p.lstat().st_mtime_ns)
            for p in path.rglob("*") if not p.is_dir() or p.is_symlink()}


class Lab:
    """A repository, a kernel, and the script between the two."""

    def __init__(self, path):
        self.repo, self.kernel = make_repo(path / "repo"), make_kernel(path / "linux")
        self.build, self.path = path / "build", path
        self.tree = self.build / "tree"

    def run(self, *arguments, kernel=None, path=None, base=None):
        env = dict(os.environ, BASE=base or "", **({"PATH": path} if path else {}))
        command = [TREE, "--repo", self.repo, "--build", self.build, *arguments]
        if kernel is not False:
            command += ["--kernel", kernel or self.kernel]
        else:
            env.pop("KERNEL", None)
        return subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)

    def good(self, *arguments, **kwargs):
        done = self.run(*arguments, **kwargs)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def bad(self, *arguments, **kwargs):
        """Fails with one message, leaves the tree alone and no half-written directory behind."""
        before = snapshot(self.tree) if self.tree.exists() else None
        done = self.run(*arguments, **kwargs)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert (snapshot(self.tree) if self.tree.exists() else None) == before
        assert not list(self.build.glob(".*.tmp"))
        return done.stderr

    def read(self, name):
        return (self.tree / name).read_text()


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


# What the tree holds

def test_our_files_hooks_and_options_are_in_the_tree(lab):
    lab.good()
    assert lab.read("mm/page_reporting.c") == "ours\n"
    assert lab.read("mm/tests/kunit.c") == "tests\n"
    assert lab.read("mm/Kconfig.page_reporting") == "config OURS\n"
    assert lab.read("mm/page_alloc.c") == NUMBERS.replace("line 20\n", "line 20\nhooked\n")
    assert lab.read("mm/Kconfig") == NUMBERS
    assert (lab.tree / "tools/testing/page_reporting/run").is_file()
    assert not (lab.tree / "tools/testing/page_reporting/results").exists()
    assert os.access(lab.tree / "tools/run.sh", os.X_OK) and (lab.tree / "link").is_symlink()


def test_base_stays_as_it_was_unpacked(lab):
    lab.good()
    theirs, base = snapshot(lab.kernel), snapshot(lab.build / "base")
    assert {n: v[:2] for n, v in base.items()} == {n: v[:2] for n, v in theirs.items()}


def test_entry_goes_to_its_alphabetical_place(lab):
    lab.good()
    titles = re.findall(r"^([A-Z ]+)\n(?=[A-Z]:)", lab.read("MAINTAINERS"), re.M)
    assert titles == ["ABACUS", "ZEBRA STRAY", "BANANAS", "CHERRIES", "FREE PAGE REPORTING",
                      "FREEVXFS FILESYSTEM", "FREEZER", "THE REST"]
    assert lab.read("MAINTAINERS").replace(ENTRY + "\n", "") == MAINTAINERS


def test_ignored_files_stay_out(lab):
    subprocess.run(["git", "init", "-q", lab.repo], check=True)
    write(lab.repo / ".gitignore", "*.tmp\n")
    write(lab.repo / "mm" / "scratch.tmp", "x")
    write(lab.repo / "mm" / "new.c", "x")
    lab.good()
    assert (lab.tree / "mm/new.c").exists() and not (lab.tree / "mm/scratch.tmp").exists()


# Idempotent and incremental

def test_second_run_changes_nothing(lab):
    lab.good()
    before = snapshot(lab.build / "tree")
    assert "nothing to do" in lab.good()
    assert snapshot(lab.build / "tree") == before


def changed_files(lab, before):
    after = snapshot(lab.tree)
    return {n for n in set(before) | set(after) if before.get(n) != after.get(n)}


def test_touching_one_file_changes_one_file(lab):
    lab.good()
    before = snapshot(lab.tree)
    write(lab.repo / "mm" / "page_reporting.c", "ours, better\n")
    lab.good()
    assert changed_files(lab, before) == {"mm/page_reporting.c"}
    assert lab.read("mm/page_reporting.c") == "ours, better\n"


def test_file_written_without_a_change_changes_nothing(lab):
    lab.good()
    before = snapshot(lab.tree)
    write(lab.repo / "mm" / "page_reporting.c", "ours\n")
    lab.good()
    assert changed_files(lab, before) == set()


def test_changed_hook_changes_its_file(lab):
    lab.good()
    before = snapshot(lab.tree)
    write(lab.repo / "hooks" / "0001-alloc.patch", hook("mm/page_alloc.c", 30, "elsewhere"))
    lab.good()
    assert changed_files(lab, before) == {"mm/page_alloc.c"}
    assert lab.read("mm/page_alloc.c") == NUMBERS.replace("line 30\n", "line 30\nelsewhere\n")


def test_removed_files_and_hooks_give_the_base_back(lab):
    lab.good()
    began = os.stat(lab.tree / "mm/page_reporting.c").st_mtime_ns
    (lab.repo / "mm" / "page_reporting.c").unlink()
    shutil.rmtree(lab.repo / "mm" / "tests")
    write(lab.repo / "hooks" / "series", "# none\n")
    (lab.repo / "hooks" / "0001-alloc.patch").unlink()
    (lab.repo / "MAINTAINERS").unlink()
    lab.good()
    assert lab.read("mm/page_reporting.c") == "the base's own\n"
    assert os.stat(lab.tree / "mm/page_reporting.c").st_mtime_ns > began, "make has to see it"
    assert lab.read("mm/page_alloc.c") == NUMBERS and lab.read("MAINTAINERS") == MAINTAINERS
    assert not (lab.tree / "mm/tests").exists()


def test_edit_in_the_tree_is_kept_aside(lab):
    lab.good()
    write(lab.tree / "mm" / "page_reporting.c", "hours of work\n")
    assert "was edited in the tree" in lab.good()
    assert lab.read("mm/page_reporting.c") == "ours\n"
    assert (lab.build / "edited/mm/page_reporting.c").read_text() == "hours of work\n"


def test_what_a_killed_run_left_is_cleared_away(lab):
    write(lab.build / ".base.1.tmp" / "half", "x")
    lab.good()
    assert not list(lab.build.glob(".*.tmp"))


# Hooks that do not fit

def test_hook_that_does_not_fit_names_file_and_hunk(lab):
    lab.good()
    write(lab.repo / "hooks" / "0002-more.patch", hook("mm/Kconfig", 20, "x", context=["no", "such", "line"]))
    write(lab.repo / "hooks" / "series", "0001-alloc.patch\n0002-more.patch\n")
    write(lab.repo / "mm" / "page_reporting.c", "must not arrive\n")
    message = lab.bad()
    assert "hooks/0002-more.patch" in message and "mm/Kconfig: hunk #1" in message
    assert "@@ -18,6" in message and " such\n" in message


def test_fuzz_is_refused(lab):
    """One line of context off: patch would take it with its usual fuzz."""
    write(lab.repo / "hooks" / "0001-alloc.patch",
          hook("mm/page_alloc.c", 20, "hooked", context=["line 18 was other", "line 19", "line 20"]))
    plain = subprocess.run(["patch", "-p1", "--dry-run", "-d", lab.kernel, "-i",
                            lab.repo / "hooks" / "0001-alloc.patch"], capture_output=True, text=True)
    assert "with fuzz" in plain.stdout
    assert "mm/page_alloc.c: hunk #1" in lab.bad()


def test_offset_is_taken_and_said(lab):
    write(lab.repo / "hooks" / "0001-alloc.patch", hook("mm/page_alloc.c", 20, "hooked", shift=5))
    assert re.search(r"note: hooks/0001-alloc.patch: mm/page_alloc.c: hunk #1 .*offset -5", lab.good())
    assert "line 20\nhooked\n" in lab.read("mm/page_alloc.c")


def test_hook_for_a_file_that_the_kernel_lacks(lab):
    write(lab.repo / "hooks" / "0001-alloc.patch", hook("mm/nothing.c", 20, "hooked"))
    assert "mm/nothing.c" in lab.bad()


def test_hook_that_is_in_the_kernel_already(lab):
    write(lab.kernel / "mm" / "page_alloc.c", NUMBERS.replace("line 20\n", "line 20\nhooked\n"))
    assert "mm/page_alloc.c has this change already" in lab.bad()


@pytest.mark.parametrize("series", ["0001-alloc.patch\n0009-gone.patch\n", "# 0001-alloc.patch\n"])
def test_series_and_hooks_have_to_agree(lab, series):
    write(lab.repo / "hooks" / "series", series)
    assert "hooks/series" in lab.bad()


# Drift

def blob(text):
    return hashlib.sha1(b"blob %d\0" % len(text) + text.encode()).hexdigest()


def write_base(lab, **changes):
    blobs = {"MAINTAINERS": blob(MAINTAINERS), "mm/page_alloc.c": blob(NUMBERS),
             "mm/page_reporting.c": blob("the base's own\n"), **changes}
    write(lab.repo / "bases" / "6.12", "# base\npackage linux-source-6.12\nversion 6.12.7-1\nupstream 6.12.7\n"
          + "".join(f"blob {i} {p}\n" for p, i in blobs.items()))


def test_no_drift_no_warning(lab):
    write_base(lab)
    assert "warning:" not in lab.good()


def test_offset_is_no_news_where_the_file_is_the_tested_one(lab):
    write(lab.repo / "hooks" / "0001-alloc.patch", hook("mm/page_alloc.c", 20, "hooked", shift=-3))
    assert "mm/page_alloc.c: hunk #1 applies at an offset 3 lines" in lab.good()
    write_base(lab)
    assert "applies at an" not in lab.good()


def test_drift_warns_and_goes_on(lab):
    write_base(lab, **{"mm/page_alloc.c": "0" * 40})
    out = lab.good()
    assert "warning: the base moved: mm/page_alloc.c changed" in out
    assert "mm/page_reporting.c" not in out.split("going on")[0]
    assert "hooked" in lab.read("mm/page_alloc.c")


def test_another_point_release_warns_and_goes_on(lab):
    write_base(lab)
    newer = make_kernel(lab.path / "newer", sublevel=8)
    assert "the base moved: Linux 6.12.7 -> 6.12.8" in lab.good(kernel=newer)


@pytest.mark.parametrize("base", BASES)
def test_base_file_names_what_we_touch(base):
    """A file of bases/ is complete: each file that we hook into or replace is listed with an id."""
    listed = dict(reversed(line.split()[1:]) for line in (REPO / "bases" / base).read_text().splitlines()
                  if line.startswith("blob "))
    hooked = {path for folder in (REPO / "hooks", REPO / "hooks" / base) for patch in folder.glob("*.patch")
              for path in re.findall(r"^diff --git a/(\S+)", patch.read_text(), re.M)}
    folders = [REPO / name for name in ("include", "mm", "Documentation", "tools", "samples")]
    ours = {str(p.relative_to(REPO)) for folder in folders for p in folder.rglob("*") if p.is_file()}
    replaced = {name for name in ours if (REPO / "build" / "base" / name).is_file()} if base == "6.12" else set()
    assert hooked and hooked | replaced <= set(listed)
    assert all(re.fullmatch(r"[0-9a-f]{40}", i) for i in listed.values())


# Bases

def other_base(lab):
    """The kernel of another base, which the repository knows."""
    write(lab.repo / "bases" / "7.3", "package linux-source-7.3\nsuite later\nversion 7.3.4-1\n")
    return make_kernel(lab.path / "other", version="7", patchlevel="3")


def test_base_has_a_tree_of_its_own(lab):
    kernel = other_base(lab)
    lab.build = lab.repo / "build"
    common = [TREE, "--repo", lab.repo, "--kernel"]
    for base, source in (("", lab.kernel), ("7.3", kernel)):
        subprocess.run([*common, source], check=True, capture_output=True, env=dict(os.environ, BASE=base))
    assert "PATCHLEVEL = 12" in (lab.build / "tree" / "Makefile").read_text()
    assert "PATCHLEVEL = 3" in (lab.build / "7.3" / "tree" / "Makefile").read_text()


def test_base_that_is_not_there_is_named(lab):
    other_base(lab)
    message = lab.bad(base="8.0")
    assert "BASE=8.0: there is no such base" in message and "BASE is one of 7.3;" in message


def test_kernel_of_another_base_says_how(lab):
    assert "this is Linux 7.3; the series is for 6.12\n  remedy: give BASE=7.3" in lab.bad(kernel=other_base(lab))


def test_hook_of_one_base(lab):
    kernel = other_base(lab)
    write(lab.repo / "hooks" / "series", "0001-alloc.patch\n0002-kconfig.patch\n0003-new.patch\n")
    for base, word in (("6.12", "old"), ("7.3", "new")):
        write(lab.repo / "hooks" / base / "0002-kconfig.patch", hook("mm/Kconfig", 20, word))
    write(lab.repo / "hooks" / "7.3" / "0003-new.patch", hook("mm/Kconfig", 30, "only here"))
    lab.good()
    assert "old" in lab.read("mm/Kconfig") and "only here" not in lab.read("mm/Kconfig")
    assert "hooked" in lab.read("mm/page_alloc.c")
    lab.good(kernel=kernel, base="7.3")
    assert "new" in lab.read("mm/Kconfig") and "only here" in lab.read("mm/Kconfig")
    assert "hooked" in lab.read("mm/page_alloc.c")


def test_hook_for_all_and_for_one_base_is_an_error(lab):
    write(lab.repo / "hooks" / "7.3" / "0001-alloc.patch", hook("mm/page_alloc.c", 20, "x"))
    assert "hooks/0001-alloc.patch is for all bases, and there is one for 7.3 alone" in lab.bad()


# compat/

def compat(lab, path="mm/tests/kunit.c", old="tests"):
    write(lab.repo / "compat" / "6.12" / "0001-older.patch",
          f"Subject: [PATCH] x\n\n---\ndiff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n"
          f"@@ -1 +1 @@\n-{old}\n+older {old}\n-- \n2.39.5\n")


def test_compat_changes_our_files_for_its_base_alone(lab):
    compat(lab)
    write(lab.repo / "compat" / "6.12" / "mm" / "later.h", "a header\n")
    lab.good()
    assert lab.read("mm/tests/kunit.c") == "older tests\n" and lab.read("mm/later.h") == "a header\n"
    lab.good(kernel=other_base(lab), base="7.3")
    assert lab.read("mm/tests/kunit.c") == "tests\n" and not (lab.tree / "mm" / "later.h").exists()


@pytest.mark.parametrize("path, old, message", [
    ("mm/tests/kunit.c", "something else",
     "compat/6.12/0001-older.patch: mm/tests/kunit.c: hunk #1 does not fit our file"),
    ("mm/Kconfig", "line 1", "touches mm/Kconfig, which is not our file"),
])
def test_compat_that_does_not_fit_is_named(lab, path, old, message):
    lab.good()
    compat(lab, path, old)
    assert message in lab.bad()


def test_compat_replaces_no_file(lab):
    lab.good()
    write(lab.repo / "compat" / "6.12" / "mm" / "tests" / "kunit.c", "another\n")
    assert "mm/tests/kunit.c is there already" in lab.bad()


# The package

@pytest.fixture
def package(lab):
    """A machine whose dpkg knows the source package; returns its PATH."""
    tarball = lab.path / "linux-source-6.12.tar.xz"
    with tarfile.open(tarball, "w:xz") as archive:
        archive.add(lab.kernel, "linux-source-6.12")
    tool = lab.path / "bin" / "dpkg-query"
    write(tool, f'#!/bin/sh\ncase $1 in -W) printf 6.12.7-1;; *) echo {tarball};; esac\n')
    tool.chmod(0o755)
    return f"{tool.parent}:{os.environ['PATH']}"


def test_base_comes_from_the_package(lab, package):
    lab.good(kernel=False, path=package)
    assert lab.read("mm/page_reporting.c") == "ours\n"


def test_make_base_writes_base(lab, package):
    lab.good("--update-base", kernel=False, path=package)
    write_base(lab, **{"mm/page_alloc.c": "0" * 40})
    assert "the base moved" in lab.good(kernel=False, path=package)
    lab.good("--update-base", kernel=False, path=package)
    assert f"blob {blob(NUMBERS)} mm/page_alloc.c\n" in (lab.repo / "bases" / "6.12").read_text()
    assert "version 6.12.7-1\n" in (lab.repo / "bases" / "6.12").read_text()
    assert "warning:" not in lab.good(kernel=False, path=package)


def test_base_is_not_written_from_another_kernel(lab):
    assert "only the Debian package" in lab.bad("--update-base")
    assert not (lab.repo / "bases" / "6.12").exists()


def test_package_missing_says_how_to_get_it(lab):
    write(lab.path / "bin" / "dpkg-query", "#!/bin/sh\nexit 1\n")
    (lab.path / "bin" / "dpkg-query").chmod(0o755)
    message = lab.bad(kernel=False, path=f"{lab.path}/bin:{os.environ['PATH']}")
    assert "linux-source-6.12 is not installed" in message and "make setup" in message


# KERNEL=

def test_own_directory_is_only_read(lab):
    write(lab.kernel / ".config", "CONFIG_X=y\n")
    write(lab.kernel / "Makefile", (lab.kernel / "Makefile").read_text() + "mrproper:\n\t@rm -f .config\n")
    write(lab.kernel / "mm" / "page_alloc.o", "object")
    before = snapshot(lab.kernel)
    lab.good()
    assert snapshot(lab.kernel) == before
    assert not (lab.tree / ".config").exists() and not (lab.tree / "mm/page_alloc.o").exists()


def test_own_git_tree_as_it_stands(lab):
    """Tracked files with their changes; nothing that git does not know."""
    git = ["git", "-C", lab.kernel, "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(git + ["init", "-q"], check=True)
    subprocess.run(git + ["add", "-A"], check=True)
    subprocess.run(git + ["commit", "-qm", "base"], check=True)
    write(lab.kernel / "mm" / "Kconfig", "work in progress\n")
    write(lab.kernel / "notes.txt", "private\n")
    (lab.kernel / "tools" / "run.sh").unlink()
    before = snapshot(lab.kernel)
    lab.good()
    assert lab.read("mm/Kconfig") == "work in progress\n"
    assert not (lab.tree / "notes.txt").exists() and not (lab.tree / "tools/run.sh").exists()
    assert not (lab.tree / ".git").exists()
    assert snapshot(lab.kernel) == before


def test_change_in_own_tree_makes_the_tree_anew(lab):
    lab.good()
    write(lab.kernel / "mm" / "Kconfig", NUMBERS + "more\n")
    lab.good()
    assert lab.read("mm/Kconfig") == NUMBERS + "more\n"
    assert lab.read("mm/page_reporting.c") == "ours\n"


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.xz", ".tar.zst"])
def test_own_tarball(lab, suffix):
    tarball = lab.path / f"linux-6.12.7{suffix}"
    subprocess.run(["tar", "-c", "-a", "-f", tarball, "-C", lab.path, "linux"], check=True)
    before = tarball.read_bytes()
    lab.good(kernel=tarball)
    assert lab.read("mm/page_reporting.c") == "ours\n" and "hooked" in lab.read("mm/page_alloc.c")
    assert tarball.read_bytes() == before


def not_a_tree(path):
    write(path / "empty" / "readme", "no kernel here\n")
    return path / "empty"


def cut_tarball(path):
    make_kernel(path / "whole")
    subprocess.run(["tar", "-cJf", path / "cut.tar.xz", "-C", path, "whole"], check=True)
    (path / "cut.tar.xz").write_bytes((path / "cut.tar.xz").read_bytes()[:200])
    return path / "cut.tar.xz"


def old_tarball(path):
    make_kernel(path / "old", version="6", patchlevel="1")
    subprocess.run(["tar", "-czf", path / "old.tar.gz", "-C", path, "old"], check=True)
    return path / "old.tar.gz"


def text_file(path):
    write(path / "kernel.txt", "x")
    return path / "kernel.txt"


@pytest.mark.parametrize("make, reason", [
    (lambda path: path / "nowhere", "no such file"),
    (not_a_tree, "not a kernel source tree"),
    (text_file, "neither a directory nor one of .tar"),
    (lambda path: make_kernel(path / "newer", patchlevel="13"), "this is Linux 6.13; the series is for 6.12"),
    (old_tarball, "this is Linux 6.1; the series is for 6.12"),
    (cut_tarball, "does not unpack"),
], ids=["missing", "not-a-tree", "text", "6.13", "6.1-tarball", "cut-tarball"])
def test_wrong_kernel_is_one_line_and_changes_nothing(lab, make, reason):
    lab.good()
    base = snapshot(lab.build / "base")
    message = lab.bad(kernel=make(lab.path))
    assert reason in message and "KERNEL=" in message
    assert snapshot(lab.build / "base") == base
    assert len([line for line in message.splitlines() if "remedy" not in line]) == 1


def test_kernel_inside_the_build_folder_is_refused(lab):
    lab.good()
    assert "writes to" in lab.bad(kernel=lab.tree)
