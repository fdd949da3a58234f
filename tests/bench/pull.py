"""A pull over loopback against a plain copy and hash of the same bytes. The registry runs in a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

from llmsite.registry.config import RegistryConfig
from llmsite.registry.pull import pull
from llmsite.store import manifest as media
from llmsite.store.model import ModelStore
from llmsite.types.limits import GIB, MIB
from llmsite.types.name import ModelName
from tests.bench.figures import Figure

REPEATS = 3


def pull_figure(size_bytes: int = GIB) -> Figure:
    """GB/s of a pull ÷ those of copying the file and hashing the copy."""
    with tempfile.TemporaryDirectory() as folder:
        blob = Path(folder) / "blob"
        fill(blob, size_bytes)
        with registry(blob) as host:
            times = [(_pull(Path(folder), host), _copy_and_hash(blob)) for _ in range(REPEATS)]
    ours, plain = (size_bytes / 1e9 / median(each) for each in zip(*times, strict=True))
    return Figure("pull over loopback ÷ plain copy and hash", ours / plain, "≥ 0.80", ours, plain, "GB/s")


def fill(path: Path, size_bytes: int) -> None:
    with path.open("wb") as file:
        for _ in range(size_bytes // MIB):
            file.write(os.urandom(MIB))
        file.flush()
        os.fsync(file.fileno())  # nothing of it is written to the disk any more while we measure


def _pull(folder: Path, host: str) -> float:
    """Seconds of a pull into an empty store."""
    root = folder / "home"
    name = ModelName.parse(f"{host}/library/bench")
    started = time.perf_counter()
    pull(
        ModelStore(root / "models"),
        name,
        insecure=True,
        report=lambda _: None,
        check=lambda: None,
        config=RegistryConfig(home=root),
    )
    seconds = time.perf_counter() - started
    shutil.rmtree(root)
    return seconds


def _copy_and_hash(blob: Path) -> float:
    """Seconds of a copy that is on the disk, as a pulled blob is, and of its SHA-256."""
    target = blob.with_name("copy")
    started = time.perf_counter()
    shutil.copyfile(blob, target)
    with target.open("rb+") as file:
        hashlib.file_digest(file, "sha256")
        os.fsync(file.fileno())
    seconds = time.perf_counter() - started
    target.unlink()
    return seconds


@contextmanager
def registry(blob: Path) -> Iterator[str]:
    """Host and port of a registry that serves one model of these weights."""
    command = [sys.executable, "-m", "tests.bench.pull", str(blob)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class _Handler(BaseHTTPRequestHandler):
    """Sends the blob by sendfile: the registry should cost as little as it can."""

    protocol_version = "HTTP/1.1"
    blob: Path
    blobs: dict[str, bytes | Path]
    manifest: bytes

    def do_GET(self) -> None:
        if "/manifests/" in self.path:
            self._send(self.manifest)
            return
        found = self.blobs[self.path.rpartition("/")[2]]
        if isinstance(found, bytes):
            self._send(found)
            return
        size_bytes = found.stat().st_size
        first, end = (int(text) for text in self.headers["Range"].removeprefix("bytes=").split("-"))
        self.send_response(206)
        self.send_header("Content-Length", str(end - first + 1))
        self.send_header("Content-Range", f"bytes {first}-{end}/{size_bytes}")
        self.end_headers()
        with found.open("rb") as file:
            self.connection.sendfile(file, first, end - first + 1)

    def _send(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        return


def serve(blob: Path) -> None:
    """Serve until killed; prints the port."""
    config = b'{"model_format":"gguf","model_family":"llama"}'
    with blob.open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    config_digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    _Handler.blobs = {digest: blob, config_digest: config}
    _Handler.manifest = json.dumps(
        {
            "schemaVersion": 2,
            "config": {"mediaType": media.CONFIG, "digest": config_digest, "size": len(config)},
            "layers": [{"mediaType": media.MODEL, "digest": digest, "size": blob.stat().st_size}],
        }
    ).encode()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
