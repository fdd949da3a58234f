"""Twenty readers of one large blob, and a large part that is pushed: memory stays bounded, the loop is not held up (L13, F35)."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from api.blob_reply import PIECE_BYTES
from llmsite.store.digest import hash_bytes
from llmsite.types.limits import KIB, MIB, Limits

ROOT = Path(__file__).parents[2]
READERS = 20
DATA = os.urandom(MIB) * 64
BLOB = f"/v2/library/m/blobs/{hash_bytes(DATA)}"


class Server:
    """A running tests/api/blob_server.py."""

    def __init__(self, folder: Path) -> None:
        blob = folder / "models/blobs" / hash_bytes(DATA).replace(":", "-")
        blob.parent.mkdir(parents=True)
        blob.write_bytes(DATA)
        environ = {**os.environ, "DJANGO_SETTINGS_MODULE": "llmsite.settings", "LLMSITE_HOME": str(folder)}
        environ |= {"LLMSITE_REGISTRY_PUSH": "loopback"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.api.blob_server"],
            cwd=ROOT,
            env=environ | {"OLLAMA_MODELS": str(folder / "models")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self._line())

    def ask(self) -> dict[str, Any]:
        """How the loop and the memory have done since the last time."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self._line())
        return found

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()

    def open(self, path: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path)
        return connection, connection.getresponse()


@pytest.fixture(scope="module")
def server(tmp_path_factory: Any) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("blobs"))
    read_all(server, [])  # what is loaded with the first request is no reader's
    yield server
    server.process.communicate("", timeout=60)


def read_all(server: Server, sizes: list[int]) -> None:
    connection, response = server.open(BLOB)
    with closing(connection), response:
        buffer, size = bytearray(MIB), 0
        while count := response.readinto(buffer):
            size += count
    sizes.append(size)


def bound_kib() -> float:
    """A connection's buffer and three pieces for each reader, and what an allocator may keep."""
    return (READERS * (Limits().stream_buffer_bytes + 3 * PIECE_BYTES) + 32 * MIB) / KIB


def test_F35_readers_who_stand_still_cost_a_buffer_each(server: Server) -> None:
    before = server.ask()
    with ExitStack() as stack:
        for _ in range(READERS):
            connection, response = server.open(BLOB)
            stack.enter_context(closing(connection))
            stack.enter_context(response)
        for _ in range(READERS):  # each is answered in its turn, so those before have got what there is room for
            connection, response = server.open("/v2/")
            with closing(connection), response:
                assert response.read() == b"{}"
        waiting = server.ask()
    assert waiting["peak_kib"] - before["rss_kib"] < bound_kib()


def test_L13_twenty_readers_hold_nobody_up_and_cost_little(server: Server) -> None:
    before = server.ask()
    sizes: list[int] = []
    readers = [threading.Thread(target=read_all, args=(server, sizes)) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    after = server.ask()
    assert sizes == [len(DATA)] * READERS
    grown = after["peak_kib"] - before["rss_kib"]
    print(f"{READERS} readers: {grown / KIB:.0f} MiB more, longest turn {after['busy'] * 1000:.1f} ms of processor")  # noqa: T201
    assert grown < bound_kib()
    assert after["busy"] < 0.05, "processor time between two turns of the loop"


def test_L12_a_large_part_is_pushed_without_being_held(server: Server) -> None:
    """Larger than a body of other routes may be."""
    size = Limits().body_bytes + 16 * MIB
    before = server.ask()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    with closing(connection):
        connection.request("POST", "/v2/library/m/blobs/uploads/")
        with connection.getresponse() as begun:
            location = begun.headers["Location"]
            begun.read()
        zeros = (bytes(MIB) for _ in range(size // MIB))
        headers = {"Content-Length": str(size), "Content-Range": f"0-{size - 1}"}
        connection.request("PATCH", location, zeros, headers)
        with connection.getresponse() as taken:
            assert (taken.status, taken.headers["Range"]) == (202, f"0-{size - 1}")
            taken.read()
        connection.request("DELETE", location)
        with connection.getresponse() as given_up:
            assert given_up.status == 204
    assert (server.ask()["peak_kib"] - max(before["peak_kib"], before["rss_kib"])) * KIB < 16 * MIB
