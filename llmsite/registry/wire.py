"""A connected socket that keeps deadlines: the head of a reply, silence, bodies that only trickle in or out, and whole replies.

`http.client` reads from it as from a socket. Another thread may `abort` it at any time.
"""

from __future__ import annotations

import fcntl
import io
import math
import socket
import termios
import time
from array import array
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from llmsite.types.limits import Limits

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

_READ_BYTES: Final = 256 * 1024
"""Buffer of the reader; larger reads bypass it."""


class Wire:
    """One connection. Durations are measured by the monotonic clock, in seconds."""

    def __init__(self, sock: socket.socket, limits: Limits) -> None:
        self.sock = sock
        self._limits = limits
        self._timeout: float | None = -1.0
        self._head_until: float | None = None
        self._head_seconds = 0.0
        self._num_queued = 0
        self._until = math.inf
        self._sent = _Rate(limits)
        self._received = _Rate(limits)
        self._num_readers = 0
        self._is_closed = False

    def expect_sending(self) -> None:
        """A request begins: from now on it counts how fast it is taken."""
        self._sent.restart()

    def expect_head(self, seconds: float | None = None) -> None:
        """A request was handed on: once our system has sent all of it, the whole head of the reply must come in time."""
        self._head_seconds = self._limits.pull_first_byte_seconds if seconds is None else seconds
        self._head_until = time.monotonic() + self._head_seconds
        self._num_queued = _num_queued(self.sock)

    def expect_body(self) -> None:
        """The head has come: from now on silence and a low rate count."""
        self._head_until = None
        self._received.restart()

    def expect_within(self, seconds: float) -> None:
        """What is read of the body from now on must come in so many seconds, however it is framed, until the next such call."""
        self._until = time.monotonic() + seconds

    def sendall(self, data: ReadableBuffer) -> None:
        """Send everything; silence and a low rate are bounded. Raises `OSError`."""
        self._set_timeout(self._limits.pull_idle_seconds)
        rest = memoryview(data).cast("B")
        while rest:
            self._sent.require(time.monotonic(), "takes what is sent too slowly")
            count = self.sock.send(rest)
            self._sent.num_bytes += count
            rest = rest[count:]

    def makefile(self, *_args: object, **_kwargs: object) -> io.BufferedReader:
        """What `http.client` reads replies from."""
        self._num_readers += 1
        return io.BufferedReader(_Reader(self), _READ_BYTES)

    def receive(self, buffer: WriteableBuffer) -> int:
        """Bytes received into `buffer`; 0 at the end. Raises `TimeoutError` saying which deadline passed, `OSError`."""
        if self._head_until is not None:
            count = self._receive_head(buffer)
        else:
            now = time.monotonic()
            self._received.require(now, "sends too slowly")
            if now >= self._until:
                raise TimeoutError("timeout: the registry does not come to the end of its answer")
            self._set_timeout(self._limits.pull_idle_seconds)
            try:
                count = self.sock.recv_into(buffer)
            except TimeoutError as error:
                raise TimeoutError("timeout while waiting for more data") from error
        self._received.num_bytes += count
        return count

    def _receive_head(self, buffer: WriteableBuffer) -> int:
        while True:
            self._set_timeout(max((self._head_until or 0.0) - time.monotonic(), 0.001))
            try:
                return self.sock.recv_into(buffer)
            except TimeoutError as error:
                if not self._was_taken_from():
                    raise TimeoutError("timeout while waiting for the answer") from error
                self._head_until = time.monotonic() + self._head_seconds

    def _was_taken_from(self) -> bool:
        """Whether what our system still had to send became less meanwhile: a slow line is sending then, and nobody can answer."""
        before, self._num_queued = self._num_queued, _num_queued(self.sock)
        taken = before - self._num_queued
        return taken >= self._limits.pull_rate_bytes or (taken > 0 and self._num_queued == 0)

    def abort(self) -> None:
        """Make a blocked read or write of another thread fail at once."""
        with suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # below TLS: its own state belongs to the reading thread

    def close(self) -> None:
        """Close once its readers are closed too, as sockets do: `http.client` closes first and reads on."""
        self._is_closed = True
        if self._num_readers == 0:
            self.sock.close()

    def reader_closed(self) -> None:
        """A reader made by `makefile` is done."""
        self._num_readers -= 1
        if self._is_closed:
            self.close()

    def _set_timeout(self, seconds: float | None) -> None:
        if seconds != self._timeout:  # each change is a system call
            self._timeout = seconds
            self.sock.settimeout(seconds)


def _num_queued(sock: socket.socket) -> int:
    """Bytes that were handed to our system and that the other side has not got; 0 where the system does not tell."""
    count = array("i", [0])
    with suppress(OSError):
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, count)
    return count[0]


class _Rate:
    """Bytes in one direction since some moment."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.restart()

    def restart(self) -> None:
        """Count anew."""
        self._since = time.monotonic()
        self.num_bytes = 0

    def require(self, now: float, complaint: str) -> None:
        """Raise `TimeoutError` when a stretch of time has passed with too few bytes; else begin the next one."""
        if now - self._since < self._limits.pull_rate_seconds:
            return
        if self.num_bytes < self._limits.pull_rate_bytes:
            raise TimeoutError(f"timeout: the registry {complaint}")
        self._since, self.num_bytes = now, 0


class _Reader(io.RawIOBase):
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        return self._wire.receive(buffer)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._wire.reader_closed()
