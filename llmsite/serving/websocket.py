"""Websockets with bounds on the size, rate and silence of messages, and a `send` that waits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol

from llmsite.serving.flow import Gate
from llmsite.types.limits import Limits

if TYPE_CHECKING:
    from llmsite.serving.server import Server

_SOCKET_RATE: Final = 20.0
_SOCKET_BURST: Final = 60.0
"""Messages a second, and how many may come at once."""


class Socket(WebSocketProtocol):  # type: ignore[misc]
    """One websocket."""

    def connectionMade(self) -> None:  # noqa: N802
        limits: Limits = self.factory.server_class.limits
        self.gate = Gate(self.transport, limits)
        self._allowance = _SOCKET_BURST
        self._last_message = time.monotonic()
        # the HTTP channel that this connection began with was the producer
        self.transport.unregisterProducer()
        self.transport.registerProducer(self.gate, True)
        super().connectionMade()

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        self.gate.stopProducing()
        super().connectionLost(reason)

    def onConnect(self, request: Any) -> Any:  # noqa: N802
        server: Server = self.factory.server_class
        if server.num_sockets >= server.limits.sockets_total:
            raise OverflowError("too many websockets")
        return super().onConnect(request)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803
        now = time.monotonic()
        self._allowance = min(_SOCKET_BURST, self._allowance + (now - self._last_message) * _SOCKET_RATE) - 1
        self._last_message = now
        if self._allowance < 0:
            self.muted = True
            self.sendClose(code=4429, reason="too many messages")
            self.application_queue.put_nowait({"type": "websocket.disconnect", "code": 4429})
            return
        super().onMessage(payload, isBinary)

    @property
    def is_closing(self) -> bool:
        """Whether a close frame has gone out or come in."""
        return self.state in (self.STATE_CLOSING, self.STATE_CLOSED)

    async def wait_for_room(self) -> None:
        """Return when the peer has read enough."""
        await self.gate.wait()


class SocketFactory(WebSocketFactory):  # type: ignore[misc]
    """Makes the protocol that a channel is upgraded to."""

    protocol = Socket
