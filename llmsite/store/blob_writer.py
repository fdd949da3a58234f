"""BlobWriter: one blob on its way to its name, hashed as it is written. `BlobStore.writer` makes it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmsite.store import disk
from llmsite.store.disk import reporting_full_disk
from llmsite.types.errors import InvalidDigest
from llmsite.types.limits import MIB

if TYPE_CHECKING:
    from llmsite.store.blobs import BlobStore

SPACE_CHECK_BYTES: Final = 64 * MIB
"""After so many bytes each the disk is asked whether the next as many still leave the reserve free."""


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
        self._next_check = SPACE_CHECK_BYTES

    def write(self, piece: bytes) -> None:
        """Append and hash. Blocks; raises `StorageFull`."""
        if self.num_bytes >= self._next_check:
            self._next_check += SPACE_CHECK_BYTES
            self._store.require_space(SPACE_CHECK_BYTES)
        with reporting_full_disk():
            disk.write(self._file, piece)
        self._hash.update(piece)
        self.num_bytes += len(piece)

    def mark(self) -> Mark:
        """Where the writer stands, to come back to by `rewind`."""
        return Mark(self.num_bytes, self._hash.copy())

    def rewind(self, mark: Mark) -> None:
        """Forget what was written after `mark`. Blocks."""
        disk.truncate(self._file, mark.num_bytes)
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
        self._store.publish(self._file.fileno(), self._temporary, digest)
        return digest
