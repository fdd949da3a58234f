"""The listener and the applications behind it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Final

from daphne.server import Server as DaphneServer
from daphne.server import twisted_loop
from twisted.internet import reactor
from twisted.internet.error import CannotListenError
from twisted.logger import globalLogBeginner

from llmsite.serving.channel import Channel, ChannelFactory, Request, is_upload
from llmsite.serving.flow import Body, Disconnected, Inbox, Message
from llmsite.serving.websocket import Socket, SocketFactory
from llmsite.types.limits import Limits

Application = Callable[..., Coroutine[Any, Any, None]]

_CANCEL_SECONDS: Final = 0.9
"""How long an application may go on after its HTTP client has left."""

log = logging.getLogger(__name__)


class AddressInUse(OSError):
    """Somebody else listens there, or this address cannot be listened on."""


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
