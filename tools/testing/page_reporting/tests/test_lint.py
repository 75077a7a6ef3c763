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


def test_functions_count_from_first_line_to_brace():
    text = "/* Head. */\nstruct s {\n\tint x;\n};\n\n/* Doc. */\n" + function(51) + "int a;\n"
    assert list(lint.functions(text)) == [("long_one", 7, 51)]


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


def test_key_finds_calls_that_it_does_not_guard(tmp_path):
    for body, branch, said in (
            (GOOD, 0, []),
            # The branch bit turns the meaning of the site round.
            (GOOD, 1, ["is reached with page_reporting_enabled off, in f", "is out of reach even with page_"]),
            ("void f(int o) { if (enabled()) order++; if (o > order) __page_reporting_freed(); }", 0,
             ["is reached with page_reporting_enabled off, in f"]),
            (GOOD + "void g(int o) { if (o > 3) __page_reporting_freed(); order = o; }", 0, ["enabled off, in g"]),
            ("void f(void) { if (enabled()) order++; if (page_reporting_enabled) __page_reporting_freed(); }", 0,
             ["is reached with page_reporting_enabled off"]),
            ("void f(void) { if (enabled()) order++; }", 0, ["is never called"])):
        obj = assemble(tmp_path / "k.c", KEY + body, tmp_path / "k.o", f'-DBRANCH="{branch}"')
        found = key.problems(key.Object(obj), [CALL])
        assert len(found) == len(said) and all(words in problem for words, problem in zip(said, found)), found


def test_key_wants_a_jump_table(tmp_path):
    plain = assemble(tmp_path / "p.c", "void __page_reporting_freed(void); void f(void) { __page_reporting_freed(); }",
                     tmp_path / "p.o")
    with pytest.raises(lint.Fail, match="no jump table"):
        key.Object(plain)


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


def test_check_names_file_and_finding(copy):
    for name, path, text, reason in (
            ("shellcheck", "scripts/test", "#!/bin/bash\nrm $1\n", "SC2086"),
            ("pyflakes", "scripts/archive.py", "import os\n", "'os' imported but unused"),
            ("codespell", "README", "".join(["t", "eh\n"]), "the"),
            ("maintainers", "MAINTAINERS", "FREE PAGE REPORTING\nF:\tmm/no_such_file.c\n", "matches nothing"),
            ("functions", "mm/page_reporting.c", function(60), "long_one() has 60 lines")):
        (copy / path).write_text(text)
        status, output = run(copy / "scripts" / "lint", name)
        assert status == 1 and path in output and reason in output, output


# ABI entries and documents

ENTRY = "Documentation/ABI/testing/sysfs-kernel-mm-page-reporting"
GUIDE = "Documentation/admin-guide/mm/free_page_reporting.rst"


def test_abi_and_docs_find_wrong_entries_and_references(copy):
    for name, path, old, new, reason in (
            ("abi", ENTRY, "/sys/kernel/mm/page_reporting/flush\n", "/sys/kernel/mm/page_reporting/flash\n",
             "/sys/kernel/mm/page_reporting/flush: no ABI entry"),
            ("abi", ENTRY, "KernelVersion:\t7.4\n", "", "/sys/kernel/mm/page_reporting/: no KernelVersion:"),
            ("abi", ENTRY, "What:\t\t/sys/kernel/mm/page_reporting/order",
             "Where:\t\t/sys/kernel/mm/page_reporting/order", "tag 'Where' is invalid"),
            ("docs", GUIDE, "Documentation/mm/free_page_reporting.rst", "Documentation/mm/no_such_page.rst",
             "Documentation/mm/no_such_page.rst does not exist"),
            ("docs", "Documentation/mm/free_page_reporting.rst", ":doc: model", ":doc: no_such_section",
             "no_such_section")):
        text = (copy / path).read_text(encoding="utf-8")
        assert old in text
        (copy / path).write_text(text.replace(old, new, 1), encoding="utf-8")
        status, output = run(copy / "scripts" / "lint", name)
        assert status == 1 and reason in output, output
        (copy / path).write_text(text, encoding="utf-8")
