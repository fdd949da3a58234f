"""Blobs that another process makes: it fills a temporary file of the store, which then is hashed and gets its name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from llmsite.store.blobs import BlobStore
from llmsite.types.errors import LoadFailed, NotFound
from llmsite.types.limits import MIB


class MadeBlob:
    """A temporary file, ours until the block ends. `path` is where the other process writes, into this very file."""

    def __init__(self, blobs: BlobStore, file: FileIO, path: Path) -> None:
        self.path = path
        self._blobs = blobs
        self._file = file

    def adopt(self, check: Callable[[], None]) -> tuple[str, bool]:
        """Hash what was written and give it its name, safe against a power cut; returns the digest, and whether it is new.

        Blocks; `check` is asked between pieces, and ends it by raising. Raises `StorageFull`, `LoadFailed`.
        """
        if not self._is_in_place():
            raise LoadFailed("the file that was being made was removed or replaced")
        digest = self._hash(check)
        try:
            self._blobs.touch(digest)
        except (NotFound, LoadFailed):  # not there, or no more, or something else in its place
            self._blobs.publish(self._file.fileno(), self.path, digest)
            return digest, True
        return digest, False

    def _is_in_place(self) -> bool:
        """Whether the name still leads to the file we hold: nothing else may get a digest."""
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self.path.lstat())
        except FileNotFoundError:
            return False

    def _hash(self, check: Callable[[], None]) -> str:
        self._file.seek(0)
        digest = hashlib.sha256()
        while piece := self._file.read(MIB):
            digest.update(piece)
            check()
        return f"sha256:{digest.hexdigest()}"


@contextmanager
def made_blob(blobs: BlobStore) -> Iterator[MadeBlob]:
    """A file for another process to fill. Gone when the block ends, unless it was adopted. Raises `StorageFull`."""
    with blobs.temporary() as (file, path):
        yield MadeBlob(blobs, file, path)
