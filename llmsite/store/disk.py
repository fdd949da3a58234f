"""Every change the store makes to its disk is one of these calls, so that tests can record each, make it fail or cut it off.

What has to survive a power cut is in the caller's order: data, `sync`, `rename`, `sync_folder` (fault F12). Nothing is tried
again on a file whose `sync` failed: what the kernel still shows of it may not be on the disk (fault F11).
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Final

from llmsite.types.errors import StorageFailed, StorageFull

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_BROKEN: Final = (errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, unless they are there; each stays after a power cut.

    Others may look in, as into those that Ollama makes, which may run as another user; the home around a store of ours is closed.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    try:
        folder.mkdir()
        folder.chmod(0o755)  # whatever this process's mask is
    except FileExistsError:
        return  # somebody else was first
    sync_folder(folder.parent)


def create(folder: Path, prefix: str) -> tuple[FileIO, Path]:
    """A new file under a name that nobody else has, to write and read."""
    descriptor, name = tempfile.mkstemp(prefix=prefix, dir=folder)
    return os.fdopen(descriptor, "w+b", buffering=0), Path(name)


def write(file: FileIO, data: bytes) -> None:
    """All of `data`, where the file stands."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def write_at(descriptor: int, data: bytes, position: int) -> None:
    """All of `data` at `position`, wherever the file stands."""
    rest = memoryview(data)
    while rest:
        count = os.pwrite(descriptor, rest, position)
        rest, position = rest[count:], position + count


def truncate(file: FileIO, size_bytes: int) -> None:
    """Cut the file and stand at its end."""
    file.truncate(size_bytes)
    file.seek(size_bytes)


def sync(descriptor: int) -> None:
    """Bring a file's bytes to the disk."""
    os.fsync(descriptor)


def rename(source: Path, target: Path) -> None:
    """Give a file another name, replacing what has it."""
    source.replace(target)


def remove(path: Path) -> None:
    """Remove a file, if it is there."""
    path.unlink(missing_ok=True)


def remove_folder(folder: Path) -> bool:
    """Remove an empty folder; False when it is not empty or not there."""
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def sync_folder(folder: Path) -> None:
    """Make what was renamed or removed in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def reporting_full_disk() -> Iterator[None]:
    """Turn the errors of a full, broken or closed disk into `StorageFull` and `StorageFailed`."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            text = "the disk of the model store is full; remove models or free space, then try again"
            raise StorageFull(text) from error
        if error.errno in _BROKEN:
            text = f"the disk of the model store does not take what is written ({error.strerror}); nothing was changed"
            raise StorageFailed(text) from error
        raise
