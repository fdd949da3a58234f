"""The npm client of Ollama under Node, for the tests that try it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NODE = Path(__file__).parent / "node"


@pytest.fixture(scope="session")
def run_node() -> Callable[..., Any]:
    """Runs a script of tests/api/node with these arguments; returns the JSON that it prints."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("no node and npm: the npm client is not tried")
    folder = _client_folder(npm)

    def run(script: str, *arguments: str) -> Any:
        shutil.copy(NODE / script, folder)
        done = subprocess.run([node, script, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def _client_folder(npm: str) -> Path:
    """Folder with the installed client; kept between runs."""
    package = (NODE / "package.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llmsite-tests"
    folder = cache / f"node-{hashlib.sha256(package).hexdigest()[:12]}"
    if not (folder / "node_modules" / "ollama").is_dir():
        _install(npm, package, folder)
    return folder


def _install(npm: str, package: bytes, folder: Path) -> None:
    """Install beside the folder and move it there whole, so that a broken install leaves nothing behind."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
        (Path(fresh) / "package.json").write_bytes(package)
        command = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock"]
        done = subprocess.run(command, cwd=fresh, capture_output=True, text=True, timeout=240, check=False)
        if done.returncode:
            reason = f"npm cannot install the ollama client: {done.stderr.strip().splitlines()[-1:]}"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
        shutil.copytree(fresh, folder, dirs_exist_ok=True)
