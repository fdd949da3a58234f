"""Sends files to the server's store: hashed first, left out when the server has them, never whole in memory."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, Callable
from io import BufferedReader
from pathlib import Path
from typing import Final

from llmsite.cli.model_files import unreadable
from llmsite.cli.progress_lines import ProgressLines
from llmsite.cli.rest import Server
from llmsite.types.limits import MIB

_PIECE_BYTES: Final = 1 * MIB
_HASHED_BYTES: Final = 16 * MIB
"""Read in one go of a thread; between two Ctrl+C is heard."""


async def upload_file(server: Server, path: Path, lines: ProgressLines) -> str:
    """The digest of the file, which the server has then. Raises `LlmsiteError` for a file that cannot be read, `ServerError`."""
    try:
        with _open(path) as file:
            return await _upload(server, file, lines)
    except OSError as error:
        raise unreadable(path, error) from error


def _open(path: Path) -> BufferedReader:
    return path.open("rb")


async def _upload(server: Server, file: BufferedReader, lines: ProgressLines) -> str:
    size_bytes = os.fstat(file.fileno()).st_size
    digest = await _digest_of(file)
    lines.set_status(f"copying file {digest} 0%")
    if not await server.has_blob(digest):
        file.seek(0)
        pieces = _pieces(file, lambda sent: lines.replace_status(f"copying file {digest} {100 * sent // size_bytes}%"))
        await server.upload_blob(digest, size_bytes, pieces)
    lines.replace_status(f"copying file {digest} 100%")
    return digest


async def _digest_of(file: BufferedReader) -> str:
    sha256 = hashlib.sha256()
    while await asyncio.to_thread(_hash_some, file, sha256.update):
        pass
    return f"sha256:{sha256.hexdigest()}"


def _hash_some(file: BufferedReader, update: Callable[[bytes], object]) -> bool:
    """Hash the next part; returns whether there was one."""
    data = file.read(_HASHED_BYTES)
    update(data)
    return bool(data)


async def _pieces(file: BufferedReader, on_sent: Callable[[int], object]) -> AsyncGenerator[bytes, None]:
    sent = 0
    while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
        yield piece
        sent += len(piece)
        on_sent(sent)
