"""The program around its verbs: help, what it loads, what it becomes (catalogue 9.1)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from llmsite import env
from llmsite.cli.answer import RunSettings
from llmsite.cli.main import VERBS, run_program
from llmsite.cli.rest import Server
from llmsite.cli.session import Session
from tests.cli.fake_server import FakeServer, serving
from tests.conftest import environment_of, free_port

PROGRAM = [sys.executable, "-c", "from llmsite.cli.main import main; main()"]


@pytest.fixture
def environ(tmp_path):
    """Nobody serves there."""
    return environment_of(tmp_path / "home", f"http://127.0.0.1:{free_port()}")


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["help"]])
def test_help_lists_the_verbs(argv, capsys):
    assert run_program(argv) == 0
    out = capsys.readouterr().out
    width = max(len(verb.name) for verb in VERBS) + 3
    for verb in VERBS:
        assert f"  {verb.name:<{width}}{verb.summary}\n" in out
    assert f"  {'help':<{width}}Help about any command\n" in out


@pytest.mark.parametrize("verb", [each for each in VERBS if not each.is_handed_on], ids=lambda verb: verb.name)
def test_each_verb_has_its_help(verb, capsys):
    assert run_program([verb.name, "--help"]) == 0
    by_flag = capsys.readouterr().out
    assert run_program(["help", *([verb.aliases[0]] if verb.aliases else [verb.name])]) == 0
    assert capsys.readouterr().out == by_flag
    assert by_flag.startswith(f"{verb.summary}\n\nUsage:\n  llmsite {verb.usage} [flags]\n")
    assert all(f"--{flag.name}" in by_flag for flag in verb.flags)
    assert all(f"      {name} " in by_flag for name in verb.variables)


def test_serve_describes_every_variable(capsys):
    run_program(["serve", "--help"])
    out = capsys.readouterr().out
    assert all(each.name in out and each.help in out for each in env.VARIABLES)


def test_an_unknown_topic_shows_the_usage_on_stderr(capsys):
    assert run_program(["help", "nothing"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Unknown help topic [`nothing`]\n")
    assert "Available Commands:" in err


def test_a_bad_variable_is_named(monkeypatch, capsys):
    monkeypatch.setenv("LLMSITE_API_AUTH", "maybe")
    monkeypatch.setenv("OLLAMA_HOST", "http://[bad")
    assert run_program(["list"]) == 1
    assert capsys.readouterr().err == "Error: parse \"http://[bad:80/\": missing ']' in host\n"


def test_T58_an_error_of_a_server_moves_no_cursor(monkeypatch, capsys):
    fake = FakeServer()
    fake.answers["/api/show"] = (500, {"error": "one\x1b[2J\x1b]0;title\x07\r\x9b1A\u202etwo\n\tthree\u3000"})
    with serving(fake):
        monkeypatch.setenv("OLLAMA_HOST", fake.url)
        assert run_program(["show", "x"]) == 1
    assert capsys.readouterr().err == "Error: one[2J]0;title1Atwo\n\tthree\u3000\n"


def test_T58_what_a_model_comes_with_moves_no_cursor_in_a_session(monkeypatch, capsys):
    fake = FakeServer()
    said = [{"role": role, "content": f"{role}\x1b[2J\x1b]0;title\x07\n\tmore"} for role in ("user", "assistant")]
    fake.answers["/api/show"] = (200, {"capabilities": ["completion"], "messages": said, "license": "Free\x1b[1A\u202e"})
    fake.answers["/api/chat"] = (200, {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "load"})
    lines = iter(["/show license", "/bye"])
    monkeypatch.setattr("builtins.input", lambda _: next(lines))
    with serving(fake):
        monkeypatch.setenv("OLLAMA_HOST", fake.url)
        with asyncio.Runner() as runner:
            server = Server()
            Session(runner, server, RunSettings("x"), runner.run(server.post("/api/show", {"model": "x"}))).run()
            runner.run(server.close())
    out = capsys.readouterr().out
    assert out == ">>> user[2J]0;title\n\tmore\nassistant[2J]0;title\n\tmore\n\nFree[1A\n"


def test_quick_verbs_load_neither_django_nor_the_engine():
    code = "import sys, llmsite.cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"django", "celery", "llama_cpp", "numpy"} & set(done.stdout.split())


@pytest.mark.process
def test_user_becomes_the_management_command(environ):
    done = subprocess.run([*PROGRAM, "user", "--help"], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "add" in done.stdout


@pytest.mark.process
def test_a_folder_of_the_same_name_is_not_mistaken_for_ours(environ, tmp_path):
    (tmp_path / "chat").mkdir()
    (tmp_path / "chat" / "__init__.py").write_text("raise SystemExit('the wrong chat')")
    (tmp_path / "api.py").write_text("raise SystemExit('the wrong api')")
    code = f"import sys; sys.path.insert(0, {os.getcwd()!r}); from llmsite.cli.main import main; main()"
    environ["PYTHONPATH"] = os.getcwd()
    command = [sys.executable, "-P", "-c", code, "user", "--help"]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "the wrong" in done.stderr) == (0, False), done.stderr


def test_a_reader_that_goes_away_is_no_traceback(environ):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*PROGRAM, "--help"], env=environ, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert "Traceback" not in done.stderr
