"""The frames of a job as one HTTP answer (catalogue 2.4, 2.16 to 2.18): lines as they come, or the last one alone.

What fails before the first frame has a status of its own; later it is the last line.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from django.http import HttpResponse, HttpResponseBase

from api.errors import PLAIN_JSON, body_of, error_response, internal_error
from api.streams import NdjsonResponse
from llmsite.types.chunk import Progress
from llmsite.types.codec import go_json
from llmsite.types.errors import EngineError, LlmsiteError

Frames = AsyncGenerator[Progress, None]


async def answer(frames: Frames, *, stream: bool) -> HttpResponseBase:
    """One answer from `jobs.watch`, which is closed at its end, or when the client goes away."""
    if not stream:
        return await _whole(frames)
    try:
        first = await _first(frames)
    except LlmsiteError as error:
        await frames.aclose()
        return error_response(error, PLAIN_JSON)
    except BaseException:
        await frames.aclose()
        raise
    return NdjsonResponse(_lines(first, frames))


def frame(progress: Progress) -> bytes:
    """One frame, without a newline: keys in Ollama's order, all but the status left out when empty."""
    found: dict[str, Any] = {"status": progress.status}
    for key in ("digest", "total", "completed"):
        if value := getattr(progress, key):
            found[key] = value
    return go_json(found)


async def _whole(frames: Frames) -> HttpResponseBase:
    last: Progress | None = None
    async with aclosing(frames):
        try:
            async for progress in frames:
                last = progress
        except LlmsiteError as error:
            return error_response(error, PLAIN_JSON)
    return HttpResponse(frame(last or _nothing()), content_type=PLAIN_JSON)


async def _first(frames: Frames) -> Progress:
    async for progress in frames:
        return progress
    return _nothing()


def _nothing() -> Progress:
    raise EngineError("the job ended without a word; please retry")


async def _lines(first: Progress, frames: Frames) -> AsyncGenerator[bytes, None]:
    async with aclosing(frames):
        try:
            yield frame(first) + b"\n"
            async for progress in frames:
                yield frame(progress) + b"\n"
        except LlmsiteError as error:
            yield body_of(error) + b"\n"
        except Exception as error:  # noqa: BLE001 - the outermost turn of a stream: logged, and the caller is told
            yield body_of(internal_error(error)) + b"\n"
