"""BlobStore: content under its digest. Written to a temporary file, hashed on the way, renamed when it is right.

A temporary file belongs to the process that holds a lock on it (`flock`): the lock ends with its process, whatever ended it,
so the sweep never takes a file from a living writer and needs no process ids. What a digest names never changes; links are
never followed (threat T07).
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Final, Literal

from llmsite.store import disk
from llmsite.store.blob_writer import SPACE_CHECK_BYTES, BlobWriter
from llmsite.store.digest import file_name, from_file_name, hash_bytes, parse_digest
from llmsite.store.disk import reporting_full_disk
from llmsite.store.verified import VerifiedBlobs
from llmsite.types.errors import LoadFailed, NotFound, StorageFailed, StorageFull
from llmsite.types.limits import MIB, Limits

logger = logging.getLogger(__name__)

_TEMPORARY_PREFIX: Final = "upload-"
# what else may be removed from the folder: unfinished files of ours and of Ollama, and Ollama's unfinished downloads
_UNFINISHED: Final = re.compile(r"upload-\w+|sha256-?\d{1,12}", re.ASCII)
_PARTIAL: Final = re.compile(r"sha256-[0-9a-f]{64}-partial(-\d+)?", re.ASCII)
_OLD_STYLE: Final = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)
_SWEEP_AGE_SECONDS: Final = 3600
_ORPHAN_AGE_SECONDS: Final = 60
"""What a killed writer of ours left needs no hour: its lock is gone."""
_HASH_BYTES: Final = 1 * MIB


DAMAGED: Final = "model data is damaged, pull it again"


class BlobStore:
    """The folder `blobs/` of a store."""

    def __init__(self, folder: Path, limits: Limits | None = None, verified: VerifiedBlobs | None = None) -> None:
        self.folder = folder
        self.limits = limits or Limits()
        self.verified = verified or VerifiedBlobs()

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
        if self._put_aside(digest):
            raise LoadFailed(DAMAGED)
        raise NotFound(f"blob {digest} is missing, pull the model again")

    def checked_path(self, digest: str, size_bytes: int | None = None) -> Path:
        """The path of a blob that is there, with its declared size if one is given. Raises `NotFound`, `LoadFailed`."""
        if self.size(digest) != size_bytes and size_bytes is not None:
            raise LoadFailed(DAMAGED)
        return self.path(digest)

    def open(self, digest: str) -> BufferedReader:
        """The blob to read; close it. Raises `NotFound`, `LoadFailed`."""
        self.size(digest)
        try:
            return os.fdopen(os.open(self.path(digest), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
        except FileNotFoundError as error:
            raise NotFound(f"blob {digest} is missing, pull the model again") from error
        except OSError as error:
            raise LoadFailed(f"blob {digest} cannot be read: {error.strerror}") from error

    def digests(self) -> Iterator[tuple[str, int]]:
        """Digest and size of every blob."""
        for entry in self._entries():
            digest = from_file_name(entry.name)
            size = self._plain_size(Path(entry.path)) if digest else None
            if digest and size is not None:
                yield digest, size

    def touch(self, digest: str) -> None:
        """Make the blob young again: the sweep leaves it for an hour. Raises `NotFound`.

        A file of another account keeps its age, since only that account may change it: then the manifest has to protect it.
        """
        self.size(digest)
        path, was_right = self.path(digest), self.is_verified(digest)
        try:
            os.utime(path, follow_symlinks=False)
            if was_right:
                self.verified.add(digest, path.lstat())
        except FileNotFoundError as error:
            raise NotFound(f"blob {digest} is missing, pull the model again") from error
        except PermissionError:
            logger.debug("blob %s belongs to another account and keeps its age", digest)

    def modified_ns(self, digest: str) -> int | None:
        """When the blob came or was touched, in nanoseconds since 1970; None when it is not there."""
        try:
            return self.path(digest).lstat().st_mtime_ns
        except FileNotFoundError:
            return None

    def remove(self, digest: str) -> None:
        """Remove the blob, if it is there, and what was put aside of it."""
        disk.remove(self.path(digest))
        self._forget_damage(digest)

    def put_aside(self, digest: str) -> None:
        """Take what stands in the blob's place out of the way, keeping it: nothing is served from it, and a pull fetches it anew.

        It goes to the folder `damaged/` beside `blobs/` until the blob is there again or its last model is removed.
        """
        source = self.path(digest)
        disk.make_folder(self._damaged)
        try:
            disk.rename(source, self._damaged / f"{source.name}-{secrets.token_hex(4)}")
        except FileNotFoundError:  # somebody else was first
            disk.remove_folder(self._damaged)
            return
        disk.sync_folder(self.folder)
        logger.warning("blob %s is damaged; it was put aside", digest)

    def publish(self, descriptor: int, temporary: Path, digest: str) -> None:
        """Give a finished file, whose bytes were verified, its name; safe against a power cut. Blocks.

        Raises `StorageFull`, `StorageFailed`.
        """
        with reporting_full_disk():
            os.fchmod(descriptor, 0o644)  # as Ollama, which may run as another user; the home's folder is closed
            disk.sync(descriptor)
            try:
                disk.rename(temporary, self.path(digest))
            except FileNotFoundError as error:
                raise StorageFailed("another program removed the unfinished file from the model store; try again") from error
            disk.sync_folder(self.folder)
        self.verified.add(digest, os.fstat(descriptor))
        self._forget_damage(digest)

    def verify(self, digest: str, check: Callable[[int], None] = lambda num_bytes: None) -> None:
        """Hash the blob and remember that it is right. Blocks; `check` is told after each piece how long that was.

        Raises `NotFound`, `LoadFailed` when it is not what its name says or cannot be read; it is left where it is.
        """
        hasher = hashlib.sha256()
        with self.open(digest) as file:
            before = os.fstat(file.fileno())
            try:
                while piece := file.read(_HASH_BYTES):
                    hasher.update(piece)
                    check(len(piece))
            except OSError as error:
                raise LoadFailed(f"blob {digest} cannot be read: {error.strerror}") from error
            if f"sha256:{hasher.hexdigest()}" != parse_digest(digest):
                raise LoadFailed(DAMAGED)
            self.verified.add(digest, before)

    def is_verified(self, digest: str) -> bool:
        """Whether the blob was found right, and its file has not changed since."""
        try:
            return self.verified.knows(digest, self.path(digest).lstat())
        except OSError:
            return False

    def adopt(self) -> int:
        """Rename blobs of old releases of Ollama, `sha256:…`, as they are called now (catalogue 10.1); returns how many.

        What was planted in place of a blob is told of in the log, and not served (threat T07).
        """
        count = 0
        for entry in list(self._entries()):
            if from_file_name(entry.name) and self._plain_size(Path(entry.path)) is None:
                logger.warning("%s in the model store is a link or has a second name, so it is not used", entry.name)
            found = _OLD_STYLE.fullmatch(entry.name)
            if found and not os.path.lexists(self.folder / f"sha256-{found[1]}"):
                disk.rename(Path(entry.path), self.folder / f"sha256-{found[1]}")
                count += 1
        if count:
            disk.sync_folder(self.folder)
        return count

    @property
    def _damaged(self) -> Path:
        return self.folder.parent / "damaged"

    def _put_aside(self, digest: str) -> list[Path]:
        """What was put aside of this blob."""
        return list(self._damaged.glob(f"{file_name(digest)}-*"))

    def _forget_damage(self, digest: str) -> None:
        aside = self._put_aside(digest)
        for path in aside:
            if path.is_symlink() or not path.is_dir():
                disk.remove(path)
        if aside:
            disk.remove_folder(self._damaged)

    def put(self, data: bytes) -> str:
        """Store a small blob, unless it is there; returns its digest. Raises `StorageFull`."""
        digest = hash_bytes(data)
        if self.has(digest):
            with suppress(NotFound):  # removed since
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
            disk.make_folder(self.folder)
            file, temporary = disk.create(self.folder, _TEMPORARY_PREFIX)
        try:
            with file:
                with suppress(OSError):  # a file system without locks: then the hour of the sweep protects the file
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield file, temporary
        finally:
            disk.remove(temporary)

    def require_space(self, size_bytes: int) -> None:
        """Raise `StorageFull` unless `size_bytes` more leave the reserve free. Small files may use the reserve."""
        floor = self.limits.disk_floor_bytes if size_bytes >= SPACE_CHECK_BYTES else 0
        missing = size_bytes + floor - self.free_bytes()
        if missing > 0:
            raise StorageFull(f"not enough space in the model store: {missing} more bytes are needed")

    def free_bytes(self) -> int:
        """Free space on the disk of the blobs."""
        folder = next(each for each in (self.folder, *self.folder.parents) if each.exists())
        return shutil.disk_usage(folder).free

    def sweep(self, used: Iterable[str], now: float) -> int:
        """Remove blobs and unfinished files that nobody uses and that are older than an hour; returns how many.

        `used`: digests that manifests name; `now`: seconds since 1970. Unfinished downloads are kept for days.
        """
        kept = set(used)
        removed = 0
        for entry in self._entries():
            try:
                age = now - entry.stat(follow_symlinks=False).st_mtime
            except FileNotFoundError:
                continue  # its writer has just finished or given up
            if self._is_waste(entry.name, age, kept) and _lock_state(entry.path) != "held":
                logger.info("removing %s, which no model uses", entry.name)
                disk.remove(Path(entry.path))
                removed += 1
            elif entry.name.startswith(_TEMPORARY_PREFIX) and age > _ORPHAN_AGE_SECONDS and _lock_state(entry.path) == "free":
                logger.info("removing %s, whose writer has gone", entry.name)
                disk.remove(Path(entry.path))
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


def _lock_state(path: str) -> Literal["held", "free", "unknown"]:
    """Whether a living writer holds the file; unknown on a file system without locks."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return "unknown"
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "held"
    except OSError:
        return "unknown"
    finally:
        os.close(descriptor)
    return "free"
