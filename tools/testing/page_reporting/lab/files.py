# SPDX-License-Identifier: GPL-2.0
"""Files that nobody ever sees half written, and folders that go when they are not needed."""

import contextlib
import fcntl
import json
import os
import shutil
from pathlib import Path


@contextlib.contextmanager
def replacing(path):
    """A temporary name for the caller to write; in place of `path` afterwards, unless something failed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path, data, executable=False):
    with replacing(path) as temporary:
        temporary.write_bytes(data if isinstance(data, bytes) else data.encode())
        temporary.chmod(0o755 if executable else 0o644)


def update(path, text):
    """Write a file, unless it says that already: make would build what is newer again."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def write_json(path, value, indent=1):
    """Write a value whole; ValueError for what is no number."""
    write_atomic(path, json.dumps(value, indent=indent, allow_nan=False) + "\n")


def read_json(path):
    """The file's value; None where it is missing or was never finished."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


@contextlib.contextmanager
def locked(path, step=""):
    """Hold a lock file, waiting for whoever has it; with a step, say so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="ascii") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if step:
                print(f"{step}: another run is at work, waiting for it", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def fresh_dir(parent, prefix):
    """A temporary directory beside its destination; gone afterwards unless it was renamed."""
    parent.mkdir(parents=True, exist_ok=True)
    for stale in parent.glob(f".{prefix}.*.tmp"):
        shutil.rmtree(stale)
    path = parent / f".{prefix}.{os.getpid()}.tmp"
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
