"""Replies of a model as one HTTP answer: the status is decided by the first reply, then frames flow as NDJSON."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Final

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse

from api.errors import JSON, PLAIN_JSON, body_of, error_response, internal_error
from api.responses import Writer, join
from llmsite.accounts.revocation import RightEnded, Use
from llmsite.types.chunk import Chunk, Phase
from llmsite.types.errors import EngineError, LlmsiteError, LoadFailed, LoadTimeout

NDJSON: Final = "application/x-ndjson"

Replies = AsyncGenerator[Chunk | Phase, None]


class GeneratorResponse(StreamingHttpResponse):
    """A body from an async generator, which is closed when the client goes away.

    Django wraps what it iterates in a generator of its own and closes only that one; handing out ours makes closing certain.
    """

    def __init__(self, frames: AsyncGenerator[bytes, None], **options: Any) -> None:
        super().__init__(**options)
        self.streaming_content = frames
        self.frames = frames

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.frames

    def hold_by(self, use: Use) -> None:
        """Let the body flow only as long as the caller has the right to it; then the connection breaks."""
        self.frames = _held(self.frames, use)


class NdjsonResponse(GeneratorResponse):
    """Lines of JSON as they come."""

    def __init__(self, frames: AsyncGenerator[bytes, None]) -> None:
        super().__init__(frames, content_type=NDJSON)

    def hold_by(self, use: Use) -> None:
        """As above, but there is room for a last line that says why."""
        super().hold_by(use)
        self.frames = _with_last_line(self.frames)


async def answer(replies: Replies, writer: Writer, *, stream: bool) -> HttpResponseBase:
    """One answer. What fails before the first chunk has a status of its own; later it is the last line (catalogue 2.4)."""
    try:
        first = await _first_chunk(replies)
    except LlmsiteError as error:
        await replies.aclose()
        return error_response(error, PLAIN_JSON if stream and _comes_from_a_job(error) else JSON)
    except BaseException:
        await replies.aclose()
        raise
    if first.is_whole or not stream:
        async with aclosing(replies):
            chunk = first if first.is_whole else join([first, *[each async for each in _chunks(replies)]])
        return HttpResponse(writer.frame(chunk), content_type=JSON)
    return NdjsonResponse(_frames(first, replies, writer))


async def _first_chunk(replies: Replies) -> Chunk:
    async for chunk in _chunks(replies):
        return chunk
    raise EngineError("the model gave no answer; please retry")


async def _chunks(replies: Replies) -> AsyncIterator[Chunk]:
    """Leaves out the phases, which are for pages. Does not close `replies`."""
    async for reply in replies:
        if isinstance(reply, Chunk):
            yield reply


async def _frames(first: Chunk, replies: Replies, writer: Writer) -> AsyncGenerator[bytes, None]:
    async with aclosing(replies):
        try:
            yield writer.frame(first) + b"\n"
            async for reply in replies:
                if isinstance(reply, Chunk):
                    yield writer.frame(reply) + b"\n"
        except LlmsiteError as error:
            yield body_of(error) + b"\n"
        except Exception as error:  # noqa: BLE001 - the outermost turn of a stream: logged, and the caller is told
            yield body_of(internal_error(error)) + b"\n"


async def _held(frames: AsyncGenerator[bytes, None], use: Use) -> AsyncGenerator[bytes, None]:
    async with aclosing(frames):
        with use:
            while True:
                use.confirm()
                try:
                    frame = await use.hold(anext(frames))
                except StopAsyncIteration:
                    return
                yield frame


async def _with_last_line(frames: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(frames):
        try:
            async for frame in frames:
                yield frame
        except RightEnded as error:
            yield body_of(error) + b"\n"


def _comes_from_a_job(error: LlmsiteError) -> bool:
    """Whether Ollama would report this from the running job: the engine failed after it was loaded."""
    return isinstance(error, EngineError) and not isinstance(error, LoadFailed | LoadTimeout)
