"""BlobStore: content under its digest. Written to a temporary file, hashed on the way, renamed when it is right.

A temporary file belongs to the process that holds a lock on it (`flock`): the lock ends with its process, whatever ended it,
so the sweep never takes a file from a living writer and needs no process ids. What a digest names never changes; links are
never followed (threat T07).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Final

from llmsite.store.digest import file_name, from_file_name, hash_bytes, parse_digest
from llmsite.types.errors import InvalidDigest, LoadFailed, NotFound, StorageFull
from llmsite.types.limits import MIB, Limits

logger = logging.getLogger(__name__)

_TEMPORARY_PREFIX: Final = "upload-"
# what else may be removed from the folder: unfinished files of ours and of Ollama, and Ollama's unfinished downloads
_UNFINISHED: Final = re.compile(r"upload-\w+|sha256-?\d{1,12}", re.ASCII)
_PARTIAL: Final = re.compile(r"sha256-[0-9a-f]{64}-partial(-\d+)?", re.ASCII)
_SWEEP_AGE_SECONDS: Final = 3600
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SPACE_CHECK_BYTES: Final = 64 * MIB


class BlobStore:
    """The folder `blobs/` of a store."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self.folder = folder
        self.limits = limits or Limits()

    def path(self, digest: str) -> Path:
        """Where the blob is or would be. Raises `InvalidDigest`."""
        return self.folder / file_name(digest)

    def has(self, digest: str) -> bool:
        """Whether the blob is there, as a plain file. Raises `InvalidDigest`."""
        return self._plain_size(self.path(digest)) is not None

    def size(self, digest: str) -> int:
        """Bytes of the blob. Raises `NotFound`, `LoadFailed` when a link stands in its place."""
        path = self.path(digest)
        size = self._plain_size(path)
        if size is not None:
            return size
        if path.is_symlink() or path.exists():
            raise LoadFailed(f"blob {digest} is damaged: something else than a plain file stands in its place")
        raise NotFound(f"blob {digest} is missing, pull the model again")

    def checked_path(self, digest: str, size_bytes: int | None = None) -> Path:
        """The path of a blob that is there, with its declared size if one is given. Raises `NotFound`, `LoadFailed`."""
        if self.size(digest) != size_bytes and size_bytes is not None:
            raise LoadFailed("model data is damaged, pull it again")
        return self.path(digest)

    def open(self, digest: str) -> BufferedReader:
        """The blob to read; close it. Raises `NotFound`, `LoadFailed`."""
        self.size(digest)
        return os.fdopen(os.open(self.path(digest), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")

    def digests(self) -> Iterator[tuple[str, int]]:
        """Digest and size of every blob."""
        for entry in self._entries():
            digest = from_file_name(entry.name)
            size = self._plain_size(Path(entry.path)) if digest else None
            if digest and size is not None:
                yield digest, size

    def touch(self, digest: str) -> None:
        """Make the blob young again: the sweep leaves it for an hour. Raises `NotFound`."""
        self.size(digest)
        os.utime(self.path(digest), follow_symlinks=False)

    def modified_ns(self, digest: str) -> int | None:
        """When the blob came or was touched, in nanoseconds since 1970; None when it is not there."""
        try:
            return self.path(digest).lstat().st_mtime_ns
        except FileNotFoundError:
            return None

    def remove(self, digest: str) -> None:
        """Remove the blob, if it is there."""
        self.path(digest).unlink(missing_ok=True)

    def put(self, data: bytes) -> str:
        """Store a small blob, unless it is there; returns its digest. Raises `StorageFull`."""
        digest = hash_bytes(data)
        if self.has(digest):
            self.touch(digest)
            return digest
        self.require_space(len(data))
        with self.writer(digest) as writer:
            writer.write(data)
            return writer.commit()

    @contextmanager
    def writer(self, expected: str | None = None) -> Iterator[BlobWriter]:
        """A writer whose bytes must have the digest `expected`. What was not committed is gone when the block ends.

        Raises `InvalidDigest` (also on commit: `digest mismatch, …`) and `StorageFull`.
        """
        if expected is not None:
            parse_digest(expected)
        with self.temporary() as (file, path):
            yield BlobWriter(self, file, path, expected)

    @contextmanager
    def temporary(self) -> Iterator[tuple[FileIO, Path]]:
        """An unfinished file of ours. Unless it got a name of its own, it is gone when the block ends. Raises `StorageFull`."""
        with reporting_full_disk():
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=_TEMPORARY_PREFIX, dir=self.folder)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "w+b", buffering=0) as file:
                with suppress(OSError):  # a file system without locks: then the hour of the sweep protects the file
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield file, temporary
        finally:
            temporary.unlink(missing_ok=True)

    def require_space(self, size_bytes: int) -> None:
        """Raise `StorageFull` unless `size_bytes` more leave the reserve free. Small files may use the reserve."""
        folder = next(each for each in (self.folder, *self.folder.parents) if each.exists())
        floor = self.limits.disk_floor_bytes if size_bytes >= _SPACE_CHECK_BYTES else 0
        missing = size_bytes + floor - shutil.disk_usage(folder).free
        if missing > 0:
            raise StorageFull(f"not enough space in the model store: {missing} more bytes are needed")

    def sweep(self, used: Iterable[str], now: float) -> int:
        """Remove blobs and unfinished files that nobody uses and that are older than an hour; returns how many.

        `used`: digests that manifests name; `now`: seconds since 1970. Unfinished downloads are kept for days.
        """
        kept = set(used)
        removed = 0
        for entry in self._entries():
            age = now - entry.stat(follow_symlinks=False).st_mtime
            if self._is_waste(entry.name, age, kept) and not _is_owned(entry.path):
                logger.info("removing %s, which no model uses", entry.name)
                Path(entry.path).unlink(missing_ok=True)
                removed += 1
        return removed

    def _is_waste(self, name: str, age_seconds: float, used: set[str]) -> bool:
        if _PARTIAL.fullmatch(name):
            return age_seconds > self.limits.partial_seconds
        digest = from_file_name(name)
        is_ours = digest is not None or bool(_UNFINISHED.fullmatch(name))
        return is_ours and digest not in used and age_seconds > _SWEEP_AGE_SECONDS

    def _entries(self) -> Iterator[os.DirEntry[str]]:
        """Everything in the folder but folders and what vanishes meanwhile."""
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if not entry.is_dir(follow_symlinks=False):
                        yield entry

    @staticmethod
    def _plain_size(path: Path) -> int | None:
        """Size of a plain file with this one name; None for anything else."""
        try:
            status = path.lstat()
        except OSError:
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1 else None


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a blob being written, and the hash of all before it."""

    num_bytes: int
    hash: hashlib._Hash


class BlobWriter:
    """One blob being written, by one thread at a time."""

    def __init__(self, store: BlobStore, file: FileIO, temporary: Path, expected: str | None) -> None:
        self.num_bytes = 0
        self._store = store
        self._file = file
        self._temporary = temporary
        self._expected = expected
        self._hash = hashlib.sha256()
        self._next_check = _SPACE_CHECK_BYTES

    def write(self, piece: bytes) -> None:
        """Append and hash. Blocks; raises `StorageFull`."""
        if self.num_bytes >= self._next_check:
            self._next_check += _SPACE_CHECK_BYTES
            self._store.require_space(_SPACE_CHECK_BYTES)
        rest = memoryview(piece)
        with reporting_full_disk():
            while rest:
                rest = rest[self._file.write(rest) :]
        self._hash.update(piece)
        self.num_bytes += len(piece)

    def mark(self) -> Mark:
        """Where the writer stands, to come back to by `rewind`."""
        return Mark(self.num_bytes, self._hash.copy())

    def rewind(self, mark: Mark) -> None:
        """Forget what was written after `mark`. Blocks."""
        self._file.truncate(mark.num_bytes)
        self._file.seek(mark.num_bytes)
        self.num_bytes, self._hash = mark.num_bytes, mark.hash.copy()

    def commit(self, expected: str | None = None) -> str:
        """Give the blob its name, safe against a power cut; returns its digest. Blocks.

        `expected`: the digest it must have, where that was not known at the start. Raises `InvalidDigest`
        (`digest mismatch, expected "…", got "…"`), `StorageFull`.
        """
        digest = f"sha256:{self._hash.hexdigest()}"
        expected = expected or self._expected
        if expected is not None and expected != digest:
            raise InvalidDigest(f'digest mismatch, expected "{expected}", got "{digest}"')
        with reporting_full_disk():
            os.fchmod(self._file.fileno(), 0o644)  # as Ollama, which may run as another user; the home's folder is closed
            os.fsync(self._file.fileno())
            self._temporary.rename(self._store.path(digest))
            sync_folder(self._store.folder)
        return digest


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable. Blocks."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def reporting_full_disk() -> Iterator[None]:
    """Turn the errors of a full disk into `StorageFull`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise StorageFull("the disk of the model store is full; remove models or free space, then try again") from error


def _is_owned(path: str) -> bool:
    """Whether a living writer holds the file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
