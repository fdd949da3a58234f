"""The runner's end of the socket pair: reads commands, sends events. Frames are `wire.py`'s.

Any thread may send; a lock keeps frames whole. Sending blocks while the parent does not read: what it has not taken stays in the
kernel's small buffer, never in this process.
"""

from __future__ import annotations

import socket
import threading

from llmsite.engine import wire
from llmsite.types.errors import RequestTooLarge


class Channel:
    """`limit_in` and `limit_out` bound the bytes of one frame's body."""

    def __init__(self, connection: socket.socket, limit_in: int, limit_out: int) -> None:
        self._connection = connection
        self._reader = connection.makefile("rb")
        self._lock = threading.Lock()
        self._limit_in = limit_in
        self._limit_out = limit_out

    def read(self) -> wire.Command | None:
        """The next command; blocks. None when the parent is gone. Raises `ProtocolError`."""
        header = self._read_exactly(wire.HEADER_BYTES)
        if header is None:
            return None
        body = self._read_exactly(wire.body_bytes(header, self._limit_in))
        return None if body is None else wire.decode_command(body)

    def _read_exactly(self, num_bytes: int) -> bytes | None:
        """So many bytes, or None when the parent is gone, also in the middle of a frame."""
        try:
            data = self._reader.read(num_bytes)
        except ConnectionError:
            return None
        return data if len(data) == num_bytes else None

    def send(self, *events: wire.Event) -> None:
        """All events in one go. Raises `OSError` when the parent is gone."""
        data = b"".join([self._encode(event) for event in events])
        with self._lock:
            self._connection.sendall(data)

    def _encode(self, event: wire.Event) -> bytes:
        frame = wire.encode(event)
        if len(frame) - wire.HEADER_BYTES <= self._limit_out:
            return frame
        error = RequestTooLarge(f"the answer would have {len(frame)} bytes, more than the limit of {self._limit_out}")
        return wire.encode(wire.Failed(getattr(event, "id", 0), type(error).__name__, str(error)))
