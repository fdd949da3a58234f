"""What a registry may do wrong, as actions for `FakeRegistry.script`."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from tests.registry.fake_registry import Handler

Act = Callable[[Handler], None]


def status(code: int, body: bytes = b"no", **headers: str) -> Act:
    """Any error, with headers."""

    def act(handler: Handler) -> None:
        handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        handler.reply(code, body, **headers)

    return act


def truncate(num_bytes: int) -> Act:
    """The right head, so many bytes, and a proper end of the connection."""

    def act(handler: Handler) -> None:
        handler.send_piece(handler.digest, handler.start_blob()[:num_bytes])
        handler.close_connection = True

    return act


def reset(num_bytes: int) -> Act:
    """So many bytes, then a reset."""

    def act(handler: Handler) -> None:
        handler.send_piece(handler.digest, handler.start_blob()[:num_bytes])
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
        handler.close_connection = True

    return act


def corrupt(at: int) -> Act:
    """One byte flipped."""

    def act(handler: Handler) -> None:
        data = bytearray(handler.start_blob())
        data[at % len(data)] ^= 0xFF
        handler.send_piece(handler.digest, bytes(data))

    return act


def stall(after_bytes: int | None) -> Act:
    """Silence after so many bytes of the body; before the head if None. Lasts until the registry is stopped."""

    def act(handler: Handler) -> None:
        if after_bytes is not None:
            handler.send_piece(handler.digest, handler.start_blob()[:after_bytes])
        handler.registry.closing.wait()
        handler.close_connection = True

    return act


def trickle(seconds: float, *, in_head: bool = False) -> Act:
    """A byte now and then: never silent for long, never done."""

    def act(handler: Handler) -> None:
        handler.close_connection = True
        if in_head:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        else:
            handler.start_blob()
        with suppress(OSError):
            while not handler.registry.closing.wait(seconds):
                handler.wfile.write(b"x")

    return act


def endless(status_code: int = 200) -> Act:
    """A body without a length that never ends."""

    def act(handler: Handler) -> None:
        handler.close_connection = True
        handler.start(status_code, None)
        with suppress(OSError):
            while not handler.registry.closing.is_set():
                handler.wfile.write(b"\x00" * 65_536)

    return act


def drip(seconds: float) -> Act:
    """A long body that is declared and comes byte after byte, never slow enough for a stall."""

    def act(handler: Handler) -> None:
        handler.close_connection = True
        handler.start(200, 1_000_000)
        with suppress(OSError):
            while not handler.registry.closing.wait(seconds):
                handler.wfile.write(b" ")

    return act


def endless_trailers(handler: Handler) -> None:
    """A body in chunks that is over at once, and then trailers without an end."""
    handler.close_connection = True
    handler.start(
        206 if "Range" in handler.headers else 200, None, Transfer_Encoding="chunked", Content_Range="bytes 0-65535/307200"
    )
    with suppress(OSError):
        handler.wfile.write(b"0\r\n")
        while not handler.registry.closing.wait(0.001):
            handler.wfile.write(b"X-More: and more\r\n" * 10)


def refuse_early(code: int, body: bytes) -> Act:
    """An error before the body of the request was read, and the end of the connection."""

    def act(handler: Handler) -> None:
        handler.reply(code, body)
        handler.close_connection = True

    return act


def longer(extra: bytes) -> Act:
    """The whole blob and more, without a length."""

    def act(handler: Handler) -> None:
        data = handler.registry.blobs[handler.digest]
        first, end = handler.asked_range(len(data))
        headers = {"Content_Range": f"bytes {first}-{end - 1}/{len(data)}"} if "Range" in handler.headers else {}
        handler.start(206 if headers else 200, None, **headers)
        with suppress(OSError):
            handler.send_piece(handler.digest, data[first:end] + extra)
        handler.close_connection = True

    return act


def wrong_length(length: int) -> Act:
    """A Content-Length that does not fit, with as many bytes as it says."""

    def act(handler: Handler) -> None:
        data = handler.start_blob(length=length, content_range=f"bytes 0-{length - 1}/{length}")
        with suppress(OSError):
            handler.send_piece(handler.digest, (data + bytes(length))[:length])
        handler.close_connection = True

    return act


def wrong_range(content_range: str) -> Act:
    """Another range than was asked for."""

    def act(handler: Handler) -> None:
        handler.send_piece(handler.digest, handler.start_blob(content_range=content_range))

    return act


def ignore_range(handler: Handler) -> None:
    """200 and the whole blob, whatever was asked."""
    data = handler.registry.blobs[handler.digest]
    handler.start(200, len(data))
    with suppress(OSError):
        handler.send_piece(handler.digest, data)


def other_etag(etag: str, then: int) -> Act:
    """An ETag of its own, so many bytes, and the end."""

    def act(handler: Handler) -> None:
        handler.send_piece(handler.digest, handler.start_blob(etag=etag)[:then])
        handler.close_connection = True

    return act


def redirect(url: str, code: int = 307) -> Act:
    """Go there."""

    def act(handler: Handler) -> None:
        handler.reply(code, Location=url)

    return act


def gzipped(body: bytes) -> Act:
    """A compressed body although identity was asked for."""

    def act(handler: Handler) -> None:
        handler.reply(200, body, Content_Encoding="gzip")

    return act
