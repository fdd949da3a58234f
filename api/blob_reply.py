"""A blob as an answer: whole or in part, read from the disk by threads while the reader takes it.

Never the whole in memory, and never the loop waiting for a disk: two pieces and the connection's buffer are all that a reader
costs. `send` waits for slow readers (`serving/`), and so does this generator.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from io import BufferedReader
from typing import Final

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from api.byte_ranges import Unsatisfiable, parse_range
from api.streams import GeneratorResponse
from llmsite.store.blobs import BlobStore
from llmsite.types.errors import LoadFailed
from llmsite.types.limits import KIB

PIECE_BYTES: Final = 512 * KIB
_BINARY: Final = "application/octet-stream"

_readers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="blob-reader")
"""Threads of their own, so that many readers of a slow disk hold up nothing else."""


class BlobResponse(GeneratorResponse):
    """The pieces of an open file, which is closed with the answer."""

    def __init__(self, file: BufferedReader, wanted: range, **options: object) -> None:
        super().__init__(_pieces(file, wanted), **options)
        self._file = file

    def close(self) -> None:
        super().close()
        self._file.close()


async def reply_with_blob(request: HttpRequest, blobs: BlobStore, digest: str) -> HttpResponseBase:
    """200 with the blob, 206 with a part of it, 304 or 416. Raises `InvalidDigest`, `NotFound`, `LoadFailed`."""
    etag = f'"{digest}"'
    if request.headers.get("If-None-Match", "").strip() in (etag, "*"):
        await asyncio.to_thread(blobs.size, digest)
        return _finish(HttpResponse(status=304), etag)
    file = await asyncio.to_thread(blobs.open, digest)
    try:
        size = os.fstat(file.fileno()).st_size
        response = _respond(request, file, size, etag)
    except BaseException:
        file.close()
        raise
    if not isinstance(response, BlobResponse):
        file.close()
    return _finish(response, etag)


def _respond(request: HttpRequest, file: BufferedReader, size: int, etag: str) -> HttpResponseBase:
    try:
        part = parse_range(_range_header(request, etag), size)
    except Unsatisfiable:
        response: HttpResponseBase = HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
        return response
    wanted = range(size) if part is None else part
    if request.method == "HEAD":
        response = HttpResponse(content_type=_BINARY)
    else:
        response = BlobResponse(file, wanted, content_type=_BINARY)
    response.headers["Content-Length"] = str(len(wanted))
    if part is not None:
        response.status_code = 206
        response.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    else:
        # Ollama takes the address of the parts from here and gives up without it (catalogue 11.1)
        response.headers["Location"] = request.path
    return response


def _range_header(request: HttpRequest, etag: str) -> str:
    """The range, if it counts: not for another version of the file, and not for HEAD."""
    if request.method != "GET" or request.headers.get("If-Range", etag).strip() != etag:
        return ""
    return request.headers.get("Range", "")


def _finish(response: HttpResponseBase, etag: str) -> HttpResponseBase:
    response.headers["ETag"] = etag
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["Docker-Content-Digest"] = etag.strip('"')
    return response


async def _pieces(file: BufferedReader, wanted: range) -> AsyncGenerator[bytes, None]:
    """The wanted bytes; the next piece is read while this one is sent. Raises `LoadFailed` when the file ends too early."""
    loop = asyncio.get_running_loop()
    position = wanted.start

    def read(start: int) -> asyncio.Future[bytes]:
        return loop.run_in_executor(_readers, os.pread, file.fileno(), min(PIECE_BYTES, wanted.stop - start), start)

    reading = read(position) if wanted else None
    try:
        while reading is not None:
            piece = await reading
            reading = None
            if not piece:
                raise LoadFailed("model data is damaged, pull it again")
            position += len(piece)
            if position < wanted.stop:
                reading = read(position)
            yield piece
    finally:
        if reading is not None:
            await asyncio.wait({reading})  # the file stays open for it
