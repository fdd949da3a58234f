"""EventStream: the parent's end of a runner's socket. Frames in are parsed as they arrive; frames out wait for a slow runner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from llmsite.engine import wire
from llmsite.types.errors import ProtocolError, RequestTooLarge
from llmsite.types.limits import Limits


class EventStream(asyncio.Protocol):
    """Calls `on_event` for every event and `on_closed` once: with the error when the runner sent what it must not, or None.

    `on_event` may raise `ProtocolError` itself. No task runs here: events are dispatched from the loop's own read callback.
    """

    def __init__(
        self, limits: Limits, on_event: Callable[[wire.Event], None], on_closed: Callable[[ProtocolError | None], None]
    ) -> None:
        self._limits = limits
        self._on_event = on_event
        self._on_closed = on_closed
        self._buffer = bytearray()
        self._error: ProtocolError | None = None
        self._writable = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    async def writable(self) -> None:
        """Wait while the runner is slow to read what it was sent."""
        await self._writable.wait()

    def encode(self, frame: wire.Command) -> bytes:
        """A frame for `send`. Raises `RequestTooLarge` beyond `Limits.frame_down_bytes`."""
        data = wire.encode(frame)
        if len(data) > self._limits.frame_down_bytes:
            raise RequestTooLarge(f"the request is larger than {self._limits.frame_down_bytes} bytes")
        return data

    def send(self, data: bytes) -> None:
        """Hand a frame over; it goes nowhere once the stream is closed."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """The runner sees the end of the stream and leaves."""
        if self._transport is not None:
            self._transport.abort()

    # called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        if self._error is not None:
            return
        buffer, start = self._buffer, 0
        buffer += data
        try:
            while len(buffer) - start >= wire.HEADER_BYTES:
                body = start + wire.HEADER_BYTES
                end = body + wire.body_bytes(bytes(buffer[start:body]), self._limits.frame_up_bytes)
                if len(buffer) < end:
                    break
                self._on_event(wire.decode_event(bytes(buffer[body:end])))
                start = end
        except ProtocolError as error:
            self._error = error
            self.close()
        del buffer[:start]

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._writable.set()
        self._on_closed(self._error)
