# SPDX-License-Identifier: GPL-2.0
"""The bench's raw records: one file per finished run, so that an interrupted bench goes on.

The digest of what a record was measured with is part of its name: docs/bench.md says what that is.
"""

import hashlib
import json
import re
from pathlib import Path

from . import files
from .errors import BadInput, LabError

RUN = ("scenario", "variant", "column", "repeat")      # which run a record is of
RECORD = {*RUN, "figures", "reasons", "accel", "identity"}
OPTION = re.compile(r"^(CONFIG_\w+)=(.*)$|^# (CONFIG_\w+) is not set$", re.M)


def file_digest(path):
    with open(path, "rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


class Store:
    """The records in `folder`; depends_on(job) gives the digests of what a run boots, `setting` is
    what else counts. `earlier` are records of another bench's runs.json, which count as well."""

    def __init__(self, folder, depends_on, setting, earlier=()):
        self._folder, self._depends_on, self._setting = Path(folder), depends_on, setting
        self._earlier = {tuple(record[part] for part in RUN): record for record in earlier}

    def identity(self, job):
        """What the run of `job` depends on."""
        return {**self._depends_on(job), "workload": job.variant.workload, **self._setting}

    def path(self, job):
        digest = hashlib.sha256(identity_text(self.identity(job)).encode()).hexdigest()
        return self._folder / f"{job.stem}-{digest[:12]}.json"

    def load(self, job):
        """The record of a finished run; None if there is none."""
        if record := files.read_json(self.path(job)):
            return record
        record = self._earlier.get((job.variant.scenario, job.variant.name, job.column, job.repeat))
        same = record and identity_text(record["identity"]) == identity_text(self.identity(job))
        return record if same else None

    def save(self, job, record):
        files.write_json(self.path(job), record, indent=None)


def identity_text(identity):
    """A text that is the same for equal identities; JSON has no tuples."""
    return json.dumps(identity, sort_keys=True)


def read_runs(path):
    """The records in a runs.json; BadInput for any other file."""
    records = files.read_json(path) if path.is_file() else None
    if not isinstance(records, list) or not all(isinstance(record, dict) and RECORD <= record.keys()
                                                for record in records):
        raise BadInput(f"EARLIER={path}: no such file, or not a runs.json; give the one of another bench")
    return records


def options(text):
    """Option -> value in the text of a .config; "n" for one that is not set."""
    return {match[1] or match[3]: match[2] or "n" for match in OPTION.finditer(text)}


def compare(stock, ours):
    """The options that exist on one side only; LabError if another one differs."""
    both = sorted(stock.keys() & ours.keys())
    different = [f"{name}: {stock[name]} and {ours[name]}" for name in both if stock[name] != ours[name]]
    if different:
        raise LabError("compare the configurations: stock and ours differ: " + ", ".join(different[:8])
                       + ": remove build/stock and build/ours, and run `make bench` again")
    return {"same": len(both), "only_stock": one_side(stock, ours), "only_ours": one_side(ours, stock)}


def one_side(these, those):
    return {name: these[name] for name in sorted(these.keys() - those.keys())}
