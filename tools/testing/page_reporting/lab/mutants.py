# SPDX-License-Identifier: GPL-2.0
"""Break the engine on purpose, one way at a time, and check that the KUnit case for it fails.

    mutants            all of mutations.toml
    mutants S7 S12     those of some rows

JOBS=n in the environment: n mutants in parallel, each with its own tree and kernel below
build/mutants; by default as many as there are CPUs. Exit 0 only if every mutation was noticed.
build/tree stays as it is.
"""

import concurrent.futures as futures
import contextlib
import os
import queue
import shutil
import subprocess
import threading
import time
import tomllib

from . import drivers, files, kunit, overlay, paths, programs
from .errors import BadInput, GuestError, LabError
from .inputs import parse_whole
from .vm import VM

TABLE = paths.LAB / "mutations.toml"
SITES = paths.BUILD / "mutants"
# A case that loops for ever is ended by the first; one that passes takes at most six seconds on an idle machine, and
# all of them half a minute.
CASE_DEADLINE_S, SUITES_DEADLINE_S = 60, 180
PERIOD_S = 0.05
MAX_JOBS = 1024


def arguments(parser):
    parser.add_argument("rows", nargs="*", metavar="ROW", help="rows of mutations.toml; all by default")


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


def jobs():
    """How many to try at a time; BadInput unless JOBS is a number of them."""
    return parse_whole("JOBS", os.environ.get("JOBS") or str(len(os.sched_getaffinity(0))), 1, MAX_JOBS)


def originals(mutations):
    """{file: its right text}, of ours and of files that a hook changes; from a tree that is right."""
    return {mutation["file"]: (paths.TREE / mutation["file"]).read_text(encoding="utf-8") for mutation in mutations}


def broken(mutation, texts):
    """The texts with one mutation; LabError unless it fits one place of its file."""
    text = texts[mutation["file"]]
    if (count := text.count(mutation["old"])) != 1:
        raise LabError(f"{TABLE.name}: \"{mutation['about']}\" fits {count} places of {mutation['file']}, not one")
    return {**texts, mutation["file"]: text.replace(mutation["old"], mutation["new"])}


class Stopped(LabError):
    """The site was stopped while it was at work."""


class Site:
    """A tree, a kernel and a guest, for one mutant at a time."""

    def __init__(self, number):
        self.out = SITES / str(number)
        self._lock, self._running, self._stopped = threading.Lock(), None, False

    def prepare(self):
        """The tree as it should be, and what its builds need to know."""
        # What a mutation may change: what is ours or of hooks, and a kernel is built from
        own = [name for name in files.read_json(paths.BUILD / "tree.json")["files"]
               if name.startswith(("mm/", "include/")) and (paths.TREE / name).is_file()]
        overlay.lay(paths.TREE, own, self.out)
        for record in ("base.json", "tree.json"):
            shutil.copyfile(paths.BUILD / record, self.out / record)

    def put(self, texts):
        for file, text in texts.items():
            files.update(self.out / "tree" / file, text)

    @contextlib.contextmanager
    def _stoppable(self, running, stop):
        """Something that stop() ends by calling `stop`; Stopped if that was so."""
        with self._lock:
            if self._stopped:
                stop(running)
                raise Stopped("stopped")
            self._running = (running, stop)
        try:
            yield running
        finally:
            with self._lock:
                self._running = None
        if self._stopped:
            raise Stopped("stopped")

    def run(self, step, command):
        """Run a program, which Ctrl-C does not reach; LabError with what it says if it fails."""
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", start_new_session=True) as child, \
                self._stoppable(child, subprocess.Popen.terminate):
            said = child.communicate()[0]
        if child.returncode:
            raise LabError(f"{step}: {said.strip()}")

    def build(self):
        """Build the kernel, without its modules."""
        self.run("build", [paths.REPO / "scripts" / "build", "--build", self.out, "debug/vmlinux"])

    def boot(self, case=None):
        """Run one case, or all: (those that did not pass, what the run complained about).

        LabError if the guest did not even come to the tests.
        """
        deadline_s = CASE_DEADLINE_S if case else SUITES_DEADLINE_S
        vm = VM(self.out / "debug" / "vmlinux", programs.initramfs(), balloon=None, mem_mib=2048, parallel=True,
                cmdline=[*drivers.PATIENCE, *kunit.BOOT, f"kunit.filter_glob=page_reporting_*.{case or '*'}"],
                boot_deadline_s=deadline_s, run_deadline_s=deadline_s)
        complaint = ""
        with self._stoppable(vm, VM.stop):
            try:
                with vm:
                    vm.finish()
            except GuestError as error:
                complaint = str(error).splitlines()[0]
                if not self._stopped and not any("# Subtest: page_reporting" in line for line in vm.console):
                    raise
        return kunit.not_passed(vm.console, [case] if case else kunit.all_cases()), complaint

    def check(self):
        """Build and boot the tree as it is; LabError unless all cases pass."""
        self.build()
        failed, complaint = self.boot()
        if failed or complaint:
            raise LabError(f"without a mutation: {', '.join(failed)} {complaint}: mend this first")

    def try_one(self, mutation, texts):
        """Build and boot one mutant: its entry, with what noticed it. One that does not build is missed."""
        start = time.monotonic()
        try:
            self.put(broken(mutation, texts))
            self.build()
            failed, complaint = self.boot(mutation["caught_by"])
        except Stopped:
            raise
        except LabError as error:
            failed, complaint = [], str(error)
        return {**{key: mutation[key] for key in ("row", "about", "caught_by")}, "failed": failed,
                "complaint": complaint, "caught": mutation["caught_by"] in failed,
                "seconds": round(time.monotonic() - start)}

    def stop(self):
        """End what is running here, and let nothing more begin. From any thread."""
        with self._lock:
            self._stopped = True
            if self._running:
                running, stop = self._running
                stop(running)


def in_parallel(tasks, sites):
    """Do the tasks, functions of a site, as many at a time as there are sites: yields (number, result) as they come.

    However it ends, nothing is running any more.
    """
    free = queue.SimpleQueue()
    for site in sites:
        free.put(site)

    def run(task):
        site = free.get()
        try:
            site.prepare()
            return task(site)
        finally:
            free.put(site)

    with futures.ThreadPoolExecutor(len(sites)) as pool:
        try:
            numbers = {pool.submit(run, task): number for number, task in enumerate(tasks)}
            for future in futures.as_completed(numbers):
                yield numbers[future], future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for site in sites:
                site.stop()
            # Again and again: a guest may be about to start.
            while free.qsize() < len(sites):
                time.sleep(PERIOD_S)
                for site in sites:
                    site.stop()


def verdict(entry):
    return f"{entry['row']} {entry['about']}: {'caught' if entry['caught'] else 'MISSED'} " \
           f"({', '.join(entry['failed']) or entry['complaint'] or 'nobody'}; {entry['seconds']} s)"


def try_all(mutations):
    """Yields each mutation's entry as it is known, with its number; LabError unless all is well without one."""
    texts = originals(mutations)
    for mutation in mutations:
        broken(mutation, texts)
    programs.initramfs()
    # The first site sees meanwhile whether all is well without a mutation.
    tasks = [Site.check, *(lambda site, mutation=mutation: site.try_one(mutation, texts) for mutation in mutations)]
    sites = [Site(number) for number in range(min(jobs(), len(tasks)))]
    with contextlib.closing(in_parallel(tasks, sites)) as results:
        for number, entry in results:
            if number:
                yield number, entry
            else:
                print("without a mutation: all cases pass", flush=True)


def main(args):
    mutations, entries = select(args.rows), {}
    jobs()      # before anything is started
    with contextlib.closing(try_all(mutations)) as results:
        for number, entry in results:
            entries[number] = entry
            print(f"[{len(entries)}/{len(mutations)}] {verdict(entry)}", flush=True)
    missed = [entry for _, entry in sorted(entries.items()) if not entry["caught"]]
    print(*(f"MISSED: {entry['row']} {entry['about']}" for entry in missed), sep="\n", end="\n" if missed else "")
    print(f"{len(entries) - len(missed)} caught, {len(missed)} missed")
    return 1 if missed else 0
