"""The session at a terminal, as Ollama's was recorded (rows `session.*` and `screen.*`; the plain part of catalogue 9.6)."""

from __future__ import annotations

import pytest

from tests.cli.test_transcripts import ALL

pytestmark = [pytest.mark.process, pytest.mark.model]

REPLAYED = [
    *("session.answer", "session.multi_line", "session.multi_line_one", "session.multi_line_end_alone", "session.exit_word"),
    *("session.thinking", "session.thinking_hidden", "session.thinking_off", "screen.run_prompt", "screen.run_thinking"),
    *("session.ctrl_d", "session.ctrl_c"),
]
PROMPT = r">>> |\.\.\. "


@pytest.mark.parametrize("name", REPLAYED)
def test_the_screen_is_the_recorded_one(sit_down, name):
    row = ALL[name]
    argv = ["calm-go" if word == "starter-go" else word for word in row["argv"]]
    terminal = sit_down(*argv)
    for num_asked, keys in enumerate(row["keys"]):
        terminal.wait_for(PROMPT, num_asked + 1)
        terminal.type(keys)
    code = terminal.finish()
    assert terminal.screen == row["screen"]
    assert code == row.get("exit", 0)


def test_ctrl_c_stops_the_answer_and_keeps_the_session(sit_down):
    terminal = sit_down("run", "calm", "--think=false")
    terminal.wait_for(PROMPT)
    terminal.type("Count from 1 to 500.\r")
    terminal.wait_for(" 9, ")
    terminal.type("\x03")
    terminal.wait_for(PROMPT, 2)
    terminal.type("Hello!\r")
    terminal.wait_for(PROMPT, 3)
    terminal.type("/bye\r")
    assert terminal.finish() == 0
    assert terminal.screen[-4:] == [">>> Hello!", "Hello! I am the llmsite starter model. How can I help you?", "", ">>> /bye"]


def test_ctrl_c_ends_a_single_answer_quietly(sit_down):
    terminal = sit_down("run", "calm", "--think=false", "Count from 1 to 500.")
    terminal.wait_for(" 9, ")
    terminal.type("\x03")
    assert terminal.finish() == 0
    assert "Traceback" not in terminal.written
    assert "Error" not in terminal.written


def test_commands_of_the_session(sit_down):
    terminal = sit_down("run", "calm", "--think=false")
    for num_asked, line in enumerate(["My name is Ann.", "/clear", "/bogus", "", "/?", "/byebye"]):
        terminal.wait_for(PROMPT, num_asked + 1)
        terminal.type(f"{line}\r")
    assert terminal.finish() == 0
    assert "Cleared session context" in terminal.screen
    assert "Unknown command '/bogus'. Type /? for help" in terminal.screen
    assert "  /bye            Exit" in terminal.screen
