"""What tests of several rooms share: a whole site, started once and left running for the session."""

from __future__ import annotations

import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.inference.stock import make_store

_START_SECONDS = 60
_STOP_SECONDS = 30
_FOREIGN_PREFIXES = ("OLLAMA_", "LLMSITE_", "DJANGO_")


@dataclass
class Site:
    """A running `llmsite serve` with a home of its own. `lines` is what it printed so far, both streams."""

    url: str
    home: Path
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        """Environment of a client of this site."""
        return environment_of(self.home, self.url)

    def llmsite(self, *argv: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        """Run the command line against this site, without a terminal."""
        command = [sys.executable, "-c", "from llmsite.cli.main import main; main()", *argv]
        return subprocess.run(
            command, input=stdin, env=self.environ | environ, capture_output=True, text=True, timeout=120, check=False
        )

    def stop(self) -> int:
        """Ask it to leave and wait until it has; returns its exit code."""
        self.process.terminate()
        return self.process.wait(_STOP_SECONDS)


def environment_of(home: Path, url: str) -> dict[str, str]:
    """The environment without anybody's settings, and the home and address of a site."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN_PREFIXES)}
    return kept | {"LLMSITE_HOME": str(home), "OLLAMA_HOST": url}


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def start_site(home: Path, port: int = 0, prefix: tuple[str, ...] = (), **environ: str) -> Site:
    """Start `llmsite serve` on a fresh port and wait until it says that it serves. The caller stops it.

    `prefix` is a command that runs the one behind it.
    """
    url = f"http://127.0.0.1:{port or free_port()}"
    process = subprocess.Popen(
        [*prefix, sys.executable, "-c", "from llmsite.cli.main import main; main()", "serve"],
        env=environment_of(home, url) | environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    site = Site(url, home, process)
    ready: queue.Queue[bool] = queue.Queue()
    threading.Thread(target=_read_lines, args=(site, ready), daemon=True).start()
    try:
        is_ready = ready.get(timeout=_START_SECONDS)
    except queue.Empty:
        is_ready = False
    if not is_ready:
        process.kill()
        process.wait()
        pytest.fail("the site did not start:\n" + "".join(site.lines))
    return site


def _read_lines(site: Site, ready: queue.Queue[bool]) -> None:
    assert site.process.stdout is not None
    with site.process.stdout as lines:
        for line in lines:
            site.lines.append(line)
            if f"is serving on {site.url}" in line:
                ready.put(True)
    ready.put(False)


@pytest.fixture(scope="session")
def serve(tmp_path_factory: Any) -> Iterator[Site]:
    """One site for all tests that only talk to it; tests that stop or break one start their own with `start_site`."""
    site = start_site(tmp_path_factory.mktemp("site") / "home")
    yield site
    site.stop()


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: Any) -> Iterator[Site]:
    """A site whose store holds the models that the recordings in tests/data/ollama were made with."""
    home = tmp_path_factory.mktemp("recorded") / "home"
    make_store(home / "models")
    site = start_site(home)
    yield site
    site.stop()
