# SPDX-License-Identifier: GPL-2.0
"""The series: patches made of the tree, steps edited and saved, and the checks of both, on a tiny kernel."""

import os
from pathlib import Path
import re
import shutil
import signal
import subprocess
import time

import check_series
import pieces
import pytest
from conftest import stand_in
from test_tree import NUMBERS, make_kernel, make_repo, snapshot, write

from lab import paths

SCRIPTS = paths.REPO / "scripts"
ENGINE = "".join(f"engine {n}\n" for n in range(1, 31))
LATER = "engine 15\nlater 15\n"
# What a second step changes in a file that the first one took.
DIFF = ("diff --git a/mm/page_reporting.c b/mm/page_reporting.c\n--- a/mm/page_reporting.c\n"
        "+++ b/mm/page_reporting.c\n@@ -15,2 +15,3 @@ engine 14\n engine 15\n+later 15\n engine 16\n")
STEPS = {
    "0001-engine.patch": "mm: the engine\n\nWhy.\n---\ntakes: mm/page_alloc.c\ntakes: mm/page_reporting.c\n",
    "0002-more.patch": "mm: more of it\n\nBecause.\n---\ntakes: MAINTAINERS\ntakes: mm/Kconfig.page_reporting\n" + DIFF,
    "0003-lab.patch": "tools: the lab\n---\nrevertible\ntakes: mm/tests/kunit.c\n",
}
LAST = STEPS["0003-lab.patch"]
# Compiles nothing, but fails where the source says so, complains once, and says what it was asked for.
MAKEFILE = """VERSION = 6
PATCHLEVEL = 12
SUBLEVEL = 7
T = vmlinux modules mm/ drivers/virtio/ drivers/hv/hv_balloon.o
.PHONY: $(T)
$(T):
	@echo '$(notdir $(O)) $@ $(KCFLAGS)' >>$(O)/../made
	@! grep -r broken mm || { echo 'mm/x.c:1: error: broken'; exit 1; }
	@! grep -r slow mm || { echo $$$$ >$(O)/../sleeping; exec sleep 61; }
	@! grep -r doubtful mm || [ -e $(O)/said ] || { echo 'vmlinux: warning: doubtful'; touch $(O)/said; }
	@echo '  CC      $@'
"""
MERGE = '[ "$1" = -O ] || exit 1\nout=$2; shift 3; cat "$@" >"$out/.config"'


def git(folder, *words):
    done = subprocess.run(["git", "-C", folder, "-c", "user.name=A", "-c", "user.email=a@example.org", *words],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def commit_all(folder, message="A commit"):
    if not (folder / ".git").exists():
        git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A", "-f")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)


class Project:
    """A repository with steps, a kernel, and what the scripts make of them."""

    def __init__(self, path):
        self.path, self.repo, self.build = path, make_repo(path / "repo"), path / "build"
        self.kernel = make_kernel(path / "linux")
        write(self.kernel / "Makefile", MAKEFILE)
        stand_in(self.kernel / "scripts" / "kconfig" / "merge_config.sh", MERGE)
        write(self.repo / "mm" / "page_reporting.c", ENGINE.replace("engine 15\n", LATER))
        write(self.repo / "series" / "cover-letter", "The series\n\nWhat it is about.\n")
        for name, text in STEPS.items():
            write(self.repo / "series" / name, text)
        commit_all(self.repo)
        self.tree()

    def script(self, name, *words, env=None):
        return subprocess.run([SCRIPTS / name, *words, "--repo", self.repo, "--build", self.build], text=True,
                              capture_output=True, env={**os.environ, **(env or {})}, timeout=120)

    def tree(self):
        done = self.script("tree", "--kernel", self.kernel)
        assert done.returncode == 0, done.stderr

    def good(self, *words, **kwargs):
        done = self.script("series", *words, **kwargs)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def bad(self, *words, status=1, **kwargs):
        """Fails with one message; series/ and what was made stay, nothing half-written is left."""
        before = [snapshot(folder) for folder in (self.repo / "series", self.build / "series")]
        done = self.script("series", *words, **kwargs)
        assert done.returncode == status and "Traceback" not in done.stderr, done.stdout + done.stderr
        assert [snapshot(folder) for folder in (self.repo / "series", self.build / "series")] == before
        assert not list(self.build.glob(".*.tmp"))
        return done.stderr

    def patches(self):
        return sorted(path for path in (self.build / "series").rglob("*.patch") if "0000-cover" not in path.name)

    def contents(self):
        return {path.name: path.read_bytes() for path in (self.build / "series").iterdir()}

    def step(self, name):
        return (self.repo / "series" / name).read_text()

    def edited(self):
        """build/series-git, made."""
        self.good("edit")
        return self.build / "series-git"


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


# make

def test_patches_give_the_tree_in_steps(project):
    project.good("make")
    assert [path.name for path in project.patches()] == ["0001-mm-the-engine.patch", "0002-mm-more-of-it.patch",
                                                         "0003-tools-the-lab.patch"]
    first, second, third = (path.read_text() for path in project.patches())
    assert "+hooked\n" in first and "+engine 15\n" in first and "later" not in first
    assert "\nWhy.\n" in first and "[PATCH 1/3] mm: the engine" in first and "new file mode 100755" not in first
    assert "+later 15\n" in second and "+config OURS\n" in second and "FREE PAGE REPORTING" in second
    cover = (project.build / "series" / "0000-cover-letter.patch").read_text()
    assert "mm/tests/kunit.c" in third and "Subject: [PATCH 0/3] The series\n" in cover and "What it is about." in cover
    commit_all(project.kernel, "The base")
    git(project.kernel, "am", "-q", *project.patches())
    ours, made = ({name: value[:2] for name, value in snapshot(folder).items() if not name.startswith(".git/")}
                  for folder in (project.kernel, project.build / "tree"))
    # The lab is in the tree, and in no patch.
    lab = {name for name in made if name.startswith("tools/testing/page_reporting/")}
    assert lab and not lab & set(ours)
    assert ours == {name: value for name, value in made.items() if name not in lab}


def test_signed_off_by_who_sends(project):
    project.good("make")
    assert not any("Signed-off-by" in path.read_text() for path in project.patches())
    project.good("make", env={"SIGNOFF": "Ann Other <ann@example.org>"})
    for path in project.patches():
        message = path.read_text().partition("\n---\n")[0]
        assert message.endswith("\n\nSigned-off-by: Ann Other <ann@example.org>")


@pytest.mark.parametrize("who", ["Ann Other", "ann@example.org", "<ann@example.org>", "Ann <ann>", "Ann <ann@ex> x",
                                 "Ann <a@b> <c@d>", "Ann\n <a@b>", " "])
def test_signoff_without_a_name_or_an_address_is_refused(project, who):
    """One line, 2, and nothing is made; blanks alone are as none."""
    done = project.script("series", "make", env={"SIGNOFF": who})
    if not who.strip():
        assert done.returncode == 0
        return
    assert done.returncode == 2 and not (project.build / "series").exists()
    assert done.stderr.endswith(': not a name and a mail address: SIGNOFF="Name <name@example.org>"\n')
    assert done.stderr.count("\n") == 1 + who.count("\n") and not done.stdout


# In turn, what stays in the first step and what the second one takes
PARTS = ["""// SPDX-License-Identifier: GPL-2.0
/* What it does. */
#include <linux/mm.h>
""", """#include <linux/sched.h>
""", """
/* Of the first step. */
#define FIRST	1
""", """#define SECOND	(FIRST + \\
			 1)

struct second {
	int a;
};
""", """
static int first(int a)
{
#ifdef CONFIG_FIRST
	return a;
#endif

	return FIRST;
}
EXPORT_SYMBOL_GPL(first);
""", """
/*
 * Of the second step: why.
 */
static __printf(1, 2) int
second(const char *format, ...)
{
	return SECOND;
}
EXPORT_SYMBOL_GPL(second);
""", """
static struct kunit_case cases[] = {
	KUNIT_CASE(first),
""", """	KUNIT_CASE_PARAM(second,
			 second_gen_params),
""", """	{}
};
"""]
CODE, LESS = "".join(PARTS), "".join(PARTS[::2])
GUIDE = ".. SPDX-License-Identifier: GPL-2.0\n\n=====\nGuide\n=====\n\nOf it.\n\nFirst\n=====\n\nA.\n\nThe rest\n========\n\nB.\n"


def test_pieces_are_found_by_name():
    assert pieces.without(CODE, {"<linux/sched.h>", "SECOND", "second", "type:second"}) == LESS
    assert pieces.without(CODE, set()) == CODE
    assert pieces.without(GUIDE, {"The_rest"}) == GUIDE.replace("\nThe rest\n========\n\nB.\n", "")
    assert pieces.names(GUIDE) == {"First", "The_rest"}


def test_each_file_of_ours_is_pieces_without_rest():
    """Whatever is taken away, the rest of a file stays as it is, but for a blank line."""
    for path in sorted((paths.REPO / "mm").glob("page_reporting*.[ch]")):
        text = path.read_text()
        found = pieces.pieces_of(text)
        lines = text.splitlines()
        covered = {number for piece in found for number in range(piece.first, piece.end)}
        assert all(not line.strip() for number, line in enumerate(lines) if number not in covered), path
        for piece in found:
            left = pieces.without(text, {piece.name}).splitlines() if piece.name else lines
            gone = [line for line in lines if line.strip()]
            for line in filter(str.strip, left):
                gone.remove(line)
            same = [p for p in found if piece.name and p.name == piece.name]
            assert sorted(gone) == sorted(line for p in same for line in lines[p.first:p.end] if line.strip()), path


@pytest.fixture
def pieced(project):
    """Steps of which the second takes pieces of a file that the first one took."""
    write(project.repo / "mm" / "page_reporting.c", CODE)
    write(project.repo / "series" / "0002-more.patch", STEPS["0002-more.patch"].replace(
        DIFF, "takes: mm/page_reporting.c: <linux/sched.h>\ntakes: mm/page_reporting.c: SECOND type:second second\n"))
    commit_all(project.repo)
    project.tree()
    return project


def test_step_takes_pieces_of_a_file(pieced):
    """Also once it was edited and saved. A change in a piece lands in the step that takes it, which stays as it is."""
    place = pieced.edited()
    assert git(place, "show", "HEAD~2:mm/page_reporting.c") == LESS
    pieced.good("save")
    assert "takes: mm/page_reporting.c: <linux/sched.h> SECOND type:second second\n" in \
        pieced.step("0002-mm-more-of-it.patch")
    write(pieced.repo / "mm" / "page_reporting.c", CODE.replace("return SECOND;", "return SECOND + 1;"))
    pieced.good("make")
    first, second, _ = (path.read_text() for path in pieced.patches())
    assert "SECOND" not in first and "+\treturn SECOND + 1;\n" in second


def test_piece_that_is_gone_is_named(pieced):
    write(pieced.repo / "mm" / "page_reporting.c", CODE.replace("SECOND", "THIRD"))
    assert "series/0002-more.patch: mm/page_reporting.c has no SECOND" in pieced.bad("make")
    write(pieced.repo / "series" / "0003-lab.patch", LAST + "takes: mm/none.c: X\n")
    assert "takes a part of mm/none.c, which is not there" in pieced.bad("make")


def test_parts_are_series_of_their_own(project):
    write(project.repo / "series" / "0001-engine.patch", STEPS["0001-engine.patch"].replace("---\n", "---\npart: 1-first\n"))
    write(project.repo / "series" / "0003-lab.patch", LAST.replace("---\n", "---\npart: 2-second\n"))
    assert "series/cover-letter-1-first is missing" in project.bad("make")
    for name in ("1-first", "2-second"):
        write(project.repo / "series" / f"cover-letter-{name}", f"The part {name}\n\nAbout.\n")
    assert "3 patches in build/series: 2 in 1-first, 1 in 2-second" in project.good("make")
    assert [str(path.relative_to(project.build / "series")) for path in project.patches()] == [
        "1-first/0001-mm-the-engine.patch", "1-first/0002-mm-more-of-it.patch", "2-second/0001-tools-the-lab.patch"]
    assert "[PATCH 1/1] tools: the lab" in project.patches()[-1].read_text()
    cover = (project.build / "series" / "2-second" / "0000-cover-letter.patch").read_text()
    assert "Subject: [PATCH 0/1] The part 2-second\n" in cover
    commit_all(project.repo)
    project.edited()
    project.good("save")
    assert "part: 2-second\n" in project.step("0003-tools-the-lab.patch")


def test_file_of_another_base_is_left_out(project):
    """A step names it, and takes it where the tree has it."""
    write(project.repo / "series" / "0003-lab.patch", LAST + "takes: mm/other.c [9.8 9.9]\n")
    commit_all(project.repo)
    project.good("make")
    project.edited()
    project.good("save")
    assert "takes: mm/other.c [9.8 9.9]\n" in project.step("0003-tools-the-lab.patch")
    write(project.repo / "series" / "0003-tools-the-lab.patch", LAST + f"takes: mm/other.c [9.8 {paths.BASE}]\n")
    assert "takes mm/other.c, which the tree has not" in project.bad("make")


def test_version_is_in_the_subjects(project):
    project.good("make", env={"VERSION": "2"})
    assert [path.name[:7] for path in project.patches()] == ["v2-0001", "v2-0002", "v2-0003"]
    assert all("[PATCH v2 " in path.read_text() for path in project.patches())
    for version in ("v2", "0", "-1", "1.5"):
        assert f"VERSION={version}: not a version of a series" in project.bad("make", status=2, env={"VERSION": version})


def test_what_is_in_no_commit_is_said(project):
    write(project.repo / "series" / "0003-lab.patch", LAST + "takes: mm/page_reporting_new.c\n")
    write(project.repo / "mm" / "page_reporting_new.c", "new\n")
    commit_all(project.repo)
    assert "in no commit" not in project.good("make")
    for path in ("mm/page_reporting_new.c", "series/cover-letter"):
        with open(project.repo / path, "a", encoding="utf-8") as file:
            file.write("more\n")
        assert f"warning: {path} is in no commit as it is here" in project.good("make")


def test_change_lands_in_the_step_that_took_the_file(project):
    project.good("make")
    before, steps = project.contents(), snapshot(project.repo / "series")
    write(project.repo / "mm" / "tests" / "kunit.c", "better tests\n")
    project.good("make")
    changed = {name for name, text in project.contents().items() if before[name] != text}
    assert changed == {"0003-tools-the-lab.patch"} and snapshot(project.repo / "series") == steps
    write(project.repo / "mm" / "page_reporting.c",
          ENGINE.replace("engine 15\n", LATER).replace("engine 2\n", "engine two\n"))
    project.good("make")
    first, second, _ = (path.read_text() for path in project.patches())
    assert "+engine two\n" in first and "engine two" not in second and "+later 15\n" in second


def test_broken_step_is_named(project):
    for path, text, cause in (
            ("mm/page_reporting.c", ENGINE, "series/0002-more.patch: git apply says: .*mm/page_reporting.c"),
            ("mm/new.c", "x\n", "mm/new.c: belongs to no step.*takes: mm/new.c"),
            ("series/0003-lab.patch", LAST + "takes: mm/gone.c\n", "takes mm/gone.c, which the tree has not"),
            ("series/0003-lab.patch", LAST + "takes: MAINTAINERS\n", "takes MAINTAINERS, as 0002-more.patch does"),
            ("series/0004-new.patch", "mm: no line\n\ntakes: x\n", "series/0004-new.patch: no message, or no line ---"),
            ("series/0004-new.patch", "mm: a\n---\ntake: x\n", "series/0004-new.patch: cannot read 'take: x'"),
            ("series/0004-new.patch", "mm: a\n---\n" + DIFF.replace("engine 16", "engine 31"), "0004-new.*git apply"),
            ("series/fix.patch", LAST, "series/fix.patch is no name of a step")):
        write(project.repo / path, text)
        assert re.search(cause, project.bad("make"), re.S)
        git(project.repo, "clean", "-q", "-f", "-d")
        git(project.repo, "checkout", "-q", ".")
    for name in STEPS:
        (project.repo / "series" / name).unlink()
    assert "there are no steps" in project.bad("make")


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


# Of the repository itself

BASES = [base.name for base in sorted((paths.REPO / "bases").iterdir())
         if (paths.REPO / "build" / ("" if base.name == paths.DEFAULT_BASE else base.name) / "tree.json").is_file()]
TESTS = re.compile(r"^(mm/tests|tools/testing/selftests)/")
# In the makefile
TEST_LINE = re.compile(r"^\+obj-\S* \+= tests/.*\n", re.M)


def added(patch):
    """Lines that a patch adds, other than to tests."""
    files = re.split(r"^diff --git a/\S+ b/(\S+)$", patch.read_text(), flags=re.M)
    return sum(len(re.findall(r"^\+(?!\+\+ )", TEST_LINE.sub("", text), re.M)) for name, text in zip(files[1::2], files[2::2])
               if not TESTS.match(name))


@pytest.fixture(params=BASES)
def ours(request):
    """build/series of a base whose tree is there, made; and BASE= for it."""
    env = {**os.environ, "BASE": request.param}
    for name in ("VERSION", "SIGNOFF"):
        env.pop(name, None)
    subprocess.run([SCRIPTS / "tree"], env=env, check=True, timeout=300)
    subprocess.run([SCRIPTS / "series", "make"], env=env, check=True, timeout=120)
    build = paths.REPO / "build" / ("" if request.param == paths.DEFAULT_BASE else request.param)
    return build / "series", env


def test_series_gives_the_tree_of_each_base(ours):
    """git am, without fuzz, on the base as it is; then all files but the lab's are those of "make tree"."""
    _, env = ours
    done = subprocess.run([SCRIPTS / "check-series", "am", "tree", "bytes"], env=env, timeout=900, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0 and "3 of 3 passed" in done.stdout, done.stdout + done.stderr


def test_series_can_be_read(ours):
    """14 patches a series, as many as docs/series.md says, 600 lines a patch, and the lab in none."""
    folder, _ = ours
    told = dict(re.findall(r"^\| (\d-\w+) \|.*\| (\d+) \|$", (paths.REPO / "docs/series.md").read_text(), re.M))
    assert sorted(told) == sorted(part.name for part in folder.iterdir())
    for part in sorted(folder.iterdir()):
        patches = sorted(path for path in part.glob("*.patch") if "0000-cover" not in path.name)
        assert 0 < len(patches) == int(told[part.name]) <= 14
        for patch in patches:
            assert added(patch) <= 600, f"{part.name}/{patch.name} adds {added(patch)} lines"
            assert "tools/testing/page_reporting/" not in "".join(re.findall("^diff .*", patch.read_text(), re.M))
        cover = next(part.glob("*0000-cover-letter.patch")).read_text()
        assert "@BASE@" not in cover and ".. results:" not in cover


# edit, save

def test_edit_and_save_change_nothing_by_themselves(project):
    project.good("make")
    before, made = {name: project.step(name) for name in STEPS}, project.contents()
    place = project.edited()
    assert git(place, "log", "--reverse", "--format=%s").split("\n")[:-1] == [
        "The base", "mm: the engine", "mm: more of it", "tools: the lab"]
    project.good("save")
    after = {path.name: path.read_text() for path in (project.repo / "series").glob("*.patch")}
    assert list(after) and sorted(after) == ["0001-mm-the-engine.patch", "0002-mm-more-of-it.patch",
                                             "0003-tools-the-lab.patch"]
    # Names come from subjects, and the hunk's heading and ids from git; the rest is as it was.
    plain = [line for text in after.values() for line in text.split("\n") if not line.startswith(("@@", "index "))]
    assert sorted(plain) == sorted(line for text in before.values() for line in text.split("\n")
                                   if not line.startswith("@@"))
    project.good("make")
    assert project.contents() == made


def test_edit_moves_changes_to_a_step(project):
    """What a developer does with git rebase -i. The commits still have a file of no step, as the base has it."""
    write(project.repo / "mm" / "page_reporting.c", ENGINE.replace("engine 15\n", "engine 15\nlater fifteen\n"))
    write(project.repo / "mm" / "new.c", "x\n")
    (project.repo / "mm" / "tests" / "kunit.c").unlink()
    write(project.repo / "hooks" / "series", "# none\n")
    (project.repo / "hooks" / "0001-alloc.patch").unlink()
    place = project.edited()
    assert git(place, "show", "--format=%s", "--name-status").split("\n") == [
        "What the tree has, and the steps have not", "", "A\tmm/new.c", "M\tmm/page_alloc.c", "M\tmm/page_reporting.c",
        "D\tmm/tests/kunit.c", ""]
    git(place, "reset", "-q", "--soft", "base")
    git(place, "commit", "-q", "-m", "mm: all of it")
    project.good("save")
    project.good("make")
    assert [path.name for path in project.patches()] == ["0001-mm-all-of-it.patch"]
    step = project.step("0001-mm-all-of-it.patch")
    assert "takes: mm/new.c\n" in step and "takes: mm/page_alloc.c" not in step


def test_revertible_survives_save_but_not_another_subject(project):
    place = project.edited()
    project.good("save")
    assert "\nrevertible\n" in project.step("0003-tools-the-lab.patch")
    assert "\nrevertible\n" not in project.step("0001-mm-the-engine.patch")
    git(place, "commit", "-q", "--amend", "-m", "tools: lab")
    assert 'note: "tools: the lab" was revertible' in project.good("save")


def test_edit_does_not_overwrite(project):
    assert "there is no build/series-git" in project.bad("save")
    write(project.repo / "series" / "0003-lab.patch", LAST.replace("the lab", "a lab"))
    assert "series/ has changes that are in no commit" in project.bad("edit")
    write(project.repo / "series" / "0003-lab.patch", LAST)
    write(project.edited() / "work", "of hours\n")
    assert "series-git is there already" in project.bad("edit")
    assert (project.build / "series-git" / "work").read_text() == "of hours\n"
    assert "changes that are in no commit" in project.bad("save")


def test_save_refuses_commits_that_do_not_make_the_tree(project):
    place = project.edited()
    write(project.repo / "mm" / "tests" / "kunit.c", "better tests\n")
    assert "do not make the tree: mm/tests/kunit.c" in project.bad("save")
    write(project.repo / "mm" / "tests" / "kunit.c", "tests\n")
    git(place, "commit", "-q", "--amend", "-m", "tools: the lab\n\nWhy.\n---\nv2: this")
    assert '"tools: the lab" would not be read as it is written' in project.bad("save")
    git(place, "commit", "-q", "--amend", "-m", "tools: the lab")
    write(place / "mm" / "brief.c", "x\n")
    commit_all(place, "mm: brief")
    git(place, "rm", "-q", "mm/brief.c")
    commit_all(place, "mm: not so brief")
    assert '"mm: brief" has mm/brief.c, which the tree has not' in project.bad("save")
    git(place, "reset", "-q", "--hard", "HEAD~2")
    write(place / "mm" / "page_reporting.c", "something else\n")
    commit_all(place, "mm: another engine")
    assert "page_reporting.c" in project.bad("save")


# install

@pytest.fixture
def theirs(project):
    """The user's own tree: not quite the base, with work of theirs under way."""
    path = make_kernel(project.path / "theirs", sublevel=9)
    write(path / "mm" / "page_alloc.c", "/* their own */\n" + NUMBERS)
    write(path / "Makefile", MAKEFILE.replace("SUBLEVEL = 7", "SUBLEVEL = 9"))
    commit_all(path, "Their base")
    write(path / "mm" / "Kconfig", "staged\n")
    git(path, "add", "mm/Kconfig")
    write(path / "mm" / "page_alloc.c", "at work\n")
    write(path / "notes", "not for git\n")
    return path


def state_of(path):
    """All that an installation must leave alone: files, index, HEAD, branches."""
    index = (path / ".git" / "index").read_bytes()
    files = {name: value for name, value in snapshot(path).items() if not name.startswith(".git/")}
    head = (path / ".git" / "HEAD").read_text()
    return files, index, head, git(path, "for-each-ref"), git(path, "status", "--porcelain")


def test_install_makes_a_branch_and_touches_nothing_else(project, theirs):
    before = state_of(theirs)
    out = project.good("install", "--kernel", theirs, "--branch", "reports")
    assert "3 commits on branch reports" in out and "Linux 6.12.9" in out
    after = state_of(theirs)
    assert [a == b for a, b in zip(before, after)] == [True, True, True, False, True]
    assert git(theirs, "log", "--reverse", "--format=%s", "main..reports").splitlines() == [
        "mm: the engine", "mm: more of it", "tools: the lab"]
    assert git(theirs, "show", "reports:mm/page_alloc.c") == \
        "/* their own */\n" + NUMBERS.replace("line 20\n", "line 20\nhooked\n")
    assert git(theirs, "show", "reports:mm/Kconfig") == NUMBERS
    assert git(theirs, "show", "reports~1:mm/page_reporting.c") == ENGINE.replace("engine 15\n", LATER)
    assert git(theirs, "show", "reports~2:mm/page_reporting.c") == ENGINE


def no_install(project, theirs, *words, kernel=None, branch="reports"):
    before = state_of(theirs)
    message = project.bad("install", f"--kernel={kernel or theirs}", f"--branch={branch}", *words)
    after = state_of(theirs)
    assert before == after
    return message


def test_install_where_a_step_does_not_fit(project, theirs):
    """The message names the step, the file and the hunk's line."""
    git(theirs, "stash", "-q")
    write(theirs / "mm" / "page_alloc.c", NUMBERS.replace("line 19\n", "line nineteen\n"))
    commit_all(theirs, "Their own change")
    message = no_install(project, theirs)
    assert '"mm: the engine": does not fit this tree, in which nothing was changed' in message
    assert "patch failed: mm/page_alloc.c:18" in message
    git(theirs, "reset", "-q", "--hard", "HEAD~")
    project.good("install", "--kernel", theirs, "--branch", "first")
    git(theirs, "checkout", "-q", "first")
    assert "does not fit this tree" in no_install(project, theirs)


def test_install_wants_a_git_tree_of_the_kernel_and_a_new_branch(project, theirs):
    make_kernel(project.path / "plain")
    make_kernel(project.path / "outer" / "inner")
    commit_all(project.path / "outer")
    commit_all(make_kernel(project.path / "older", patchlevel="1"))
    git(make_kernel(project.path / "empty"), "init", "-q")
    for kernel, cause in (("nowhere", "not a directory"), ("repo", "not a kernel source tree"),
                          ("plain", "not a git repository"), ("empty", "not a git repository with a commit in it"),
                          ("older", "this is Linux 6.1; the series is for 6.12"),
                          ("outer/inner", "inside of another git repository")):
        message = no_install(project, theirs, "--check-only", kernel=project.path / kernel)
        assert f"KERNEL={project.path / kernel}: " in message and cause in message
    for branch, cause in (("", "git does not take this name"), ("main", "there is such a branch already"),
                          ("a..b", "git does not take this name"), ("-x", "git does not take this name")):
        for words in ([], ["--check-only"]):
            assert cause in no_install(project, theirs, *words, branch=branch)


# check-series

@pytest.fixture
def check(project, monkeypatch):
    """check_series, whose Subject is the project, made."""
    monkeypatch.delenv("MAKEFLAGS", raising=False)
    for name in ("BUILD", "CONFIGS", "KERNELS"):        # which it replaces
        monkeypatch.setattr(check_series.builder, name, getattr(check_series.builder, name))
    project.good("make")
    check_series.subject = lambda: check_series.Subject(project.repo, project.build)
    return check_series


def change_patch(project, number, old, new):
    path = project.patches()[number - 1]
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def spoil_first(project, word):
    """Only the state after step 1 has the word: step 2 takes it away, so that the tree is good."""
    change_patch(project, 1, "+engine 30\n", f"+engine {word}\n")
    change_patch(project, 2, " engine 18\n", " engine 18\n@@ -28,3 +29,3 @@ engine 27\n engine 28\n engine 29\n"
                                             f"-engine {word}\n+engine 30\n")


def test_tree_finds_what_differs(check, project):
    tree = project.build / "tree"
    write(tree / "mm" / "page_reporting.c", "ours, but other\n")
    write(tree / "mm" / "Kconfig", "theirs, but other\n")
    write(tree / "new", "x\n")
    (tree / "link").unlink()
    (tree / "tools" / "run.sh").chmod(0o644)
    assert check.check_tree(check.subject()) == [
        "link: in the base, not in the tree", "mm/Kconfig: the tree differs from the base",
        "mm/page_reporting.c: the tree differs from what the patches make", "new: in the tree, not in the base",
        "tools/run.sh: the tree differs from the base"]


def test_bytes_finds_patches_of_yesterday(check, project):
    write(project.repo / "mm" / "tests" / "kunit.c", "better tests\n")
    (project.build / "series" / "0004-stray.patch").write_text("x")
    names = [line.split(":")[0] for line in check.check_bytes(check.subject())]
    assert names == ["0003-tools-the-lab.patch", "0004-stray.patch"]


def test_checkpatch_finds_a_fault(check, project, monkeypatch):
    monkeypatch.setattr(check, "EXCEPTIONS", ())
    monkeypatch.setattr(check, "NEWER", ())
    monkeypatch.setattr(check, "need_tree", lambda _build: paths.TREE)
    before = set(check.check_checkpatch(check.subject()))
    change_patch(project, 2, "+later 15\n", "+later 15 \n")
    line, = set(check.check_checkpatch(check.subject())) - before
    assert line.startswith("0002-mm-more-of-it.patch: mm/page_reporting.c:16: ERROR:TRAILING_WHITESPACE")


def made(project):
    """What the kernel's make was asked for, in order."""
    path = project.build / "check-series" / "made"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def test_builds_each_state_and_the_whole_kernel_at_the_tip(check, project):
    assert check.check_builds(check.subject()) == []
    tip = [[name, target, "-Werror"] for name in ("debug", "off") for target in ("modules", "vmlinux")]
    tip.append(["hyperv", "drivers/hv/hv_balloon.o", "-Werror"])
    others = [[name, target, "-Werror"] for name in ("debug", "off") for target in ("drivers/virtio/", "mm/")]
    parts = made(project)[:5], made(project)[5:9], made(project)[9:]
    assert [sorted(part) for part in parts] == [sorted(part) for part in (tip, others, others)]


@pytest.mark.parametrize("word, fault", [("broken", "mm/x.c:1: error: broken"),
                                         ("doubtful", "vmlinux: warning: doubtful")])
def test_builds_finds_the_state_that_is_at_fault(check, project, word, fault):
    spoil_first(project, word)
    lines = check.check_builds(check.subject())
    assert [line for line in lines if not line.startswith(" ")] == [
        f"0001-mm-the-engine.patch, kernel {name}:" for name in ("debug", "off")]
    assert all(fault in part for part in "\n".join(lines).split("0001-mm-the-engine.patch")[1:])
    # It is said again, though make would not.
    assert check.check_builds(check.subject())[0] == lines[0]


def test_build_switches_only_what_differs(check, project):
    """And writes to no file of the base, with which the copy shares its files on disk."""
    before = {name: value[:2] for name, value in snapshot(project.build / "base").items()}
    check.check_builds(check.subject())
    tree = project.build / "check-series" / "tree"
    kernels = check.Kernels(check.subject(), "builds")
    kernels.switch(kernels.subject.applied()[1][-1])
    assert (tree / "mm/page_reporting.c").read_bytes() == (project.build / "tree/mm/page_reporting.c").read_bytes()
    times = {name: value[2] for name, value in snapshot(tree).items()}
    kernels.switch(kernels.subject.applied()[1][2])
    after = {name: value[2] for name, value in snapshot(tree).items()}
    assert {name for name in times.keys() | after.keys() if times.get(name) != after.get(name)} == {
        "mm/tests/kunit.c"}
    assert {name: value[:2] for name, value in snapshot(project.build / "base").items()} == before


def reverted(check, monkeypatch, kunit=()):
    monkeypatch.setattr(check, "run_kunit", lambda *_: list(kunit))
    return check.check_reverts(check.subject())


def test_reverts_builds_the_tip_without_the_step(check, project, monkeypatch):
    assert reverted(check, monkeypatch) == []
    assert sorted(made(project)) == [["debug", "modules", "-Werror"], ["debug", "vmlinux", "-Werror"],
                                     ["off", "mm/", "-Werror"]]
    tree = project.build / "check-series" / "tree"
    assert not (tree / "mm/tests").exists() and (tree / "mm/Kconfig.page_reporting").exists()


def test_reverts_says_what_is_wrong(check, project, monkeypatch):
    title = "0003-lab.patch, reverted:"
    # A run that was interrupted may have gone on to another state's kernel: what is booted is built anew.
    kernel = ["debug", "vmlinux", "-Werror"]
    assert reverted(check, monkeypatch, ["a_case: FAIL"]) == [title, "    a_case: FAIL"]
    assert reverted(check, monkeypatch) == reverted(check, monkeypatch) == [] and made(project).count(kernel) == 2
    write(project.repo / "series" / "0003-lab.patch", STEPS["0003-lab.patch"].replace("revertible\n", ""))
    assert reverted(check, monkeypatch) == ["no step is marked revertible"]
    first = STEPS["0001-engine.patch"].replace("---\n", "---\nrevertible\n")
    write(project.repo / "series" / "0001-engine.patch", first)
    assert reverted(check, monkeypatch) == ["0001-engine.patch, reverted:", "    conflicts in mm/page_reporting.c"]


def test_kunit_wants_each_case_to_pass(check):
    console = ["1..1", "    1..3", "    ok 1 good", "    not ok 2 bad", "    ok 3 left # SKIP why"]
    assert check.not_passed(["good", "bad", "left", "lost"], console) == ["bad: FAIL", "left: SKIP", "lost: no result"]


def test_interrupted_check_leaves_no_process_and_goes_on(check, project):
    """The first state, which is built last, takes long, and in there comes the signal."""
    spoil_first(project, "slow")
    command = [SCRIPTS / "check-series", "builds", "--repo", project.repo, "--build", project.build]
    work, kernel = project.build / "check-series", ["debug", "vmlinux", "-Werror"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        wait_for((work / "sleeping").exists)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 130
    asked = made(project)
    wait_for(lambda: not Path(f"/proc/{(work / 'sleeping').read_text().strip()}").exists())
    assert not list(project.build.glob("**/.*.tmp")) and kernel in asked[:5]
    project.good("make")
    assert project.script("check-series", "builds").returncode == 0
    # The tip is not built again, nor the second state, although the patches are others: the files are the same.
    again = made(project)[len(asked):]
    assert again.count(kernel) == 0 and again.count(["debug", "mm/", "-Werror"]) == 1
    # What came to its end is done again.
    asked = made(project)
    assert project.script("check-series", "builds").returncode == 0
    assert made(project)[len(asked):].count(kernel) == 1


# In place of the kernel's own kunit.py: notes what it is asked for, and says what the engine of the state has.
KUNIT = """import pathlib, sys
engine = pathlib.Path("mm/page_reporting.c").read_text()
build = next(pathlib.Path(word[12:]) for word in sys.argv if word.startswith("--build_dir="))
assert sys.argv[1:3] == ["run", "--kunitconfig=mm/tests"]
build.mkdir(exist_ok=True)
with open(build / "asked", "a") as file:
    file.write("later\\n" if "later" in engine else "first\\n")
print("TAP version 14")
print("    1..2")
runs = (build / "asked").read_text().count("later" if "later" in engine else "first")
failed = "broken" in engine or "shaky" in engine and runs < 3
print("    not ok 1 always" if failed else "    ok 1 always")
print("    ok 2 seldom # SKIP needs more")
sys.exit(failed)
"""
SUITE = "static struct kunit_case cases[] = {\n\tKUNIT_CASE(always),\n\tKUNIT_CASE(seldom),\n\t{}\n};\n"


@pytest.fixture
def with_suite(project):
    """The suite comes with the first step; the third changes nothing that it is built of."""
    write(project.kernel / "tools" / "testing" / "kunit" / "kunit.py", KUNIT)
    write(project.kernel / "mm" / "Makefile", "obj-y += page_reporting.o\n")
    write(project.repo / "mm" / "tests" / "page_reporting_mark_kunit.c", SUITE)
    write(project.repo / "tools" / "mm" / "tool", "tool\n")
    write(project.repo / "hooks" / "0002-make.patch", "From a b\nSubject: x\n\n---\ndiff --git a/mm/Makefile b/mm/Makefile\n"
          "--- a/mm/Makefile\n+++ b/mm/Makefile\n@@ -1 +1,2 @@\n obj-y += page_reporting.o\n"
          "+obj-y += tests/page_reporting_mark_kunit.o\n-- \n2\n")
    write(project.repo / "hooks" / "series", "0001-alloc.patch\n0002-make.patch\n")
    write(project.repo / "series" / "0001-engine.patch", STEPS["0001-engine.patch"] +
          "takes: mm/Makefile\ntakes: mm/tests/kunit.c\ntakes: mm/tests/page_reporting_mark_kunit.c\n")
    write(project.repo / "series" / "0003-lab.patch", LAST.replace("mm/tests/kunit.c", "tools/mm/tool"))
    project.tree()
    project.good("make")
    return project


def test_kunit_runs_at_each_state_that_differs(check, with_suite):
    assert check.check_kunit(check.subject()) == []
    asked = with_suite.build / "check-series" / "uml" / "asked"
    assert asked.read_text().split() == ["later", "first"]
    # A run that was interrupted goes on.
    assert check.check_kunit(check.subject()) == [] and asked.read_text().split() == ["later", "first"]


def test_kunit_tries_again(check, with_suite):
    """A case that measures time may fail on a machine with other work."""
    change_patch(with_suite, 2, "+later 15\n", "+later shaky\n")
    assert check.check_kunit(check.subject()) == []
    asked = with_suite.build / "check-series" / "uml" / "asked"
    assert asked.read_text().split() == ["later", "later", "later", "first"]


def test_kunit_names_the_state_at_fault(check, with_suite):
    spoil_first(with_suite, "broken")
    assert check.check_kunit(check.subject()) == ["0001-mm-the-engine.patch:", "    always: FAIL"]
    write(with_suite.build / "base" / "tools" / "testing" / "kunit" / "kunit.py", "print('no kernel'); raise SystemExit(1)")
    shutil.rmtree(with_suite.build / "check-series")
    assert "    no kernel" in check.check_kunit(check.subject())


def test_verdict_and_exit_status(check, project):
    write(project.repo / "mm" / "tests" / "kunit.c", "better tests\n")
    done = project.script("check-series", "bytes", "am")
    assert done.returncode == 1
    assert "check-series bytes: FAILED, " in done.stdout and "check-series am: ok (" in done.stdout
    assert "check-series: bytes failed, 1 of 2 passed in " in done.stdout.splitlines()[-1]
    done = project.script("check-series", "am", "trees")
    assert done.returncode == 2
    assert "no such check: trees; there are: am, tree, bytes, checkpatch, builds, kunit, reverts" in done.stderr
    shutil.rmtree(project.build / "series")
    done = project.script("check-series", "am")
    assert done.returncode == 1 and "there are no patches in build/series" in done.stderr
