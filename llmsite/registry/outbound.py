"""The one HTTP client for what leaves this site towards registries (rule 8 of the trust model).

A host's addresses are resolved once, checked, and connected to as they are, with the host's own name for TLS and `Host`.
Redirects are followed by hand: each hop is checked like the first, credentials end at the border of an origin, and http is only
for registries that were called insecure. Nothing is read without a deadline and a bound, and only proxies that were configured
are asked. `http.client` of the standard library carries it: it can be handed a checked connection, and reads at the speed of a
disk.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from llmsite import __version__
from llmsite.registry.config import RegistryConfig
from llmsite.registry.connecting import connect
from llmsite.registry.faults import TransferFault, asked_seconds, reason, shown
from llmsite.registry.request import Origin, Request, joined, netloc, redirected, split
from llmsite.registry.wire import Wire
from llmsite.types.errors import LlmsiteError, RegistryError

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_REPEATABLE: Final = frozenset({"GET", "HEAD"})
_STOPPED: Final = "the transfer was stopped"
_PENDING_SECONDS: Final = 1.0
"""For a reply that has come already."""


class _Connection(http.client.HTTPConnection):
    """A connection that was made already and is never made again: only checked addresses are connected to."""

    auto_open = 0

    def __init__(self, origin: Origin, wire: Wire) -> None:
        super().__init__(origin[1], origin[2])
        self.origin = origin
        self.wire = wire
        self.sock: Any = wire  # http.client needs sendall, makefile and close of it


class Outbound:
    """Sends requests and keeps connections for the next ones. Used from several threads; `close` ends what they wait for."""

    def __init__(self, config: RegistryConfig) -> None:
        self.config = config
        self._lock = threading.Lock()
        self._idle: dict[Origin, list[_Connection]] = {}
        self._wires: set[Wire] = set()
        self._closed: Future[Any] = Future()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _is_closed(self) -> bool:
        return self._closed.done()

    def close(self) -> None:
        """Break every connection, also one that is only being made. Requests under way fail at once."""
        with self._lock:
            if not self._is_closed:
                self._closed.set_result(None)
            idle = [connection for each in self._idle.values() for connection in each]
            self._idle.clear()
            wires = list(self._wires)
        for wire in wires:
            wire.abort()
        for connection in idle:
            self.drop(connection)

    def fetch(self, request: Request) -> Reply:
        """The reply after redirects; close it. Raises `Forbidden`, `RegistryError`, `TransferFault` when the network failed."""
        for _ in range(self.config.limits.pull_redirects + 1):
            reply = self.send(request)
            if reply.status not in _REDIRECTS or not reply.header("Location"):
                return reply
            reply.close()
            request = redirected(request, reply.location)
        raise RegistryError(f"maximum redirects exceeded ({self.config.limits.pull_redirects})")

    def send(self, request: Request) -> Reply:
        """The reply, redirect or not; close it. Raises as `fetch`."""
        origin, target = split(request)
        repeats = request.method in _REPEATABLE
        while True:
            connection = self._take_idle(origin) if repeats else None
            is_fresh = connection is None
            try:
                connection = connection or self._connect(origin)
                return self._ask(connection, request, target)
            except (OSError, http.client.HTTPException) as error:
                if connection is not None:
                    self.drop(connection)
                # the other side may close a kept connection at any time; then a new one is due, and no fault
                if is_fresh or self._is_closed or isinstance(error, TimeoutError):
                    place = shown(request.url, self.config.limits)
                    raise TransferFault(f'{request.method.title()} "{place}": {reason(error)}') from error
            except BaseException:  # whoever makes the body may leave in the middle of it
                if connection is not None:
                    self.drop(connection)
                raise

    def _ask(self, connection: _Connection, request: Request, target: str) -> Reply:
        headers = {
            "Host": netloc(connection.origin),
            "Accept-Encoding": "identity",
            "User-Agent": f"llmsite/{__version__}",
            **request.headers,
        }
        response = _exchange(connection, request, target, headers)
        connection.wire.expect_body()
        reply = Reply(self, connection, response, request)
        if reply.header("Content-Encoding").casefold() not in ("", "identity"):
            reply.close()
            raise RegistryError(f"the registry {connection.origin[1]} compressed its answer although it was asked not to")
        return reply

    def _connect(self, origin: Origin) -> _Connection:
        """A new connection. It is made in a thread of its own, for nothing breaks off the look-up of a name."""
        self._require_open()
        task = _started(partial(connect, *origin, self.config, self._require_open))
        wait([task, self._closed], return_when=FIRST_COMPLETED)
        if not task.done():
            task.add_done_callback(_close_unused)
            raise ConnectionAbortedError(_STOPPED)
        wire = task.result()
        self._keep(wire)
        return _Connection(origin, wire)

    def _require_open(self) -> None:
        if self._is_closed:
            raise ConnectionAbortedError(_STOPPED)

    def _keep(self, wire: Wire) -> None:
        """Remember a connection, so that `close` reaches it; it may have come too late."""
        with self._lock:
            self._wires.add(wire)
            if self._is_closed:
                wire.abort()

    def _take_idle(self, origin: Origin) -> _Connection | None:
        with self._lock:
            idle = self._idle.get(origin)
            return idle.pop() if idle else None

    def give_back(self, connection: _Connection) -> None:
        """A reply was read to its end: keep its connection for the next request, but not more than are ever used at once."""
        with self._lock:
            idle = self._idle.setdefault(connection.origin, [])
            if not self._is_closed and len(idle) < self.config.limits.pull_connections:
                idle.append(connection)
                return
        self.drop(connection)

    def drop(self, connection: _Connection) -> None:
        """Close a connection that is of no further use."""
        with self._lock:
            self._wires.discard(connection.wire)
        with suppress(OSError):
            connection.close()


class Reply:
    """Status, headers and a body that is read at most as far as asked. Close it (`with`)."""

    def __init__(
        self,
        outbound: Outbound,
        connection: _Connection,
        response: http.client.HTTPResponse,
        request: Request,
    ) -> None:
        self.status = response.status
        self.url = request.url
        self._outbound = outbound
        self._connection = connection
        self._response = response
        self._is_open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.close()

    def header(self, name: str) -> str:
        """A header's value; empty when it is not there."""
        return self._response.headers.get(name, "")

    @property
    def location(self) -> str:
        """Where a redirect or an upload session points, as an absolute URL. Raises `RegistryError` when it is none."""
        return joined(self.url, self.header("Location"))

    @property
    def _place(self) -> str:
        return shown(self.url, self._outbound.config.limits)

    @property
    def num_bytes(self) -> int | None:
        """Declared length of the body, if it is declared."""
        return self._response.length

    @property
    def wait_seconds(self) -> float | None:
        """Seconds that the registry asks us to wait, if it does."""
        return asked_seconds(self.header("Retry-After"))

    def read_some(self, max_bytes: int) -> bytes:
        """The next bytes, as they come; empty at the end. Blocks. Raises `TransferFault`."""
        self._connection.wire.expect_within(self._outbound.config.limits.pull_idle_seconds)
        return self._take(max_bytes)

    def _take(self, max_bytes: int) -> bytes:
        try:
            return self._response.read1(max_bytes)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise TransferFault(f'Get "{self._place}": {reason(error)}') from error

    def read(self, max_bytes: int) -> bytes:
        """The whole body. Raises `RegistryError` if it is longer than `max_bytes`, `TransferFault` if it is cut short or slow."""
        self._connection.wire.expect_within(self._outbound.config.limits.registry_reply_seconds)
        pieces, room = [], max_bytes + 1
        while room and (piece := self._take(room)):
            pieces.append(piece)
            room -= len(piece)
        if not room:
            raise RegistryError(f"the registry {self._connection.origin[1]} answers with more than {max_bytes} bytes")
        if self._response.length:
            raise TransferFault(f'Get "{self._place}": unexpected EOF')
        return b"".join(pieces)

    def words(self) -> str:
        """What the registry says in an error, cut to what a person may see. Never raises."""
        with suppress(LlmsiteError):
            return shown(self.read_some(self._outbound.config.limits.registry_reply_bytes), self._outbound.config.limits)
        return ""

    def close(self) -> None:
        """Done with it; a body that was not read to its end costs the connection."""
        if not self._is_open:
            return
        self._is_open = False
        is_at_end = self._response.isclosed() or self._response.length == 0
        is_reusable = is_at_end and not self._response.will_close
        self._response.close()
        if is_reusable:
            self._outbound.give_back(self._connection)
        else:
            self._outbound.drop(self._connection)


def _started(make: Callable[[], Wire]) -> Future[Wire]:
    """The connection to come. A process that ends does not wait for the thread that makes it."""
    task: Future[Wire] = Future()

    def run() -> None:
        try:
            task.set_result(make())
        except BaseException as error:  # noqa: BLE001  raised where the result is asked for
            task.set_exception(error)

    threading.Thread(target=run, name="connect", daemon=True).start()
    return task


def _close_unused(task: Future[Wire]) -> None:
    """Nobody waits for that connection any more."""
    if task.exception() is None:
        task.result().close()


def _exchange(connection: _Connection, request: Request, target: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
    """Send a request and read the head of its reply, which may come before all was sent."""
    connection.wire.expect_sending()
    try:
        connection.request(request.method, target, body=request.body, headers=dict(headers))
    except OSError:
        early = _early_reply(connection) if request.body is not None else None
        if early is None:
            raise
        return early
    connection.wire.expect_head()
    return connection.getresponse()


def _early_reply(connection: _Connection) -> http.client.HTTPResponse | None:
    """What the other side said before it stopped reading, as it does with a body that it refuses."""
    connection.wire.expect_head(_PENDING_SECONDS)
    try:
        response = connection.getresponse()
    except (OSError, http.client.HTTPException):
        return None
    if response.status < 300:  # it cannot have taken what was not sent
        response.close()
        return None
    response.will_close = True
    return response
