"""Flow, limits and deadlines of `llmsite/serving/`, on a server process of its own, spoken to over plain sockets."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
MIB = 1 << 20
LIMITS = (
    "body_bytes=1048576",
    "header_seconds=1",
    "body_idle_seconds=1",
    "stream_stall_seconds=60",
    "socket_message_bytes=65536",
)


class Served:
    """A running tests/serving_app.py."""

    def __init__(self, *limits: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.serving_app", *limits],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())

    def stop(self) -> int:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        return self._process.wait(20)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def exchange(self, request: bytes) -> bytes:
        """Everything the server says until it closes."""
        with self.connect() as client:
            client.sendall(request)
            return read_all(client)

    def state(self) -> dict[str, Any]:
        answer = self.exchange(b"GET /api/state HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        found: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
        return found

    def wait_for(self, is_true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Poll the state, 10 s at most."""
        for _ in range(200):
            state = self.state()
            if is_true(state):
                return state
            time.sleep(0.05)
        raise AssertionError(f"did not come about: {self.state()}")


def read_all(client: socket.socket) -> bytes:
    found = b""
    while True:
        try:
            data = client.recv(65536)
        except ConnectionResetError:
            return found
        if not data:
            return found
        found += data


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    server = Served(*LIMITS)
    yield server
    assert server.stop() == 0


# bodies


@pytest.mark.process
def test_a_2_gib_upload_costs_little_memory_and_delays_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    """Issue: below 64 MiB of memory, no other request delayed by more than 100 ms."""
    server = Served()
    size = 2 << 30
    delays: list[float] = []
    is_done = threading.Event()

    def ask() -> None:
        while not is_done.is_set():
            began = time.perf_counter()
            server.state()
            delays.append(time.perf_counter() - began)
            is_done.wait(0.02)

    server.state()
    before = server.state()["peak_kib"]
    asking = threading.Thread(target=ask)
    asking.start()
    piece, hasher = os.urandom(MIB), hashlib.sha256()
    with server.connect() as client:
        client.sendall(b"POST /api/blobs/sha256:x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // MIB):
            client.sendall(piece)
            hasher.update(piece)
        answer = read_all(client)
    is_done.set()
    asking.join()
    state = server.state()
    grown = (state["peak_kib"] - before) / 1024
    server.stop()
    with capsys.disabled():
        print(f"\n2 GiB upload: +{grown:.1f} MiB, longest of {len(delays)} other requests {max(delays) * 1e3:.0f} ms")  # noqa: T201
        print(f"2 GiB upload: loop lag {state['lag'] * 1e3:.0f} ms, {state['busy'] * 1e3:.0f} ms of its own work")  # noqa: T201
    assert status_of(answer) == 201
    assert body_of(answer).decode() == hasher.hexdigest()
    assert grown < 64
    # the server's own share of a delay: what the machine does beside it is not its doing
    assert state["busy"] < 0.1


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 300_000, MIB])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_arrives_whole(served: Served, size: int, is_chunked: bool) -> None:
    answer = served.exchange(b"POST /api/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + framed(b"x" * size, is_chunked))
    assert (status_of(answer), body_of(answer)) == (200, b"%d" % size)


def framed(body: bytes, is_chunked: bool) -> bytes:
    if not is_chunked:
        return b"Content-Length: %d\r\n\r\n" % len(body) + body
    pieces = [body[start : start + 10_000] for start in range(0, len(body), 10_000)]
    return b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in pieces) + b"0\r\n\r\n"


def test_requests_in_one_piece_are_answered_in_order(served: Served) -> None:
    requests = (
        b"POST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
        b"GET /one HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /api/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
        b"POST /api/blobs/x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        b"GET /two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    answer = served.exchange(b"".join(requests))
    assert [body_of(b"\r\n\r\n" + each)[:4] for each in bodies(answer)] == [b"3", b"/one", b"4", b"e3b0", b"/two"]


def bodies(answer: bytes) -> list[bytes]:
    found = []
    while answer:
        head, _, rest = answer.partition(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
        found.append(rest[:length])
        answer = rest[length:]
    return found


def test_an_early_answer_closes_rather_than_reads_the_body_as_a_request(served: Served) -> None:
    with served.connect() as client:
        client.sendall(b"POST /api/early HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
        first = client.recv(65536)
        assert status_of(first) == 401
        assert b"Connection: close" in first
        client.sendall(b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n".ljust(100) + b"GET /two HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP/1.1" not in read_all(client)


# T31: too large


@pytest.mark.parametrize(
    ("name", "head", "sent"),
    [
        ("true length", b"Content-Length: %d\r\n\r\n" % (64 * MIB), 64 * MIB),
        ("a byte too much", b"Content-Length: %d\r\n\r\n" % (MIB + 1), MIB + 1),
        ("promised only", b"Content-Length: %d\r\n\r\n" % (1 << 60), 0),
        ("chunked", b"Transfer-Encoding: chunked\r\n\r\n", 64 * MIB),
        ("waits for 100", b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (64 * MIB), 0),
    ],
)
def test_T31_a_body_over_the_limit_is_413(served: Served, name: str, head: bytes, sent: int) -> None:
    with served.connect() as client:
        client.sendall(b"POST /api/echo HTTP/1.1\r\nHost: x\r\n" + head)
        taken = 0
        piece = b"x" * 65536
        while taken < sent:
            part = piece[: sent - taken]
            try:
                client.sendall(b"%x\r\n%s\r\n" % (len(part), part) if name == "chunked" else part)
            except OSError:
                break
            taken += len(part)
        answer = read_all(client)
    assert status_of(answer) == 413
    assert body_of(answer) == b'{"error":"request body too large"}'
    assert served.state()["read"] <= MIB + 65536


def test_T31_a_false_length_is_not_believed(served: Served) -> None:
    """Fewer bytes than promised: the request never completes. More: the rest is no part of it."""
    with served.connect() as client:
        client.sendall(b"POST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""
    served.wait_for(lambda state: state["hang"] == "disconnected")
    answer = served.exchange(b"POST /api/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabcdefgh")
    assert body_of(answer) == b"3"


# T33, T34, T36: headers and deadlines


@pytest.mark.parametrize(
    ("name", "request_bytes", "status"),
    [
        ("many headers", b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(200)) + b"\r\n", 431),
        ("one header often", b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: 1\r\n" * 1000 + b"\r\n", 431),
        ("a long line", b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * MIB + b"\r\n\r\n", 431),
        ("much together", b"GET / HTTP/1.1\r\nHost: x\r\n" + (b"A: " + b"x" * 1000 + b"\r\n") * 50 + b"\r\n", 431),
        ("a long path", b"GET /" + b"x" * MIB + b" HTTP/1.1\r\n\r\n", 431),
        ("two lengths", b"POST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (
            "both kinds",
            b"POST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        ("bad length", b"POST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        ("bad chunk", b"POST /api/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        ("other coding", b"POST /api/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400),
        ("absolute form", b"GET http://evil.example/api/tags HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("star", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("no request", b"hello\r\n\r\n", 400),
        ("odd bytes", b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nA: a\x0bb\r\n\r\n", 400),
        ("odd name", b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nA b: c\r\n\r\n", 400),
        ("upgrade with a body", b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc", 400),
    ],
)
def test_T33_T34_malformed_requests_are_refused_and_closed(served: Served, name: str, request_bytes: bytes, status: int) -> None:
    with served.connect() as client:
        with suppress(OSError):  # refused while still sending
            client.sendall(request_bytes)
        answer = read_all(client)
    assert status_of(answer) == status
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"Traceback" not in answer


@pytest.mark.parametrize(
    ("name", "start", "status"),
    [
        ("nothing", b"", 0),
        ("half a line", b"GET /", 0),
        ("half the headers", b"GET / HTTP/1.1\r\nHost: x\r\nA:", 408),
        ("no body", b"POST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", 408),
        ("half a body", b"POST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc", 408),
        ("half an upload", b"POST /api/blobs/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc", 408),
    ],
)
def test_T36_whoever_is_slow_is_closed(served: Served, name: str, start: bytes, status: int) -> None:
    """Dripping a byte now and then does not help: the deadline is for the whole."""
    with served.connect() as client:
        client.sendall(start)
        client.settimeout(0.3)
        answer = b""
        for _ in range(30):
            try:
                data = client.recv(65536)
            except TimeoutError:
                if start:
                    client.send(b"x")
                continue
            except OSError:
                break
            if not data:
                break
            answer += data
        else:
            pytest.fail("still open after many deadlines")
    assert status_of(answer) == status


def test_a_steady_body_may_take_longer_than_the_idle_deadline(served: Served) -> None:
    with served.connect() as client:
        client.sendall(b"POST /api/blobs/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (8 * 4096))
        for _ in range(8):
            client.sendall(b"x" * 4096)
            time.sleep(0.3)
        assert status_of(read_all(client)) == 201


# answers


def test_F35_a_reader_that_stops_pauses_the_sender(served: Served) -> None:
    with closing(served.connect()) as client:
        client.sendall(b"GET /api/flood HTTP/1.1\r\nHost: x\r\n\r\n")
        sent = settled(served)
        assert 0 < sent < 16 * MIB  # the buffers of both kernels and one of ours
        client.recv(65536)
        got = 65536
        while got < 32 * MIB:
            got += len(client.recv(MIB))
        assert served.state()["flood_sent"] > sent
    assert served.wait_for(lambda state: state["flood"] == "failed")


def settled(served: Served) -> int:
    """Bytes sent once they no longer grow."""
    before = -1
    while (now := int(served.state()["flood_sent"])) != before or now == 0:
        before = now
        time.sleep(0.2)
    return now


def test_F35_a_reader_that_stands_still_is_cut_off() -> None:
    server = Served("stream_stall_seconds=0.5")
    with closing(server.connect()) as client:
        client.sendall(b"GET /api/flood HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for(lambda state: state["flood"] == "failed")
        read_all(client)  # returns: the connection is closed
    server.stop()


@pytest.mark.parametrize("is_abrupt", [False, True])
def test_F34_a_client_that_leaves_ends_its_application_within_a_second(served: Served, is_abrupt: bool) -> None:
    client = served.connect()
    client.sendall(b"GET /api/hang HTTP/1.1\r\nHost: x\r\n\r\n")
    served.wait_for(lambda state: state["hang"] == "waiting")
    if is_abrupt:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    served.wait_for(lambda state: state["hang"] == "cancelled")


@pytest.mark.parametrize("name", ["broken", "silent"])
def test_an_application_that_fails_is_a_500_without_a_trace(served: Served, name: str) -> None:
    answer = served.exchange(b"GET /api/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % name.encode())
    assert status_of(answer) == 500
    assert body_of(answer) == b'{"error":"internal error"}'


# websockets


class WebSocket:
    """A client that masks and frames by hand, so that it can misbehave."""

    def __init__(self, served: Served) -> None:
        self.stream = served.connect()
        key = base64.b64encode(os.urandom(16))
        self.stream.sendall(
            b"GET /ws/ui/ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: http://x\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Key: "
            + key
            + b"\r\n\r\n"
        )
        self.handshake = b""
        while b"\r\n\r\n" not in self.handshake:
            self.handshake += self.stream.recv(1)

    def send(self, payload: bytes, opcode: int = 1, *, is_last: bool = True) -> None:
        first = opcode | (0x80 if is_last else 0)
        size = len(payload)
        head = bytes([first, 0x80 | size]) if size < 126 else bytes([first, 0x80 | 127]) + struct.pack(">Q", size)
        self.stream.sendall(head + b"\0\0\0\0" + payload)

    def receive(self) -> tuple[int, bytes]:
        first, size = self._exactly(2)
        size &= 0x7F
        if size >= 126:
            width = 2 if size == 126 else 8
            size = int.from_bytes(self._exactly(width), "big")
        return first & 0xF, self._exactly(size)

    def close_code(self) -> int:
        """Code of the close frame, past other frames."""
        while True:
            opcode, payload = self.receive()
            if opcode == 8:
                return int.from_bytes(payload[:2], "big")

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            data = self.stream.recv(count - len(found))
            if not data:
                raise ConnectionResetError("closed")
            found += data
        return found


@contextmanager
def websocket(served: Served) -> Iterator[WebSocket]:
    client = WebSocket(served)
    with closing(client.stream):
        yield client


def test_T82_compression_is_not_taken_up(served: Served) -> None:
    with websocket(served) as client:
        assert b"101" in client.handshake
        assert b"permessage-deflate" not in client.handshake.lower()
        client.send(b"hello")
        assert client.receive() == (1, b"hello")


def test_T82_a_message_too_large_closes_with_1009(served: Served) -> None:
    with websocket(served) as client:
        client.send(b"x" * 65537)
        assert client.close_code() == 1009


def test_T82_also_in_fragments(served: Served) -> None:
    before = served.state()["peak_kib"]
    with websocket(served) as client:
        client.send(b"x" * 100, is_last=False)
        with suppress(OSError):  # whether the client has written all before it learns of the close is a matter of speed
            for _ in range(100_000):
                client.send(b"x" * 100, 0, is_last=False)
        served.wait_for(lambda state: state["socket"].startswith("closed"))
    assert served.state()["peak_kib"] - before <= 2048


def test_T83_a_flood_of_messages_closes_with_4429(served: Served) -> None:
    with websocket(served) as client:
        for _ in range(80):
            client.send(b"x")
        assert client.close_code() == 4429
    served.wait_for(lambda state: state["socket"] == "closed 4429")


def test_T84_a_socket_that_reads_nothing_pauses_its_sender(served: Served) -> None:
    with websocket(served) as client:
        client.send(b"flood")
        client.receive()
        assert settled(served) < 16 * MIB
    served.wait_for(lambda state: state["flood"] == "failed")


def test_F34_a_socket_that_is_gone_is_noticed(served: Served) -> None:
    with websocket(served) as client:
        client.send(b"hello")
        client.receive()
    served.wait_for(lambda state: state["socket"].startswith("closed"))


def test_a_second_listener_is_refused_with_a_reason(served: Served) -> None:
    code = f"""
from llmsite.serving import AddressInUse, Server
from llmsite.types.limits import Limits
try:
    Server(None, "127.0.0.1", {served.port}, Limits())
except AddressInUse as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert "in use" in done.stdout
