"""Connections and requests of HTTP: limits, deadlines, refusals, and an application that starts at the end of the headers."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from daphne.http_protocol import HTTPFactory, WebRequest
from twisted.internet import reactor
from twisted.web import http

from llmsite.serving.flow import Body, Gate, Message
from llmsite.types.codec import go_json
from llmsite.types.limits import KIB, Limits

if TYPE_CHECKING:
    from llmsite.serving.server import Server

_LEAST_BYTES: Final = 4 * KIB
"""A body must bring so many bytes in every `body_idle_seconds`, or it counts as idle."""
_LINGER_SECONDS: Final = 1.0
"""How long a refused client, which may still be sending, has to read why."""
_WRITING: Final = frozenset({b"POST", b"PATCH", b"PUT"})
_REST_PREFIXES: Final = (b"/api/", b"/v1/", b"/v2/")
_REASONS: Final = {
    400: b"Bad Request",
    408: b"Request Timeout",
    413: b"Content Too Large",
    431: b"Request Header Fields Too Large",
}


def is_upload(method: bytes, path: bytes) -> bool:
    """Whether a route reads its body from `scope["body"]`: blobs that are given to the API, and blobs that are pushed."""
    if path.startswith(b"/v2/"):
        return method in _WRITING and b"/blobs/uploads/" in path
    return method == b"POST" and path.startswith(b"/api/blobs/")


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


class ChannelFactory(HTTPFactory):  # type: ignore[misc]
    """Makes a channel for each connection."""

    def buildProtocol(self, addr: Any) -> Channel:  # noqa: N802
        channel = Channel(self.server)
        channel.factory = self
        channel.requestFactory = Request
        channel.callLater = reactor.callLater
        channel.timeOut = self.timeOut
        return channel


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
