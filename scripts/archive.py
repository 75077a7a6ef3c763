# SPDX-License-Identifier: GPL-2.0
"""The source of a base out of a suite of Debian's archive that this machine does not use.

apt fetches and verifies it, with a list of sources, indexes and a cache of its own below
build/BASE/archive: nothing of the machine's apt configuration changes. The archive's host is the
one that the machine gets its own packages from.
"""
import pathlib
import re
import subprocess

import common
from common import Fail, Gone, say
from lab.files import replacing

KEYRING = pathlib.Path('/usr/share/keyrings/debian-archive-keyring.gpg')
# Hooks of the machine's may act on the machine's own lists; indexes of others cost time.
CONFIG = '''#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Update::Post-Invoke-Stats;
Dir::Etc::SourceList "{folder}/sources.list";
Dir::Etc::SourceParts "{folder}/none";
Dir::Etc::Preferences "{folder}/none/preferences";
Dir::Etc::PreferencesParts "{folder}/none";
Dir::State::lists "{folder}/lists";
Dir::Cache "{folder}/cache";
Acquire::Languages "none";
APT::Sandbox::User "root";
'''
def run(command, **kwargs):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
                              env=common.clean_env(), **kwargs)
    except FileNotFoundError:
        raise Fail('fetch the base', f'this machine has no {command[0]}',
                   'use Debian, or name a source of your own with KERNEL=path') from None


def mirror():
    """Where the machine gets Debian's own packages from."""
    listed = run(['apt-get', 'indextargets', '--format', '$(REPO_URI) $(RELEASE)', 'Created-By: Packages'])
    found = [words for words in map(str.split, listed.stdout.split('\n')) if len(words) == 2]
    debian = [(uri, suite) for uri, suite in found if re.search(r'/debian/?$', uri)]
    for uri, suite in sorted(debian, key=lambda pair: '-' in pair[1]):
        return uri
    raise Fail('fetch the base', "none of this machine's package sources is Debian's main archive",
               'add it, or name a source of your own with KERNEL=path')


class Apt:
    """apt with one suite, in a folder of its own."""

    def __init__(self, folder, suite):
        if not KEYRING.is_file():
            raise Fail('fetch the base', f'{KEYRING} is missing, which signatures are verified with',
                       'apt-get install debian-archive-keyring')
        self.folder, self.suite = folder.resolve(), suite
        for name in ('lists/partial', 'cache/archives/partial', 'none'):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        line = f'deb [signed-by={KEYRING} target=Packages] {mirror()} {self.suite} main\n'
        common.write_atomic(self.folder / 'sources.list', line)
        common.write_atomic(self.folder / 'apt.conf', CONFIG.format(folder=self.folder))

    def call(self, tool, *words, what=''):
        """What apt's tool prints; with `what` it is for, Fail with what it complains of first if it fails."""
        done = run([tool, '-q', '-c', str(self.folder / 'apt.conf'), *words], cwd=self.folder)
        if what and done.returncode:
            said = done.stdout + done.stderr
            if re.search(r'does not have a Release file|404 +Not Found', said):
                raise Gone('fetch the base', f'the archive has no suite {self.suite} any more')
            lines = [line for line in said.split('\n') if line.startswith(('E: ', 'W: '))] or ['apt-get failed']
            raise Fail('fetch the base', f'{what}: {lines[0]}',
                       'check the network or the proxy of apt, then run the same command again')
        return done.stdout

    def versions(self, *packages):
        """(package, version) of what the suite has, the newest version of a package first."""
        lines = [line.split('|') for line in self.call('apt-cache', 'madison', *packages).split('\n')]
        return [(line[0].strip(), line[1].strip()) for line in lines if len(line) == 3]

    def offers(self):
        """What there is instead, for a message."""
        names = self.call('apt-cache', 'pkgnames', 'linux-source-').split()
        found = self.versions(*[name for name in names if re.fullmatch(r'linux-source-\d+\.\d+', name)])
        number = {name: tuple(map(int, name.rsplit('-', 1)[1].split('.'))) for name, _ in found}
        return ', '.join(f'{name} {version}' for name, version in sorted(found, key=lambda pair: number[pair[0]]))


def tarball_of(deb, package, target):
    """The kernel's tarball out of the package, complete or not there."""
    with replacing(target) as temp:
        with open(temp, 'wb') as out, \
                subprocess.Popen(['dpkg-deb', '--fsys-tarfile', deb], stdout=subprocess.PIPE) as unpacked:
            done = subprocess.run(['tar', '-xO', f'./usr/src/{package}.tar.xz'], stdin=unpacked.stdout, stdout=out,
                                  stderr=subprocess.PIPE, check=False)
        if done.returncode or unpacked.returncode:
            raise Fail('fetch the base', f'{deb.name} does not unpack: {done.stderr.decode().strip()}')


def fetch(folder, package, suite, pinned, newest=False):
    """(path, version) of the source's tarball: what was fetched before, the pinned version, or what is there now."""
    fetched = sorted(folder.glob(f'{package}_*.tar.xz'), key=lambda path: path.stat().st_mtime)
    if fetched and not newest:
        return fetched[-1], fetched[-1].name[len(package) + 1:-len('.tar.xz')]
    say(f'tree: fetch {package} from {suite} ...')
    apt = Apt(folder, suite)
    apt.call('apt-get', 'update', '--error-on=any', what=f'the index of {suite}')
    versions = [version for _, version in apt.versions(package)]
    if not versions:
        raise Gone('fetch the base',
                   f"{package} is gone from {suite}, which has {apt.offers() or 'no kernel source'} now")
    version = pinned if pinned in versions and not newest else versions[0]
    target = folder / f'{package}_{version}.tar.xz'
    if not target.is_file():
        apt.call('apt-get', 'download', f'{package}={version}', what=f'{package} {version}')
        for deb in folder.glob(f'{package}_*.deb'):
            try:
                tarball_of(deb, package, target)
            finally:
                deb.unlink()
    target.touch()
    return target, version
