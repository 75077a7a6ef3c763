# SPDX-License-Identifier: GPL-2.0
"""The bench's raw records: one file per finished run, so that an interrupted bench goes on.

A record counts only for the kernel, the guest programs, the accelerator, the QEMU and the workload
that it was measured with: their digest is part of its name.
"""

import hashlib
import json
import os
from pathlib import Path


def file_digest(path):
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def write_json(path, value, indent=1):
    """Write `value` under another name first: nobody ever sees half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(value, indent=indent, allow_nan=False) + "\n", encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class Store:
    """The records in `folder`; depends_on(job) gives the digests of what a run boots, `setting` is
    what else counts."""

    def __init__(self, folder, depends_on, setting):
        self._folder, self._depends_on, self._setting = Path(folder), depends_on, setting

    def identity(self, job):
        """What the run of `job` depends on."""
        return {**self._depends_on(job), "workload": job.variant.workload, **self._setting}

    def path(self, job):
        """Where the record of `job` is."""
        text = json.dumps(self.identity(job), sort_keys=True)
        return self._folder / f"{job.stem}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"

    def load(self, job):
        """The record of a finished run; None if there is none."""
        try:
            return json.loads(self.path(job).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def save(self, job, record):
        """Keep the record of a finished run."""
        write_json(self.path(job), record, indent=None)
