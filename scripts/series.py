# SPDX-License-Identifier: GPL-2.0
"""Makes the series: the tree's changes as commits and patches, one idea each.

What is developed is the tree; docs/series.md says in which steps, the files of series/, it comes about. Steps are taken
away from the tree, the last one first. The lab is in the tree, but in no step.

    series make             build/series/*.patch
    series edit             build/series-git, a small repository with the steps as commits, and on
                            top of them what the tree has that they have not
    series save             series/ from the commits of build/series-git, once they make the tree
    series install          commits on a new branch of your own 6.12 tree
"""
import argparse
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import textwrap

import common
import pieces
import tree
from common import Fail, say
from lab.errors import BadInput

STEP_NAME = re.compile(r'^\d{4}-[a-z0-9-]+\.patch$')
COVER = 'cover-letter'
LAB = 'tools/testing/page_reporting/'
# takes: PATH, [BASE ...] where not all bases have the file, or : and what of it
TAKES = re.compile(r'takes: ([^\s:\[\]]+)(?: \[([\d. ]+)\])?(?:: (\S.*))?')
PART = re.compile(r'part: ([a-z0-9-]+)')
SIGNOFF = re.compile(r'[^<>@\s][^<>@\n]* <[^\s<>@]+@[^\s<>@]+>')
MARKER = re.compile(r'^\.\. results: .*\n', re.M)    # of scripts/texts.py
LINE = 110      # of a list of names


@dataclasses.dataclass
class Step:
    """One commit: what it says, the files that it takes, what it takes of others, its diff of others."""
    name: str
    message: str
    takes: list
    diff: str = ''
    revertible: bool = False
    part: str = ''          # of the series that begins with it
    pieces: dict = dataclasses.field(default_factory=dict)      # path: names
    bases: dict = dataclasses.field(default_factory=dict)       # path: the bases that have it

    @property
    def subject(self):
        return self.message.split('\n', 1)[0]

    def taken(self):
        """The files that it takes on this base."""
        return [path for path in self.takes if common.BASE in self.bases.get(path, common.BASE).split()]

    def text(self):
        head = 'revertible\n' if self.revertible else ''
        head += f'part: {self.part}\n' if self.part else ''
        head += ''.join(f'takes: {path}' + (f' [{self.bases[path]}]' if path in self.bases else '') + '\n'
                        for path in self.takes)
        head += ''.join(f'takes: {path}: {line}\n' for path, names in self.pieces.items()
                        for line in textwrap.wrap(' '.join(names), LINE - len(path), break_long_words=False,
                                                  break_on_hyphens=False))
        return f'{self.message.rstrip()}\n---\n{head}{self.diff}'


def parse_step(name, text):
    message, line, rest = text.partition('\n---\n')
    head, mark, diff = rest.partition('diff --git ')
    if not line or not message.strip():
        raise Fail(f'series/{name}', 'no message, or no line ---', 'a message, a line ---, lines "takes: PATH", a diff')
    step = Step(name, message + '\n', [], mark + diff)
    for words in filter(None, head.split('\n')):
        takes, part = TAKES.fullmatch(words), PART.fullmatch(words)
        if takes and takes[3]:
            step.pieces.setdefault(takes[1], []).extend(takes[3].split())
        elif takes:
            step.takes.append(takes[1])
            step.bases.update({takes[1]: takes[2]} if takes[2] else {})
        elif part:
            step.part = part[1]
        elif words == 'revertible':
            step.revertible = True
        else:
            raise Fail(f'series/{name}', f'cannot read {words!r}', 'a message, a line ---, lines "takes: PATH", a diff')
    return step


def read_steps(repo):
    folder = repo / 'series'
    names = sorted(path.name for path in folder.glob('*.patch'))
    wrong = [name for name in names if not STEP_NAME.match(name)]
    if wrong or not names:
        raise Fail('series', f'series/{wrong[0]} is no name of a step' if wrong else 'there are no steps',
                   'name steps 0001-what-it-does.patch')
    return [parse_step(name, (folder / name).read_text(encoding='utf-8')) for name in names]


# A repository of the files that the series touches, and of no others

class Repository:
    """Git in a folder, with nobody's settings but ours."""

    def __init__(self, folder, identity):
        self.folder = folder
        ours = {k: v for k, v in common.clean_env().items() if not k.startswith('GIT_')}
        self.env = {**ours, 'GIT_CONFIG_GLOBAL': os.devnull, 'GIT_CONFIG_SYSTEM': os.devnull, 'TZ': 'UTC', **identity}

    def run(self, *words, given=None, env=None):
        """Git's exit status, what it prints, what it complains of."""
        # The folder may be another user's, as with KERNEL=
        done = subprocess.run(['git', '-c', 'safe.directory=*', '-c', 'core.fsmonitor=false', *words],
                              cwd=self.folder, env={**self.env, **(env or {})}, input=given, capture_output=True,
                              check=False)
        return done.returncode, done.stdout.decode(errors='surrogateescape'), done.stderr.decode(errors='replace')

    def git(self, *words, given=None, step='series', env=None):
        """What git prints; Fail with what it says if it does not succeed."""
        status, printed, complaint = self.run(*words, given=given, env=env)
        if status:
            raise Fail(step, f'git {words[0]} says: {(complaint or printed).strip()}')
        return printed

    def put(self, files):
        """Write, or remove where it is None, {path: (content, executable)}."""
        for path, want in files.items():
            if want:
                common.write_atomic(self.folder / path, *want)
            else:
                (self.folder / path).unlink(missing_ok=True)
        self.git('add', '-A', '-f')        # some of these files are named .gitignore

    def tree_id(self):
        return self.git('write-tree').strip()

    def commit(self, tree_id, message, *parents):
        words = [word for parent in parents for word in ('-p', parent)]
        return self.git('commit-tree', tree_id, *words, '-F', '-', given=message.encode()).strip()


def identity_of(repo):
    """Who the commits are by, and when: of the last commit here, so that they are the same each time."""
    status, shown, _ = Repository(repo, {}).run('log', '-1', '--format=%an%n%ae%n%ad', '--date=raw')
    if status:
        raise Fail('series', 'no commit to take the author and the date from',
                   'work in a clone of the repository')
    name, email, date = shown.strip().split('\n')
    return {f'GIT_{role}_{what}': value for role in ('AUTHOR', 'COMMITTER')
            for what, value in (('NAME', name), ('EMAIL', email), ('DATE', date))}


def originals(base, wanted):
    """The base's content of each file that the series touches; None where it has none."""
    return {path: tree.content_of(base / path) for path in wanted}


def leave_pieces(git, step, where):
    """Takes the step's pieces out of the files that have them."""
    changed = {}
    for path, names in step.pieces.items():
        have = tree.content_of(git.folder / path)
        if not have:
            raise Fail(where, f'takes a part of {path}, which is not there before', 'see "make series-edit"')
        text = have[0].decode(errors='surrogateescape')
        lost = [name for name in names if name not in pieces.names(text)]
        if lost:
            raise Fail(where, f'{path} has no {lost[0]}', 'see "make series-edit"')
        changed[path] = (pieces.without(text, set(names)).encode(errors='surrogateescape'), have[1])
    git.put(changed)


def take_away(git, step, before):
    """From the state after a step to the one before it."""
    where = f'series/{step.name}'
    leave_pieces(git, step, where)
    if step.diff:
        git.git('apply', '-R', '--index', '--whitespace=nowarn', '-', given=step.diff.encode(), step=where)
    for path in step.taken():
        if path not in before:
            raise Fail(where, f'takes {path}, which the tree has not', 'see "make series-edit"')
    git.put({path: before[path] for path in step.taken()})


def check_takes(steps):
    """A file comes with one step; what another changes in it is a diff."""
    taker = {}
    for step in steps:
        for path in step.taken():
            if path in taker:
                raise Fail(f'series/{step.name}', f'takes {path}, as {taker[path]} does')
            taker[path] = step.name


def states(git, steps, wanted, before):
    """The tree ids of all states, from the base to the tree."""
    check_takes(steps)
    git.put(before)
    base = git.tree_id()
    git.put(wanted)
    found = [git.tree_id()]
    for step in reversed(steps):
        take_away(git, step, before)
        found.insert(0, git.tree_id())
    left = git.git('diff-tree', '-r', '--name-only', base, found[0]).split()
    if left:
        raise Fail('series', f'{", ".join(left)}: belongs to no step, or a diff of it to no step that took it',
                   f'add "takes: {left[0]}" to a file in series/')
    return found


def signed_off(git, message, who):
    """A message with the line of who signs off, which git puts where it belongs."""
    if not who:
        return message
    return git.git('interpret-trailers', '--if-exists=addIfDifferent', '--trailer', f'Signed-off-by: {who}',
                   given=message.encode())


def stack(git, steps, wanted, base, who=''):
    """The steps as commits: their ids, the base's first."""
    found = states(git, steps, wanted, originals(base, wanted))
    ids = [git.commit(found[0], 'The base\n')]
    for step, tree_id in zip(steps, found[1:]):
        ids.append(git.commit(tree_id, signed_off(git, step.message, who), ids[-1]))
    git.git('reset', '-q', '--hard', ids[-1])
    return ids


def started(folder, repo):
    """An empty repository in this folder."""
    git = Repository(folder, identity_of(repo))
    folder.mkdir(parents=True, exist_ok=True)
    git.git('init', '-q', '-b', 'series')
    git.git('config', 'core.autocrlf', 'false')
    return git


def series_files(repo, base, build):
    """What the series makes: the tree without the lab."""
    wanted = tree.wanted_files(repo, base, build)
    return {path: want for path, want in wanted.items() if not path.startswith(LAB)}


def load_base(build):
    known = common.read_json(build / 'base.json')
    if not known:
        raise Fail('series', 'there is no base yet', "'make tree' unpacks it")
    return build / 'base'


# make

def parts_of(steps):
    """(name, steps) of each series; a single one has no name."""
    parts = []
    for step in steps:
        if step.part or not parts:
            parts.append((step.part, []))
        parts[-1][1].append(step)
    return parts


def cover_of(repo, build, name):
    """A cover letter without the lines that say where a table is, and with the base that it is for."""
    path = repo / 'series' / name
    if not path.is_file():
        raise Fail('series', f'series/{name} is missing')
    known = common.read_json(build / 'base.json')
    base = f"Linux {known['release']}" + (f", as Debian ships it: linux-source-{common.BASE} {known['version']}"
                                         if known.get('version') else '')
    return MARKER.sub('', path.read_text(encoding='utf-8')).replace('@BASE@', base)


def write_patches(repo, build, git, steps, ids, out):
    """What git format-patch makes of the commits, and the cover letters."""
    done = 0
    for part, members in parts_of(steps):
        name = f'{COVER}-{part}' if part else COVER
        end = done + len(members)
        git.git('checkout', '-q', '-B', 'part', ids[end])
        git.git('config', 'branch.part.description', cover_of(repo, build, name))
        git.git('format-patch', '-q', '-B40%/70%', '--full-index', '--zero-commit', '--no-signature', '--cover-letter',
                '--cover-from-description=subject', *version_words(), '-o', str(out / part), f'{ids[done]}..part')
        done = end


def signer():
    """Who signs off, with SIGNOFF=; a mistake is found before anything is made."""
    who = os.environ.get('SIGNOFF', '').strip()
    if who and not SIGNOFF.fullmatch(who):
        raise BadInput(f'SIGNOFF={who}', 'not a name and a mail address: SIGNOFF="Name <name@example.org>"')
    return who


def version_words():
    """What has format-patch say [PATCH v2], with VERSION=2."""
    version = os.environ.get('VERSION', '')
    if not version:
        return []
    if not re.fullmatch(r'[1-9]\d{0,2}', version):
        raise BadInput(f'VERSION={version}', 'not a version of a series: give a whole number from 1 to 999')
    return [f'-v{version}']


def uncommitted(repo):
    """Files that go into the patches and that no commit has as they are."""
    git = Repository(repo, {})
    status = git.git('status', '--porcelain', '-uall', '--', *tree.OVERLAY, 'hooks', 'series', 'Kconfig', 'MAINTAINERS')
    return [line[3:] for line in status.split('\n') if line and not line[3:].startswith(LAB)]


def make(repo, build):
    base = load_base(build)
    version_words()
    steps, who = read_steps(repo), signer()
    with common.fresh_dir(build, 'series') as temp:
        git = started(temp / 'git', repo)
        ids = stack(git, steps, series_files(repo, base, build), base, who)
        write_patches(repo, build, git, steps, ids, temp / 'out')
        tree.replace_dir(temp / 'out', build / 'series', build)
    for name in uncommitted(repo)[:3]:
        say(f'series: warning: {name} is in no commit as it is here: the patches have what nobody else can make')
    counts = [f'{len(members)} in {part}' for part, members in parts_of(steps) if part]
    say(f'series: {len(ids) - 1} patches in {build.name}/series' + (': ' if counts else '') + ', '.join(counts))


# edit, save

def last_saved(repo, build, temp):
    """(steps, wanted files) of the last commit here that touched series/."""
    git = Repository(repo, {})
    commit = git.git('log', '-1', '--format=%H', '--', 'series').strip()
    if not commit:
        raise Fail('series edit', 'series/ was never committed')
    if git.git('status', '--porcelain', '--', 'series').strip():
        raise Fail('series edit', 'series/ has changes that are in no commit', 'commit them, or take them back')
    packed = temp / 'then.tar'
    git.git('archive', '-o', str(packed), commit)
    with tarfile.open(packed) as archive:
        archive.extractall(temp / 'then')
    return read_steps(temp / 'then'), series_files(temp / 'then', load_base(build), build)


def edit(repo, build):
    """Never over an edit that was not saved."""
    base, place = load_base(build), build / 'series-git'
    if place.exists():
        raise Fail('series edit', f'{build.name}/series-git is there already',
                   'save it with "make series-save", or remove it')
    with common.fresh_dir(build, 'series') as temp:
        steps, then = last_saved(repo, build, temp)
        now = series_files(repo, base, build)
        git = started(temp / 'git', repo)
        # Files of either, so that those that came or went are among the changes.
        both = {**dict.fromkeys(now), **then}
        both = {path: want or tree.content_of(base / path) for path, want in both.items()}
        ids = stack(git, steps, both, base)
        git.git('tag', 'base', ids[0])
        git.put({path: now.get(path) or tree.content_of(base / path) for path in both | now})
        if git.tree_id() != git.git('rev-parse', f'{ids[-1]}^{{tree}}').strip():
            git.git('commit', '-q', '-m', 'What the tree has, and the steps have not')
        shutil.move(temp / 'git', place)
    say(f'series: {build.name}/series-git has {len(steps)} steps as commits, and on top what the tree has changed: '
        'move it where it belongs (git rebase -i base), then "make series-save"')


def text_at(git, commit, path):
    return git.git('show', f'{commit}:{path}')


def new_pieces(git, commit, path):
    """The names of what a commit adds to a file, if that is C and they say where they are."""
    if not path.endswith(('.c', '.h', '.rst')) or path not in listing(git, commit):
        return []
    before, after = (pieces.names(text_at(git, rev, path)) for rev in (f'{commit}~', commit))
    order = [piece.name for piece in pieces.pieces_of(text_at(git, commit, path))]
    return [name for name in dict.fromkeys(order) if name in after - before and not name.startswith('?')]


def rest_of(git, commit, changed, taken):
    """The diff of a commit in files that are there before, without the pieces that are listed."""
    env = {'GIT_INDEX_FILE': str(git.folder / '.git' / 'index.rest')}
    git.git('read-tree', commit, env=env)
    for path, names in taken.items():
        text = pieces.without(text_at(git, commit, path), set(names))
        blob = git.git('hash-object', '-w', '--stdin', given=text.encode(errors='surrogateescape')).strip()
        git.git('update-index', '--cacheinfo', f'{listing(git, commit)[path].split()[0]},{blob},{path}', env=env)
    made = git.git('write-tree', env=env).strip()
    return git.git('diff-tree', '-r', '-p', '-U1', '--full-index', '--no-renames', f'{commit}~', made, '--', *changed)


def steps_of(git, commits, known):
    """The commits as steps: who touches a file first takes it, whoever does later has pieces and a diff.

    known: the steps that there are, by subject, for what a commit does not say
    """
    taken, steps = set(), []
    for number, commit in enumerate(commits, 1):
        paths = git.git('diff-tree', '-r', '--no-renames', '--name-only', f'{commit}~', commit).split()
        changed = [path for path in paths if path in taken]
        parts = {path: names for path in changed if (names := new_pieces(git, commit, path))}
        diff = rest_of(git, commit, changed, parts) if changed else ''
        message = git.git('log', '-1', '--format=%B', commit).rstrip() + '\n'
        subject = message.split('\n')[0]
        was = known.get(subject)
        new = set(paths) - taken
        bases = {path: names for path, names in (was.bases if was else {}).items()
                 if path in new or common.BASE not in names.split()}
        words = re.sub(r'[^a-z0-9]+', '-', subject.lower()).strip('-')
        steps.append(Step(f'{number:04}-{words[:52].rstrip("-")}.patch', message, sorted(new | set(bases)), diff,
                          bool(was and was.revertible), was.part if was else '', parts, bases))
        taken |= set(paths)
    return steps


def listing(git, tree_ish):
    """Path -> mode and blob."""
    lines = git.git('ls-tree', '-r', '-z', tree_ish).split('\0')
    return {path: blob for blob, path in (line.split('\t') for line in lines if line)}


def check_steps(repo, build, git, steps, commits):
    """Fails unless the steps give each of the commits, the base's first, and the last one is the tree."""
    base, step = load_base(build), 'series save'
    wanted = series_files(repo, base, build)
    for taking in steps:
        for path in set(taking.taken()) - set(wanted):
            raise Fail(step, f'"{taking.subject}" has {path}, which the tree has not',
                       'take it out of the commits, or bring it to the tree')
    # Files that the steps no longer touch are in the commits all the same, as the base has them.
    there = {path for commit in commits for path in listing(git, commit)}
    wanted = {**{path: tree.content_of(base / path) for path in there}, **wanted}
    with common.fresh_dir(build, 'series') as temp:
        proof = started(temp / 'git', repo)
        made = states(proof, steps, wanted, originals(base, wanted))
        proof.git('fetch', '-q', str(git.folder), 'HEAD')
        # From the last one, as what is wrong there is wrong in others.
        for number, (state, commit) in reversed(list(enumerate(zip(made, commits)))):
            if differ := proof.git('diff-tree', '-r', '--name-only', state, commit).split():
                what = 'the commits do not make the tree' if number == len(steps) else f'step {number} is another commit'
                raise Fail(step, f'{what}: {differ[0]}', 'give the commits what "make tree" gives')


def write_steps(folder, steps):
    """The new ones first: an interruption leaves what git knows, or can bring back."""
    for step in steps:
        common.write_atomic(folder / step.name, step.text().encode(errors='surrogateescape'))
    for path in folder.glob('*.patch'):
        if path.name not in {step.name for step in steps}:
            path.unlink()


def save(repo, build):
    place = build / 'series-git'
    if not (place / '.git').is_dir():
        raise Fail('series save', f'there is no {build.name}/series-git', '"make series-edit" makes it')
    git = Repository(place, identity_of(repo))
    if git.git('status', '--porcelain').strip():
        raise Fail('series save', f'{build.name}/series-git has changes that are in no commit', 'commit them')
    commits = git.git('rev-list', '--reverse', 'HEAD').split()
    before = read_steps(repo) if any((repo / 'series').glob('*.patch')) else []
    steps = steps_of(git, commits[1:], {step.subject: step for step in before})
    check_steps(repo, build, git, steps, commits)
    for step in steps:
        try:
            same = parse_step(step.name, step.text()) == step
        except Fail:
            same = False
        if not same:
            raise Fail('series save', f'"{step.subject}" would not be read as it is written',
                       'take the line --- out of its message')
    write_steps(repo / 'series', steps)
    for step in before:
        if (step.revertible or step.part or step.bases) and step.subject not in {new.subject for new in steps}:
            what = 'was revertible' if step.revertible else 'began a part' if step.part else 'had files of one base'
            say(f'series: note: "{step.subject}" {what}, and is no longer the subject of a step')
    say(f'series: {len(steps)} steps in series/; {build.name}/series-git can go')


# install

def place_for(kernel, branch):
    """The user's tree, a repository of the kernel, and its release, once it can take the branch."""
    path, step, name = pathlib.Path(kernel).expanduser().resolve(), f'KERNEL={kernel}', f'BRANCH={branch}'
    if not kernel or not path.is_dir():
        raise Fail(step, 'not a directory', f'name a git tree of Linux {common.BASE}')
    release, git = tree.kernel_release(path, step), Repository(path, {})
    if git.run('rev-parse', '--verify', '-q', 'HEAD^{commit}')[0]:
        raise Fail(step, 'not a git repository with a commit in it', 'git init, git add -A and git commit make one')
    if git.git('rev-parse', '--show-prefix').strip():
        raise Fail(step, 'a directory inside of another git repository', 'name the top of a git tree')
    if git.run('check-ref-format', '--branch', branch)[0]:
        raise Fail(name, 'git does not take this name for a branch', 'give one that the tree has not')
    if git.git('for-each-ref', f'refs/heads/{branch}').strip():
        raise Fail(name, 'there is such a branch already', 'give a name that the tree has not')
    return git, release


def add_commit(theirs, env, tip, step, diff):
    """One step on top of a commit of the user's: the new commit."""
    status, _, complaint = theirs.run('apply', '--cached', '--whitespace=nowarn', '-',
                                      given=diff.encode(errors='surrogateescape'), env=env)
    if status:      # which names the file, and the hunk by its line
        raise Fail(f'"{step.subject}"', f'does not fit this tree, in which nothing was changed: {complaint.strip()}',
                   'the series fits the kernel that BASE names, and those near it, without it')
    made = theirs.git('write-tree', env=env).strip()
    return theirs.git('commit-tree', made, '-p', tip, '-F', '-', given=step.message.encode(), env=env).strip()


def install(repo, build, kernel, branch):
    """Through an index of its own: the user's files and index stay as they are."""
    base = load_base(build)
    theirs, release = place_for(kernel, branch)
    steps, wanted = read_steps(repo), series_files(repo, base, build)
    with common.fresh_dir(build, 'series') as temp:
        git = started(temp / 'git', repo)
        ids = stack(git, steps, wanted, base)
        env = {**identity_of(repo), 'GIT_INDEX_FILE': str(temp / 'index')}
        theirs.git('read-tree', 'HEAD', env=env)
        tip = theirs.git('rev-parse', 'HEAD').strip()
        for step, commit in zip(steps, ids[1:]):
            diff = git.git('diff-tree', '-p', '--binary', '--full-index', '--no-renames', f'{commit}~', commit)
            tip = add_commit(theirs, env, tip, step, diff)
        theirs.git('update-ref', f'refs/heads/{branch}', tip, '')
    say(f'series: {len(steps)} commits on branch {branch} of {kernel} (Linux {release})')


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', choices=('make', 'edit', 'save', 'install'))
    parser.add_argument('--repo', type=pathlib.Path, default=common.REPO, help='where our files are')
    parser.add_argument('--build', type=pathlib.Path, help='where to work (default: REPO/build)')
    parser.add_argument('--kernel', default=os.environ.get('KERNEL', ''), help='install: your tree (default: $KERNEL)')
    parser.add_argument('--branch', default=os.environ.get('BRANCH', ''),
                        help='install: the new branch (default: $BRANCH)')
    parser.add_argument('--check-only', action='store_true',
                        help='make, install: only whether the input is right, and there is a place for it')
    return parser.parse_args()


def main():
    args = parse_args()
    repo = args.repo.resolve()
    build = (args.build or common.build_dir(repo)).resolve()
    if args.check_only:
        version_words()
        signer()
        if args.what == 'install':
            place_for(args.kernel, args.branch)
        return
    with common.locked(build / '.tree.lock', 'series'):
        if args.what == 'install':
            install(repo, build, args.kernel, args.branch)
        else:
            {'make': make, 'edit': edit, 'save': save}[args.what](repo, build)


if __name__ == '__main__':
    common.run_main('series', main)
