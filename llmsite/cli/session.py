"""The session of `llmsite run MODEL`: a prompt, an answer, and so on until /bye (catalogue 9.6, without its line editor)."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any, Final

from llmsite.cli.answer import RunSettings, show_answer
from llmsite.cli.installed import installed_table
from llmsite.cli.model_card import model_card
from llmsite.cli.plain_text import plain
from llmsite.cli.rest import Server, ServerError
from llmsite.cli.session_help import HELP_SET, HELP_SHOW, help_text
from llmsite.cli.session_set import set_something
from llmsite.cli.session_show import show_part
from llmsite.cli.session_state import SessionState
from llmsite.types.errors import LlmsiteError
from llmsite.types.message import Message

PROMPT: Final = ">>> "
CONTINUED: Final = "... "
_QUOTES: Final = '"""'
_NOT_FOUND: Final = 404
_BAD_NAME: Final = "invalid model name"
_ABOUT_THINKING: Final = ("does not support thinking", "invalid think value")


class Session:
    """A conversation at the terminal. The history grows by each question and its whole answer.

    Lines are read outside the event loop, so Ctrl+C there is the terminal's; `runner` runs one answer at a time.
    """

    def __init__(self, runner: asyncio.Runner, server: Server, settings: RunSettings, shown: Mapping[str, Any]) -> None:
        self._runner = runner
        self._server = server
        self._state = SessionState(settings, shown)
        self._commands: tuple[tuple[str, Callable[[str], None]], ...] = (
            ("/list", self._list),
            ("/load", self._load_other),
            ("/save", self._save),
            ("/clear", self._clear),
            ("/set", self._set),
            ("/show", self._show),
            ("/?", self._help),
            ("/help", self._help),
        )

    def run(self) -> None:
        """Load the model, then ask and answer until /bye or Ctrl+D. Raises what the server reports."""
        with suppress(ImportError):  # some Pythons come without it
            importlib.import_module("readline")  # from then on input() edits lines and recalls earlier ones
        self._load()
        self._replay()
        while True:
            try:
                text = _read_message()
                if text.startswith(("/bye", "/exit")):
                    return
                self._take(text)
            except EOFError:
                sys.stdout.write("\n")
                return
            except KeyboardInterrupt:
                sys.stdout.write("\nUse Ctrl + d or /bye to exit.\n")

    def _take(self, text: str) -> None:
        if text.startswith("/"):
            self._obey(text)
        elif text:
            self._answer(text)

    def _load(self) -> None:
        self._runner.run(show_answer(self._server.client.chat(self._state.ask(())), self._state.settings))

    def _replay(self) -> None:
        """Show the conversation that the model comes with."""
        for message in self._state.shown.get("messages") or ():
            text = plain(message["content"])
            if message["role"] == "user":
                sys.stdout.write(f"{PROMPT}{text}\n")
            elif message["role"] == "assistant":
                sys.stdout.write(f"{text}\n\n")

    def _obey(self, command: str) -> None:
        """Commands are told apart by how they begin."""
        for name, obey in self._commands:
            if command.startswith(name):
                obey(command)
                return
        sys.stdout.write(f"Unknown command '{command.split(maxsplit=1)[0]}'. Type /? for help\n")

    def _help(self, command: str) -> None:
        sys.stderr.write(help_text(command.split()))

    def _clear(self, command: str) -> None:
        self._state.clear()
        sys.stdout.write("Cleared session context\n")

    def _list(self, command: str) -> None:
        sys.stdout.write(self._runner.run(installed_table(self._server, "".join(command.split()[1:2]))))

    def _set(self, command: str) -> None:
        words = command.split()[1:]
        if words[:1] == ["system"]:
            self._set_system(words[1:])
        elif words[:1] in (["history"], ["nohistory"]):
            with suppress(ImportError):
                importlib.import_module("readline").set_auto_history(words[0] == "history")
        else:
            set_something(words, self._state, sys.stdout.write, sys.stderr.write)

    def _set_system(self, words: list[str]) -> None:
        r"""The words, or with `\"\"\"` in front the lines until the same; the first line break is lost there too."""
        if not words:
            sys.stderr.write(HELP_SET)
            return
        text = " ".join(words)
        if text.startswith(_QUOTES):
            text = text.removeprefix(_QUOTES)
            separator = ""
            while not text.endswith(_QUOTES):
                text, separator = text + separator + input(CONTINUED), "\n"
            text = text.removesuffix(_QUOTES)
        self._state.set_system(text)
        sys.stdout.write("Set system message.\n")

    def _show(self, command: str) -> None:
        words = command.split()
        if len(words) == 1:
            sys.stderr.write(HELP_SHOW)
            return
        body = {"model": self._state.model, "system": self._state.system, "options": self._state.options}
        answer = self._runner.run(self._server.post("/api/show", body))
        if words[1] == "info":
            sys.stderr.write(model_card(answer, is_verbose=False))
        else:
            sys.stdout.write(plain(show_part(words[1], answer, self._state)))

    def _load_other(self, command: str) -> None:
        """Another model, or another conversation. Raises `ServerError` for a name that is none."""
        words = command.split()
        if len(words) != 2:
            sys.stdout.write("Usage:\n  /load <modelname>\n")
            return
        sys.stdout.write(f"Loading model '{words[1]}'\n")
        self._state.messages.clear()
        try:
            shown = self._runner.run(self._server.post("/api/show", {"model": words[1]}))
        except ServerError as error:
            if error.status != _NOT_FOUND:
                raise
            sys.stdout.write(f"Couldn't find model '{words[1]}'\n")
            return
        self._state.settings = replace(self._state.settings, model=words[1])
        self._state.shown = shown
        self._load()

    def _save(self, command: str) -> None:
        words = command.split()
        if len(words) != 2:
            sys.stdout.write("Usage:\n  /save <modelname>\n")
            return
        try:
            self._runner.run(self._create(words[1]))
        except LlmsiteError as error:
            if _BAD_NAME not in str(error):
                raise
            sys.stdout.write(f"error: The model name '{words[1]}' is invalid\n")
            return
        sys.stdout.write(f"Created new model '{words[1]}'\n")

    async def _create(self, name: str) -> None:
        async with aclosing(self._server.watch("/api/create", self._state.creation(name))) as frames:
            async for _ in frames:
                pass

    def _answer(self, text: str) -> None:
        """One turn. Ctrl+C stops the answer; the question stays in the history, the part of an answer does not."""
        self._state.messages.append(Message("user", text))
        request = self._state.ask(tuple(self._state.messages))
        try:
            answer = self._runner.run(show_answer(self._server.client.chat(request), self._state.settings))
        except KeyboardInterrupt:
            sys.stdout.write("\n")
            return
        except LlmsiteError as error:
            if not any(words in str(error) for words in _ABOUT_THINKING):
                raise
            sys.stdout.write(f"error: {plain(str(error))}\n")
            return
        self._state.messages.append(Message("assistant", answer))


def _read_message() -> str:
    r"""One line, or the lines between two `\"\"\"`. Raises EOFError, KeyboardInterrupt."""
    line = input(PROMPT)
    if not line.startswith(_QUOTES):
        return line
    text = line.removeprefix(_QUOTES)
    while not text.endswith(_QUOTES):
        text += "\n" + input(CONTINUED)
    return text.removesuffix(_QUOTES)
