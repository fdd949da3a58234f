"""The session of `llmsite run MODEL`: a prompt, an answer, and so on until /bye (catalogue 9.6, the plain part of it)."""

from __future__ import annotations

import asyncio
import importlib
import sys
from contextlib import suppress
from typing import Final

from llmsite.cli.answer import RunSettings, show_answer
from llmsite.inference.client import Client
from llmsite.types.message import Message
from llmsite.types.request import ChatRequest

PROMPT: Final = ">>> "
CONTINUED: Final = "... "
_QUOTES: Final = '"""'
_HELP: Final = """Available Commands:
  /clear          Clear session context
  /bye            Exit
  /?, /help       Help for a command

Use \"\"\" to begin a multi-line message.

"""


class Session:
    """A conversation at the terminal. The history grows by each question and its whole answer.

    Lines are read outside the event loop, so Ctrl+C there is the terminal's; `runner` runs one answer at a time.
    """

    def __init__(self, runner: asyncio.Runner, client: Client, settings: RunSettings) -> None:
        self._runner = runner
        self._client = client
        self._settings = settings
        self._history: list[Message] = []

    def run(self) -> None:
        """Load the model, then ask and answer until /bye or Ctrl+D. Raises what the server reports."""
        with suppress(ImportError):  # some Pythons come without it
            importlib.import_module("readline")  # from then on input() edits lines and recalls earlier ones
        self._load()
        while True:
            try:
                text = self._read_message()
            except EOFError:
                sys.stdout.write("\n")
                return
            except KeyboardInterrupt:
                sys.stdout.write("\nUse Ctrl + d or /bye to exit.\n")
                continue
            if text.startswith("/"):
                if text.startswith(("/bye", "/exit")):
                    return
                self._obey(text)
            elif text:
                self._answer(text)

    def _load(self) -> None:
        request = ChatRequest(self._settings.model, think=self._settings.think, keep_alive=self._settings.keep_alive)
        self._runner.run(show_answer(self._client.chat(request), self._settings))

    def _read_message(self) -> str:
        r"""One line, or the lines between two `\"\"\"`. Raises EOFError, KeyboardInterrupt."""
        line = input(PROMPT)
        if not line.startswith(_QUOTES):
            return line
        text = line.removeprefix(_QUOTES)
        while not text.endswith(_QUOTES):
            text += "\n" + input(CONTINUED)
        return text.removesuffix(_QUOTES)

    def _obey(self, command: str) -> None:
        if command.startswith("/clear"):
            self._history.clear()
            sys.stdout.write("Cleared session context\n")
        elif command.startswith(("/?", "/help")):
            sys.stderr.write(_HELP)
        else:
            sys.stdout.write(f"Unknown command '{command.split(maxsplit=1)[0]}'. Type /? for help\n")

    def _answer(self, text: str) -> None:
        """One turn. Ctrl+C stops the answer; the question stays in the history, the part of an answer does not."""
        self._history.append(Message("user", text))
        request = ChatRequest(
            self._settings.model,
            tuple(self._history),
            think=self._settings.think,
            format=self._settings.format,
            keep_alive=self._settings.keep_alive,
        )
        try:
            answer = self._runner.run(show_answer(self._client.chat(request), self._settings))
        except KeyboardInterrupt:
            sys.stdout.write("\n")
            return
        self._history.append(Message("assistant", answer))
