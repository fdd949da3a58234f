"""What pulls from both kinds of registries do with a blob, and how their frames look (catalogue 2.16)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Final, TypeAlias, TypeVar

from llmsite.registry.faults import TransferFault
from llmsite.registry.outbound import Outbound
from llmsite.registry.transfer import MakeSource, download, is_stored
from llmsite.store.manifest import decode_manifest, manifest_digest
from llmsite.store.model import ModelStore
from llmsite.types.chunk import Progress
from llmsite.types.errors import InvalidModelFile, RegistryError, Unauthorized
from llmsite.types.name import ModelName

Report: TypeAlias = Callable[[Progress], None]
Check: TypeAlias = Callable[[], None]

T = TypeVar("T")

_TICK_SECONDS: Final = 0.06


def fetch_blob(store: ModelStore, digest: str, size_bytes: int, make_source: MakeSource, report: Report, check: Check) -> None:
    """Have a blob in the store: one frame if it is there, else frames while it comes. Blocks. Raises as `transfer.download`."""
    short = digest.removeprefix("sha256:")[:12]

    def frame(completed: int) -> None:
        report(Progress(f"pulling {short}", digest, size_bytes, completed))

    check()
    if is_stored(store.blobs, digest, size_bytes):
        store.blobs.touch(digest)
        frame(size_bytes)
        return

    def notice(text: str) -> None:
        report(Progress(text))

    download(store.blobs, digest, size_bytes, make_source, report=frame, notice=notice, check=check)


@contextmanager
def replacing(store: ModelStore, name: ModelName, data: bytes | None, report: Report) -> Iterator[None]:
    """Around the write of a manifest: say what name comes to mean something else (threat T72), and what was removed."""
    before = installed_manifest(store, name)
    if before is not None and data is not None and manifest_digest(before) != manifest_digest(data):
        report(Progress(f"replacing {manifest_digest(before)[:12]} with {manifest_digest(data)[:12]}"))
    yield
    after = installed_manifest(store, name)
    if before is not None and after is not None and store.prunes and _blobs(store, before) - _blobs(store, after):
        report(Progress("removing unused layers"))


@contextmanager
def as_registry_errors(prefix: str = "") -> Iterator[None]:
    """A registry that refuses us is a failure of the job, not of the caller's own credentials: `RegistryError` in both cases."""
    try:
        yield
    except (RegistryError, Unauthorized) as error:
        raise RegistryError(f"{prefix}{error}") from error


def attended(act: Callable[[], T], outbound: Outbound, check: Check) -> T:
    """What `act` returns, which asks through `outbound` from a thread of its own, so that its caller can leave a silent registry.

    Who leaves breaks every connection of `outbound`; nothing of `act` goes on then.
    """
    check()
    with ThreadPoolExecutor(1, thread_name_prefix="ask") as pool:
        task = pool.submit(act)
        try:
            while not wait([task], timeout=_TICK_SECONDS).done:
                check()
        except BaseException:
            outbound.close()
            raise
    return task.result()


def waited(act: Callable[[], T], outbound: Outbound, report: Report, check: Check) -> T:
    """As `attended`, tried again when the registry asks to wait: as often as a part of a download, and each time for so long."""
    limits = outbound.config.limits
    for left in reversed(range(limits.pull_retries + 1)):
        try:
            return attended(act, outbound, check)
        except TransferFault as fault:
            if fault.wait_seconds is None or not left:
                raise
            seconds = min(fault.wait_seconds, limits.pull_wait_seconds)
        report(Progress(f"the registry asks to wait {round(seconds)} s"))
        pause(seconds, check)
    raise AssertionError("the last try returns or raises")


def pause(seconds: float, check: Check) -> None:
    """Wait, but let the caller leave meanwhile."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        check()
        time.sleep(min(left, _TICK_SECONDS))


def retried(act: Callable[[], T], outbound: Outbound, check: Check) -> T:
    """As `attended`, tried again as often as a part of a download, and when the registry wants it (catalogue 11.3)."""
    limits, tries = outbound.config.limits, 0
    while True:
        try:
            return attended(act, outbound, check)
        except TransferFault as fault:
            tries += 1
            if tries > limits.pull_retries:
                raise RegistryError(f"max retries exceeded: {fault}") from fault
            seconds = limits.pull_backoff_seconds * 2 ** (tries - 1)
            pause(seconds if fault.wait_seconds is None else min(fault.wait_seconds, limits.pull_wait_seconds), check)


def installed_manifest(store: ModelStore, name: ModelName) -> bytes | None:
    """The bytes of the manifest that stands under a name."""
    file = store.manifests.find(name)
    try:
        return file.path.read_bytes() if file else None
    except OSError:
        return None


def _blobs(store: ModelStore, data: bytes) -> frozenset[str]:
    """The blobs a manifest names; none when it cannot be read."""
    try:
        return decode_manifest(data, store.limits).digests
    except InvalidModelFile:
        return frozenset()
