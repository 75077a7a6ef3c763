# SPDX-License-Identifier: GPL-2.0
"""A second kernel tree, to change some files of: those are copies, all others links to the first one's.

A copy is written only when its text has to change, so that make sees what did, and nothing else.
"""

import os
import shutil
from pathlib import Path

from . import files


def lay(tree, own, out):
    """Make `out`/tree: the files `own` of `tree` are its own, as `tree` has them now.

    What was built beside it, in `out`, goes when the list of files is another than last time: a
    link may have an older time than the copy that it replaces.
    """
    key = {"tree": str(tree), "own": sorted(own)}
    stamp = out / "overlay.json"
    if files.read_json(stamp) != key:
        shutil.rmtree(out, ignore_errors=True)
        link(Path(tree), out / "tree", {Path(name).parts for name in own})
        files.write_json(stamp, key)
    for name in own:
        files.update(out / "tree" / name, (tree / name).read_text(encoding="utf-8"))


def link(origin, copy, own):
    """A folder whose entries are links, but for the files `own` (tuples of names) and the folders above them."""
    copy.mkdir(parents=True)
    for entry in os.scandir(origin):
        below = {parts[1:] for parts in own if parts[0] == entry.name}
        if () in below:
            shutil.copy2(entry.path, copy / entry.name)
        elif below:
            link(origin / entry.name, copy / entry.name, below)
        else:
            (copy / entry.name).symlink_to(entry.path)
