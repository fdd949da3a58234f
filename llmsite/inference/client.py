"""Client: what api, chat and the command line hold to reach models, wherever they run.

One transport method carries every request, so a local pipeline, a cluster node and a remote server look the same.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from llmsite.types.chunk import Chunk, Phase, Reply, RunningModels, TokenCount
from llmsite.types.errors import EngineError
from llmsite.types.request import ChatRequest, GenerateRequest, PsRequest, Request, TokenizeRequest


class Transport(Protocol):
    """Carries a request to where the model is and its replies back."""

    def send(self, request: Request) -> AsyncGenerator[Reply, None]:
        """Replies in order. Raises from `types/errors.py`; closing the generator cancels the request and frees its slot."""
        ...


class Client:
    """Ask models. Close the generators you do not read to the end (`contextlib.aclosing`): that cancels the work."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk | Phase, None]:
        """Chunks of one completion; the last has `done`. Phases stand before the first chunk."""
        async with aclosing(self._transport.send(request)) as replies:
            async for reply in replies:
                yield _expect_stream(reply)

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Chunk | Phase, None]:
        """Chunks of one answer; the last has `done`. Phases stand before the first chunk."""
        async with aclosing(self._transport.send(request)) as replies:
            async for reply in replies:
                yield _expect_stream(reply)

    async def ps(self) -> RunningModels:
        """What is loaded now."""
        reply = await self._single(PsRequest())
        if not isinstance(reply, RunningModels):
            raise _unexpected(reply)
        return reply

    async def count_tokens(self, request: TokenizeRequest) -> TokenCount:
        """Tokens of a conversation as its model would read it."""
        reply = await self._single(request)
        if not isinstance(reply, TokenCount):
            raise _unexpected(reply)
        return reply

    async def _single(self, request: Request) -> Reply:
        async with aclosing(self._transport.send(request)) as replies:
            async for reply in replies:
                if not isinstance(reply, Phase):
                    return reply
        raise EngineError("the model gave no answer; please retry")


def _expect_stream(reply: Reply) -> Chunk | Phase:
    if isinstance(reply, Chunk | Phase):
        return reply
    raise _unexpected(reply)


def _unexpected(reply: Reply) -> EngineError:
    return EngineError(f"the engine answered with an unexpected {type(reply).__name__}; please retry")
