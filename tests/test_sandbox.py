"""What a confined process cannot do any more. The kernel holds it, so this asks a real process."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from llmsite import sandbox

ROOT = Path(__file__).parents[1]
SCRIPT = """
import json, os, socket, sys
from pathlib import Path
from llmsite.sandbox import allow_only

folder, port = Path(sys.argv[1]), int(sys.argv[2])
(folder / "open").touch()
held = (folder / "open").open("w")
is_confined = allow_only(readable=[folder / "read", folder / "code"], writable=[folder / "write"], removable_in=[folder / "gone"])

def attempt(what):
    try:
        return str(what())
    except OSError as error:
        return type(error).__name__

print(json.dumps([is_confined, {
    "read what it may": attempt((folder / "read").read_text),
    "read beneath a folder": attempt((folder / "code" / "module").read_text),
    "list a readable folder": attempt(lambda: os.listdir(folder / "code")),
    "write what it may": attempt(lambda: (folder / "write").write_text("new")),
    "remove what it may": attempt((folder / "gone" / "file").unlink),
    "use what is open": attempt(lambda: held.write("1")),
    "read another": attempt((folder / "secret").read_text),
    "read what it may write": attempt((folder / "write").read_text),
    "write what it may read": attempt(lambda: (folder / "read").write_text("x")),
    "make a file": attempt(lambda: (folder / "gone" / "new").write_text("x")),
    "remove another": attempt((folder / "secret").unlink),
    "list a folder": attempt(lambda: os.listdir(folder)),
    "connect": attempt(lambda: socket.create_connection(("127.0.0.1", port), 5)),
    "start a program": attempt(lambda: os.execv(sys.executable, [sys.executable, "-c", "print('escaped')"])),
}]))
"""


def test_only_what_was_given_can_be_opened(tmp_path: Path) -> None:
    for name in ("read", "write", "secret", "gone/file", "code/module"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        words = [sys.executable, "-c", SCRIPT, str(tmp_path), str(listener.getsockname()[1])]
        answer = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    is_confined, found = json.loads(answer)
    if not is_confined:
        pytest.skip("this kernel has no Landlock")
    allowed = {name: found.pop(name) for name in list(found)[:6]}
    assert allowed == {
        "read what it may": "read",
        "read beneath a folder": "code/module",
        "list a readable folder": "['module']",
        "write what it may": "3",
        "remove what it may": "None",
        "use what is open": "1",
    }
    if sandbox._version() < 4:
        found.pop("connect")
    assert found == dict.fromkeys(found, "PermissionError")
    assert (tmp_path / "secret").exists()


def test_without_landlock_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_version", lambda: -1)
    assert sandbox.allow_only() is False
