# SPDX-License-Identifier: GPL-2.0
"""Builds one of the lab's kernels: build/NAME, from build/tree (stock: from build/base)."""
import argparse
import dataclasses
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

import common
from common import Fail, say
from lab.bench_store import options

BUILD = common.build_dir(common.REPO)
CONFIGS = common.REPO / 'configs'
# The core of the feature; its checks are an option that no kernel of objects only has.
ENGINE = tuple(sorted(f'mm/{path.stem}.o' for path in (common.REPO / 'mm').glob('page_reporting*.c')
                      if not path.stem.endswith('_debug')))


@dataclasses.dataclass(frozen=True)
class Kernel:
    """One kernel: its fragments on top of allnoconfig, and what to make of it."""
    about: str
    fragments: tuple
    targets: tuple = ('vmlinux', 'modules')
    source: str = 'tree'
    arguments: tuple = ()
    steps: int = 1300       # lines that a build from nothing prints
    arch: str = ''          # of the kernel, as its makefiles have it; this machine's by default
    defaults: tuple = ()    # files of the kernel's own to begin with, and Kconfig's defaults for the rest
    product: str = ''       # a last target, made only when the others had anything to do


KERNELS = {
    'guest': Kernel('what the demo and the tests boot', ('guest', 'x86', 'kunit', 'life'),
                    ('vmlinux', 'modules', 'bzImage')),
    'debug': Kernel('the same with lock, list and page checking',
                    ('guest', 'x86', 'kunit', 'debug', 'stress', 'sleep')),
    'kasan': Kernel('debug with KASAN', ('guest', 'x86', 'kunit', 'debug', 'stress', 'kasan')),
    'kcsan': Kernel('debug with KCSAN, strict', ('guest', 'x86', 'kunit', 'debug', 'stress', 'kcsan'),
                    ('bzImage', 'modules')),
    'off': Kernel('the feature configured out', ('guest', 'x86', 'off'),
                  ('vmlinux', 'modules', 'mm/page_alloc.o')),
    'nomigration': Kernel('without compaction and migration', ('guest', 'x86', 'nomigration')),
    'hyperv': Kernel('objects only: both drivers and the core, with W=1', ('guest', 'x86', 'hyperv'),
                     ('drivers/hv/hv_balloon.o', 'drivers/virtio/virtio_balloon.o', *ENGINE, 'mm/page_alloc.o'),
                     arguments=('W=1',), steps=160),
    'stock': Kernel('the unmodified base, to compare with', ('guest', 'x86', 'bench'), source='base'),
    'ours': Kernel('this series in the configuration of stock, for the bench', ('guest', 'x86', 'bench')),
    'stock-off': Kernel('stock without the feature', ('guest', 'x86', 'bench', 'off'), source='base'),
    'ours-off': Kernel('ours without the feature', ('guest', 'x86', 'bench', 'off')),
    'stock-trace': Kernel('stock with the irqsoff tracer', ('guest', 'x86', 'trace'), source='base'),
    'ours-trace': Kernel('ours with the irqsoff tracer', ('guest', 'x86', 'trace')),
    'stock-cache': Kernel('stock with a disk and what limits page cache', ('guest', 'x86', 'bench', 'cache'),
                          source='base'),
    'ours-cache': Kernel('ours with the same', ('guest', 'x86', 'bench', 'cache')),
    'fixes-stock': Kernel('stock in the configuration for the tests of fixes/', ('guest', 'x86', 'fixes', 'sleep'),
                          source='base'),
    'fixes-patched': Kernel('stock with the patches of fixes/', ('guest', 'x86', 'fixes', 'sleep'), source='patched'),
    'observe': Kernel('with perf, ftrace and BPF, for the examples of the guide', ('guest', 'x86', 'bench', 'observe')),
    'stock-userland': Kernel('stock with what boots a Debian userland',
                             ('guest', 'x86', 'bench', 'observe', 'cache', 'userland'), ('vmlinux', 'bzImage'),
                             source='base'),
    'ours-userland': Kernel('ours with the same; it boots the userland of the package, too',
                            ('guest', 'x86', 'bench', 'observe', 'cache', 'userland'), ('vmlinux', 'bzImage')),
    'arm64-4k': Kernel('arm64 with pages of 4 KiB, for tests', ('guest', 'arm64', 'pages-4k', 'kunit'), ('Image',),
                       arch='arm64'),
    'arm64-64k': Kernel('the same with pages of 64 KiB', ('guest', 'arm64', 'pages-64k', 'kunit'), ('Image',),
                        arch='arm64'),
    'package': Kernel('a Debian package, for virtual machines', ('deb',), ('all',),
                      arguments=('KDEB_COMPRESS=zstd', 'KDEB_CHANGELOG_DIST=unstable', 'KDEB_PKGVERSION={release}-1'),
                      steps=4650, product='bindeb-pkg',
                      defaults=('arch/x86/configs/x86_64_defconfig', 'kernel/configs/kvm_guest.config')),
}

# Debian's, by the kernel's architecture.
CROSS_COMPILERS = {'arm64': 'aarch64-linux-gnu-'}
# Fixed, so that a build of the same source gives the same kernel and relinks nothing.
REPRODUCIBLE = {'KBUILD_BUILD_TIMESTAMP': 'Thu Jan  1 00:00:00 UTC 1970', 'KBUILD_BUILD_VERSION': '1',
                'KBUILD_BUILD_USER': 'lab', 'KBUILD_BUILD_HOST': 'lab', 'LOCALVERSION': '',
                # A package's build prints what any other prints
                'DEB_BUILD_OPTIONS': 'terse'}
STEP = re.compile(r'^  (?!GEN |CALL |DESCEND |INSTALL |CHK )[A-Z][A-Z0-9_]+ +\S')
ERROR = re.compile(r'(: (fatal )?error:|undefined reference|\*\*\* |No space left|Killed|cannot find)')


def build_env():
    cache = {'CCACHE_BASEDIR': str(common.REPO), 'CCACHE_NOHASHDIR': '1'}
    if not os.access(os.environ.get('HOME', ''), os.W_OK):
        cache['CCACHE_DIR'] = os.environ.get('CCACHE_DIR', str(BUILD / 'ccache'))
    return common.clean_env(**cache, **REPRODUCIBLE)


def architecture(name):
    """What selects another architecture than this machine's, as variables of make."""
    arch = KERNELS[name].arch
    return {'ARCH': arch, 'CROSS_COMPILE': CROSS_COMPILERS[arch]} if arch else {}


def make_command(name, *more):
    """make for one kernel, as a list; the lint checks use it too."""
    ccache, cross = 'ccache ' if shutil.which('ccache') else '', architecture(name)
    release = (common.read_json(BUILD / 'base.json') or {}).get('release', '')
    return ['make', '-C', str(BUILD / KERNELS[name].source), f'O={BUILD / name}', '--no-print-directory',
            f'-j{os.cpu_count()}', *(f'{key}={value}' for key, value in cross.items()),
            f"CC={ccache}{cross.get('CROSS_COMPILE', '')}gcc", f'HOSTCC={ccache}gcc',
            *(word.format(release=release) for word in KERNELS[name].arguments), *more]


# The configuration

def fragment_paths(name):
    """A fragment has a part that is for all bases, and may have one for this base alone."""
    paths = [folder / f'{fragment}.config' for fragment in KERNELS[name].fragments
             for folder in (CONFIGS, CONFIGS / common.BASE)]
    missing = [path for path in paths if path.parent == CONFIGS and not path.is_file()]
    if missing:
        raise Fail(f'configure {name}', f'{missing[0]} is missing')
    return [path for path in paths if path.is_file()]


def config_key(name, source):
    """Changes when the configuration has to be made anew."""
    key = hashlib.sha256(source['identity'].encode())
    state = common.read_json(BUILD / 'tree.json') if KERNELS[name].source == 'tree' else None
    for path, blob in sorted(state['files'].items() if state else ()):
        if pathlib.Path(path).name.startswith('Kconfig'):
            key.update(f'{path} {blob}\n'.encode())
    for path in fragment_paths(name):
        key.update(path.read_bytes())
    return key.hexdigest()


def configure(name, source):
    out, key = BUILD / name, config_key(name, source)
    stamp = common.read_json(out / '.lab.json') or {}
    if stamp.get('config') == key and (out / '.config').is_file():
        return
    out.mkdir(parents=True, exist_ok=True)
    others = KERNELS[name].defaults or ('-n',)
    command = ['scripts/kconfig/merge_config.sh', '-O', str(out), *others, *map(str, fragment_paths(name))]
    with open(BUILD / 'log' / f'{name}.config.log', 'w', encoding='utf-8') as log:
        done = subprocess.run(command, cwd=BUILD / KERNELS[name].source,
                              env={**build_env(), **architecture(name)}, check=False,
                              stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    if done.returncode:
        raise Fail(f'configure {name}', first_errors(pathlib.Path(log.name)), f'the whole log: {log.name}')
    check_config(name, out / '.config')
    common.write_json(out / '.lab.json', {'source': source['identity'], 'config': key})


def check_config(name, config):
    """Kconfig drops in silence what it cannot have; here that is an error."""
    wanted = options('\n'.join(path.read_text(encoding='utf-8') for path in fragment_paths(name)))
    have = options(config.read_text(encoding='utf-8'))
    lost = [f'{option}={value}' for option, value in wanted.items() if have.get(option, 'n') != value]
    if lost:
        (config.parent / '.lab.json').unlink(missing_ok=True)
        raise Fail(f'configure {name}', 'did not make it into the configuration: ' + ', '.join(lost),
                   f'look at the dependencies; the result is in {config}')


# The build

def source_state(name):
    """What is known about the source; also drops objects that came from another one."""
    record = BUILD / f'{KERNELS[name].source}.json'
    source = common.read_json(record)
    if not source or not (BUILD / KERNELS[name].source).is_dir():
        raise Fail(f'build {name}', f'there is no build/{KERNELS[name].source}', "run 'make tree' first")
    stamp, out = common.read_json(BUILD / name / '.lab.json'), BUILD / name
    if out.is_dir() and (not stamp or stamp['source'] != source['identity']):
        shutil.rmtree(out)
    return source


def compile_kernel(name, targets):
    """Runs make, the log on the side; returns whether anything had to be made."""
    # How many lines it will print is unknown when most of it is there already.
    log_path, total = BUILD / 'log' / f'{name}.log', KERNELS[name].steps
    total = None if (BUILD / name / '.lab.built').is_file() else total
    with open(log_path, 'w', encoding='utf-8') as log, common.Progress(f'build {name}', total) as progress, \
            subprocess.Popen(make_command(name, *targets), env=build_env(), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace') as make:
        try:
            for line in make.stdout:
                log.write(line)
                if STEP.match(line):
                    progress.advance()
        except BaseException:
            make.terminate()        # It does not outlive this one.
            raise
    if make.returncode:
        raise Fail(f'build {name}', first_errors(log_path), remedy_for(log_path))
    (BUILD / name / '.lab.built').touch()
    return progress.done


def make_with_product(name, targets, stamp):
    """Makes the targets and, unless that was nothing to do, the product; returns the steps.

    The stamp is not there meanwhile: an interrupted run leaves a product to be made.
    """
    was_there = stamp.is_file() and any(stamp.parent.glob('linux-image-*.deb'))
    stamp.unlink(missing_ok=True)
    steps = compile_kernel(name, targets)
    if steps or not was_there:
        steps += compile_kernel(name, (KERNELS[name].product,))
    common.write_atomic(stamp, b'')
    return steps


def first_errors(log):
    lines = log.read_text(encoding='utf-8', errors='replace').rstrip().split('\n')
    errors = [line for line in lines if ERROR.search(line)] or lines[-10:]
    return 'the first lines that went wrong:\n' + '\n'.join(f'    {line}' for line in errors[:8])


def remedy_for(log):
    full = 'No space left' in log.read_text(encoding='utf-8', errors='replace')
    return 'the disk is full; free some space, then run the same command again' if full else f'the whole log: {log}'


def build(name, targets):
    (BUILD / 'log').mkdir(parents=True, exist_ok=True)
    with common.locked(BUILD / 'log' / f'.{name}.lock', f'build {name}'):
        source = source_state(name)
        configure(name, source)
        if KERNELS[name].product and targets == KERNELS[name].targets:
            # Beside what was made, so that both go together
            steps = make_with_product(name, targets, BUILD / 'deb' / '.made')
        else:
            steps = compile_kernel(name, targets)
    say(f'build {name}: ' + (f'done, {steps} steps' if steps else 'nothing to do'))


def parse_args():
    table = '\n'.join(f'  {name:13}{kernel.about}' for name, kernel in KERNELS.items())
    parser = argparse.ArgumentParser(description=__doc__, epilog=f'kernels:\n{table}',
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('names', nargs='+', metavar='NAME[/TARGET]',
                        help="a kernel of the table below, or one of its build's targets, such as bzImage")
    parser.add_argument('--build', type=pathlib.Path, metavar='FOLDER',
                        help='where the trees are and the kernels go (default: build, or build/BASE)')
    args = parser.parse_args()
    if unknown := [name for name in args.names if name.partition('/')[0] not in KERNELS]:
        parser.error(f"no such kernel: {', '.join(unknown)}")
    return args


def main():
    global BUILD    # pylint: disable=global-statement
    args = parse_args()
    if args.build:
        BUILD = args.build.resolve()
    for word in args.names:
        name, _, target = word.partition('/')
        build(name, (target,) if target else KERNELS[name].targets)


if __name__ == '__main__':
    common.run_main('build', main)
