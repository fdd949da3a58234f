"""Which blobs were hashed and found right, and what tells that their file has changed since (fault F22).

Remembered in a file of one JSON line each, which several processes append to; without a file it is forgotten with its process.
A line that cannot be read counts as none: then the blob is hashed again.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

logger = logging.getLogger(__name__)

_TAIL: Final = b"\n"


class _Line(msgspec.Struct, frozen=True, array_like=True):
    """Size, time of change and number of the file in which the blob was found right."""

    digest: str
    size_bytes: int
    modified_ns: int
    inode: int


class VerifiedBlobs:
    """The blobs that are known to be right. Safe to use from several threads and processes."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known: dict[str, _Line] = {}
        self._num_read = 0
        self._lock = threading.Lock()

    def knows(self, digest: str, status: os.stat_result) -> bool:
        """Whether this file was found right as it is."""
        with self._lock:
            self._read_on()
            return self._known.get(digest) == _line(digest, status)

    def add(self, digest: str, status: os.stat_result) -> None:
        """Remember that this file is right. A memory that cannot be written costs another hash later, and no more."""
        line = _line(digest, status)
        with self._lock:
            self._known[digest] = line
            if self._path is None:
                return
            try:
                with self._path.open("ab", buffering=0) as file:
                    file.write(msgspec.json.encode(line) + _TAIL)
            except OSError as error:
                logger.warning("what was verified is not remembered: %s", error.strerror)

    def keep_only(self, digests: Iterable[str]) -> None:
        """Forget all other blobs, so that the file does not grow for ever."""
        kept = set(digests)
        with self._lock:
            self._read_on()
            self._known = {digest: line for digest, line in self._known.items() if digest in kept}
            if self._path is None or not self._path.exists():
                return
            fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
            fresh.write_bytes(b"".join(msgspec.json.encode(line) + _TAIL for line in self._known.values()))
            fresh.replace(self._path)
            self._num_read = 0

    def _read_on(self) -> None:
        """Take in what was appended since; all of it when the file was made anew."""
        if self._path is None:
            return
        try:
            size = self._path.stat().st_size
            if size == self._num_read:
                return
            with self._path.open("rb") as file:
                file.seek(self._num_read if size > self._num_read else 0)
                data = file.read()
        except OSError:
            return
        whole = data[: data.rfind(_TAIL) + 1]
        self._num_read = size - len(data) + len(whole)
        for text in whole.splitlines():
            try:
                line = msgspec.json.decode(text, type=_Line)
            except (msgspec.DecodeError, msgspec.ValidationError):
                continue
            self._known[line.digest] = line


def _line(digest: str, status: os.stat_result) -> _Line:
    return _Line(digest, status.st_size, status.st_mtime_ns, status.st_ino)
