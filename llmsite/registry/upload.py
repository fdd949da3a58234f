"""Uploads of blobs (catalogue 11.3): a session, the parts one after the other, and the digest that closes it.

A registry that wants parts elsewhere answers 307: then the part goes there, without credentials. A part that fails is sent again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from typing import Final
from urllib.parse import quote

from llmsite.registry.faults import RETRIED, TransferFault
from llmsite.registry.ollama import Registry
from llmsite.registry.outbound import Reply
from llmsite.registry.request import Request, joined
from llmsite.registry.steps import retried
from llmsite.store.blobs import BlobStore
from llmsite.store.manifest import Layer
from llmsite.types.errors import RegistryError, Unauthorized
from llmsite.types.limits import KIB, Limits
from llmsite.types.name import ModelName

_PIECE_BYTES: Final = 256 * KIB


@dataclass(slots=True)
class _Meter:
    """How much was sent; written by the thread that sends, told by the caller's."""

    num_bytes: int = 0


def upload(
    registry: Registry, blobs: BlobStore, layer: Layer, *, report: Callable[[int], None], check: Callable[[], None]
) -> None:
    """Send a blob that the registry lacks. Blocks.

    `report` gets the bytes sent so far, `check` may raise to leave: both some times a second. Raises `RegistryError`,
    `Unauthorized`, `Forbidden`, `NotFound` when the blob is not in the store.
    """
    session = retried(lambda: _open_session(registry, layer), registry.outbound, check)
    if not session:
        report(layer.size_bytes)
        return
    meter = _Meter()

    def tell() -> None:
        report(meter.num_bytes)
        check()

    part_hashes = hashlib.md5(usedforsecurity=False)
    with blobs.open(layer.digest) as file:
        parts = _parts(layer.size_bytes, registry.outbound.config.limits)
        for offset, size_bytes in parts:
            send = partial(_send_part, registry, session, file, offset, size_bytes, meter)
            session, part_hash = retried(send, registry.outbound, tell)
            part_hashes.update(part_hash)
    _close_session(registry, session, layer.digest, f"{part_hashes.hexdigest()}-{len(parts)}", check)
    report(layer.size_bytes)


def _parts(size_bytes: int, limits: Limits) -> list[tuple[int, int]]:
    """Offset and size of each part; one empty part for an empty blob."""
    step = max(limits.push_part_bytes, -(-size_bytes // 1000))
    return [(offset, min(step, size_bytes - offset)) for offset in range(0, size_bytes, step)] or [(0, 0)]


def _open_session(registry: Registry, layer: Layer) -> str:
    """URL to send to; empty when the registry took the blob from another of its models."""
    query = ""
    if layer.source and ModelName.parse_loosely(layer.source).is_valid:
        source = ModelName.parse_loosely(layer.source)
        query = f"?mount={quote(layer.digest, safe='')}&from={quote(f'{source.namespace}/{source.model}', safe='')}"
    with registry.ask("POST", f"{registry.url}/blobs/uploads/{query}", {"Content-Length": "0"}) as reply:
        _require_success(reply)
        if reply.status == 201:
            return ""
        return _session(reply, "")


def _send_part(
    registry: Registry, session: str, file: BufferedReader, offset: int, size_bytes: int, meter: _Meter
) -> tuple[str, bytes]:
    """Send one part; returns the session's next URL and the part's MD5."""
    sent_hash = hashlib.md5(usedforsecurity=False)

    def pieces() -> Iterator[bytes]:
        nonlocal sent_hash
        sent_hash = hashlib.md5(usedforsecurity=False)
        file.seek(offset)
        left = size_bytes
        while left:
            piece = file.read(min(left, _PIECE_BYTES))
            if not piece:
                raise RegistryError("the blob changed while it was pushed")
            sent_hash.update(piece)
            yield piece
            left -= len(piece)
            meter.num_bytes = offset + size_bytes - left

    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size_bytes)}
    ranged = {**headers, "Content-Range": f"{offset}-{offset + max(size_bytes, 1) - 1}", "X-Redirect-Uploads": "1"}
    with registry.ask("PATCH", session, ranged, pieces) as reply:
        if reply.status != 307:
            _require_success(reply)
            return _session(reply, session), sent_hash.digest()
        elsewhere, following = reply.location, _session(reply, session, names=("Docker-Upload-Location",))
    with registry.outbound.send(Request("PUT", elsewhere, headers, pieces(), registry.is_insecure)) as reply:
        _require_success(reply)
    return following, sent_hash.digest()


def _close_session(registry: Registry, session: str, digest: str, etag: str, check: Callable[[], None]) -> None:
    """Say what was sent. A try whose answer was lost may have done it: then the session is gone and the blob there."""
    mark = "&" if "?" in session else "?"
    url = f"{session}{mark}digest={quote(digest, safe='')}&etag={etag}"
    num_tries = 0

    def try_it() -> None:
        nonlocal num_tries
        num_tries += 1
        with registry.ask("PUT", url, {"Content-Length": "0"}, lambda: b"") as reply:
            if reply.status != 404 or num_tries == 1:
                _require_success(reply)
                return
            text = f"http status {reply.status}: {reply.words()}"
        if not registry.has_blob(digest):
            raise TransferFault(text)  # it may be at it still

    retried(try_it, registry.outbound, check)


def _session(reply: Reply, current: str, names: tuple[str, ...] = ("Docker-Upload-Location", "Location")) -> str:
    """Where the session goes on, as an absolute URL."""
    found = next((value for name in names if (value := reply.header(name))), "")
    if not found and not current:
        raise RegistryError("the registry opens an upload without saying where")
    return joined(reply.url, found) if found else current


def _require_success(reply: Reply) -> None:
    if reply.status < 400:
        return
    text = f"http status {reply.status}: {reply.words()}"
    if reply.status in RETRIED:
        raise TransferFault(text, reply.wait_seconds)
    raise Unauthorized(text) if reply.status in (401, 403) else RegistryError(text)
