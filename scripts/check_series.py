# SPDX-License-Identifier: GPL-2.0
"""Checks the patches that "series make" has made, part by part: check-series [PART ...].

What is built is one copy of the base that goes from state to state in place, and only files that
differ are written, so that make and ccache do no more than a state asks for. A run that is
interrupted goes on where it stopped; one that came to its end does everything again.
"""
import concurrent.futures as futures
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import time

import build as builder
import common
import lint
import series
import tree
from common import Fail, say
from lab import kunit, programs, tap, vm

# Another machine: none of this may show in the patches.
ELSEWHERE = {'TZ': 'Asia/Tokyo', 'LC_ALL': 'C.UTF-8', 'COLUMNS': '40', 'GIT_AUTHOR_NAME': 'Somebody Else',
             'GIT_AUTHOR_DATE': '1000000000 +0900', 'GIT_COMMITTER_DATE': '1000000001 +0900'}
THEIR_GIT = '[format]\n\tsignature = else\n\tnumbered = false\n[diff]\n\tnoprefix = true\n\tcontext = 7\n' \
            '[core]\n\tautocrlf = true\n\tabbrev = 40\n[user]\n\tname = Somebody\n\temail = s@example.org\n'
# What running something in the tree leaves there
STRAY = re.compile(r'(^|/)__pycache__/|^\.checkpatch-camelcase\.')
WHOLE, PARTIAL = ('vmlinux', 'modules'), ('mm/', 'drivers/virtio/')
ON, OFF, HYPERV, UML = 'debug', 'off', 'hyperv', 'uml'
# Where it can go wrong for the other driver, which needs a kernel of its own
HYPERV_TOUCHES = ('drivers/hv/', 'include/linux/page_reporting.h')
KCONFIG_SYMBOL = re.compile(r'^\s*(?:menu)?config (\w+)$', re.M)
WARNING = re.compile(r'warning:', re.I)
SIGNED = re.compile(r'^Signed-off-by: (.+)$', re.M)
KUNIT_DEADLINE_S = UML_DEADLINE_S = 900
UML_TRIES = 5

# An exception that nothing needs any more is an error.
EXCEPTIONS = (*lint.FALSE_ALARMS,
              (r'WARNING:FILE_PATH_CHANGES', 'MAINTAINERS gets the one entry for all new files, not one in each patch'),
              (r'page-reporting.freeze:\d+: ERROR:EXECUTE_PERMISSIONS', 'qemu-guest-agent runs it, as all hooks'))
# The same, of the default base only, or of newer ones
OLDER = ((r'mm/page_alloc.h:\d+: WARNING:NEW_TYPEDEFS', 'newer kernels have this type'),)
NEWER = (
    (r'mm/page_reporting_(mark|compact).c:\d+: WARNING:ALLOC_WITH_SIZEOF', 'kzalloc_obj() is not in Linux 6.12'),
)


class Subject:
    """The series that is checked, and where that happens."""

    def __init__(self, repo, build):
        self.repo, self.build, self.base = repo, build, series.load_base(build)
        self.work = build / 'check-series'
        self.patches = sorted(path for path in (build / 'series').rglob('*.patch')
                              if not path.name.endswith('0000-cover-letter.patch'))
        if not self.patches:
            raise Fail('check-series', f'there are no patches in {build.name}/series', "'make series' makes them")
        self._applied, self.passed = None, self.work / 'passed.json'
        self.signoff = (SIGNED.findall(self.patches[0].read_text(encoding='utf-8')) or [''])[-1]
        # The files that any patch touches
        self.touched = sorted({name for path in self.patches for name in
                               re.findall(r'^diff --git a/(\S+) b/\S+$', path.read_text(encoding='utf-8'), re.M)})

    def name_of(self, patch):
        return str(patch.relative_to(self.build / 'series'))

    def applied(self):
        """(a repository of the files that are touched, its commits, the base's first)."""
        if not self._applied:
            shutil.rmtree(self.work / 'git', ignore_errors=True)
            git = series.started(self.work / 'git', self.repo)
            git.put({path: tree.content_of(self.base / path) for path in self.touched})
            git.git('commit', '-q', '--allow-empty', '-m', 'The base')
            for patch in self.patches:
                git.git('am', '-q', str(patch), step=self.name_of(patch))    # which knows no fuzz
            self._applied = git, git.git('rev-list', '--reverse', 'HEAD').split()
        return self._applied

    def files_at(self, commit):
        """{path: (content, executable), or None} of what is touched, as a commit has it."""
        git, _ = self.applied()
        git.git('checkout', '-q', '--force', '--detach', commit)
        return {path: tree.content_of(git.folder / path) for path in self.touched}


# am, tree, bytes

def check_am(subject):
    """git am takes the patches, on the base"""
    _, commits = subject.applied()
    short = len(subject.patches) - (len(commits) - 1)
    return [f'{short} patches made no commit'] if short else []


def check_tree(subject):
    """the last patch gives the tree that "make tree" gives, but for the lab, and the rest is the base's"""
    ours = subject.files_at(subject.applied()[1][-1])
    there = need_tree(subject.build)
    names = {name for top in (there, subject.base) for name in tree.walk_files(top)
             if not STRAY.search(name) and not name.startswith(series.LAB)}
    faults = []
    with common.Progress('check-series tree', len(names)) as progress:
        for name in sorted(names | set(ours)):
            progress.advance()
            have, want = look(there / name), ours[name] if name in ours else look(subject.base / name)
            if have != want:
                whose = 'what the patches make' if name in ours else 'the base'
                how = (f'in the tree, not in {whose}' if not want else f'in {whose}, not in the tree' if not have
                       else f'the tree differs from {whose}')
                faults.append(f'{name}: {how}')
    return faults


def need_tree(build):
    if not (build / 'tree').is_dir():
        raise Fail('check-series', f'there is no {build.name}/tree', "'make tree' makes it")
    return build / 'tree'


def look(path):
    """What git would keep of a path: a link's target, or content and whether it is executable."""
    return os.readlink(path) if path.is_symlink() else tree.content_of(path)


def check_bytes(subject):
    """made again, by somebody else in another time zone, the patches are the same bytes"""
    with common.fresh_dir(subject.build, 'again') as temp:
        (temp / 'base').symlink_to(subject.base)
        shutil.copy(subject.build / 'base.json', temp)
        (temp / '.gitconfig').write_text(THEIR_GIT, encoding='utf-8')
        version = re.match(r'v(\d+)-', subject.patches[0].name)
        env = {**common.clean_env(), **ELSEWHERE, 'HOME': str(temp), 'VERSION': version[1] if version else '',
               'SIGNOFF': subject.signoff}
        command = [common.REPO / 'scripts' / 'series', 'make', '--repo', subject.repo, '--build', temp]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Fail('series make', (done.stderr or done.stdout).strip())
        return sorted(unlike(subject.build / 'series', temp / 'series'))


def unlike(first, second):
    """The names under which two folders differ."""
    sides = [{str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}
             for folder in (first, second)]
    return [f'{name}: another one comes out now; "make series" for what is new'
            for name in sides[0].keys() | sides[1].keys() if sides[0].get(name) != sides[1].get(name)]


# checkpatch

def check_checkpatch(subject):
    """checkpatch.pl --strict on each patch; what it may say is listed, and said"""
    script = need_tree(subject.build) / 'scripts' / 'checkpatch.pl'
    # Spelling is for "scripts/lint codespell", which reads series/ as well, in a tenth of the time.
    command = ['perl', script, '--strict', '--terse', '--showfile', '--show-types', '--no-summary',
               *([] if subject.signoff else ['--no-signoff'])]
    # The longest first, so that it does not run on alone in the end.
    patches = sorted(subject.patches, key=lambda path: -path.stat().st_size)
    jobs = {subject.name_of(patch): [*command, patch] for patch in patches}
    # spdxcheck.py wants modules of Debian's Python.
    env = common.clean_env(PATH='/usr/sbin:/usr/bin:/sbin:/bin')
    said = side_by_side('check-series checkpatch', jobs, cwd=script.parent.parent, env=env)
    return judge([f'{name}: {line}' for name in sorted(said) for line in said[name]],
                 EXCEPTIONS + (OLDER if common.BASE == common.DEFAULT_BASE else NEWER))


def judge(lines, exceptions):
    """Lines that no exception covers, and exceptions that cover no line."""
    found = [line for line in lines if not any(re.search(pattern, line) for pattern, _ in exceptions)]
    return found + [f'nothing needs this exception any more: {pattern} ({reason})' for pattern, reason in exceptions
                    if not any(re.search(pattern, line) for line in lines)]


def side_by_side(title, jobs, **kwargs):
    """Runs {name: command}, as many at a time as there are CPUs: {name: lines}, none where it ended with 0."""
    def said(command):
        done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors='replace', check=False, **kwargs)
        progress.advance()
        return (done.stdout.strip() or f'exit status {done.returncode}').split('\n') if done.returncode else []

    with common.Progress(title, len(jobs)) as progress, futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(jobs, pool.map(said, jobs.values())))


# Kernels

class Kernels:
    """One source that goes from state to state, and the kernels that are built of it."""

    def __init__(self, subject, part):
        self.subject, self.work = subject, subject.work
        builder.BUILD, builder.CONFIGS = self.work, self.work / 'configs'
        builder.KERNELS = {name: dataclasses.replace(builder.KERNELS[name], arguments=())
                           for name in (ON, OFF, HYPERV)}
        self.part = part
        self.state = None
        self._options = set()
        # A copy of the base, in which files are replaced, and none is written to
        known = common.read_json(self.subject.build / 'base.json')
        state = tree.make_tree(self.work, known, base=self.subject.base, copy=os.link)
        if not state['files']:      # it is new
            self.subject.passed.unlink(missing_ok=True)
            (self.work / 'base').unlink(missing_ok=True)
            (self.work / 'base').symlink_to(self.subject.base)

    def switch(self, commit):
        """Makes the source that of a commit; returns the paths that changed."""
        git, commits = self.subject.applied()
        if not self._options:
            self._options = symbols(self.subject.files_at(commits[-1]))
        files = self.subject.files_at(commit)
        changed = tree.install(self.work, common.read_json(self.work / 'tree.json'), files)
        # The lab's fragments, without what the state does not know yet
        ours = common.REPO / 'configs'
        texts = {str(path.relative_to(ours)): path.read_text(encoding='utf-8') for folder in (ours, ours / common.BASE)
                 for path in folder.glob('*.config')}
        texts = {name: without(text, self._options - symbols(files)) for name, text in texts.items()}
        for name, text in texts.items():
            common.write_atomic(builder.CONFIGS / name, text)
        self.state = tree.digest(git.git('rev-parse', f'{commit}^{{tree}}'), texts)
        return changed

    def states(self):
        """(number, patch, what changed) of each state, from the tip down, which has all options that there are."""
        patches, commits = self.subject.patches, self.subject.applied()[1]
        for number in range(len(patches), 0, -1):
            yield number, self.subject.name_of(patches[number - 1]), self.switch(commits[number])

    def build(self, name, targets, anew=False):
        """What is wrong with a kernel of this state, as lines.

        anew: for who boots it, as one that passed before may have made room for another state's since
        """
        if not anew and self.has_passed(name, *targets):
            return []
        try:
            # A warning that was said once is not said again by a later make; an error is.
            builder.build(name, (*targets, 'KCFLAGS=-Werror'))
        except Fail as fail:
            return str(fail).split('\n')
        log = (self.work / 'log' / f'{name}.log').read_text(encoding='utf-8', errors='replace')
        lines = [line for line in log.split('\n') if WARNING.search(line)]
        if lines:       # of the linker, or of modpost
            shutil.rmtree(self.work / name)
        else:
            self.note_passed(name, *targets)
        return lines

    def suites(self):
        """The sources of the suites that this state builds."""
        makefile = self.work / 'tree' / 'mm' / 'Makefile'
        built = re.findall(r'tests/(page_reporting\w*_kunit)\.o', makefile.read_text(encoding='utf-8'))
        return [self.work / 'tree' / 'mm' / 'tests' / f'{name}.c' for name in built]

    def engine(self):
        """Changes with what the engine and its suites are built of."""
        there = common.read_json(self.work / 'tree.json')['files']
        return sorted((path, blob) for path, blob in there.items() if path.startswith(('mm/', 'include/')))

    def has_passed(self, *what):
        """Whether a run that was interrupted came that far."""
        return [self.part, self.state, *what] in (common.read_json(self.subject.passed) or [])

    def note_passed(self, *what):
        common.write_json(self.subject.passed, [*(common.read_json(self.subject.passed) or []),
                                                [self.part, self.state, *what]])


def symbols(files):
    """The options that these files define, of those that are Kconfig's."""
    return {symbol for path, file in files.items() if file and pathlib.Path(path).name.startswith('Kconfig')
            for symbol in KCONFIG_SYMBOL.findall(file[0].decode(errors='replace'))}


def without(fragment, unknown):
    """A fragment without the lines about these options."""
    return ''.join(line for line in fragment.splitlines(keepends=True)
                   if not (match := re.match(r'(?:# )?CONFIG_(\w+)', line)) or match[1] not in unknown)


def about(title, lines):
    """Faults, with what they are faults of."""
    return [title, *(f'    {line}' for line in lines)] if lines else []


def check_builds(subject):
    """each state builds mm/ and drivers/virtio/, and the last one the whole kernel, on and off"""
    kernels, faults = Kernels(subject, 'builds'), []
    for number, patch, changed in kernels.states():
        say(f'check-series builds: {number} of {len(subject.patches)}: {patch}')
        at_the_tip = number == len(subject.patches)
        wanted = dict.fromkeys((ON, OFF), WHOLE if at_the_tip else PARTIAL)
        if at_the_tip or any(path.startswith(HYPERV_TOUCHES) for path in changed):
            wanted[HYPERV] = ('drivers/hv/hv_balloon.o',)
        for name, targets in wanted.items():
            faults += about(f'{patch}, kernel {name}:', kernels.build(name, targets))
    return faults


# KUnit at each state

def check_kunit(subject):
    """at each state that changes what it is built of, the cases of KUnit that are there pass under UML"""
    kernels, faults, tested = Kernels(subject, 'kunit'), [], None
    for number, patch, _ in kernels.states():
        if tested == (engine := kernels.engine()) or not kernels.suites():
            continue
        tested = engine
        say(f'check-series kunit: {number} of {len(subject.patches)}: {patch}')
        faults += about(f'{patch}:', faults_under_uml(kernels))
    return faults


def faults_under_uml(kernels):
    """What is wrong with KUnit in a kernel that kunit.py builds and runs here, which takes seconds."""
    if kernels.has_passed(UML):
        return []
    cases = [case for path in kernels.suites() for case in kunit.cases_of(path)]
    passed, skipped, lines = set(), set(), []
    # One case measures time, on a machine that may have other work.
    for _ in range(UML_TRIES):
        said = run_uml(kernels)
        try:
            results = tap.statuses(said)
        except Fail:        # it did not build, or not boot
            return [line for line in said if line.strip()][-10:]
        passed |= {case for case in cases if results.get(case) == 'PASS'}
        skipped |= {case for case in cases if results.get(case) == 'SKIP'}
        lines = [f'{case}: {results.get(case, "no result")}' for case in cases if case not in passed | skipped]
        if not lines:
            break
    say(f'check-series kunit: {len(cases)} cases, {len(passed)} passed, {len(skipped)} need what UML has not')
    if not lines and passed:
        kernels.note_passed(UML)
    return lines if lines or passed else ['no case has run']


def run_uml(kernels):
    """What kunit.py prints, as lines."""
    log = kernels.work / 'log' / f'{UML}.log'
    command = ['/usr/bin/python3', 'tools/testing/kunit/kunit.py', 'run', '--kunitconfig=mm/tests', '--raw_output=kunit',
               f'--build_dir={kernels.work / UML}', f'--jobs={os.cpu_count()}', f'--timeout={UML_DEADLINE_S}',
               *(['--make_options', 'CC=ccache gcc'] if shutil.which('ccache') else [])]
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, 'wb') as output:
        subprocess.run(command, cwd=kernels.work / 'tree', env=builder.build_env(), stdin=subprocess.DEVNULL,
                       stdout=output, stderr=subprocess.STDOUT, check=False)
    return log.read_text(encoding='utf-8', errors='replace').split('\n')


# Reverts

def check_reverts(subject):
    """without any one of the steps marked revertible, the tip builds and passes KUnit"""
    kernels, faults = Kernels(subject, 'reverts'), []
    _, commits = subject.applied()
    steps = series.read_steps(subject.repo)
    if len(steps) != len(subject.patches):
        raise Fail('reverts', 'the patches are not those of series/', "'make series' for what is new")
    marked = [(step, commit) for step, commit in zip(steps, commits[1:]) if step.revertible]
    for number, (step, commit) in enumerate(marked, 1):
        say(f'check-series reverts: {number} of {len(marked)}: {step.name}')
        faults += about(f'{step.name}, reverted:', faults_without(kernels, commit))
    return faults if marked else ['no step is marked revertible']


def faults_without(kernels, commit):
    git, commits = kernels.subject.applied()
    git.git('checkout', '-q', '--force', '--detach', commits[-1])
    status, printed, complaint = git.run('revert', '--no-edit', commit)
    if status:
        conflicts = git.git('diff', '--name-only', '--diff-filter=U').split()
        git.run('revert', '--abort')
        return [f'conflicts in {", ".join(conflicts)}'] if conflicts else (complaint or printed).strip().split('\n')
    kernels.switch(git.git('rev-parse', 'HEAD').strip())
    if kernels.has_passed('reverted'):
        return []
    lines = (kernels.build(OFF, ('mm/',)) or kernels.build(ON, WHOLE, anew=True) or
             run_kunit(kernels))
    if not lines:
        kernels.note_passed('reverted')
    return lines


def run_kunit(kernels):
    """What is wrong with KUnit in a guest of the kernel that is there."""
    # A revert that takes a case away takes it out of the suite's source.
    cases = [case for path in kernels.suites() for case in kunit.cases_of(path)]
    say(f'check-series reverts: {len(cases)} cases of KUnit')
    try:
        initrd = programs.build(kernels.work / ON, kernels.work / 'guest-programs')
        with vm.VM(kernels.work / ON / 'vmlinux', initrd, balloon=None, mem_mib=2048, parallel=True,
                   cmdline=kunit.BOOT_LINE, boot_deadline_s=KUNIT_DEADLINE_S, run_deadline_s=120) as guest:
            return not_passed(cases, guest.finish().console)
    except Fail as error:
        return str(error).split('\n')


def not_passed(cases, console):
    """A case that skips itself has not been shown to pass."""
    results = tap.statuses(console)
    return [f'{case}: {results.get(case, "no result")}' for case in cases if results.get(case) != 'PASS']


PARTS = common.checks_of(globals())


def main():
    args = common.parse_names(
        __doc__, PARTS, ('--repo', {'type': pathlib.Path, 'default': common.REPO, 'help': 'where our files are'}),
        ('--build', {'type': pathlib.Path, 'help': 'where to work (default: REPO/build)'}))
    repo, began = args.repo.resolve(), time.monotonic()
    build = (args.build or common.build_dir(repo)).resolve()
    with common.locked(build / 'check-series' / '.lock', 'check-series'):
        subject = Subject(repo, build)
        results = common.run_checks('check-series', PARTS, args.names, subject)
        others = [key for key in common.read_json(subject.passed) or [] if key[0] not in results]
        common.write_json(subject.passed, others)
    failed = [name for name, passed in results.items() if not passed]
    say(f"check-series: {', '.join(failed)}{' failed, ' if failed else ''}{len(results) - len(failed)} of "
        f'{len(results)} passed in {(time.monotonic() - began) / 60:.1f} min')
    return 1 if failed else 0


if __name__ == '__main__':
    common.run_main('check-series', main)
