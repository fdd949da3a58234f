"""Commands of a session at a terminal, as Ollama's was recorded (rows `session.*`; catalogue 9.6)."""

from __future__ import annotations

import re

import httpx
import pytest

from llmsite.cli.answer import RunSettings
from llmsite.cli.session_set import set_something
from llmsite.cli.session_show import show_part
from llmsite.cli.session_state import SessionState
from llmsite.types.message import Message
from tests.cli.terminal import Terminal
from tests.cli.test_transcripts import ALL

PROMPT = r">>> |(?:^|\n)(?:\x1b\[\?\d+[hl]|\r)*\.\.\. "
NO_TEXT = ">>> Send a message (/? for help)"
"""The last line of a recorded screen: a prompt with its placeholder, which our line editor does not have."""

STANDING = [  # rows of `calm` that find what they need whatever was asked before
    *("help", "help_word", "help_set", "help_show", "help_slash_set", "help_load", "help_bogus", "set", "set_modes", "show"),
    *("set_parameter", "set_parameter_name_only", "set_parameter_bad", "show_info", "show_license", "show_modelfile"),
    *("show_parameters", "show_system", "show_bogus", "save_bad", "set_system", "set_system_multi", "clear", "unknown"),
]
OF_FULL = [f"show_{part}_full" for part in ("info", "license", "modelfile", "parameters", "system", "template")]
ALONE = [
    "set_parameter_fine",
    "set_parameter_more",
    "set_parameter_show_stop",
    "set_verbose",
    "set_think",
    "thinking_set",
    "load",
]


def comparable(lines: list[str]) -> list[str]:
    """Without our line editor's missing placeholder, digests, figures, the order of parameters, and breaks of long lines."""
    text = "\n".join(lines).replace(NO_TEXT, ">>>")
    text = re.sub(r"sha256-[0-9a-f]{64}", "sha256-<digest>", text)
    text = re.sub(r"FROM \S*/blobs/", "FROM <path>/blobs/", text)
    text = re.sub(r"^((?:total|load|prompt eval|eval) duration: +)\S+$", r"\1<duration>", text, flags=re.MULTILINE)
    text = re.sub(r"^((?:prompt eval|eval) rate: +)\S+ ", r"\1<rate> ", text, flags=re.MULTILINE)
    text = text.replace("true, o\nr false", "true, or false")
    block = re.compile(r"(?:^ *(?:PARAMETER )?(?:seed|temperature|num_ctx) +\S+ *\n)+", re.MULTILINE)
    return block.sub(lambda found: "".join(sorted(found[0].splitlines(keepends=True))), text).split("\n")


def type_all(terminal: Terminal, keys: list[str], num_prompts: int = 0) -> None:
    """Type each when a prompt asks for it; `num_prompts` are on the screen without one."""
    for asked, each in enumerate(keys, num_prompts + 1):
        terminal.wait_for(PROMPT, asked)
        terminal.type(each)


@pytest.mark.process
@pytest.mark.model
@pytest.mark.parametrize("name", ALONE)
def test_the_screen_is_the_recorded_one(sit_down, name):
    row = ALL[f"session.{name}"]
    terminal = sit_down(*["calm-go" if word == "starter-go" else word for word in row["argv"]])
    type_all(terminal, row["keys"])
    if "exit" in row:
        assert terminal.finish() == row["exit"]
    else:
        terminal.wait_for(PROMPT, len(row["keys"]) + 1)
    assert comparable(terminal.screen) == comparable(row["screen"])


@pytest.mark.process
@pytest.mark.model
def test_commands_print_what_was_recorded(sit_down):
    rows = [ALL[f"session.{name}"] for name in STANDING]
    terminal = sit_down("run", "calm", "--think=false")
    type_all(terminal, [keys for row in rows for keys in row["keys"]])
    assert terminal.finish() == rows[-1]["exit"]
    assert comparable(terminal.screen) == comparable([line for row in rows for line in row["screen"] if line != NO_TEXT])


@pytest.mark.process
@pytest.mark.model
def test_a_model_with_everything_shows_it(sit_down):
    replay = ALL["session.messages_replayed"]["screen"][:-1]
    rows = [ALL[f"session.{name}"] for name in OF_FULL]
    terminal = sit_down("run", "full", "--think=false")
    type_all(terminal, [keys for row in rows for keys in row["keys"]], 1)
    terminal.wait_for(PROMPT, len(rows) + 2)
    shown = [line for row in rows for line in row["screen"][len(replay) : -1]]
    assert comparable(terminal.screen) == comparable([*replay, *shown, NO_TEXT])


@pytest.mark.process
@pytest.mark.model
def test_a_session_is_saved_as_a_model_and_replayed(sit_down, site):
    row = ALL["session.save"]
    terminal = sit_down(*row["argv"])
    type_all(terminal, row["keys"])
    terminal.wait_for(PROMPT, len(row["keys"]) + 1)
    try:
        assert comparable(terminal.screen) == comparable(row["screen"])
        shown = site.llmsite("show", "parrot", "--modelfile").stdout
        assert comparable(shown.split("\n")) == comparable(ALL["session.saved_modelfile"]["stdout"].split("\n"))
        replayed = sit_down("run", "parrot", "--think=false")
        replayed.wait_for(PROMPT, 2)
        assert comparable(replayed.screen) == comparable(ALL["session.saved_replayed"]["screen"])
    finally:
        httpx.request("DELETE", f"{site.url}/api/delete", json={"model": "parrot"}).raise_for_status()


@pytest.mark.process
@pytest.mark.model
def test_list_takes_a_prefix(sit_down):
    terminal = sit_down("run", "calm", "--think=false")
    terminal.wait_for(PROMPT)
    terminal.type("/list STARTER-SY\r")
    terminal.wait_for(PROMPT, 2)
    header, model = terminal.screen[1:3]
    assert header.split() == ["NAME", "ID", "SIZE", "MODIFIED"]
    assert model.startswith("starter-sys:latest ")


def state(**shown: object) -> SessionState:
    return SessionState(RunSettings("m"), shown)


def test_a_system_message_stays_when_the_conversation_is_cleared():
    told = state()
    told.set_system("one")
    told.set_system("two")
    told.messages.append(Message("user", "x"))
    told.clear()
    assert told.messages == [Message("system", "two")]


def test_a_model_without_thoughts_is_warned_of():
    lines: list[str] = []
    told = state(capabilities=["completion"])
    set_something(["think"], told, lines.append, lines.append)
    assert lines == ['warning: model "m" does not support thinking output\n', "Set 'think' mode.\n"]
    assert told.settings.think is True


@pytest.mark.parametrize("words", [["format"], ["format", "xml"], ["format", "json", "x"]])
def test_a_format_that_is_none(words):
    lines: list[str] = []
    set_something(words, state(), lines.append, lines.append)
    assert lines == ["Invalid or missing format. For 'json' mode use '/set format json'\n"]


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("license", "No license was specified for this model.\n"),
        ("system", "No system message was specified for this model.\n"),
        ("template", "No prompt template was specified for this model.\n"),
        ("parameters", "Model defined parameters:\n  No additional parameters were specified for this model.\n\n"),
    ],
)
def test_what_a_model_does_not_have(part, text):
    assert show_part(part, {"modelfile": ""}, state()) == text


def test_a_saved_session_starts_from_the_parent_or_the_model():
    assert state(details={"parent_model": "base:latest"}).creation("new") == {"model": "new", "from": "base:latest"}
    told = state()
    told.set_system("S")
    told.options["stop"] = ["a"]
    assert told.creation("new") == {
        "model": "new",
        "from": "m",
        "system": "S",
        "parameters": {"stop": ["a"]},
        "messages": [{"role": "system", "content": "S"}],
    }
