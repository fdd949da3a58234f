"""`create` against a server that says what a test scripts: uploads, a person's Ctrl+C, errors. Real runs: test_model_verbs.py."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmsite.cli.main import run_program
from llmsite.types.limits import MIB
from tests.cli.fake_server import FakeServer, serving
from tests.cli.terminal import Terminal
from tests.conftest import environment_of

PROGRAM = [sys.executable, "-c", "from llmsite.cli.main import main; main()"]
DONE = [{"status": "writing manifest"}, {"status": "success"}]
MEASURED = """
import resource, sys
from llmsite.cli.main import run_program
import httpx
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
code = run_program(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
sys.exit(code)
"""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeServer]:
    monkeypatch.chdir(tmp_path)
    with serving(FakeServer()) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        server.frames = list(DONE)
        yield server


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_the_request_holds_what_the_modelfile_says(fake, tmp_path, capsys):
    (tmp_path / "m.gguf").write_bytes(b"GGUF1")
    (tmp_path / "lora.gguf").write_bytes(b"GGUF2")
    (tmp_path / "Modelfile").write_text(
        "FROM ./m.gguf\nADAPTER lora.gguf\nPARAMETER temperature 0.7\nPARAMETER low_vram 1\nSYSTEM Be brief.\n"
    )
    assert run_program(["create", "demo", "-q", "q8_0"]) == 0
    assert fake.seen == [
        (
            "/api/create",
            {
                "model": "demo",
                "quantize": "q8_0",
                "system": "Be brief.",
                "parameters": {"temperature": 0.7},
                "files": {"m.gguf": digest_of(b"GGUF1")},
                "adapters": {"lora.gguf": digest_of(b"GGUF2")},
            },
        )
    ]
    assert fake.received == {digest_of(b"GGUF1"): 5, digest_of(b"GGUF2"): 5}
    out, err = capsys.readouterr()
    assert out == "warning: parameter low_vram is deprecated\n"
    assert err == (
        "gathering model components\n"
        f"copying file {digest_of(b'GGUF1')} 100%\ncopying file {digest_of(b'GGUF2')} 100%\n"
        "writing manifest\nsuccess\n"
    )


def test_a_blob_that_the_server_has_is_not_sent_again(fake, tmp_path, capsys):
    fake.has_blobs = True
    (tmp_path / "m.gguf").write_bytes(b"GGUF1")
    (tmp_path / "Modelfile").write_text("FROM ./m.gguf")
    assert run_program(["create", "demo"]) == 0
    assert fake.received == {}
    assert f"copying file {digest_of(b'GGUF1')} 100%\n" in capsys.readouterr().err


def test_paths_start_at_the_modelfile(fake, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/m.gguf").write_bytes(b"GGUF1")
    (tmp_path / "sub/recipe").write_text("FROM m.gguf")
    assert run_program(["create", "demo", "-f", "sub/recipe"]) == 0
    assert fake.seen[0][1]["files"] == {"m.gguf": digest_of(b"GGUF1")}


def test_nothing_is_uploaded_of_a_safetensors_folder(fake, tmp_path, capsys):
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(b"x" * 100)
    (tmp_path / "Modelfile").write_text("FROM .")
    assert run_program(["create", "demo"]) == 1
    assert capsys.readouterr().err == (
        "gathering model components\nError: converting safetensors is not supported yet; convert it to GGUF first\n"
    )
    assert (fake.received, fake.seen) == ({}, [])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("FORM starter", '"message", or "requires"\n\nDid you mean this in line 1, column 1?\n\tfrom\n\n'),
        ("FROM m\nPARAMETER temprature 1", "'temprature'\n\nDid you mean this in line 2, column 1?\n\ttemperature\n\n"),
        ("FROM m\n#" + "x" * MIB, "Error: the Modelfile is larger than 1 MiB\n"),
    ],
    ids=["instruction", "parameter", "size"],
)
def test_an_error_says_what_was_perhaps_meant(fake, tmp_path, capsys, text, error):
    (tmp_path / "Modelfile").write_text(text)
    assert run_program(["create", "demo"]) == 1
    assert capsys.readouterr().err.endswith(error)
    assert fake.seen == []


def test_a_modelfile_that_cannot_be_read_is_named(fake, tmp_path, capsys):
    assert run_program(["create", "demo", "-f", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"\nError: open {tmp_path}: is a directory\n"


def test_an_error_in_the_middle_stands_below_the_lines_so_far(fake, tmp_path, capsys):
    fake.frames = [{"status": "parsing GGUF"}, {"error": "unsupported quantization type Q9_9"}]
    (tmp_path / "Modelfile").write_text("FROM starter")
    assert run_program(["create", "demo"]) == 1
    assert capsys.readouterr().err == ("gathering model components\nparsing GGUF\nError: unsupported quantization type Q9_9\n")


def test_a_big_file_is_never_whole_in_memory(fake, tmp_path):
    size = 384 * MIB
    with (tmp_path / "big.gguf").open("wb") as file:
        file.truncate(size)
    (tmp_path / "Modelfile").write_text("FROM ./big.gguf")
    command = [sys.executable, "-c", MEASURED, "create", "demo"]
    environ = environment_of(tmp_path / "home", fake.url)
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert list(fake.received.values()) == [size]
    assert int(done.stdout) < 64 * 1024, "grew by so many KiB"


@pytest.mark.process
def test_a_person_sees_the_file_being_copied_and_can_stop_it(fake, tmp_path):
    fake.upload_gate = threading.Event()
    (tmp_path / "m.gguf").write_bytes(b"x" * 64 * MIB)
    (tmp_path / "Modelfile").write_text("FROM ./m.gguf")
    terminal = Terminal(["create", "demo"], environment_of(tmp_path / "home", fake.url))
    try:
        terminal.wait_for(r"copying file sha256:[0-9a-f]{64} [1-9]\d*% [⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]")
        terminal.type("\x03")
        assert terminal.finish() == 130
    finally:
        fake.upload_gate.set()
        terminal.close()
    assert fake.gone.wait(60), "the upload did not end with its sender"
    assert terminal.screen[0] == "gathering model components"
    assert "Traceback" not in terminal.written
    assert terminal.written.endswith("\x1b[?25h"), "the cursor is back"
    assert fake.seen == []


@pytest.mark.process
def test_a_person_sees_bars_grow(fake, tmp_path):
    gates = [threading.Event(), threading.Event()]
    first, second = (f"sha256:{digit * 64}" for digit in "ab")
    fake.frames = [
        {"status": "pulling manifest"},
        {"status": "pulling aaaaaaaaaaaa", "digest": first, "total": 4 * 10**9, "completed": 10**9},
        {"status": "pulling bbbbbbbbbbbb", "digest": second, "total": 2 * 10**9, "completed": 10**9},
        gates[0],
        {"status": "pulling aaaaaaaaaaaa", "digest": first, "total": 4 * 10**9, "completed": 2 * 10**9},
        gates[1],
        {"status": "pulling aaaaaaaaaaaa", "digest": first, "total": 4 * 10**9, "completed": 4 * 10**9},
        {"status": "pulling bbbbbbbbbbbb", "digest": second, "total": 2 * 10**9, "completed": 2 * 10**9},
        *DONE,
    ]
    terminal = Terminal(["pull", "demo"], environment_of(tmp_path / "home", fake.url))
    try:
        terminal.wait_for(f"pulling aaaaaaaaaaaa:  25% ▕{'█' * 9} {{29}}▏   1 GB/  4 GB")
        terminal.wait_for(f"pulling bbbbbbbbbbbb:  50% ▕{'█' * 19} {{19}}▏   1 GB/  2 GB")
        gates[0].set()
        terminal.wait_for(f"pulling aaaaaaaaaaaa:  50% ▕{'█' * 19} {{19}}▏   2 GB/  4 GB")
        gates[1].set()
        assert terminal.finish() == 0
    finally:
        terminal.close()
    assert terminal.screen == [
        "pulling manifest",
        f"pulling aaaaaaaaaaaa: 100% ▕{'█' * 38}▏   4 GB",
        f"pulling bbbbbbbbbbbb: 100% ▕{'█' * 38}▏   2 GB",
        "writing manifest",
        "success",
    ]


def test_leaving_a_pull_ends_the_stream(fake, tmp_path):
    fake.frames = [{"status": "pulling manifest"}, gate := threading.Event(), *[{"status": "more" * 1000}] * 1000]
    environ = environment_of(tmp_path / "home", fake.url)
    child = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n" + PROGRAM[2]
    process = subprocess.Popen([*PROGRAM[:2], child, "pull", "demo"], env=environ, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    with process.stderr as stderr:
        assert fake.asked.wait(60)
        process.send_signal(signal.SIGINT)
        text = stderr.read()
    assert process.wait(60) == 130
    gate.set()
    assert fake.gone.wait(60)
    assert "Traceback" not in text
