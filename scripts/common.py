# SPDX-License-Identifier: GPL-2.0
"""What the scripts share: what they have of the lab, where things are, and which files are ours."""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import time

REPO = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO / 'tools' / 'testing' / 'page_reporting'))

from lab.display import Progress                                            # noqa: E402 (after the way to it)
from lab.errors import LabError as Fail, run_main                           # noqa: E402
from lab.files import fresh_dir, locked, read_json, write_atomic, write_json  # noqa: E402
from lab.paths import BASE, DEFAULT_BASE                                    # noqa: E402

__all__ = ('BASE', 'DEFAULT_BASE', 'Fail', 'Gone', 'Progress', 'REPO', 'build_dir', 'clean_env', 'fresh_dir', 'locked',
           'our_files', 'parse_names', 'read_json', 'run_checks', 'run_main', 'say', 'write_atomic', 'write_json')

# Left over from an outer make or a user's own kernel work; each changes what gets built.
FOREIGN_ENV = ('MAKEFLAGS', 'MFLAGS', 'MAKELEVEL', 'MAKEOVERRIDES', 'MAKEFILES', 'KBUILD_OUTPUT',
               'KBUILD_EXTRA_WARN', 'KCFLAGS', 'KAFLAGS', 'KCPPFLAGS', 'KCONFIG_CONFIG',
               'KCONFIG_ALLCONFIG', 'CROSS_COMPILE', 'LLVM', 'LOCALVERSION', 'W', 'C', 'V', 'M', 'O',
               'CF', 'CHECK', 'ARCH', 'SUBARCH', 'GREP_OPTIONS', 'CDPATH')


class Gone(Fail):
    """The package archive no longer has a base's source: a reason to skip it."""
    exit_code = 4


def build_dir(repo):
    """Where the trees and kernels of a base are; the default's are at the top of build/."""
    return repo / 'build' if BASE == DEFAULT_BASE else repo / 'build' / BASE


def say(text):
    print(text, flush=True)


def clean_env(**more):
    """The environment for tools whose output is read or whose result is kept."""
    env = {k: v for k, v in os.environ.items() if k not in FOREIGN_ENV}
    env.update(LC_ALL='C', **more)
    return env


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
    return sorted({n for n in names if n and (repo / n).is_file() and not (repo / n).is_symlink()})


# Programs that run checks by name

def checks_of(namespace):
    """{name: function} of a module's functions check_NAME, which return what is wrong, as lines."""
    return {name[len('check_'):].replace('_', '-'): function for name, function in list(namespace.items())
            if name.startswith('check_')}


def parse_names(doc, checks, *options):
    """The arguments of such a program: names of checks, and (option, settings) pairs."""
    table = '\n'.join(f'  {name:12}{function.__doc__}' for name, function in checks.items())
    parser = argparse.ArgumentParser(description=doc, epilog=f'checks, all of them by default:\n{table}',
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('names', nargs='*', metavar='NAME')
    for option, settings in options:
        parser.add_argument(option, **settings)
    args = parser.parse_args()
    if unknown := [name for name in args.names if name not in checks]:
        parser.error(f"no such check: {', '.join(unknown)}; there are: {', '.join(checks)}")
    return args


def run_checks(program, checks, names, *arguments):
    """Runs those of these names, or all; says how each went: {name: whether it passed}."""
    passed = {}
    for name in names or checks:
        began = time.monotonic()
        try:
            lines = checks[name](*arguments)
        except Fail as fail:
            lines = str(fail).split('\n')
        for line in lines:
            say(f'    {line}')
        verdict = 'FAILED' if lines else f'ok ({checks[name].__doc__})'
        say(f'{program} {name}: {verdict}, {time.monotonic() - began:.0f} s')
        passed[name] = not lines
    return passed
