"""Downloads of blobs, shared by everybody in this process who waits for the same digest; callers block.

A download goes on while anybody waits and stops, resumable, when the last one leaves. Another process that wants the same blob
waits for the lock and adopts the result.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from typing import Final

from llmsite.registry.faults import RangesIgnored
from llmsite.registry.fetching import BlobSource, Interrupted, Round
from llmsite.registry.partial import PartialBlob, forget_records, recorded_bytes
from llmsite.store.blobs import BlobStore
from llmsite.types.errors import RegistryError

_TICK_SECONDS: Final = 0.06
"""How often a waiting caller is told how far it is, as Ollama does."""
_LOCK_SECONDS: Final = 0.1
_ROUNDS: Final = 2
"""A blob that came out wrong is fetched once more from the start: what was resumed may have been damaged on disk."""

MakeSource = Callable[[], BlobSource]


class Download:
    """One blob on its way, in threads of its own. Made by `download` below."""

    def __init__(self, blobs: BlobStore, digest: str, size_bytes: int, make_source: MakeSource) -> None:
        self.num_callers = 0
        self._blobs = blobs
        self._digest = digest
        self._size_bytes = size_bytes
        self._make_source = make_source
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._round: Round | None = None
        self._partial: PartialBlob | None = None
        self._foreign_bytes = 0
        self._notices: list[str] = []
        pool = ThreadPoolExecutor(1, thread_name_prefix=f"download {digest[7:19]}")
        self._done: Future[None] = pool.submit(self._run)
        pool.shutdown(wait=False)

    @property
    def is_over(self) -> bool:
        """Whether it ended, well or not."""
        return self._done.done()

    def watch(self, report: Callable[[int], None], notice: Callable[[str], None], check: Callable[[], None]) -> None:
        """Tell a caller how far it is until it is done. Raises what ended it, or what `check` raises."""
        num_told = len(self._notices)
        while not wait([self._done], timeout=_TICK_SECONDS).done:
            for text in self._notices[num_told:]:
                notice(text)
                num_told += 1
            report(self._partial.completed if self._partial is not None else self._foreign_bytes)
            check()
        self._done.result()
        report(self._size_bytes)

    def stop(self) -> None:
        """Break off; what is on disk stays. Returns when nothing is written any more."""
        with self._lock:
            self._stop.set()
            if self._round is not None:
                self._round.interrupt()
        wait([self._done])

    def _run(self) -> None:
        partial = self._take()
        if partial is None:
            return
        with partial:
            self._partial = partial
            self._fill(partial)

    def _take(self) -> PartialBlob | None:
        """The unfinished blob, as soon as no other process has it; None when that process finished it."""
        while not self._stop.is_set():
            if is_stored(self._blobs, self._digest, self._size_bytes):
                forget_records(self._blobs, self._digest)
                return None
            partial = PartialBlob.take(self._blobs, self._digest, self._size_bytes)
            if partial is not None:
                return partial
            self._foreign_bytes = recorded_bytes(self._blobs, self._digest)
            self._stop.wait(_LOCK_SECONDS)
        raise Interrupted("the transfer was stopped")

    def _fill(self, partial: PartialBlob) -> None:
        got = ""
        for _ in range(_ROUNDS):
            got = self._fetch(partial)
            if got == self._digest:
                partial.publish()
                return
            partial.restart()
        partial.discard()
        raise RegistryError(f"digest mismatch, file must be downloaded again: want {self._digest}, got {got}")

    def _fetch(self, partial: PartialBlob) -> str:
        """The digest of what arrived."""
        try:
            return self._go(partial, self._blobs.limits.pull_connections)
        except RangesIgnored:
            partial.restart(in_one_part=True)
            return self._go(partial, 1)

    def _go(self, partial: PartialBlob, num_connections: int) -> str:
        with closing(self._make_source()) as source:
            this = Round(partial, source, self._blobs.limits, self._notices.append)
            with self._lock:
                self._round = this
                if self._stop.is_set():
                    this.interrupt()
            return this.run(num_connections)


_lock: Final = threading.Lock()
_running: Final[dict[Path, Download]] = {}


def download(
    blobs: BlobStore,
    digest: str,
    size_bytes: int,
    make_source: MakeSource,
    *,
    report: Callable[[int], None],
    notice: Callable[[str], None],
    check: Callable[[], None],
) -> None:
    """Fetch a blob into the store, or wait for whoever fetches it already. Blocks.

    `report` gets the bytes on disk so far, `notice` a sentence when the registry makes us wait, `check` may raise to leave: all
    from the calling thread, some times a second. Raises `RegistryError`, `Unauthorized`, `Forbidden`, `StorageFull`.
    """
    if size_bytes == 0:
        _put_nothing(blobs, digest)
        return
    key = blobs.path(digest)
    with _lock:
        running = _running.get(key)
        if running is None or running.is_over:
            running = _running[key] = Download(blobs, digest, size_bytes, make_source)
        running.num_callers += 1
    try:
        running.watch(report, notice, check)
    finally:
        with _lock:
            running.num_callers -= 1
            is_last = running.num_callers == 0
            if is_last and _running.get(key) is running:
                del _running[key]
        if is_last:
            running.stop()


def is_stored(blobs: BlobStore, digest: str, size_bytes: int) -> bool:
    """Whether the blob is there with its declared size; a damaged one is fetched again."""
    return blobs.has(digest) and blobs.size(digest) == size_bytes


def _put_nothing(blobs: BlobStore, digest: str) -> None:
    with blobs.writer(digest) as writer:
        writer.commit()
