"""BlobStore: content under its digest. Written to a temporary file, hashed on the way, renamed when it is right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llmsite.types.limits import Limits


class BlobStore:
    """The folder `blobs/` of a store."""

    def __init__(self, root: Path, limits: Limits | None = None) -> None:
        self.root = root
        self.limits = limits or Limits()

    def path(self, digest: str) -> Path:
        """Where the blob is or would be. Raises `InvalidDigest`."""
        raise NotImplementedError

    def has(self, digest: str) -> bool:
        """Whether the blob is there, as a plain file."""
        raise NotImplementedError

    @contextmanager
    def writer(self, expected: str | None = None) -> Iterator[BlobWriter]:
        """A writer; what was not committed is removed when the block ends. Raises `InvalidDigest`, `StorageFull`."""
        raise NotImplementedError


class BlobWriter:
    """One blob being written, by one thread at a time."""

    def write(self, piece: bytes) -> None:
        """Append and hash. Blocks; raises `StorageFull`."""
        raise NotImplementedError

    def commit(self) -> str:
        """Give the blob its name; returns its digest. Blocks; raises `InvalidDigest` (`digest mismatch, …`), `StorageFull`."""
        raise NotImplementedError
