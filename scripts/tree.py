# SPDX-License-Identifier: GPL-2.0
"""Makes build/tree: the base kernel, our files laid over it, the hooks applied.

BASE=7.3 takes bases/7.3 instead of the default, and works in build/7.3. build/base is the pristine
source, build/tree the result. What the tree should hold is worked out in full before a byte of it
changes, and a file is written only when its content differs, so a second run changes no time stamp
and a hook that does not fit leaves the tree as it was.
"""
import argparse
import dataclasses
import itertools
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess

import archive
import common
from common import Fail, say

OVERLAY = ('include', 'mm', 'Documentation', 'tools', 'samples')
# Of this repository: what was measured, the tests of scripts/, and those of fixes/
NOT_OVERLAY = tuple('tools/testing/page_reporting/' + name for name in (
    'results/', 'pacing/results/', 'pacing/corpus/', 'tests/test_lint.py', 'tests/test_run.py', 'tests/test_series.py',
    'tests/test_setup.py', 'tests/test_texts.py', 'tests/test_tree.py',
    'tests/test_fixes.py', 'module/fixes.c', 'guest/hibernate.c'))
TARBALLS = ('.tar', '.tar.gz', '.tgz', '.tar.zst', '.tar.xz')
FIXES_FOR = '7.3'
COMPLAINT = re.compile(r'\w+: .+')      # of tar, among the names of files
BUILD_PRODUCT = re.compile(r'(\.(o|ko|a|mod|mod\.c|rej|orig)|/\.[^/]*\.cmd|/modules\.order)$'
                           r'|^(vmlinux[^/]*|\.tmp_[^/]*|System\.map|Module\.symvers)$')
BUILT_TRACES = ('.config', 'include/config', 'include/generated')


@dataclasses.dataclass
class Source:
    """Where the pristine kernel comes from; the identity changes when its content may have."""
    kind: str
    path: pathlib.Path
    identity: str
    version: str = ''
    files: tuple = ()


def digest(*parts):
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]


def blob_id(data):
    return hashlib.sha1(b'blob %d\0' % len(data) + data).hexdigest()


def content_of(path):
    """(content, executable) of a file; None where there is none."""
    return (path.read_bytes(), os.access(path, os.X_OK)) if path.is_file() else None


# The source

def output_of(command, **kwargs):
    return subprocess.run(command, capture_output=True, text=True, check=False,
                          env=common.clean_env(), **kwargs)


def package_source(fields, build, newest=False):
    """The base's package: of this machine's own archive, or of the suite that bases/ names."""
    package = fields.get('package', f'linux-source-{common.BASE}')
    if 'suite' not in fields:
        return installed_source(package)
    path, version = archive.fetch(build / 'archive', package, fields['suite'], fields.get('version'), newest)
    return Source('package', path, digest('archive', package, version), version)


def installed_source(package):
    remedy = "run 'make setup', or name a source of your own with KERNEL=path"
    try:
        version = output_of(['dpkg-query', '-W', '-f', '${Version}', package])
        listed = output_of(['dpkg-query', '-L', package])
    except FileNotFoundError:
        raise Fail('find the base', 'this is no Debian: there is no dpkg-query', remedy) from None
    tarballs = [p for p in listed.stdout.split('\n') if '/linux-source-' in p and '.tar' in p]
    if version.returncode or not version.stdout or not tarballs:
        raise Fail('find the base', f'the package {package} is not installed', remedy)
    path = pathlib.Path(tarballs[0])
    if not path.is_file():
        raise Fail('find the base', f'{path} is missing, though {package} is installed',
                   f'apt-get install --reinstall {package}')
    return Source('package', path, tarball_identity(path, version.stdout), version.stdout)


def tarball_identity(path, version=''):
    stat = path.stat()
    return digest('tarball', path.resolve(), stat.st_size, stat.st_mtime_ns, version)


def own_source(text, repo, build):
    """The user's KERNEL=: a directory or a tarball, which is only ever read."""
    path, step = pathlib.Path(text).expanduser(), f'KERNEL={text}'
    if not path.exists():
        raise Fail(step, 'there is no such file or directory')
    if not os.access(path, os.R_OK):
        raise Fail(step, 'not readable for this user')
    if path.is_dir():
        return directory_source(path.resolve(), step, repo, build)
    if not path.name.endswith(TARBALLS):
        raise Fail(step, 'neither a directory nor one of ' + ', '.join(TARBALLS))
    return Source('tarball', path, tarball_identity(path))


def directory_source(path, step, repo, build):
    """Its identity changes with the size or the time of any file."""
    if path == build or build in path.parents:
        raise Fail(step, f'lies in {build}, which this command writes to')
    kernel_release(path, step)
    files = tuple(directory_files(path, step, repo))
    stats = [(name, (path / name).lstat()) for name in files]
    listing = [(n, s.st_mode, s.st_size, s.st_mtime_ns) for n, s in stats]
    return Source('directory', path, digest('directory', path, listing), files=files)


def directory_files(path, step, repo):
    """What git tracks, as it stands in the directory; without git, all but build products."""
    git = ['git', '-c', 'safe.directory=*', '-c', 'core.fsmonitor=false', '-C', str(path)]
    if (path / '.git').exists() and shutil.which('git'):
        listed = output_of(git + ['ls-files', '-z'])
        if listed.returncode:
            raise Fail(step, f'git cannot list its files: {listed.stderr.strip()}')
        return sorted(n for n in set(listed.stdout.split('\0')) if n and os.path.lexists(path / n))
    return sorted(walk_files(path, repo))


def walk_files(path, skip=None):
    for folder, folders, names in os.walk(path):
        here = pathlib.Path(folder)
        folders[:] = [d for d in folders if d != '.git' and here / d != skip]
        links = [d for d in folders if (here / d).is_symlink()]
        for name in names + links:
            relative = str((here / name).relative_to(path))
            if skip is None or not BUILD_PRODUCT.search(relative):
                yield relative


def kernel_release(path, step):
    """The release that the top Makefile names; anything that is not ours to work on fails."""
    makefile = path / 'Makefile'
    if not makefile.is_file() or not (path / 'mm').is_dir():
        raise Fail(step, 'not a kernel source tree: it has no top Makefile or no mm/')
    found = dict(re.findall(r'^(VERSION|PATCHLEVEL|SUBLEVEL) *= *(\d+)$',
                            makefile.read_text(encoding='utf-8', errors='replace'), re.M))
    if 'VERSION' not in found or 'PATCHLEVEL' not in found:
        raise Fail(step, 'not a kernel source tree: its Makefile names no VERSION and PATCHLEVEL')
    series = f"{found['VERSION']}.{found['PATCHLEVEL']}"
    if series != common.BASE:
        known = (common.REPO / 'bases' / series).is_file()
        raise Fail(step, f'this is Linux {series}; the series is for {common.BASE}',
                   f'give BASE={series}' if known else '')
    return f"{series}.{found.get('SUBLEVEL', '0')}"


# The pristine base

def unpack(source, where, step):
    """Unpacks a tarball into where, showing how many files it has come to."""
    command, complaints = ['tar', '-x', '-v', '--no-same-owner', '-f', str(source.path), '-C', str(where)], []
    with common.Progress(f'tree: unpack {source.path.name}') as progress, subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace',
            env=common.clean_env(XZ_DEFAULTS='-T0')) as tar:
        for line in tar.stdout:
            progress.advance()
            complaints += [line.strip()] if COMPLAINT.match(line) else []
    if tar.returncode:
        full = any('No space left' in line for line in complaints)
        raise Fail(step, 'no space left while unpacking' if full else f'{source.path.name} does not unpack: '
                   + (complaints or ['tar failed'])[0], 'free about 4 GiB here, then run the same command again' if full
                   else 'the file may be cut short; fetch it again')


def copy_files(origin, names, target, title, copy=shutil.copy2):
    with common.Progress(title, len(names)) as progress:
        for name in names:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            copy(origin / name, target / name, follow_symlinks=False)
            progress.advance()


def top_of(folder):
    """Tarballs hold one top directory; some hold the tree itself."""
    entries = list(folder.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else folder


def replace_dir(new, old, parent):
    """Puts a finished directory in place; the previous one goes only after that."""
    with common.fresh_dir(parent, 'trash') as trash:
        if old.exists():
            old.rename(trash / 'old')
        new.rename(old)


def scrub(path):
    """A directory without git may hold a build; it must not leak into ours."""
    if not any((path / trace).exists() for trace in BUILT_TRACES):
        return
    say('tree: make mrproper in the copy')
    done = output_of(['make', '-s', 'mrproper'], cwd=path)
    if done.returncode:
        raise Fail('make mrproper in the copy', done.stderr.strip().split('\n')[-1])


def make_base(source, build):
    """Brings build/base up to date with the source; returns what is known about it."""
    base, record = build / 'base', build / 'base.json'
    known = common.read_json(record)
    if known and known['identity'] == source.identity and base.is_dir():
        return known
    step = 'unpack the base' if source.kind == 'package' else f'KERNEL={source.path}'
    with common.fresh_dir(build, 'base') as temp:
        if source.kind == 'directory':
            copy_files(source.path, source.files, temp, f'tree: copy {source.path}')
            scrub(temp)
        else:
            unpack(source, temp, step)
        top = top_of(temp)
        known = {'identity': source.identity, 'kind': source.kind, 'version': source.version,
                 'release': kernel_release(top, step)}
        record.unlink(missing_ok=True)
        replace_dir(top, base, build)
    common.write_json(record, known)
    return known


# What the tree should hold

def overlay_files(repo):
    """Path in the kernel -> (content, executable), for the files that are ours alone."""
    wanted = {name: content_of(repo / name) for name in common.our_files(repo, *OVERLAY)
              if not name.startswith(NOT_OVERLAY)}
    if kconfig := content_of(repo / 'Kconfig'):
        wanted['mm/Kconfig.page_reporting'] = kconfig
    return wanted


def hook_names(repo):
    """The hooks of this base in the order of hooks/series, as paths below hooks/.

    A hook is there once, for all bases, or in the folder of each base that needs one.
    """
    series = repo / 'hooks' / 'series'
    if not series.is_file():
        raise Fail('hooks', 'hooks/series is missing')
    lines = [line.split('#')[0].strip() for line in series.read_text(encoding='utf-8').split('\n')]
    names = [line for line in lines if line]
    present = {}
    for path in sorted((repo / 'hooks').rglob('*.patch')):
        present.setdefault(path.name, []).append(path.parent.name)
    for name in names:
        if name not in present:
            raise Fail('hooks', f'hooks/series names {name}, which is not there')
        if 'hooks' in present[name] and len(present[name]) > 1:
            alone = next(folder for folder in present[name] if folder != 'hooks')
            raise Fail('hooks', f'hooks/{name} is for all bases, and there is one for {alone} alone')
    for name in sorted(set(present) - set(names)):
        raise Fail('hooks', f'hooks/{name} is not in hooks/series')
    folders = {name: f'{common.BASE}/' if common.BASE in present[name] else '' for name in names}
    return [folders[name] + name for name in names if folders[name] or 'hooks' in present[name]]


def hook_sections(repo, name):
    """The files that a patch touches, each with its hunks."""
    text = (repo / name).read_text(encoding='utf-8')
    parts = re.split(r'^diff --git a/(\S+) b/\S+\n', text, flags=re.M)
    sections = {path: re.split(r'^(?=@@ )', body, flags=re.M)[1:]
                for path, body in zip(parts[1::2], parts[2::2])}
    if not sections:
        raise Fail(name, 'not a patch as git format-patch writes it')
    return sections


def apply_patches(repo, names, base, scratch, ours=()):
    """Applies patches in this order, to copies of just the files that they touch."""
    touched, tested = {}, read_base_file(repo / 'bases' / common.BASE)[1]
    for name in names:
        sections = hook_sections(repo, name)
        for path in sections:
            if path in ours:
                raise Fail(name, f'touches {path}, which is our own file')
            if path not in touched:
                fetch_original(name, base / path, scratch / path)
            touched[path] = name
        for path, note in apply_hook(repo, name, sections, scratch):
            if blob_id((base / path).read_bytes()) != tested.get(path):
                say(f'tree: note: {name}: {path}: {note}')
    return {path: ((scratch / path).read_bytes(), os.access(base / path, os.X_OK)) for path in touched}


def fetch_original(name, original, copy):
    if not original.is_file():
        raise Fail(name, f'{copy.name} is not in this kernel: {original}',
                   'a new file belongs in the overlay, not in a hook')
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(original, copy)


def apply_hook(repo, name, sections, scratch):
    """Applies one patch; returns (path, where) of each hunk that applies elsewhere."""
    with open(repo / name, 'rb') as text:
        done = output_of(['patch', '-p1', '--fuzz=0', '--batch', '--forward', '--reject-file=-',
                          '--no-backup-if-mismatch', '--unified'], stdin=text, cwd=scratch)
    path, moves = None, []
    for line in done.stdout.split('\n'):
        if line.startswith('patching file '):
            path = line[len('patching file '):].strip("'")
        elif moved := re.search(r'Hunk #(\d+) succeeded at .*\((offset .*)\)', line):
            moves.append((path, f'hunk #{moved[1]} applies at an {moved[2]}'))
        elif failed := re.search(r'Hunk #(\d+) FAILED', line):
            misfit(name, path, int(failed[1]), sections)
        elif 'previously applied' in line:
            raise Fail(name, f'{path} has this change already', 'use a kernel without our series')
    if done.returncode:
        raise Fail(name, f'patch says: {(done.stdout + done.stderr).strip()}')
    return moves


def misfit(name, path, number, sections):
    hunk = re.sub(r'\n-- \n.*', '', sections[path][number - 1], flags=re.S).rstrip()
    what = 'our file' if name.startswith('compat/') else 'this kernel'
    raise Fail(name, f'{path}: hunk #{number} does not fit {what}; the tree stays as it was\n{hunk}',
               f"use the kernel that bases/{common.BASE} names, or bring the patch up to date")


def apply_compat(repo, scratch, wanted):
    """What our own files need on this base alone: files of its own, and patches to ours."""
    folder = repo / 'compat' / common.BASE
    names = common.our_files(repo, str(folder.relative_to(repo))) if folder.is_dir() else []
    patches = [name for name in names if name.endswith('.patch')]
    changed = {}
    for name in set(names) - set(patches):
        path = str((repo / name).relative_to(folder))
        if path in wanted:
            raise Fail(name, f'{path} is there already', 'change our file by a patch')
        changed[path] = content_of(repo / name)
    for name in patches:
        sections = hook_sections(repo, name)
        for path in sections:
            if path not in wanted:
                raise Fail(name, f'touches {path}, which is not our file', 'a change of the kernel is a hook')
            if path not in changed:
                common.write_atomic(scratch / path, *wanted[path])
        apply_hook(repo, name, sections, scratch)
        changed.update({path: ((scratch / path).read_bytes(), wanted[path][1]) for path in sections})
    return changed


def add_entries(kernel_text, our_text):
    """The kernel's MAINTAINERS with our sections, each where the order of titles puts it."""
    head, *blocks = re.split(r'\n\n(?=[^\s].*\n[A-Z]:\t)', kernel_text.rstrip('\n'))
    for ours in re.split(r'\n\n+', our_text.strip('\n')):
        title = sort_key(ours)
        blocks = [b for b in blocks if sort_key(b) != title]
        # The gap with the fewest titles on the wrong side: strays elsewhere do not mislead it.
        wrong = list(itertools.accumulate((1 if sort_key(b) > title else -1 for b in blocks), initial=0))
        blocks.insert(wrong.index(min(wrong)), ours)
    return '\n\n'.join([head, *blocks]) + '\n'


def sort_key(block):
    return block.split('\n')[0].upper().replace('THE REST', 'ZZZZZZ')


def maintainers(repo, base):
    ours, kernels = repo / 'MAINTAINERS', base / 'MAINTAINERS'
    if not ours.is_file() or not kernels.is_file():
        return {}
    text = kernels.read_text(encoding='utf-8', errors='surrogateescape')
    merged = add_entries(text, ours.read_text(encoding='utf-8'))
    return {'MAINTAINERS': (merged.encode(errors='surrogateescape'), False)}


def wanted_files(repo, base, build):
    wanted = overlay_files(repo)
    with common.fresh_dir(build, 'hooks') as scratch:
        wanted.update(apply_patches(repo, [f'hooks/{name}' for name in hook_names(repo)], base, scratch, wanted))
    with common.fresh_dir(build, 'compat') as scratch:
        wanted.update(apply_compat(repo, scratch, wanted))
    wanted.update(maintainers(repo, base))
    return wanted


# bases/

def read_base_file(path):
    """(fields, blobs) of a file of bases/; nothing where there is none."""
    fields, blobs = {}, {}
    if not path.is_file():
        return fields, blobs
    for line in path.read_text(encoding='utf-8').split('\n'):
        words = line.split('#')[0].split()
        if len(words) == 3 and words[0] == 'blob':
            blobs[words[2]] = words[1]
        elif len(words) == 2:
            fields[words[0]] = words[1]
        elif words:
            raise Fail(f'bases/{path.name}', f'cannot read the line {line!r}', "'make base' writes it anew")
    return fields, blobs


def write_base_file(path, known, blobs):
    if known['kind'] != 'package':
        raise Fail(f'bases/{path.name}', 'only the Debian package can be the base', 'run it without KERNEL=')
    fields = read_base_file(path)[0]
    package = fields.get('package', f'linux-source-{path.name}')
    lines = ['# A kernel that this series is written for and tested on: a Debian package, the suite',
             "# where it is unless that is the machine's own, its version, and the git blob id of each",
             '# of its files that we replace or hook into.',
             '# Written by: make base', f'package {package}',
             *(f'{key} {fields[key]}' for key in ('suite',) if key in fields),
             f"version {known['version']}", f"upstream {known['release']}",
             *(f'blob {blobs[path]} {path}' for path in sorted(blobs))]
    common.write_atomic(path, ('\n'.join(lines) + '\n').encode())
    say(f"tree: bases/{path.name} names {package} {known['version']}, {len(blobs)} files")


def warn_of_drift(path, known, blobs):
    """A base that moved is no reason to stop as long as the hooks fit."""
    if not path.is_file():
        say(f"tree: warning: there is no bases/{path.name} to compare with; 'make base' writes it")
        return
    fields, tested = read_base_file(path)
    moves = []
    if known['kind'] == 'package' and known['version'] != fields.get('version'):
        moves.append(f"{fields.get('package')} {fields.get('version')} -> {known['version']}")
    elif known['release'] != fields.get('upstream'):
        moves.append(f"Linux {fields.get('upstream')} -> {known['release']}")
    moves += [f'{name} changed' if name in tested else f'{name} is touched, but not in bases/{path.name}'
              for name in sorted(blobs) if blobs[name] != tested.get(name)]
    moves += [f'{name} is gone' for name in sorted(set(tested) - set(blobs))]
    for move in moves:
        say(f'tree: warning: the base moved: {move}')
    if moves:
        say(f'tree: warning: the hooks still fit, going on; bases/{path.name} names what was tested')


# The tree

def make_tree(build, known, name='tree', base=None, copy=shutil.copy2):
    """The state of a tree of this very base, build/NAME; it is made from scratch when the base is another."""
    tree, record, base = build / name, build / f'{name}.json', base or build / 'base'
    state = common.read_json(record)
    if state and state['identity'] == known['identity'] and tree.is_dir():
        return state
    with common.fresh_dir(build, name) as temp:
        copy_files(base, sorted(walk_files(base)), temp, 'tree: copy the base', copy)
        record.unlink(missing_ok=True)
        replace_dir(temp, tree, build)
    state = {'identity': known['identity'], 'files': {}}
    common.write_json(record, state)
    return state


def install(build, state, wanted, name='tree'):
    """Makes build/NAME hold what is wanted, None for no such file; returns the paths that changed."""
    tree, base, record = build / name, build / 'base', build / f'{name}.json'
    gone = {path: content_of(base / path) for path in set(state['files']) - set(wanted)}
    changed = [p for p, want in sorted({**wanted, **gone}.items()) if content_of(tree / p) != want]
    if changed or set(state['files']) != set(wanted):
        common.write_json(record, {**state, 'files': {**dict.fromkeys(wanted, ''), **state['files']}})
    for path in changed:
        keep_edit(tree, path, state['files'].get(path))
        want = wanted.get(path, gone.get(path))
        if want:
            common.write_atomic(tree / path, *want)
        else:
            remove(tree, base, path)
    common.write_json(record, {**state, 'files': {p: blob_id(w[0]) if w else '' for p, w in wanted.items()}})
    return changed


def keep_edit(tree, path, installed):
    """Somebody worked on the tree itself; that work is not ours to throw away."""
    there = content_of(tree / path)
    if not installed or not there or blob_id(there[0]) == installed:
        return
    common.write_atomic(tree.parent / 'edited' / path, *there)
    say(f'tree: warning: {path} was edited in the tree; that version is in {tree.parent.name}/edited/{path}')


def patch_base(repo, build, known):
    """Makes build/BASE/patched, the base with the patches of fixes/; returns the paths that changed."""
    if common.BASE != FIXES_FOR:
        raise Fail('fixes', f'the patches in fixes/ are for Linux {FIXES_FOR}', f'give BASE={FIXES_FOR}')
    names = [f'fixes/{path.name}' for path in sorted((repo / 'fixes').glob('*.patch'))]
    with common.fresh_dir(build, 'fixes') as scratch:
        wanted = apply_patches(repo, names, build / 'base', scratch)
    return install(build, make_tree(build, known, 'patched'), wanted, 'patched')


def remove(tree, base, path):
    (tree / path).unlink()
    for folder in (tree / path).parents:
        if folder == tree or (base / folder.relative_to(tree)).exists() or any(folder.iterdir()):
            return
        folder.rmdir()


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--repo', type=pathlib.Path, default=common.REPO, help='where our files are')
    parser.add_argument('--build', type=pathlib.Path, help='where to work (default: REPO/build, or REPO/build/BASE)')
    parser.add_argument('--kernel', default=os.environ.get('KERNEL', ''),
                        help='your own tree or tarball; only read (default: $KERNEL, else the package)')
    parser.add_argument('--update-base', action='store_true',
                        help='rewrite the file in bases/ from the package, the newest that the archive has')
    parser.add_argument('--fixes', action='store_true',
                        help=f'make build/{FIXES_FOR}/patched instead: the base with the patches of fixes/')
    return parser.parse_args()


def main():
    args = parse_args()
    repo = args.repo.resolve()
    if common.BASE != common.DEFAULT_BASE and not (repo / 'bases' / common.BASE).is_file():
        known = ', '.join(sorted(path.name for path in (repo / 'bases').glob('[0-9]*')))
        raise Fail(f'BASE={common.BASE}', 'there is no such base',
                   f'BASE is one of {known or common.DEFAULT_BASE}; without it, the base is {common.DEFAULT_BASE}')
    build = (args.build or common.build_dir(repo)).resolve()
    record = repo / 'bases' / common.BASE
    with common.locked(build / '.tree.lock', 'tree'):
        source = own_source(args.kernel, repo, build) if args.kernel else \
            package_source(read_base_file(record)[0], build, args.update_base)
        known = make_base(source, build)
        if args.fixes:
            changed = patch_base(repo, build, known)
            say(f'fixes: {len(changed)} files changed' if changed else 'fixes: nothing to do')
            return
        wanted = wanted_files(repo, build / 'base', build)
        originals = ((path, build / 'base' / path) for path in sorted(wanted))
        blobs = {path: blob_id(original.read_bytes()) for path, original in originals if original.is_file()}
        if args.update_base:
            write_base_file(record, known, blobs)
        warn_of_drift(record, known, blobs)
        changed = install(build, make_tree(build, known), wanted)
    summary = f"{len(changed)} files updated" if changed else 'nothing to do'
    say(f"tree: {summary} (Linux {known['release']}, {len(wanted)} files of ours or hooked)")
    for path in changed[:5] if len(changed) <= 5 else ():
        say(f'tree:   {path}')


if __name__ == '__main__':
    common.run_main('tree', main)
