"""`login` and `logout`: keys of other instances in a file of the user."""

from __future__ import annotations

import io
import json
import stat
import sys

import pytest

from llmsite.cli.main import run_program
from llmsite.cli.registry_keys import read_host
from llmsite.types.errors import InvalidRequest
from tests.cli.terminal import Terminal
from tests.conftest import environment_of


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LLMSITE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def login(host: str, key: str, monkeypatch) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{key}\n"))
    return run_program(["login", host])


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("models.example", "models.example"),
        ("Models.Example:8443", "models.example:8443"),
        ("http://10.0.0.5:11434/", "10.0.0.5:11434"),
        ("https://models.example", "models.example"),
    ],
)
def test_a_host_is_that_of_model_names(text, host):
    assert read_host(text) == host


@pytest.mark.parametrize("text", ["", "a/b", "user@host", "http://", "h?x", "-h", "h h"])
def test_what_is_no_host_is_refused(text):
    with pytest.raises(InvalidRequest, match="is no host of a registry"):
        read_host(text)


def test_keys_are_kept_replaced_and_forgotten(home, monkeypatch, capsys):
    path = home / "registry-keys.json"
    assert login("http://one.example:11434", "key-1", monkeypatch) == 0
    assert login("two.example", "key-2", monkeypatch) == 0
    assert login("ONE.example:11434", "key-3", monkeypatch) == 0
    assert json.loads(path.read_text()) == {"one.example:11434": "key-3", "two.example": "key-2"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    out = capsys.readouterr().out
    assert f"The key of two.example is kept in {path}\n" in out
    assert "key-" not in out
    assert run_program(["logout", "one.example:11434"]) == 0
    assert json.loads(path.read_text()) == {"two.example": "key-2"}
    assert [each.name for each in home.iterdir()] == [path.name]


def test_forgetting_what_was_never_kept_is_an_error(home, capsys):
    assert run_program(["logout", "one.example"]) == 1
    assert capsys.readouterr().err == "Error: no key of one.example is kept\n"


@pytest.mark.parametrize("key", ["", "two words", "schlüssel", "a\tb"])
def test_what_is_no_key_is_refused(key, home, monkeypatch, capsys):
    assert login("one.example", key, monkeypatch) == 1
    assert capsys.readouterr().err.startswith("Error: an API key is one word")
    assert not home.exists()


@pytest.mark.parametrize("content", ["not json", "[]"])
def test_a_damaged_file_is_named_and_left(content, home, monkeypatch, capsys):
    home.mkdir()
    path = home / "registry-keys.json"
    path.write_text(content)
    assert login("one.example", "key", monkeypatch) == 1
    assert str(path) in capsys.readouterr().err
    assert path.read_text() == content


@pytest.mark.process
def test_a_person_types_the_key_unseen(tmp_path):
    home = tmp_path / "home"
    terminal = Terminal(["login", "one.example"], environment_of(home, "http://127.0.0.1:1"))
    try:
        terminal.wait_for("API key of one.example: ")
        terminal.type("key-1\r")
        assert terminal.finish() == 0
    finally:
        terminal.close()
    assert json.loads((home / "registry-keys.json").read_text()) == {"one.example": "key-1"}
    assert "key-1" not in terminal.written
