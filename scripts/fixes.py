# SPDX-License-Identifier: GPL-2.0
"""Makes build/BASE/patched: the pristine base with the patches of fixes/, in the order of their names.

A file is written only when its content differs, so a second run changes no time stamp.
"""
import common
import tree
from common import REPO, Fail, say

FOR = '7.3'


def main():
    if common.BASE != FOR:
        raise Fail('fixes', f'the patches in fixes/ are for Linux {FOR}', f'give BASE={FOR}')
    build = common.build_dir(REPO)
    known = common.read_json(build / 'base.json')
    if not known:
        raise Fail('fixes', f'there is no base in {build.relative_to(REPO)}', f"'make tree BASE={FOR}' gets it")
    names = [str(path.relative_to(REPO)) for path in sorted((REPO / 'fixes').glob('*.patch'))]
    if not names:
        raise Fail('fixes', 'there are no patches in fixes/')
    with common.fresh_dir(build, 'fixes') as scratch:
        wanted = tree.apply_patches(REPO, names, build / 'base', scratch)
    changed = tree.install(build, tree.make_tree(build, known, 'patched'), wanted, 'patched')
    say(f'fixes: {len(changed)} files changed' if changed else 'fixes: nothing to do')


if __name__ == '__main__':
    common.run_main('fixes', main)
