"""One go at a blob: a few connections fetch its parts in order, and the hash follows the bytes that lie there without a gap.

Hashing what was just written reads it back from memory, not from the disk, so that verifying costs no second pass. A part that
fails is asked for again from where it stopped, later each time; a reply that does not fit the question is thrown away.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Protocol

from llmsite.registry.faults import RETRIED, RangesIgnored, TransferFault
from llmsite.registry.outbound import Reply
from llmsite.registry.partial import Part, PartialBlob
from llmsite.types.errors import Canceled, RegistryError, Unauthorized
from llmsite.types.limits import KIB, MIB, Limits

_READ_BYTES: Final = 256 * KIB
_HASH_BYTES: Final = MIB
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.ASCII)


class BlobSource(Protocol):
    """Where a blob comes from. Used from several threads."""

    def open(self, headers: Mapping[str, str]) -> Reply:
        """The reply to a GET of the blob with these headers, redirects followed; the caller closes it."""

    def close(self) -> None:
        """Break every connection, also of other threads."""


class Interrupted(Canceled):
    """Somebody broke the transfer off."""


class Round:
    """Fetches what a partial blob lacks. Used once; `interrupt` may come from any thread."""

    def __init__(self, partial: PartialBlob, source: BlobSource, limits: Limits, notice: Callable[[str], None]) -> None:
        self._partial = partial
        self._source = source
        self._limits = limits
        self._notice = notice
        self._open_parts = deque(part for part in partial.parts if not part.is_done)
        self._is_whole = len(partial.parts) == 1
        self._num_faults = 0
        self._is_over = False
        self._changed = threading.Condition()

    def run(self, num_connections: int) -> str:
        """The digest of the blob once all of it is there. Blocks.

        Raises the first failure of a connection, when all of them have ended; `Interrupted` after `interrupt`.
        """
        num_threads = max(1, min(num_connections, len(self._open_parts)))
        with ThreadPoolExecutor(num_threads, thread_name_prefix="fetch") as pool:
            tasks = [pool.submit(self._fetch_parts) for _ in range(num_threads)]
            for task in tasks:
                task.add_done_callback(self._wake)
            try:
                return self._hash(tasks)
            finally:
                self.interrupt()

    def interrupt(self) -> None:
        """End it: connections break, sleepers wake."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        self._source.close()

    def _hash(self, tasks: list[Future[None]]) -> str:
        """Follow the bytes that lie without a gap from the start."""
        digest, position, num_rewinds = hashlib.sha256(), 0, 0
        buffer = memoryview(bytearray(_HASH_BYTES))
        while position < self._partial.size_bytes or num_rewinds != self._partial.num_rewinds:
            if num_rewinds != self._partial.num_rewinds:
                digest, position, num_rewinds = hashlib.sha256(), 0, self._partial.num_rewinds
            self._wait_for_bytes(position, tasks)
            if failed := _failed(tasks):
                failed.result()
            self._require_going_on()
            while position < self._partial.front() and not self._is_over:
                count = self._partial.read(position, buffer[: self._partial.front() - position])
                digest.update(buffer[:count])
                position += count
        return f"sha256:{digest.hexdigest()}"

    def _wait_for_bytes(self, position: int, tasks: list[Future[None]]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._partial.front() > position or _failed(tasks) or self._is_over)

    def _fetch_parts(self) -> None:
        """One connection's work: part after part."""
        while True:
            try:
                part = self._open_parts.popleft()
            except IndexError:
                return
            self._fetch(part)

    def _fetch(self, part: Part) -> None:
        """A part, however often it takes. Raises `RegistryError` when it was tried often enough."""
        tries = 0
        while not part.is_done:
            self._require_going_on()
            before = part.completed
            try:
                self._fetch_rest(part)
            except TransferFault as fault:
                self._require_going_on()
                if isinstance(fault, RangesIgnored):
                    self._start_over(part, fault)
                self._num_faults += 1
                # a try that brought nothing worth recording counts; so a registry that only trickles is left soon
                tries = 1 if part.completed - before >= self._limits.pull_record_bytes else tries + 1
                if tries > self._limits.pull_retries or self._num_faults > self._limits.pull_attempts:
                    raise RegistryError(f"max retries exceeded: {fault}") from fault
                self._pause(fault, tries)

    def _start_over(self, part: Part, fault: RangesIgnored) -> None:
        """A registry that knows no ranges: the whole blob is read from its start, by one connection."""
        if not self._is_whole:
            raise fault
        self._partial.rewind(part)

    def _fetch_rest(self, part: Part) -> None:
        """One request for what a part lacks. Raises `TransferFault` when it stays incomplete."""
        is_whole = self._is_whole and part.completed == 0
        headers = {} if is_whole else {"Range": f"bytes={part.next_byte}-{part.end - 1}"}
        with self._source.open(headers) as reply:
            _check_status(reply)
            etag = reply.header("ETag")
            if part.etag and etag != part.etag:  # other content under the same address: its bytes are not appended to ours
                self._partial.rewind(part)
                raise TransferFault("the registry changed the blob while it was sent")
            part.etag = etag
            if is_whole:
                _check_length(reply, part.size_bytes)
            else:
                _check_range(reply, part, self._partial.size_bytes)
            self._receive(reply, part)

    def _receive(self, reply: Reply, part: Part) -> None:
        """Write a reply's bytes where they belong, not one more than are missing."""
        while missing := part.size_bytes - part.completed:
            data = reply.read_some(min(missing, _READ_BYTES))
            if not data:
                raise TransferFault("unexpected EOF")
            self._partial.write(part, data)
            with self._changed:
                self._changed.notify_all()

    def _pause(self, fault: TransferFault, tries: int) -> None:
        """Wait as the registry asks, else longer each time."""
        seconds = self._limits.pull_backoff_seconds * 2 ** (tries - 1)
        if fault.wait_seconds is not None:
            seconds = min(fault.wait_seconds, self._limits.pull_wait_seconds)
            self._notice(f"the registry asks to wait {round(seconds)} s")
        with self._changed:
            self._changed.wait_for(lambda: self._is_over, timeout=seconds)

    def _require_going_on(self) -> None:
        if self._is_over:
            raise Interrupted("the transfer was stopped")

    def _wake(self, _task: Future[None]) -> None:
        with self._changed:
            self._changed.notify_all()


def _failed(tasks: list[Future[None]]) -> Future[None] | None:
    return next((task for task in tasks if task.done() and task.exception() is not None), None)


def _check_status(reply: Reply) -> None:
    """Raise for a reply that is no blob: `TransferFault` if it may be one later."""
    status = reply.status
    if status in (200, 206):
        return
    if status in RETRIED or status == 416:
        raise TransferFault(f"{status}: {reply.words()}", reply.wait_seconds)
    if status == 404:
        raise RegistryError("file does not exist")
    if status in (401, 403):
        raise Unauthorized(f"{status}: {reply.words()}")
    raise RegistryError(f"{status}: {reply.words()}")


def _check_length(reply: Reply, size_bytes: int) -> None:
    """A whole file has the size that the manifest declares."""
    if reply.status != 200 or reply.num_bytes not in (None, size_bytes):
        raise TransferFault(f"the registry sends {reply.num_bytes} bytes where the manifest says {size_bytes}")


def _check_range(reply: Reply, part: Part, size_bytes: int) -> None:
    """A range starts where it was asked for, and belongs to a file of the declared size."""
    if reply.status == 200:
        raise RangesIgnored("the registry ignores ranges")
    found = _CONTENT_RANGE.fullmatch(reply.header("Content-Range").strip())
    if found is None or int(found[1]) != part.next_byte or int(found[2]) >= part.end:
        raise TransferFault("the registry sends another range than was asked for")
    if found[3] != "*" and int(found[3]) != size_bytes:
        raise TransferFault(f"the registry has {found[3]} bytes where the manifest says {size_bytes}")
