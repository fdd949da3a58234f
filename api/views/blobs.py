"""HEAD and POST /api/blobs/:digest (catalogue 2.19): whether a blob is there, and uploading one of any size.

The body is read piece by piece from `scope["body"]`, hashed and written by a thread of the upload's own while the next piece
arrives. A body that does not match its digest is discarded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing
from typing import Any, Final

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from api.endpoint import endpoint
from llmsite import backend
from llmsite.store.blobs import BlobStore
from llmsite.store.digest import parse_digest
from llmsite.types.errors import Canceled, NotFound
from llmsite.types.limits import MIB

_PIECE_BYTES: Final = 1 * MIB


@endpoint("HEAD", "POST")
async def blob(request: HttpRequest, digest: str) -> HttpResponseBase:
    """200 for a blob that is there; 201 when the body became it. `digest` is checked before anything looks at the disk."""
    blobs = backend.get_store().blobs
    parse_digest(digest)
    is_there = await asyncio.to_thread(blobs.has, digest)
    if request.method == "HEAD":
        if not is_there:
            raise NotFound("blob not found")
        return _empty(200)
    if is_there:
        await asyncio.to_thread(blobs.touch, digest)
        await _discard(_body(request))
        return _empty(200)
    await asyncio.to_thread(blobs.require_space, int(request.headers.get("Content-Length") or 0))
    await _store(blobs, digest, _body(request))
    return _empty(201)


async def _store(blobs: BlobStore, digest: str, body: AsyncIterator[bytes]) -> None:
    """Write `body` under `digest`. Nothing stays when this is cancelled: the one thread does everything in order."""
    loop = asyncio.get_running_loop()
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="upload")
    stack = ExitStack()

    def submit(act: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        return loop.run_in_executor(executor, act, *args)

    try:
        writer = await submit(stack.enter_context, blobs.writer(digest))
        writing: asyncio.Future[None] | None = None
        async with aclosing(_in_pieces(body)) as pieces:
            async for piece in pieces:
                if writing is not None:
                    await writing
                writing = submit(writer.write, piece)
        if writing is not None:
            await writing
        await submit(writer.commit)
    finally:
        await submit(stack.close)
        executor.shutdown(wait=False)


async def _in_pieces(body: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The body in pieces of about 1 MiB, so that hashing pays for its thread."""
    piece = bytearray()
    async for part in body:
        piece += part
        if len(piece) >= _PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


async def _discard(body: AsyncIterator[bytes]) -> None:
    """Read to the end: many clients hear no answer before they have sent everything."""
    async for _ in body:
        pass


async def _body(request: HttpRequest) -> AsyncIterator[bytes]:
    """Pieces of the request's body as they arrive; from the request itself where the server has read it already.

    Raises `Canceled` when the client leaves half way.
    """
    if isinstance(request, ASGIRequest) and "body" in request.scope:
        try:
            async for part in request.scope["body"]:
                yield part
        except ConnectionError as error:
            raise Canceled("the upload ended before it was complete") from error
        return
    while part := request.read(_PIECE_BYTES):
        yield part


def _empty(status: int) -> HttpResponse:
    """An answer without a body and, as Ollama's, without a content type."""
    response = HttpResponse(status=status)
    del response.headers["Content-Type"]
    return response
