"""A real `llmsite serve` as a child process: started, asked for its owner link, stopped, killed, started again on one home."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import IO, Final

import psutil

from tests.bench.servers import free_port

ROOT: Final = Path(__file__).parent.parent
START_SECONDS: Final = 120
STOP_SECONDS: Final = 60


class Serve:
    """One home and the server on it. `log` holds everything it printed so far."""

    def __init__(self, home: Path, **variables: str) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = ""
        self._variables = variables
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Returns when it answers. Raises with its output when it does not."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LLMSITE_", "OLLAMA_", "DJANGO_"))}
        variables = {"LLMSITE_HOME": str(self.home), "OLLAMA_HOST": f"127.0.0.1:{self.port}", "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "manage.py", "serve"],
            cwd=ROOT,
            env=kept | variables | self._variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout
        threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"llmsite serve did not start:\n{self.log}")
            time.sleep(0.1)

    def owner_link(self) -> str:
        """The one-time link it printed."""
        found = re.search(r"https?://\S+/setup\?t=\S+", self.log)
        assert found, self.log
        return found[0]

    def stop(self) -> None:
        """As Ctrl-C does; kills what is left after a minute."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL, the server only: whether its children leave is its own business."""
        assert self._process
        self._process.kill()
        self._process.wait(STOP_SECONDS)

    def runners(self) -> list[psutil.Process]:
        """The processes that hold models."""
        assert self._process
        children = psutil.Process(self._process.pid).children(recursive=True)
        return [each for each in children if "llmsite.engine.runner" in " ".join(each.cmdline())]

    def _read(self, output: IO[str]) -> None:
        for line in output:
            self.log += line

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/api/version", timeout=5):
                return True
        except OSError:
            return False
