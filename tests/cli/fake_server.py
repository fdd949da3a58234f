"""A server that says what a test scripts, for what a real one cannot be made to do: wait at a frame, take a blob slowly."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

_PIECE_BYTES: Final = 1 << 20


class FakeServer:
    """`frames` answers create, pull and push; an `Event` among them is waited for. `has_blobs` answers whether a blob is there.

    `seen` are the JSON bodies by path, `received` the byte counts of uploaded blobs. `asked` is set by a body, `gone` when a
    client left.
    """

    def __init__(self) -> None:
        self.frames: list[dict[str, Any] | threading.Event] = []
        self.answers: dict[str, tuple[int, dict[str, Any]]] = {}
        self.has_blobs = False
        self.upload_gate: threading.Event | None = None
        self.seen: list[tuple[str, Any]] = []
        self.received: dict[str, int] = {}
        self.asked = threading.Event()
        self.gone = threading.Event()
        self.url = ""


@contextmanager
def serving(fake: FakeServer) -> Iterator[FakeServer]:
    """Answers on a free port until left."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(200 if self.path == "/" or fake.has_blobs else 404)

        def do_DELETE(self) -> None:
            self._read_body()
            self._answer(200)

        def do_POST(self) -> None:
            if self.path.startswith("/api/blobs/"):
                self._take_blob()
                return
            self._read_body()
            if self.path in fake.answers:
                status, answer = fake.answers[self.path]
                self._answer(status, json.dumps(answer).encode())
            else:
                self._stream()

        def _read_body(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            fake.seen.append((self.path, json.loads(self.rfile.read(length) or b"null")))
            fake.asked.set()

        def _take_blob(self) -> None:
            left = int(self.headers["Content-Length"])
            digest = self.path.rpartition("/")[2]
            while left:
                data = self._read_piece(left)
                if not data:
                    fake.gone.set()
                    self.close_connection = True
                    return
                left -= len(data)
                fake.received[digest] = fake.received.get(digest, 0) + len(data)
                if fake.upload_gate is not None:
                    fake.upload_gate.wait()
            self._answer(201)

        def _read_piece(self, left: int) -> bytes:
            """Nothing when the client is gone."""
            try:
                return self.rfile.read(min(left, _PIECE_BYTES))
            except OSError:
                return b""

        def _stream(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/x-ndjson")
            self.send_header("Connection", "close")
            self.end_headers()
            try:
                for frame in fake.frames:
                    if isinstance(frame, threading.Event):
                        frame.wait()
                    else:
                        self.wfile.write(json.dumps(frame).encode() + b"\n")
            except OSError:
                fake.gone.set()
            self.close_connection = True

        def _answer(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, *args: Any) -> None:
            """Nothing: tests look at `seen`."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{listener.server_address[1]}"
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()
