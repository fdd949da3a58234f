"""Daphne with bodies that flow: the only module that knows daphne and twisted (DESIGN section 2).

What differs from stock Daphne, each in one class:
- `Channel`: limits and deadlines of a connection before anything is parsed far; refusals that the client gets to read.
- `Request`: the application starts at the end of the headers; `Body` hands the pieces over and pauses the socket.
- `Gate`: `send` waits while the peer does not read, and fails once it has gone.
- `Socket`: the same for websockets, with bounds on size, rate and silence.
- `Server`: one listener, run around a main coroutine that says when to stop. Signals belong to `serve.py`.

Uploads (`POST /api/blobs/…`) get their body as `scope["body"]`, an async iterator of bytes, and an empty body otherwise.
"""

from __future__ import annotations

from daphne.server import Server as DaphneServer, twisted_loop  # isort: skip - importing it installs the asyncio reactor

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, MutableMapping
from functools import partial
from io import BytesIO
from typing import Any, Final

from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from twisted.internet import reactor
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IPushProducer
from twisted.logger import globalLogBeginner
from twisted.web import http
from zope.interface import implementer

from llmsite.types.codec import go_json
from llmsite.types.limits import KIB, Limits

Message = MutableMapping[str, Any]
Application = Callable[..., Coroutine[Any, Any, None]]

_HELD_HIGH: Final = 256 * KIB
"""Bytes of a body that wait for the application before the socket is paused."""
_HELD_LOW: Final = 64 * KIB
_LEAST_BYTES: Final = 4 * KIB
"""A body must bring so many bytes in every `body_idle_seconds`, or it counts as idle."""
_LINGER_SECONDS: Final = 1.0
"""How long a refused client, which may still be sending, has to read why."""
_CANCEL_SECONDS: Final = 0.9
"""How long an application may go on after its HTTP client has left."""
_SOCKET_RATE: Final = 20.0
_SOCKET_BURST: Final = 60.0
_REST_PREFIXES: Final = (b"/api/", b"/v1/", b"/v2/")
_REASONS: Final = {
    400: b"Bad Request",
    408: b"Request Timeout",
    413: b"Content Too Large",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    503: b"Service Unavailable",
}

log = logging.getLogger(__name__)


class Disconnected(ConnectionAbortedError):
    """The peer has gone; nothing that is sent arrives."""


class AddressInUse(OSError):
    """Somebody else listens there, or this address cannot be listened on."""


def is_upload(method: bytes, path: bytes) -> bool:
    """Whether a route reads its body from `scope["body"]`."""
    return method == b"POST" and path.startswith(b"/api/blobs/")


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


class Channel(http.HTTPChannel):  # type: ignore[misc]
    """One connection that speaks HTTP."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server
        self._limits: Limits = server.limits
        self.maxHeaders = 1 << 30  # counted here, for a better answer
        self.totalHeadersSize = 1 << 30
        self.MAX_LENGTH = self._limits.header_bytes
        self._num_header_bytes = 0
        self._num_headers = 0
        self._deadline: Any = None
        self._window_bytes = 0
        self._is_refused = False
        self.is_unread = False

    # a connection

    def connectionMade(self) -> None:  # noqa: N802
        self.gate = Gate(self.transport, self._limits)
        self._server.channels.add(self)
        super().connectionMade()
        self._expect_within(self._limits.header_seconds, self._headers_are_late)

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        self._server.channels.discard(self)
        self._expect_nothing()
        super().connectionLost(reason)

    @property
    def is_idle(self) -> bool:
        """Between two requests."""
        return not self.requests

    def pauseProducing(self) -> None:  # noqa: N802
        self.gate.pauseProducing()
        super().pauseProducing()

    def resumeProducing(self) -> None:  # noqa: N802
        self.gate.resumeProducing()
        super().resumeProducing()

    def stopProducing(self) -> None:  # noqa: N802
        self.gate.stopProducing()
        super().stopProducing()

    # headers

    def lineReceived(self, line: bytes) -> None:  # noqa: N802
        if self._is_refused:
            return
        if self.is_idle and self._deadline is None:
            self._expect_within(self._limits.header_seconds, self._headers_are_late)
        self._num_header_bytes += len(line) + 2
        if self._num_header_bytes > self._limits.header_bytes:
            self.refuse(431, "request headers too large")
            return
        super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: N802
        self.refuse(431, "request headers too large")

    def headerReceived(self, line: bytes) -> bool:  # noqa: N802
        self._num_headers += 1
        if self._num_headers > self._limits.headers:
            self.refuse(431, "too many request headers")
            return False
        return bool(super().headerReceived(line))

    def allHeadersReceived(self) -> None:  # noqa: N802
        self._expect_nothing()
        self._num_headers = self._num_header_bytes = 0
        super().allHeadersReceived()

    def _send100Continue(self) -> None:  # noqa: N802
        if not self._is_refused:
            super()._send100Continue()

    def _headers_are_late(self) -> None:
        self._deadline = None
        if self.is_idle:
            self.transport.loseConnection()
        else:
            self.refuse(408, "request headers took too long")

    # the body

    def expect_body(self) -> None:
        """From here on the body has to come, and steadily."""
        self.setTimeout(None)
        self._window_bytes = 0
        self._expect_within(self._limits.body_idle_seconds, self._body_is_late)

    def got_body(self, num_bytes: int) -> None:
        self._window_bytes += num_bytes

    def pause_body(self) -> None:
        """The application is slow: no more bytes, and none are expected."""
        self._expect_nothing()
        self._networkProducer.pauseProducing()

    def resume_body(self) -> None:
        if self._deadline is None and self.requests and not self._handlingRequest and not self._is_refused:
            self.expect_body()
            self._networkProducer.resumeProducing()

    def rawDataReceived(self, data: bytes) -> None:  # noqa: N802
        if not self._is_refused:
            super().rawDataReceived(data)

    def allContentReceived(self) -> None:  # noqa: N802
        self._expect_nothing()
        if not self._is_refused:
            super().allContentReceived()

    def _body_is_late(self) -> None:
        self._deadline = None
        if self._window_bytes >= _LEAST_BYTES:
            self.expect_body()
        else:
            self.refuse(408, "request body took too long")

    # refusing

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802 - what twisted calls on anything malformed
        self.refuse(400, "invalid request")

    def refuse(self, status: int, text: str) -> None:
        """Answer in the server's own name and close. If an answer has begun, only closing is left."""
        if self._is_refused:
            return
        self._is_refused = True
        self._expect_nothing()
        request = self.requests[-1] if self.requests else None
        has_begun = request is not None and request.leave()
        if has_begun or len(self.requests) > 1:
            self.transport.abortConnection()
            return
        self.transport.write(_plain_answer(status, text, getattr(self, "_path", getattr(request, "uri", b"")) or b""))
        self.end_early()

    def loseConnection(self) -> None:  # noqa: N802
        if self.is_unread:
            self.end_early()
        else:
            super().loseConnection()

    def end_early(self) -> None:
        """Close towards a client that may still be sending: it reads our answer before the reset reaches it."""
        self._expect_nothing()
        self.setTimeout(None)
        self._networkProducer.pauseProducing()
        self.transport.loseWriteConnection()
        reactor.callLater(_LINGER_SECONDS, self.transport.abortConnection)

    def _expect_within(self, seconds: float, late: Callable[[], None]) -> None:
        self._expect_nothing()
        self._deadline = reactor.callLater(seconds, late)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Request(WebRequest):  # type: ignore[misc]
    """One HTTP request and its answer."""

    body: Body | None = None

    def gotLength(self, length: int | None) -> None:  # noqa: N802
        """End of the headers. A request with a body starts its application now."""
        self.content = BytesIO()
        if length == 0:
            return
        channel: Channel = self.channel
        method, uri = channel._command, channel._path  # noqa: SLF001 - twisted keeps them until the body is complete
        limit_bytes = self._limit_of(method, uri)
        if length is not None and length > limit_bytes:
            channel.refuse(413, "request body too large")
            return
        if self.requestHeaders.hasHeader(b"Upgrade"):
            channel.refuse(400, "invalid request")
            return
        self.body = Body(channel, limit_bytes)
        channel.expect_body()
        self._start(method, uri, channel._version)  # noqa: SLF001

    def _limit_of(self, method: bytes, uri: bytes) -> int:
        limits: Limits = self.server.limits
        if is_upload(method, uri):
            return limits.upload_bytes
        return limits.body_bytes if uri.startswith(_REST_PREFIXES) else limits.form_bytes

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        if self.body is None or self.channel is None:
            return
        self.channel.got_body(len(data))
        if not self.body.add(data):
            self.channel.refuse(413, "request body too large")

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:  # noqa: N802
        """All of the request is here. Twisted would parse forms and arguments now; Django does that."""
        if self.body is not None:
            self.body.finish()
        else:
            self._start(command, path, version)

    def _start(self, command: bytes, uri: bytes, version: bytes) -> None:
        self.method, self.uri, self.clientproto = command, uri, version
        self.path = uri.partition(b"?")[0]
        if not uri.startswith(b"/"):  # absolute form and `*`: the path that is judged must be the one that is routed
            self.channel.refuse(400, "invalid request")
            return
        self.process()

    def handle_reply(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.responseHeaders.addRawHeader(b"Date", http.datetimeToString())
            if self.body is not None and not self.body.is_complete:
                # the rest of the body would be read as the next request
                self.channel.persistent = 0
                self.channel.is_unread = True
                self.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        super().handle_reply(message)

    def handle_exception(self, exception: BaseException | None) -> None:
        """The application failed, or ended without a whole answer."""
        if self.finished or self.channel is None:
            return
        if self._response_started:
            self.channel.transport.abortConnection()
        else:
            self.basic_error(500, b"", "internal error")

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        """Daphne's own refusals, as REST clients and people can read them."""
        headers, content = _error_body(body.lower(), self.uri)
        self.handle_reply({"type": "http.response.start", "status": status, "headers": headers})
        self.handle_reply({"type": "http.response.body", "body": content})

    def leave(self) -> bool:
        """The answer has no reader any more. Returns whether it had begun."""
        has_begun = bool(self._response_started)
        if self.body is not None:
            self.body.lose()
        if self.application_queue:
            self.send_disconnect()
        self.server.protocol_disconnected(self)
        return has_begun

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        if self.body is not None:
            self.body.lose()
        super().connectionLost(reason)

    async def wait_for_room(self) -> None:
        """Return when the peer has read enough."""
        channel: Channel | None = getattr(self, "channel", None)
        if channel is not None:
            await channel.gate.wait()


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


class ChannelFactory(HTTPFactory):  # type: ignore[misc]
    """Makes a channel for each connection."""

    def buildProtocol(self, addr: Any) -> Channel:  # noqa: N802
        channel = Channel(self.server)
        channel.factory = self
        channel.requestFactory = Request
        channel.callLater = reactor.callLater
        channel.timeOut = self.timeOut
        return channel


class SocketFactory(WebSocketFactory):  # type: ignore[misc]
    """Makes the protocol that a channel is upgraded to."""

    protocol = Socket


class Server(DaphneServer):  # type: ignore[misc]
    """One listener and the applications behind it. Raises `AddressInUse` when made."""

    def __init__(self, application: Application, host: str, port: int, limits: Limits) -> None:
        # a ping after a third of the time a socket may be silent, the rest is for the answer
        ping_seconds = limits.socket_idle_seconds / 3
        super().__init__(
            application,
            endpoints=[host],
            server_name="",
            ping_interval=ping_seconds,
            ping_timeout=limits.socket_idle_seconds - ping_seconds,
            websocket_timeout=-1,
            websocket_max_message_size=limits.socket_message_bytes,
            websocket_max_frame_size=limits.socket_message_bytes,
        )
        self.limits = limits
        self.channels: set[Channel] = set()
        self.connections: dict[Any, dict[str, Any]] = {}
        self.http_factory = ChannelFactory(self)
        self.ws_factory = SocketFactory(self, server="llmsite")
        self.ws_factory.setProtocolOptions(
            autoPingTimeout=self.ping_timeout,
            allowNullOrigin=True,  # judged by accounts/trust.py
            openHandshakeTimeout=limits.header_seconds,
            maxMessagePayloadSize=limits.socket_message_bytes,
            maxFramePayloadSize=limits.socket_message_bytes,
            failByDrop=False,
        )
        try:
            self._listener = reactor.listenTCP(port, self.http_factory, backlog=512, interface=host)
        except CannotListenError as error:
            raise AddressInUse(str(error.socketError)) from error
        bound = self._listener.getHost()
        self.address: tuple[str, int] = (bound.host, bound.port)

    def run(self, main: Callable[[], Awaitable[None]]) -> None:
        """Serve until `main` returns; it starts once the loop runs. Raises what it raised. Blocks; call it once per process."""
        globalLogBeginner.beginLoggingTo([lambda _event: None], redirectStandardIO=False, discardBuffer=True)
        asyncio.set_event_loop(twisted_loop)
        outcome: list[BaseException] = []

        async def run_main() -> None:
            try:
                await main()
            except BaseException as error:  # noqa: BLE001 - raised again below, when the reactor has stopped
                outcome.append(error)
            finally:
                reactor.stop()

        def begin() -> None:
            self.timeout_checker()
            self._main = twisted_loop.create_task(run_main())

        reactor.callWhenRunning(begin)
        reactor.run(installSignalHandlers=False)
        if outcome:
            raise outcome[0]

    async def stop_listening(self) -> None:
        """Accept nobody new; connections that wait for a next request are closed."""
        await self._listener.stopListening().asFuture(twisted_loop) if self._listener.connected else None
        for channel in list(self.channels):
            channel.persistent = 0
            if channel.is_idle:
                channel.transport.loseConnection()

    async def drain(self, seconds: float) -> None:
        """Wait so long for running requests and sockets to end, then cancel them."""
        if tasks := self._running():
            await asyncio.wait(tasks, timeout=seconds)
        rest = self._running()
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest, timeout=1)

    def close_sockets(self, code: int) -> None:
        """Close all websockets: 1012 says that the server restarts."""
        for each in list(self.connections):
            if isinstance(each, Socket) and each.state == each.STATE_OPEN:
                each.serverClose(code)

    @property
    def num_sockets(self) -> int:
        return sum(isinstance(each, Socket) for each in self.connections)

    def _running(self) -> list[asyncio.Task[None]]:
        found = [details.get("application_instance") for details in self.connections.values()]
        return [task for task in found if task is not None and not task.done()]

    # what requests and sockets call

    def create_application(self, protocol: Request | Socket, scope: Message) -> Inbox:
        """Start the application for a request or socket; returns where its messages go."""
        scope.setdefault("asgi", {"version": "3.0"})
        body = protocol.body if isinstance(protocol, Request) else None
        if isinstance(protocol, Request) and is_upload(protocol.method, protocol.path):
            scope["body"], body = body or Body.empty(protocol.channel), None
        inbox = Inbox(body)
        task = twisted_loop.create_task(self.application(scope, inbox.receive, partial(self.handle_reply, protocol)))
        self.connections[protocol]["application_instance"] = task
        task.add_done_callback(partial(self._ended, protocol))
        return inbox

    def _ended(self, protocol: Request | Socket, task: asyncio.Task[None]) -> None:
        details = self.connections[protocol]
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, Disconnected):
            log.error("an application failed", exc_info=error)
        if "disconnected" in details:
            details["timer"].cancel()
            del self.connections[protocol]
        elif isinstance(protocol, Request) or error is not None:
            protocol.handle_exception(error)

    def protocol_disconnected(self, protocol: Request | Socket) -> None:
        """The peer has gone. Its application is told, and ended when it does not listen."""
        details = self.connections.get(protocol)
        if details is None or "disconnected" in details:
            return
        details["disconnected"] = time.time()
        task = details.get("application_instance")
        if task is None or task.done():
            del self.connections[protocol]
            return
        is_cut_off = isinstance(protocol, Request) and not protocol.finished
        patience = _CANCEL_SECONDS if is_cut_off else self.application_close_timeout
        details["timer"] = twisted_loop.call_later(patience, task.cancel)

    async def handle_reply(self, protocol: Request | Socket, message: Message) -> None:
        """`send` of an application. Raises `Disconnected`; waits while the peer does not read."""
        self._check_connected(protocol)
        self.check_headers_type(message)
        protocol.handle_reply(message)
        if message.get("more_body") or message["type"] == "websocket.send":
            await protocol.wait_for_room()
            self._check_connected(protocol)

    def _check_connected(self, protocol: Request | Socket) -> None:
        is_gone = "disconnected" in self.connections.get(protocol, {"disconnected": True})
        if is_gone or (isinstance(protocol, Socket) and protocol.is_closing):
            raise Disconnected("the client went away")


def _error_body(text: str, uri: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    if uri.startswith(_REST_PREFIXES):
        content, kind = go_json({"error": text}), b"application/json; charset=utf-8"
    else:
        content, kind = text.encode(), b"text/plain; charset=utf-8"
    return [(b"Content-Type", kind), (b"Content-Length", b"%d" % len(content)), (b"X-Content-Type-Options", b"nosniff")], content


def _plain_answer(status: int, text: str, uri: bytes) -> bytes:
    """A whole HTTP answer that is written without a request behind it."""
    headers, content = _error_body(text, uri)
    lines = [b"HTTP/1.1 %d %s" % (status, _REASONS[status]), *(b"%s: %s" % each for each in headers), b"Connection: close"]
    return b"\r\n".join(lines) + b"\r\n\r\n" + content
