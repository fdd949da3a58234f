"""Bodies of requests that become blobs: read piece by piece, hashed and written by a thread of the upload's own meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing
from typing import Any, Final, Self

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from llmsite.store.blob_writer import BlobWriter
from llmsite.store.blobs import BlobStore
from llmsite.types.errors import Canceled
from llmsite.types.limits import MIB

_PIECE_BYTES: Final = 1 * MIB


class Upload:
    """One blob on its way into the store. Its one thread does all in order, so nothing stays when a caller is cancelled."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="upload")
        self._stack = ExitStack()
        self._writer: BlobWriter

    @classmethod
    async def begin(cls, blobs: BlobStore, expected: str | None = None) -> Self:
        """A new one; the caller closes it. `expected` is the digest it must have. Raises `StorageFull`."""
        upload = cls()
        try:
            upload._writer = await upload._submit(upload._stack.enter_context, blobs.writer(expected))
        except BaseException:
            await upload.close()
            raise
        return upload

    @property
    def num_bytes(self) -> int:
        return self._writer.num_bytes

    async def append(self, body: AsyncIterator[bytes]) -> None:
        """Add all of `body`. What was added of a body that ends in an error stays. Raises `StorageFull`, `Canceled`."""
        writing: asyncio.Future[None] | None = None
        async with aclosing(_in_pieces(body)) as pieces:
            async for piece in pieces:
                if writing is not None:
                    await writing
                writing = self._submit(self._writer.write, piece)
        if writing is not None:
            await writing

    async def append_whole(self, body: AsyncIterator[bytes]) -> None:
        """Add all of `body`, or nothing of it when it ends in an error."""
        mark = self._writer.mark()
        try:
            await self.append(body)
        except BaseException:
            await self._submit(self._writer.rewind, mark)
            raise

    async def commit(self, expected: str | None = None) -> str:
        """Give the blob its name; returns its digest. Raises `InvalidDigest`, `StorageFull`."""
        digest: str = await self._submit(self._writer.commit, expected)
        return digest

    async def close(self) -> None:
        """Discard what was not committed."""
        await self._submit(self._stack.close)
        self._executor.shutdown(wait=False)

    def _submit(self, act: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().run_in_executor(self._executor, act, *args)


async def body_of(request: HttpRequest) -> AsyncIterator[bytes]:
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


async def discard(body: AsyncIterator[bytes]) -> None:
    """Read to the end: many clients hear no answer before they have sent everything."""
    async for _ in body:
        pass


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
