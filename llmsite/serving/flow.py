"""Back-pressure both ways: bodies that come in, answers that go out."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, MutableMapping
from typing import TYPE_CHECKING, Any, Final

from twisted.internet import reactor
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from llmsite.types.limits import KIB, Limits

if TYPE_CHECKING:
    from llmsite.serving.channel import Channel

Message = MutableMapping[str, Any]

_HELD_HIGH: Final = 256 * KIB
"""Bytes of a body that wait for the application before the socket is paused."""
_HELD_LOW: Final = 64 * KIB

log = logging.getLogger(__name__)


class Disconnected(ConnectionAbortedError):
    """The peer has gone; nothing that is sent arrives."""


@implementer(IPushProducer)
class Gate:
    """Closed while the peer does not read what was sent. A peer that takes nothing for `stall_seconds` is cut off."""

    def __init__(self, transport: Any, limits: Limits) -> None:
        self._transport = transport
        self._limits = limits
        self._is_open = asyncio.Event()
        self._is_open.set()
        self._watch: Any = None

    async def wait(self) -> None:
        """Return when there is room for more."""
        if self._pending() > self._limits.stream_buffer_bytes:
            await self._is_open.wait()

    def pauseProducing(self) -> None:  # noqa: N802 - twisted's name
        self._is_open.clear()
        self._stop_watching()
        self._watch = reactor.callLater(self._limits.stream_stall_seconds, self._look, self._pending())

    def resumeProducing(self) -> None:  # noqa: N802
        self._stop_watching()
        self._is_open.set()

    def stopProducing(self) -> None:  # noqa: N802
        self.resumeProducing()

    def _look(self, before: int) -> None:
        """A slow reader that moves may go on; one that stands still may not."""
        now = self._pending()
        if now < before:
            self._watch = reactor.callLater(self._limits.stream_stall_seconds, self._look, now)
            return
        self._watch = None
        log.info("closing a connection whose peer has read nothing for %g s", self._limits.stream_stall_seconds)
        self._transport.abortConnection()

    def _stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _pending(self) -> int:
        """Bytes accepted for sending that the kernel has not taken."""
        transport = self._transport
        return int(len(transport.dataBuffer) - transport.offset + transport._tempDataLen)  # noqa: SLF001 - twisted shows it nowhere else


class Body:
    """A request's body between the socket and the application: pieces in order, bounded, the socket paused when they pile up."""

    def __init__(self, channel: Channel, limit_bytes: int) -> None:
        self.is_complete = False
        self._channel = channel
        self._limit_bytes = limit_bytes
        self._pieces: deque[bytes] = deque()
        self._held_bytes = 0
        self._total_bytes = 0
        self._is_lost = False
        self._changed = asyncio.Event()

    @classmethod
    def empty(cls, channel: Channel) -> Body:
        """The body of a request that has none."""
        body = cls(channel, 0)
        body.finish()
        return body

    def add(self, data: bytes) -> bool:
        """Take a piece; False when the limit is crossed."""
        self._total_bytes += len(data)
        if self._total_bytes > self._limit_bytes:
            return False
        self._pieces.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > _HELD_HIGH:
            self._channel.pause_body()
        self._changed.set()
        return True

    def finish(self) -> None:
        self.is_complete = True
        self._changed.set()

    def lose(self) -> None:
        """The rest will not come."""
        self._is_lost = True
        self._pieces.clear()
        self._changed.set()

    async def read(self) -> bytes:
        """The next piece, empty at the end. Raises `Disconnected`."""
        while not self._pieces and not self.is_complete and not self._is_lost:
            self._changed.clear()
            await self._changed.wait()
        if self._is_lost:
            raise Disconnected("the client went away before its request was complete")
        if not self._pieces:
            return b""
        data = self._pieces.popleft()
        self._held_bytes -= len(data)
        if self._held_bytes < _HELD_LOW:
            self._channel.resume_body()
        return data

    @property
    def is_read(self) -> bool:
        """Whether all of it has been handed over."""
        return self.is_complete and not self._pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.read():
            yield data


class Inbox:
    """What the application receives: the body's pieces first, then the messages Daphne puts."""

    def __init__(self, body: Body | None) -> None:
        self._body = body
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._end: Message | None = None

    def put_nowait(self, message: Message) -> None:
        if self._body is not None and message["type"] == "http.request":
            return  # Daphne's idea of the body is empty here: the pieces speak for it
        self._messages.put_nowait(message)

    async def receive(self) -> Message:
        """The next message; the disconnect again and again once it came."""
        if self._end is not None:
            return self._end
        message = await self._next()
        if message["type"].endswith(".disconnect"):
            self._end = message
        return message

    async def _next(self) -> Message:
        if self._body is None:
            return await self._messages.get()
        try:
            data = await self._body.read()
        except Disconnected:
            return {"type": "http.disconnect"}
        more_body = not self._body.is_read
        if not more_body:
            self._body = None
        return {"type": "http.request", "body": data, "more_body": more_body}
