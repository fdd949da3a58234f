"""A registry over real HTTP that misbehaves on request: Ollama's protocol, real blobs, and a script for single requests.

`registry.script(faults.truncate(100), path="/blobs/", times=1)` makes the next matching request go wrong; everything else is
answered as it should be. What was asked and how many bytes of each blob went out is counted.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from llmsite.store import manifest as media

CHUNK = 16 * 1024


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class Seen:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    size_bytes: int = 0


@dataclass
class Script:
    """What to do instead of answering properly, for so many of the matching requests."""

    act: Callable[[Handler], None]
    method: str
    path: str
    left: int


@dataclass
class Upload:
    data: bytearray = field(default_factory=bytearray)


class FakeRegistry:
    """`blobs` and `manifests` are what it has; `host` is what names start with."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.seen: list[Seen] = []
        self.sent: Counter[str] = Counter()
        self.uploads: dict[str, Upload] = {}
        self.closing = threading.Event()
        self.token = ""
        self.realm = ""
        self.key = ""
        self.pace_seconds = 0.0
        self.flow = threading.Event()  # cleared: no bytes of blobs go out
        self.flow.set()
        self.etag = True
        self.redirects_to = ""
        self.redirects_uploads = False
        self.pages: dict[str, Callable[[Handler], None]] = {}
        self.scripts: list[Script] = []
        self.num_connected = 0
        self._connected = threading.Condition()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.registry = self
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.closing.set()
        self.flow.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add_blob(self, data: bytes) -> str:
        digest = digest_of(data)
        self.blobs[digest] = data
        return digest

    def add_model(self, repository: str, weights: bytes, *, tag: str = "latest", texts: dict[str, bytes] | None = None) -> bytes:
        """A model of these weights; returns its manifest, which ends without a newline as those of real registries do."""
        config = b'{"model_format":"gguf","model_family":"llama","model_type":"1B","file_type":"F16","rootfs":{"type":"layers"}}'
        layers = [(media.MODEL, weights), *(texts or {}).items()]
        document = {
            "schemaVersion": 2,
            "mediaType": media.MANIFEST,
            "config": self._entry(media.CONFIG, config),
            "layers": [self._entry(media_type, data) for media_type, data in layers],
        }
        return self.add_manifest(repository, json.dumps(document).encode(), tag=tag)

    def add_manifest(self, repository: str, data: bytes, *, tag: str = "latest") -> bytes:
        self.manifests[repository, tag] = data
        return data

    def script(self, act: Callable[[Handler], None], *, path: str = "/blobs/", method: str = "GET", times: int = 1) -> None:
        """Let `act` answer the next `times` requests whose path contains `path`."""
        self.scripts.append(Script(act, method, path, times))

    def take_script(self, method: str, path: str) -> Script | None:
        with self._lock:
            for script in self.scripts:
                if script.left and script.method == method and script.path in path:
                    script.left -= 1
                    return script
        return None

    def connected(self, change: int) -> None:
        with self._connected:
            self.num_connected += change
            self._connected.notify_all()

    def wait_for_connections(self, most: int) -> bool:
        """Whether soon no more than so many connections are open."""
        with self._connected:
            return self._connected.wait_for(lambda: self.num_connected <= most, timeout=20)

    def count(self, digest: str, num_bytes: int) -> None:
        with self._lock:
            self.sent[digest] += num_bytes

    def asked(self, method: str, path: str) -> list[Seen]:
        """The requests whose path contains `path`."""
        return [each for each in self.seen if each.method == method and path in each.path]

    def _entry(self, media_type: str, data: bytes) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": self.add_blob(data), "size": len(data)}


class _Server(ThreadingHTTPServer):
    registry: FakeRegistry
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Clients that leave are what these tests are about."""


class Handler(BaseHTTPRequestHandler):
    """Answers properly unless a script says otherwise. Faults use `start`, `send_piece` and the socket."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 * 1024)
        super().setup()
        self.registry.connected(1)

    def finish(self) -> None:
        self.registry.connected(-1)
        super().finish()

    @property
    def registry(self) -> FakeRegistry:
        return self.server.registry

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def log_message(self, *_: object) -> None:
        return

    def _serve(self) -> None:
        size_bytes = int(self.headers.get("Content-Length") or 0)
        self.registry.seen.append(Seen(self.command, self.path, dict(self.headers.items()), size_bytes))
        script = self.registry.take_script(self.command, self.path)
        if script is not None:
            script.act(self)
            return
        self.answer()

    def answer(self) -> None:
        """The proper answer."""
        path = urlsplit(self.path).path
        if path in self.registry.pages:
            self.registry.pages[path](self)
        elif path == "/token":
            self.reply(200, json.dumps({"token": self.registry.token}).encode())
        elif not self._is_signed_in():
            self._challenge()
        elif found := re.fullmatch(r"/v2/([\w.-]+/[\w.-]+)/manifests/([\w.-]+)", path):
            self._manifest(found[1], found[2])
        elif found := re.fullmatch(r"(?:/v2/[\w.-]+/[\w.-]+/blobs|/cdn)/(sha256:[0-9a-f]{64})", path):
            self._blob(found[1])
        elif re.fullmatch(r"/v2/[\w.-]+/[\w.-]+/blobs/uploads/", path):
            self._open_upload()
        elif found := re.fullmatch(r"/(?:v2/[\w.-]+/[\w.-]+/blobs/uploads|elsewhere)/(\w+)", path):
            self._upload(found[1])
        else:
            self.reply(404, b"404 page not found")

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.start(status, len(body), **headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def start(self, status: int, length: int | None, **headers: str) -> None:
        """The head of a reply; `_` in header names stands for `-`."""
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def send_piece(self, digest: str, data: bytes) -> None:
        """Bytes of a blob, paced and counted."""
        self.registry.flow.wait()
        for start in range(0, len(data), CHUNK):
            piece = data[start : start + CHUNK]
            if self.registry.pace_seconds and self.registry.closing.wait(self.registry.pace_seconds):
                raise ConnectionAbortedError
            self.wfile.write(piece)
            self.registry.count(digest, len(piece))

    @property
    def digest(self) -> str:
        return self.path.rpartition("/")[2].partition("?")[0]

    def asked_range(self, size_bytes: int) -> tuple[int, int]:
        """First byte and end of what was asked for."""
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        return (int(found[1]), min(int(found[2]) + 1, size_bytes)) if found else (0, size_bytes)

    def start_blob(self, *, etag: str = "", length: int | None = None, content_range: str = "") -> bytes:
        """The proper head for the blob that was asked for, but for what is given; returns the bytes that should follow."""
        data = self.registry.blobs[self.digest]
        first, end = self.asked_range(len(data))
        is_ranged = "Range" in self.headers
        headers = {"ETag": etag or f'"{self.digest}"'} if etag or self.registry.etag else {}
        if is_ranged:
            headers["Content_Range"] = content_range or f"bytes {first}-{end - 1}/{len(data)}"
        self.start(206 if is_ranged else 200, end - first if length is None else length, **headers)
        return data[first:end]

    def _is_signed_in(self) -> bool:
        secret = self.registry.token or self.registry.key
        is_open = not secret or self.path.startswith(("/cdn/", "/elsewhere/"))
        return is_open or self.headers.get("Authorization") == f"Bearer {secret}"

    def _challenge(self) -> None:
        realm = self.registry.realm or f"{self.registry.url}/token"
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.reply(401, b"{}", WWW_Authenticate=f'Bearer realm="{realm}",service="registry",scope="repository:library/m:pull"')

    def _manifest(self, repository: str, tag: str) -> None:
        if self.command == "PUT":
            self.registry.manifests[repository, tag] = self.rfile.read(int(self.headers["Content-Length"]))
            self.reply(201)
            return
        data = self.registry.manifests.get((repository, tag))
        if data is None:
            self.reply(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
        else:
            self.reply(200, data, Content_Type=media.MANIFEST)

    def _blob(self, digest: str) -> None:
        data = self.registry.blobs.get(digest)
        if data is None:
            self.reply(404, b'{"errors":[{"code":"BLOB_UNKNOWN"}]}')
        elif self.command == "HEAD":
            self.start(200, len(data))
        elif self.registry.redirects_to and self.path.startswith("/v2/"):
            self.reply(307, Location=f"{self.registry.redirects_to}/cdn/{digest}")
        else:
            self.send_piece(digest, self.start_blob())

    def _open_upload(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if query.get("mount", [""])[0] in self.registry.blobs:
            self.reply(201)
            return
        name = f"u{len(self.registry.uploads)}"
        self.registry.uploads[name] = Upload()
        self.reply(202, Location=urlsplit(self.path).path + name)

    def _upload(self, name: str) -> None:
        upload, size_bytes = self.registry.uploads[name], int(self.headers.get("Content-Length") or 0)
        if self.command == "PATCH" and self.registry.redirects_uploads:
            own = urlsplit(self.path).path
            self.reply(307, Location=f"{self.registry.url}/elsewhere/{name}", Docker_Upload_Location=own)
            self.close_connection = True
            return
        body = self.rfile.read(size_bytes)
        if self.command == "PATCH":
            first = int(self.headers["Content-Range"].partition("-")[0])
            upload.data[first:] = body
            self.reply(202, Location=self.path)
        elif self.path.startswith("/elsewhere/"):
            upload.data += body
            self.reply(201)
        else:
            self._close_upload(bytes(upload.data))

    def _close_upload(self, data: bytes) -> None:
        digest = parse_qs(urlsplit(self.path).query)["digest"][0]
        if digest_of(data) != digest:
            self.reply(400, b'{"errors":[{"code":"DIGEST_INVALID"}]}')
            return
        self.registry.blobs[digest] = data
        self.reply(201)


@contextmanager
def running_registry() -> Iterator[FakeRegistry]:
    registry = FakeRegistry()
    registry.start()
    try:
        yield registry
    finally:
        registry.stop()
