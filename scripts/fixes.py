# SPDX-License-Identifier: GPL-2.0
"""Makes build/BASE/fixed: the pristine base with the patches of fixes/, in the order of their names.

A file is written only when its content differs, so a second run changes no time stamp.
"""
import common
import tree
from common import REPO, Fail, say

FOR = '7.3'


def patched_files(base, build):
    """Path -> content of each file that the patches touch."""
    names = [str(path.relative_to(REPO)) for path in sorted((REPO / 'fixes').glob('*.patch'))]
    if not names:
        raise Fail('fixes', 'there are no patches in fixes/')
    with common.fresh_dir(build, 'fixes') as scratch:
        touched = set()
        for name in names:
            sections = tree.hook_sections(REPO, name)
            for path in set(sections) - touched:
                tree.fetch_original(name, base / path, scratch / path)
            touched |= set(sections)
            tree.apply_hook(REPO, name, sections, scratch)
        return {path: (scratch / path).read_bytes() for path in touched}


def copy_of_base(build, known):
    """The state of build/fixed, which is a copy of this very base."""
    fixed, record = build / 'fixed', build / 'fixed.json'
    state = common.read_json(record)
    if state and state['identity'] == known['identity'] and fixed.is_dir():
        return state
    with common.fresh_dir(build, 'fixed') as temp:
        tree.copy_files(build / 'base', sorted(tree.walk_files(build / 'base')), temp, 'fixes: copy the base')
        record.unlink(missing_ok=True)
        tree.replace_dir(temp, fixed, build)
    return {**known, 'files': []}


def main():
    if common.BASE != FOR:
        raise Fail('fixes', f'the patches in fixes/ are for Linux {FOR}', f'give BASE={FOR}')
    build = common.build_dir(REPO)
    known = common.read_json(build / 'base.json')
    if not known:
        raise Fail('fixes', f'there is no base in {build.relative_to(REPO)}', f"'make tree BASE={FOR}' gets it")
    wanted = patched_files(build / 'base', build)
    state, changed = copy_of_base(build, known), 0
    common.write_json(build / 'fixed.json', {**state, 'files': sorted({*wanted, *state['files']})})
    for path in {*wanted, *state['files']}:
        content = wanted.get(path) or (build / 'base' / path).read_bytes()
        if (build / 'fixed' / path).read_bytes() != content:
            common.write_atomic(build / 'fixed' / path, content)
            changed += 1
    common.write_json(build / 'fixed.json', {**state, 'files': sorted(wanted)})
    say(f'fixes: {changed} files changed' if changed else 'fixes: nothing to do')


if __name__ == '__main__':
    common.run_main('fixes', main)
