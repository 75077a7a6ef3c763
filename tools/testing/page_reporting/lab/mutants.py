# SPDX-License-Identifier: GPL-2.0
"""Break the engine on purpose, one way at a time, and see whether the test that has to notice does.

    mutants            all of mutations.toml
    mutants S7 S12     those of some rows

Exit 0 only if every mutation was noticed. The tree is put right again at the end.
"""

import time
import tomllib

from . import drivers, files, kunit, paths, programs
from .errors import BadInput, GuestError, LabError, output
from .vm import VM

TABLE = paths.LAB / "mutations.toml"
RESULTS = paths.BUILD / "mutants.json"
# A case that loops for ever is ended by this; one that passes takes a second or two.
DEADLINE_S = 120


def arguments(parser):
    parser.add_argument("rows", nargs="*", metavar="ROW", help="all by default")


def script(*words):
    """Run one of the project's scripts."""
    output(f"scripts/{' '.join(words)}", [paths.REPO / "scripts" / words[0], *words[1:]])


def select(rows):
    """The mutations of these rows, or all; BadInput for a row without one."""
    mutations = tomllib.loads(TABLE.read_text(encoding="utf-8"))["mutation"]
    known = list(dict.fromkeys(mutation["row"] for mutation in mutations))
    if unknown := [row for row in rows if row not in known]:
        raise BadInput(f"{', '.join(unknown)}: no such row; there is {', '.join(known)}")
    rows_of = {case: rows for suite in kunit.SUITES for case, rows in kunit.rows_of(suite).items()}
    for mutation in mutations:
        if mutation["row"] not in rows_of.get(mutation["caught_by"], []):
            raise LabError(f"{TABLE.name}: there is no KUnit case {mutation['caught_by']} for {mutation['row']}")
    return [mutation for mutation in mutations if not rows or mutation["row"] in rows]


def originals(mutations):
    """{file: its right text}, of ours and of files that a hook changes; from a tree that is right."""
    return {mutation["file"]: (paths.TREE / mutation["file"]).read_text(encoding="utf-8") for mutation in mutations}


def put(texts):
    """Write files of the tree, but for what they say already: no build for nothing."""
    for file, text in texts.items():
        if (path := paths.TREE / file).read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def broken(mutation, texts):
    """The texts with one mutation; LabError unless it fits one place of its file."""
    text = texts[mutation["file"]]
    if (count := text.count(mutation["old"])) != 1:
        raise LabError(f"{TABLE.name}: \"{mutation['about']}\" fits {count} places of {mutation['file']}, not one")
    return {**texts, mutation["file"]: text.replace(mutation["old"], mutation["new"])}


def boot(case=None):
    """Run one case, or all: (those that did not pass, what the run complained about).

    LabError if the guest did not even come to the tests.
    """
    vm = VM(paths.debug_kernel(), programs.initramfs(), balloon=None, mem_mib=2048, parallel=True,
            cmdline=[*drivers.PATIENCE, *kunit.BOOT, f"kunit.filter_glob=page_reporting_*.{case or '*'}"],
            boot_deadline_s=DEADLINE_S, run_deadline_s=DEADLINE_S)
    complaint = ""
    try:
        with vm:
            vm.finish()
    except GuestError as error:
        complaint = str(error).splitlines()[0]
        if not any("# Subtest: page_reporting" in line for line in vm.console):
            raise
    return kunit.not_passed(vm.console, [case] if case else kunit.all_cases()), complaint


def try_one(mutation, texts):
    """Build and boot one mutant: its entry, with what noticed it."""
    put(broken(mutation, texts))
    script("build", "debug")
    failed, complaint = boot(mutation["caught_by"])
    return {**{key: mutation[key] for key in ("row", "about", "caught_by")}, "failed": failed,
            "complaint": complaint, "caught": mutation["caught_by"] in failed}


def restore():
    script("tree")
    script("build", "debug")


def main(args):
    mutations, entries = select(args.rows), []
    restore()
    texts = originals(mutations)
    for mutation in mutations:
        broken(mutation, texts)
    failed, complaint = boot()
    if failed or complaint:
        raise LabError(f"without a mutation: {', '.join(failed)} {complaint}: mend this first")
    try:
        for number, mutation in enumerate(mutations, 1):
            start = time.monotonic()
            entries.append(entry := try_one(mutation, texts))
            verdict = "caught" if entry["caught"] else "MISSED"
            print(f"[{number}/{len(mutations)}] {entry['row']} {entry['about']}: {verdict} "
                  f"({', '.join(entry['failed']) or entry['complaint'] or 'nobody'}; "
                  f"{time.monotonic() - start:.0f} s)", flush=True)
    finally:
        put(texts)
        restore()
    files.write_json(RESULTS, entries)
    missed = [entry for entry in entries if not entry["caught"]]
    print(*(f"MISSED: {entry['row']} {entry['about']}" for entry in missed), sep="\n", end="\n" if missed else "")
    print(f"{len(entries) - len(missed)} caught, {len(missed)} missed")
    return 1 if missed else 0
