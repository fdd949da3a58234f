"""The servers under measurement: `llmsite serve` with a home of its own, and llama-server. Both end with the `with` block."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.bench.streams import Target


@dataclass(frozen=True)
class Running:
    """A started server: where to ask it, its process, and the seconds until its first answer."""

    target: Target
    process: subprocess.Popen[bytes]
    start_seconds: float

    @property
    def memory_bytes(self) -> int:
        """Resident memory of the server process alone."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def runner_memory_bytes(self) -> int:
        """Resident memory of the processes below that hold models."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return sum(child.memory_info().rss for child in children if "llmsite.engine.runner" in " ".join(child.cmdline()))


@contextmanager
def llmsite(model: Path, name: str, **environment: str) -> Iterator[Running]:
    """Our server on a fresh home whose store holds `model`, laid out as Ollama lays it out."""
    with llmsite_on(lambda root: lay_out(root, model, name), name, **environment) as running:
        yield running


@contextmanager
def llmsite_on(fill: Callable[[Path], None], name: str = "", **environment: str) -> Iterator[Running]:
    """Our server on a fresh home whose store `fill` has filled."""
    home = Path(tempfile.mkdtemp(prefix="llmsite-bench-"))
    port = free_port()
    fill(home / "models")
    variables = {"LLMSITE_HOME": str(home), "OLLAMA_HOST": f"127.0.0.1:{port}", "OLLAMA_KEEP_ALIVE": "-1"} | environment
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OLLAMA_", "LLMSITE_"))}
    command = [str(Path(sys.executable).with_name("llmsite")), "serve"]
    try:
        with _process(command, kept | variables, home / "serve.log", f"http://127.0.0.1:{port}/api/version") as (
            process,
            seconds,
        ):
            yield Running(Target(port, True, name), process, seconds)
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def llama_server(binary: Path, model: Path, num_slots: int, num_ctx: int) -> Iterator[Running]:
    """llama.cpp's server with as many slots of the same context, everything else at its defaults."""
    port = free_port()
    command = [str(binary), "-m", str(model), "--port", str(port), "-np", str(num_slots), "-c", str(num_slots * num_ctx)]
    log = Path(tempfile.gettempdir()) / f"llama-server-{port}.log"
    with _process(command, dict(os.environ), log, f"http://127.0.0.1:{port}/health") as (process, seconds):
        yield Running(Target(port, False), process, seconds)
    log.unlink()


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get_json(port: int, path: str) -> Any:
    """Answer of a GET."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as reply:
        return json.load(reply)


@contextmanager
def _process(
    command: list[str], environment: dict[str, str], log: Path, url: str
) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    started = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_for(url, process, log)
        yield process, time.perf_counter() - started
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.perf_counter() + 120
    while time.perf_counter() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.02)  # nothing else tells that a foreign server listens
    raise RuntimeError(f"the server did not answer:\n{log.read_text()[-2000:]}")


def lay_out(root: Path, model: Path, name: str) -> None:
    """Manifest, config and blob of one model in Ollama's layout; the store takes no links."""
    blobs = root / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    with model.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    shutil.copy(model, blobs / f"sha256-{digest}")
    config = json.dumps({"model_format": "gguf", "model_family": "llama", "model_type": "494M", "file_type": "Q4_0"}).encode()
    config_digest = hashlib.sha256(config).hexdigest()
    (blobs / f"sha256-{config_digest}").write_bytes(config)
    media = "application/vnd.ollama.image.model"
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "digest": f"sha256:{config_digest}",
            "size": len(config),
        },
        "layers": [{"mediaType": media, "digest": f"sha256:{digest}", "size": model.stat().st_size}],
    }
    folder = root / "manifests" / "registry.ollama.ai" / "library" / name
    folder.mkdir(parents=True)
    (folder / "latest").write_text(json.dumps(manifest, separators=(",", ":")))
