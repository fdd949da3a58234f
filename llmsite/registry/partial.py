"""A download that is not finished, on disk in Ollama's layout (catalogue 10.1): the sparse blob and a JSON record for each part.

    sha256-<hex>-partial        the bytes so far, at their places
    sha256-<hex>-partial-<n>    {"N":0,"Offset":0,"Size":16777216,"Completed":4194304}

Bytes are written before the record that counts them, so a killed process resumes with what is really there; what a power cut took
is found by the digest. Whoever holds the lock on the sparse file owns all of it. Where a file system knows no locks, the bytes
go to a file of this process alone, without records: two owners never share one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import msgspec

from llmsite.store import disk
from llmsite.store.blobs import BlobStore
from llmsite.store.disk import reporting_full_disk
from llmsite.types.errors import LoadFailed
from llmsite.types.limits import Limits

_MAX_PARTS: Final = 256
_RECORD_BYTES: Final = 128
"""Records have one length and are written in place: no write leaves a piece of an older one behind."""
_PARTIAL: Final = re.compile(r"-partial-(\d{1,6})", re.ASCII)
_TAKEN: Final = (errno.EWOULDBLOCK, errno.EACCES)


@dataclass(slots=True)
class Part:
    """One range of the blob. `completed` bytes from its start are on disk; one thread at a time fetches a part."""

    number: int
    offset: int
    size_bytes: int
    completed: int = 0
    recorded: int = 0
    etag: str = ""

    @property
    def next_byte(self) -> int:
        return self.offset + self.completed

    @property
    def end(self) -> int:
        return self.offset + self.size_bytes

    @property
    def is_done(self) -> bool:
        return self.completed == self.size_bytes


class _Record(msgspec.Struct):
    number: int = msgspec.field(name="N")
    offset: int = msgspec.field(name="Offset")
    size_bytes: int = msgspec.field(name="Size")
    completed: int = msgspec.field(name="Completed")


class PartialBlob:
    """The unfinished blob, owned by whoever has this object. Writing different parts from several threads is safe."""

    def __init__(
        self, blobs: BlobStore, digest: str, size_bytes: int, path: Path, descriptor: int, *, keeps_records: bool
    ) -> None:
        self.path = path
        self.size_bytes = size_bytes
        self._blobs = blobs
        self._digest = digest
        self._target = blobs.path(digest)
        self._descriptor = descriptor
        self._keeps_records = keeps_records
        self._records: list[int] = []
        self.parts: list[Part] = []
        self.num_rewinds = 0
        self._first_open = 0

    @classmethod
    def take(cls, blobs: BlobStore, digest: str, size_bytes: int) -> PartialBlob | None:
        """The unfinished blob with the parts that are there, or fresh ones; None while another process has it. `close` it.

        Raises `StorageFull`, `LoadFailed` when something else than a file stands in its place.
        """
        path = partial_path(blobs, digest)
        with reporting_full_disk():
            disk.make_folder(blobs.folder)
            descriptor = _open(path)
        keeps_records = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in _TAKEN:
                return None
            keeps_records = False
            descriptor, name = tempfile.mkstemp(prefix="upload-", dir=blobs.folder)
            path = Path(name)
        partial = cls(blobs, digest, size_bytes, path, descriptor, keeps_records=keeps_records)
        try:
            if keeps_records and not partial._is_mine():
                partial.close()  # its last owner has just finished it, or given it up
                return None
            with reporting_full_disk():
                partial._prepare()
        except BaseException:
            partial.close()  # else this process would wait for its own lock the next time
            raise
        return partial

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def completed(self) -> int:
        """Bytes on disk."""
        return sum(part.completed for part in self.parts)

    def front(self) -> int:
        """Bytes on disk without a gap from the start. Asked by one thread."""
        while self._first_open < len(self.parts) - 1 and self.parts[self._first_open].is_done:
            self._first_open += 1
        return self.parts[self._first_open].next_byte

    def write(self, part: Part, data: bytes) -> None:
        """Append to a part. Raises `StorageFull`."""
        with reporting_full_disk():
            disk.write_at(self._descriptor, data, part.next_byte)
            part.completed += len(data)
            if part.is_done or part.completed - part.recorded >= self._blobs.limits.pull_record_bytes:
                self.record(part)

    def rewind(self, part: Part) -> None:
        """Forget a part's bytes: they will be written again, perhaps others, so what was hashed counts no more.

        The record says so on disk first: whoever resumes must not take a mixture for what it counted. Raises `StorageFull`.
        """
        part.completed, part.etag = 0, ""
        with reporting_full_disk():
            if self.record(part):
                disk.sync(self._records[part.number])
        self._first_open = 0
        self.num_rewinds += 1

    def record(self, part: Part) -> bool:
        """Remember on disk how far a part is; whether that was to be changed."""
        if not self._keeps_records or part.recorded == part.completed:
            return False
        disk.write_at(self._records[part.number], _encode(part), 0)
        part.recorded = part.completed
        return True

    def read(self, position: int, buffer: memoryview) -> int:
        """Bytes read back into `buffer` from `position`."""
        return os.preadv(self._descriptor, [buffer], position)

    def restart(self, *, in_one_part: bool = False) -> None:
        """Forget what is there. `in_one_part`: for a registry that sends whole files only."""
        parts = [Part(0, 0, self.size_bytes)] if in_one_part else plan(self.size_bytes, self._blobs.limits)
        with reporting_full_disk():
            self._use(parts)

    def publish(self) -> None:
        """Give the blob its name, safe against a power cut; its bytes were verified. Blocks. Raises `StorageFull`."""
        with reporting_full_disk():
            if os.path.lexists(self._target) and not self._blobs.has(self._digest):
                self._blobs.put_aside(self._digest)  # something else than a file, which no rename replaces
        self._blobs.publish(self._descriptor, self.path, self._digest)
        self._drop_records()

    def discard(self) -> None:
        """Remove everything: it can be of no use."""
        self._drop_records()
        disk.remove(self.path)

    def close(self) -> None:
        """Let others have it. What is on disk stays, but for a file without records."""
        for part in self.parts:
            if self._records:
                with suppress(OSError):
                    self.record(part)
        self._close_records()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            if not self._keeps_records:
                disk.remove(self.path)

    def is_free(self) -> bool:
        """Whether nobody else had it; from now on nobody has. Where a file system knows no locks, nobody uses this file."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in _TAKEN
        return self._is_mine()

    def _is_mine(self) -> bool:
        """Whether the locked file is still the one that stands under the name."""
        try:
            there, mine = os.lstat(self.path), os.fstat(self._descriptor)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)

    def _prepare(self) -> None:
        """Resume from the records if they fit, else start anew."""
        found = _read_records(self.path) if self._keeps_records else []
        is_whole = os.fstat(self._descriptor).st_size == self.size_bytes
        if is_whole and found and covers(found, self.size_bytes):
            self._use(found)
        else:
            self._use(plan(self.size_bytes, self._blobs.limits))

    def _use(self, parts: list[Part]) -> None:
        self._blobs.require_space(self.size_bytes - sum(part.completed for part in parts))
        self._drop_records(keep=len(parts))
        os.ftruncate(self._descriptor, self.size_bytes)
        self.parts, self._first_open = parts, 0
        if not self._keeps_records:
            return
        for part in parts:
            record = os.open(record_path(self.path, part.number), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            self._records.append(record)
            disk.write_at(record, _encode(part), 0)
            os.ftruncate(record, _RECORD_BYTES)
            part.recorded = part.completed

    def _drop_records(self, keep: int = 0) -> None:
        """Remove the records from number `keep` on."""
        self._close_records()
        for path in record_paths(self.path) if self._keeps_records else ():
            if _number(path) >= keep:
                disk.remove(path)

    def _close_records(self) -> None:
        for descriptor in self._records:
            os.close(descriptor)
        self._records = []


def partial_path(blobs: BlobStore, digest: str) -> Path:
    """Where an unfinished blob is kept."""
    path = blobs.path(digest)
    return path.with_name(f"{path.name}-partial")


def record_path(partial: Path, number: int) -> Path:
    """Where the record of a part is kept."""
    return partial.with_name(f"{partial.name}-{number}")


def record_paths(partial: Path) -> list[Path]:
    """The records that are there."""
    return list(partial.parent.glob(f"{partial.name}-*"))


def plan(size_bytes: int, limits: Limits) -> list[Part]:
    """The parts of a blob in order: short ones, so that the hash follows closely, but not too many for a folder."""
    step = max(limits.pull_part_bytes, -(-size_bytes // _MAX_PARTS))
    return [Part(number, offset, min(step, size_bytes - offset)) for number, offset in enumerate(range(0, size_bytes, step))]


def covers(parts: list[Part], size_bytes: int) -> bool:
    """Whether parts lie one behind the other and make the whole."""
    position = 0
    for number, part in enumerate(parts):
        if part.number != number or part.offset != position or not 0 <= part.completed <= part.size_bytes:
            return False
        position = part.end
    return position == size_bytes


def recorded_bytes(blobs: BlobStore, digest: str) -> int:
    """How far another process is, as its records say."""
    return sum(part.completed for part in _read_records(partial_path(blobs, digest)))


def discard_partial(blobs: BlobStore, digest: str) -> None:
    """Remove an unfinished blob with its records, unless somebody is at it. Needs no room on the disk.

    Raises `StorageFailed`, `LoadFailed` when something else than a file stands in its place.
    """
    path = partial_path(blobs, digest)
    with reporting_full_disk():
        try:
            descriptor = _open(path, may_make=False)
        except FileNotFoundError:
            return
        with PartialBlob(blobs, digest, 0, path, descriptor, keeps_records=True) as partial:
            if partial.is_free():
                partial.discard()


def forget_records(blobs: BlobStore, digest: str) -> None:
    """Remove records that a process left which was killed between naming the blob and cleaning up."""
    partial = partial_path(blobs, digest)
    if not partial.exists():
        for path in record_paths(partial):
            disk.remove(path)


def _read_records(partial: Path) -> list[Part]:
    """Every record that can be read, in order; Ollama's are the same."""
    parts = []
    for path in sorted(record_paths(partial), key=_number):
        try:
            record = msgspec.json.decode(path.read_bytes().rstrip(b"\0"), type=_Record)
        except (OSError, msgspec.DecodeError, msgspec.ValidationError):
            continue
        parts.append(Part(record.number, record.offset, record.size_bytes, record.completed, record.completed))
    return parts


def _encode(part: Part) -> bytes:
    record = _Record(part.number, part.offset, part.size_bytes, part.completed)
    return msgspec.json.encode(record).ljust(_RECORD_BYTES)


def _number(path: Path) -> int:
    found = _PARTIAL.search(path.name)
    return int(found[1]) if found else -1


def _open(path: Path, *, may_make: bool = True) -> int:
    """The sparse file, to read and write; a plain one with this one name (threat T07)."""
    making = os.O_CREAT if may_make else 0
    try:
        descriptor = os.open(path, os.O_RDWR | making | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR):
            raise LoadFailed("something else than a file stands where a download is kept") from error
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise LoadFailed("something else than a file stands where a download is kept")
    return descriptor
