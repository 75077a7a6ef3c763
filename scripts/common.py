# SPDX-License-Identifier: GPL-2.0
"""What the scripts share: where things are, how to fail, how to show progress."""
import contextlib
import errno
import fcntl
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

REPO = pathlib.Path(__file__).resolve().parent.parent
DEFAULT_BASE = '6.12'
# The kernel to work on, by its name in bases/: BASE in the environment, as make gives it.
KERNEL_SERIES = os.environ.get('BASE') or DEFAULT_BASE
PLAIN_INTERVAL_S = 10

# Left over from an outer make or a user's own kernel work; each changes what gets built.
FOREIGN_ENV = ('MAKEFLAGS', 'MFLAGS', 'MAKELEVEL', 'MAKEOVERRIDES', 'MAKEFILES', 'KBUILD_OUTPUT',
               'KBUILD_EXTRA_WARN', 'KCFLAGS', 'KAFLAGS', 'KCPPFLAGS', 'KCONFIG_CONFIG',
               'KCONFIG_ALLCONFIG', 'CROSS_COMPILE', 'LLVM', 'LOCALVERSION', 'W', 'C', 'V', 'M', 'O',
               'CF', 'CHECK', 'ARCH', 'SUBARCH', 'GREP_OPTIONS', 'CDPATH')


class Fail(Exception):
    """An expected failure: the step, the cause, the remedy; status is what the program exits with."""
    status = 1

    def __init__(self, step, cause, remedy=''):
        super().__init__(cause)
        self.step, self.cause, self.remedy = step, cause, remedy

    def __str__(self):
        text = f'{self.step}: {self.cause}'
        return f'{text}\n  remedy: {self.remedy}' if self.remedy else text


def build_dir(repo, base=KERNEL_SERIES):
    """Where the trees and kernels of a base are; the default's are at the top of build/."""
    return repo / 'build' if base == DEFAULT_BASE else repo / 'build' / base


def check_base(repo):
    """Fails unless bases/ has the base that BASE names."""
    known = sorted(path.name for path in (repo / 'bases').glob('[0-9]*'))
    if KERNEL_SERIES != DEFAULT_BASE and KERNEL_SERIES not in known:
        raise Fail(f'BASE={KERNEL_SERIES}', 'there is no such base',
                   f"BASE is one of {', '.join(known) or DEFAULT_BASE}; without it, the base is {DEFAULT_BASE}")


def say(text):
    print(text, flush=True)


def clean_env(**more):
    """The environment for tools whose output is read or whose result is kept."""
    env = {k: v for k, v in os.environ.items() if k not in FOREIGN_ENV}
    env.update(LC_ALL='C', **more)
    return env


def _on_term(signum, _frame):
    raise SystemExit(128 + signum)


def _explain(error):
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Fail('disk full', f'no space left while writing {error.filename2 or error.filename or "a file"}',
                    'free some space (a full build takes about 5 GiB), then run the same command again')
    return Fail('cannot go on', f'{error.strerror}: {error.filename}')


def run_main(main):
    """Calls main and turns what went wrong into one message and an exit status."""
    signal.signal(signal.SIGTERM, _on_term)
    name = pathlib.Path(sys.argv[0]).name
    try:
        sys.exit(main())
    except Fail as fail:
        print(f'{name}: {fail}', file=sys.stderr, flush=True)
        sys.exit(fail.status)
    except KeyboardInterrupt:
        print(f'{name}: interrupted; the next run goes on from here', file=sys.stderr, flush=True)
        sys.exit(130)
    except OSError as error:
        if error.errno is None or isinstance(error, BrokenPipeError):
            raise
        print(f'{name}: {_explain(error)}', file=sys.stderr, flush=True)
    sys.exit(1)


@contextlib.contextmanager
def locked(path, step):
    """Holds a lock file, waiting for whoever has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'w', encoding='ascii') as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f'{step}: another run is at work, waiting for it')
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def fresh_dir(parent, prefix):
    """A temporary directory beside its destination; gone afterwards unless it was renamed."""
    parent.mkdir(parents=True, exist_ok=True)
    for stale in parent.glob(f'.{prefix}.*.tmp'):
        shutil.rmtree(stale)
    path = parent / f'.{prefix}.{os.getpid()}.tmp'
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def write_atomic(path, data, executable=False):
    """Writes through a temporary name, so that nobody ever sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(f'.{path.name}.tmp')
    try:
        temp.write_bytes(data)
        temp.chmod(0o755 if executable else 0o644)
        temp.replace(path)
    finally:
        temp.unlink(missing_ok=True)


def write_json(path, value):
    write_atomic(path, (json.dumps(value, indent=1, sort_keys=True) + '\n').encode())


def read_json(path):
    """The file's value; None where it is missing or was never finished."""
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (FileNotFoundError, ValueError):
        return None


def our_files(repo, *folders):
    """Our files, as paths in the repository: tracked or new, but not ignored."""
    command = ['git', '-c', 'safe.directory=*', '-c', 'core.fsmonitor=false', 'ls-files', '-coz',
               '--exclude-standard', '--', *folders]
    if (repo / '.git').exists() and shutil.which('git'):
        done = subprocess.run(command, cwd=repo, env=clean_env(), capture_output=True, check=False)
        if done.returncode:
            raise Fail('list our files', done.stderr.decode(errors='replace').strip())
        names = done.stdout.decode().split('\0')
    else:
        names = [str(p.relative_to(repo)) for top in folders or ['.'] for p in (repo / top).rglob('*')
                 if '__pycache__' not in p.parts and not p.is_relative_to(repo / 'build')]
    return sorted({n for n in names if n and (repo / n).is_file()})


def load_script(name):
    """One of the scripts beside this file, whose names have no ending, as a module."""
    loader = importlib.machinery.SourceFileLoader(name, str(REPO / 'scripts' / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    sys.modules[name] = module      # where dataclasses look
    loader.exec_module(module)
    return module


class Gone(Fail):
    """The package archive no longer has a base's source: a reason to skip it."""
    status = 4


class Progress:
    """One bar on a terminal; elsewhere a line every ten seconds."""

    def __init__(self, title, total=None):
        self.title, self.total, self.done = title, total, 0
        self.began = self.shown = time.monotonic()
        self.bar = self.task = None

    def __enter__(self):
        self.bar = self._rich() if sys.stdout.isatty() else None
        if self.bar:
            self.bar.start()
            self.task = self.bar.add_task(self.title, total=self.total)
        else:
            say(f'{self.title} ...')
        return self

    def __exit__(self, *_exc):
        if self.bar:
            self.bar.stop()

    @staticmethod
    def _rich():
        try:
            from rich import progress
        except ImportError:
            return None
        return progress.Progress(progress.TextColumn('{task.description}'), progress.BarColumn(),
                                 progress.TaskProgressColumn(), progress.TimeElapsedColumn(),
                                 transient=True)

    def advance(self, step=1):
        self.done += step
        if self.total and self.done > self.total:
            self.total = self.done
        if self.bar:
            self.bar.update(self.task, completed=self.done, total=self.total)
            return
        now = time.monotonic()
        if now - self.shown >= PLAIN_INTERVAL_S:
            self.shown = now
            say(f'{self.title}: {self._share()} after {now - self.began:.0f} s')

    def _share(self):
        return f'{100 * self.done // self.total} %' if self.total else f'{self.done} steps'
