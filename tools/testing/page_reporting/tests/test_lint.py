# SPDX-License-Identifier: GPL-2.0
"""The static checks, one case each; and proof that the ones written here can fail."""

import shutil
import subprocess

import key
import lint
import pytest

from lab.paths import REPO

GUEST = REPO / "build" / "guest" / "mm" / "page_alloc.o"


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.product
@pytest.mark.parametrize("name", lint.CHECKS)
def test_lint(name):
    status, output = run(REPO / "scripts" / "lint", name)
    assert status == 0, output


# Function length, and the feature configured out

def function(lines):
    return "static int\nlong_one(int a,\n         int b)\n{\n" + "\ta++;\n" * (lines - 5) + "}\n"


@pytest.mark.lab
def test_functions_count_from_first_line_to_brace():
    text = "/* Head. */\nstruct s {\n\tint x;\n};\n\n/* Doc. */\n" + function(51) + "int a;\n"
    assert list(lint.functions(text)) == [("long_one", 7, 51)]


@pytest.mark.lab
def test_off_finds_the_feature_where_it_is_on(tmp_path):
    found = "\n".join(lint.traces(GUEST))
    assert "symbol: " in found and "__page_reporting_freed" in found and "relocation: " in found
    stripped = assemble(tmp_path / "empty.c", "", tmp_path / "empty.o")
    run("strip", stripped)
    with pytest.raises(lint.Fail, match="no symbols"):
        lint.traces(stripped)


# The static key

CALL = "__page_reporting_freed"
KEY = """
extern int page_reporting_enabled, order;
void __page_reporting_freed(void);
static inline __attribute__((always_inline)) int enabled(void)
{
	asm goto("1: .byte 0x0f, 0x1f, 0x44, 0x00, 0x00\\n"
		 ".pushsection __jump_table, \\"aw\\"\\n"
		 ".balign 8\\n.long 1b - ., %l[yes] - .\\n.quad page_reporting_enabled + " BRANCH " - .\\n"
		 ".popsection" : : : : yes);
	return 0;
yes:
	return 1;
}
"""


def assemble(source, text, target, *flags):
    source.write_text(text)
    subprocess.run(["gcc", "-O2", "-c", "-fno-asynchronous-unwind-tables", "-o", target, source, *flags], check=True)
    return target


GOOD = "void f(int o) { if (enabled() && o > order) __page_reporting_freed(); }"


@pytest.mark.lab
@pytest.mark.parametrize("body, branch, said", [
    (GOOD, 0, []),
    # The branch bit turns the meaning of the site round.
    (GOOD, 1, ["is reached with page_reporting_enabled off, in f", "is out of reach even with page_reporting_"]),
    ("void f(int o) { if (enabled()) order++; if (o > order) __page_reporting_freed(); }", 0,
     ["is reached with page_reporting_enabled off, in f"]),
    (GOOD + "void g(int o) { if (o > 3) __page_reporting_freed(); order = o; }", 0, ["enabled off, in g"]),
    ("void f(void) { if (enabled()) order++; if (page_reporting_enabled) __page_reporting_freed(); }", 0,
     ["is reached with page_reporting_enabled off"]),
    ("void f(void) { if (enabled()) order++; }", 0, ["is never called"]),
], ids=["good", "wrong-side", "beside", "one-of-two", "variable", "never"])
def test_key_finds_calls_that_it_does_not_guard(tmp_path, body, branch, said):
    obj = assemble(tmp_path / "k.c", KEY + body, tmp_path / "k.o", f'-DBRANCH="{branch}"')
    found = key.problems(key.Object(obj), [CALL])
    assert len(found) == len(said) and all(words in problem for words, problem in zip(said, found)), found


@pytest.mark.lab
def test_key_wants_a_jump_table(tmp_path):
    plain = assemble(tmp_path / "p.c", "void __page_reporting_freed(void); void f(void) { __page_reporting_freed(); }",
                     tmp_path / "p.o")
    with pytest.raises(lint.Fail, match="no jump table"):
        key.Object(plain)


@pytest.mark.lab
def test_key_is_told_from_the_others_of_the_real_object():
    """The same object, asked whether some other key of it guards the call."""
    obj = key.Object(GUEST)
    others = {name for name, *_ in obj.sites} - {key.KEY}
    assert others
    for other in others:
        found = key.problems(obj, [CALL], other)
        assert found and f"is reached with {other} off" in found[0]


# The entry in MAINTAINERS, the file lists

@pytest.fixture
def copy(tmp_path):
    """This repository with the built tree beside it, to be spoilt."""
    target = tmp_path / "repo"
    shutil.copytree(REPO, target, symlinks=True, ignore=lambda folder, names: {"build", ".git"} & set(names)
                    if folder == str(REPO) else [])
    (target / "build" / "log").mkdir(parents=True)
    (target / "build" / "tree").symlink_to(REPO / "build" / "tree")
    return target


@pytest.mark.lab
@pytest.mark.parametrize("name, path, text, reason", [
    ("shellcheck", "scripts/test", "#!/bin/bash\nrm $1\n", "SC2086"),
    ("pyflakes", "scripts/archive.py", "import os\n", "'os' imported but unused"),
    ("codespell", "README", "".join(["t", "eh\n"]), "the"),
    ("maintainers", "MAINTAINERS", "FREE PAGE REPORTING\nF:\tmm/no_such_file.c\n", "matches nothing"),
    ("functions", "mm/page_reporting.c", function(60), "long_one() has 60 lines"),
])
def test_check_names_file_and_finding(copy, name, path, text, reason):
    (copy / path).write_text(text)
    status, output = run(copy / "scripts" / "lint", name)
    assert status == 1
    assert path in output and reason in output, output


# ABI entries and documents

ENTRY = "Documentation/ABI/testing/sysfs-kernel-mm-page-reporting"
GUIDE = "Documentation/admin-guide/mm/free_page_reporting.rst"


def spoil(copy, path, old, new):
    text = (copy / path).read_text(encoding="utf-8")
    assert old in text
    (copy / path).write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.lab
@pytest.mark.parametrize("old, new, reason", [
    ("What:\t\t/sys/kernel/mm/page_reporting/flush", "What:\t\t/sys/kernel/mm/page_reporting/flash",
     "/sys/kernel/mm/page_reporting/flush: no ABI entry"),
    ("KernelVersion:\t6.12\n", "", "/sys/kernel/mm/page_reporting/: no KernelVersion:"),
    ("What:\t\t/sys/kernel/mm/page_reporting/order", "Where:\t\t/sys/kernel/mm/page_reporting/order",
     "tag 'Where' is invalid"),
])
def test_abi_finds_wrong_entries(copy, old, new, reason):
    spoil(copy, ENTRY, old, new)
    status, output = run(copy / "scripts" / "lint", "abi")
    assert status == 1 and reason in output, output


@pytest.mark.lab
@pytest.mark.parametrize("path, old, new, reason", [
    (GUIDE, "\nCounters\n========\n", "\nCounters\n====\n", "Title underline too short"),
    (GUIDE, "`Neighbours`_", "`Nobody`_", "Unknown target name"),
    (GUIDE, "Documentation/mm/free_page_reporting.rst", "Documentation/mm/no_such_page.rst",
     "Documentation/mm/no_such_page.rst does not exist"),
    ("Documentation/mm/free_page_reporting.rst", ":doc: model", ":doc: no_such_section", "no_such_section"),
    (ENTRY, "======  ===", "===  ======", "Malformed table"),
])
def test_docs_finds_what_sphinx_warns_of(copy, path, old, new, reason):
    spoil(copy, path, old, new)
    status, output = run(copy / "scripts" / "lint", "docs")
    assert status == 1 and reason in output, output


@pytest.mark.lab
def test_misplaced_entry_is_found(copy):
    tree = copy / "build" / "tree"
    tree.unlink()
    (tree / "scripts").mkdir(parents=True)
    shutil.copy(REPO / "build/tree/scripts/parse-maintainers.pl", tree / "scripts")
    text = (REPO / "build/tree/MAINTAINERS").read_text(errors="replace")
    entry = (REPO / "MAINTAINERS").read_text()
    (tree / "MAINTAINERS").write_text(text.replace(entry + "\n", "").replace("\nTHE REST\n", f"\n{entry}\nTHE REST\n"))
    status, output = run(copy / "scripts" / "lint", "maintainers")
    assert status == 1 and "not in its alphabetical place" in output, output
