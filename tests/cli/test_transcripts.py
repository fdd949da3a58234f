"""Recorded runs of Ollama's command line, replayed with our own name in the texts.

Rows of verbs that change models are in test_model_verbs.py; what is different on purpose stands in `OURS` with the reason.
"""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

import llmsite
from llmsite.cli.main import run_program
from tests.conftest import free_port

pytestmark = [pytest.mark.process, pytest.mark.model]

PATH: Final = Path(__file__).parents[1] / "data/ollama/cli-transcripts.jsonl"
ALL: Final = {row["name"]: row for row in map(json.loads, PATH.read_text().splitlines())}

LATER: Final = {
    "version of a verb": ("help.",),  # our own verbs and flags; test_main.py has them
    "embedding models": ("run.embed", "usage.bad_int"),
    "of a site without a network": ("run.missing", "run.pulls"),  # test_model_verbs.py
    "pictures": ("picture.",),
    "serving": ("serve.",),  # tests/test_serve.py
    "the default port may be somebody's": ("host.port_",),  # test_address.py
    "random weights": ("run.think_unable",),  # below, with another model
    "what is loaded, in an order": ("ps.", "stop.", "run.keepalive", "run.load_only"),  # below
    "which models there are": ("list.all", "list.alias", "list.prefix", "list.two", "list.empty"),  # below
}  # fmt: skip
VERBS: Final = ("run", "list", "ls", "ps", "stop")


def is_replayed(row: dict[str, Any]) -> bool:
    if "keys" in row or row["name"].startswith(tuple(start for starts in LATER.values() for start in starts)):
        return row["name"] == "list.prefix_none"
    return not row["argv"] or row["argv"][0] in VERBS or row["name"].startswith(("usage.", "version.", "no_server."))


ROWS: Final = {name: row for name, row in ALL.items() if is_replayed(row)}

THOUGHTS: Final = "Thinking...\n7 + 5 = 12, 1 + 2 + 1 = 4, 17 + 25 = 42\n...done thinking.\n\n17 + 25 = 42\n\n"
NO_FORMAT: Final = "Error: 400 Bad Request: registry.ollama.ai/library/calm:latest does not support structured output\n"
OURS: Final[dict[str, dict[str, Any]]] = {
    # thoughts are told apart whichever template made the prompt (DESIGN 9)
    "run.think_jinja": {"stdout": THOUGHTS},
    # structured output comes later
    "run.format_json": {"stdout": "", "stderr": NO_FORMAT, "exit": 1},
    "run.format_schema": {"stdout": "", "stderr": NO_FORMAT, "exit": 1},
}


class Ran(NamedTuple):
    stdout: str
    stderr: str
    exit: int


@pytest.fixture
def run(site, monkeypatch, capsys):
    """Run the program in this process, without a terminal."""

    def run_it(argv: list[str], stdin: str = "", host: str = "") -> Ran:
        monkeypatch.setenv("OLLAMA_HOST", host or site.url)
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        code = run_program(argv)
        return Ran(*capsys.readouterr(), code)

    return run_it


def host_of(row: dict[str, Any], site: Any) -> str:
    """The address of a row; `<host>` of the rows without a server is a port where nobody listens."""
    text = row.get("env", {}).get("OLLAMA_HOST", "")
    if row["name"].startswith("no_server.") or row["name"] == "version.no_server":
        return f"127.0.0.1:{free_port()}"
    return str(text.replace("<host>", site.url.removeprefix("http://")))


def in_our_words(text: str) -> str:
    for theirs, ours in (
        ("running Ollama instance", "running llmsite instance"),
        ("ollama server", "llmsite server"),
        ("'ollama serve'", "'llmsite serve'"),
        ('for "ollama"', 'for "llmsite"'),
        ("ollama version is", "llmsite version is"),
        ("<version>", llmsite.__version__),
    ):
        text = text.replace(theirs, ours)
    return unwrapped(text)


def unwrapped(text: str) -> str:
    """Without the line breaks that Ollama puts in where nobody has a screen (catalogue 9.4, accident)."""
    while match := re.search(r"(?:\x1b\[(\d+)D)?\x1b\[K\n", text):
        text = text[: match.start() - int(match[1] or 0)] + text[match.end() :]
    return text


def comparable(text: str) -> str:
    text = re.sub(r"^((?:total|load|prompt eval|eval) duration: +)[0-9.]+(?:µs|ms|s)$", r"\1<duration>", text, flags=re.MULTILINE)
    text = re.sub(r"^((?:prompt eval|eval) rate: +)[0-9.]+ ", r"\1<rate> ", text, flags=re.MULTILINE)
    return re.sub(r'(Head "[^"]+": ).*', r"\1<network problem>", text) if "unsupported" not in text else text


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_run_is_the_recorded_one(run, site, row):
    argv = ["calm-go" if word == "starter-go" else word for word in row["argv"]]
    expected = row | OURS.get(row["name"], {})
    ran = run(argv, row.get("stdin", ""), host_of(row, site))
    assert Ran(comparable(ran.stdout), comparable(ran.stderr), ran.exit) == (
        in_our_words(expected["stdout"]),
        in_our_words(expected["stderr"]),
        expected["exit"],
    )


def test_every_exception_is_a_row():
    assert OURS.keys() <= ROWS.keys()
    assert all(any(name.startswith(start) for name in ALL) for starts in LATER.values() for start in starts)


def test_thinking_is_refused_by_a_model_without_it(run):
    ran = run(["run", "starter-legacy", "--think", "x"])
    assert ran == ("", 'Error: 400 Bad Request: "starter-legacy" does not support thinking\n', 1)


def loaded_rows(text: str) -> list[str]:
    """The lines of a table of ps with digest, size and minutes as the recorder wrote them."""
    text = re.sub(r"[0-9a-f]{12}", "<digest>", text)
    text = re.sub(r"\d+ MB +", "<size> ", text)
    text = re.sub(r"(About )?\S+ minutes? from now", "<time> from now", text)
    return [re.sub(" {2,}", "|", line) for line in text.splitlines()]


LIFE: Final = (
    "ps.none", "run.load_only", "ps.loaded", "ps.prefix", "ps.prefix_case", "stop.loaded", "ps.stopped", "stop.not_loaded",
    "stop.missing", "run.keepalive", "ps.forever", "run.keepalive_hours", "ps.hours", "run.keepalive_0",
)  # fmt: skip


def test_a_model_is_loaded_kept_and_let_go_as_recorded(run):
    def loaded() -> set[str]:
        return {line.split()[0] for line in run(["ps"]).stdout.splitlines()[1:]}

    for model in loaded():
        run(["stop", model])
    removed = loaded()  # deleted by other tests, they stay until their time is over
    for name in LIFE:
        row = ALL[name]
        ran = run(row["argv"])
        if row["argv"][0] == "ps":
            header, *rows = loaded_rows(ran.stdout)
            wanted_header, *wanted = loaded_rows(row["stdout"])
            assert header.strip("| ") == wanted_header.strip("| "), name
            assert [each for each in rows if each.partition("|")[0] not in removed] == wanted, name
        else:
            assert ran == (row["stdout"], row["stderr"], row["exit"]), name


def test_list_shows_models_newest_first(run):
    ran = run(["list"])
    header, *lines = ran.stdout.splitlines()
    assert header.split() == ["NAME", "ID", "SIZE", "MODIFIED"]
    assert len({len(line) for line in (header, *lines)}) == 1, "columns of one width"
    assert re.fullmatch(r"calm-go:latest +[0-9a-f]{12} {4}9\.6 MB {4}\S.* ago {4,}", lines[0])
    assert run(["ls"]).stdout == ran.stdout


@pytest.mark.parametrize(
    ("argv", "names"),
    [(["STARTER-SY"], ["starter-sys:latest"]), (["starter-g", "starter-s"], ["starter-go:latest"]), (["nope"], [])],
)
def test_list_filters_by_the_first_word(run, argv, names):
    lines = run(["list", *argv]).stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == names
