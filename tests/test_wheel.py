"""The wheel, installed into an empty environment, serves and chats: nothing it needs stays behind in the checkout."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench.servers import free_port

ROOT = Path(__file__).parent.parent
pytestmark = [pytest.mark.process, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`llmsite` of an environment that holds the wheel and its dependencies at the locked versions, nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT))
    (wheel,) = folder.glob("llmsite-*.whl")
    constraints = folder / "constraints.txt"
    constraints.write_text(re.sub(r" \\\n\s+--hash=\S+", "", (ROOT / "requirements.lock").read_text()))
    environment = folder / "environment"
    venv.create(environment, with_pip=True)
    _run(str(environment / "bin" / "python"), "-m", "pip", "install", "-q", "-c", str(constraints), str(wheel))
    return environment / "bin" / "llmsite"


@pytest.fixture
def address(program: Path, tmp_path: Path) -> Iterator[str]:
    """Base address of a server started from the wheel, away from the checkout."""
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG")}
    variables = kept | {"HOME": str(tmp_path), "OLLAMA_HOST": f"127.0.0.1:{port}"}
    process = subprocess.Popen([program, "serve"], cwd=tmp_path, env=variables, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    for line in process.stdout:
        if "/setup?t=" in line:
            break
    yield f"http://127.0.0.1:{port}"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)


def test_the_installed_wheel_serves_and_chats(address: str) -> None:
    body = {"model": "starter", "prompt": "What is 2 + 2?", "think": False, "stream": False, "options": {"temperature": 0}}
    assert _post(f"{address}/api/generate", body)["response"] == "2 + 2 = 4"
    with urllib.request.urlopen(f"{address}/sign-in") as page:
        text = page.read().decode()
    stylesheet = re.search(r'href="(/static/[^"]+\.css)"', text)
    assert stylesheet
    with urllib.request.urlopen(address + stylesheet[1]) as reply:
        assert reply.status == 200


def _post(url: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)


def _run(*command: str) -> None:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
