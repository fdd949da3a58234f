"""Modelfile text to instructions (catalogue 4.1). What the values mean is decided elsewhere; nothing here opens a file.

    modelfile   = { blank | comment | instruction }
    comment     = "#" to the end of the line
    instruction = word blank value
                | "PARAMETER" blank name blank value
                | "MESSAGE" blank role blank value
    value       = the rest of the line, trimmed
                | '"' … '"' | '\"\"\"' … '\"\"\"'     the closing mark ends a line; lines in between belong to the value

There are no escapes. Characters that do not print are dropped from values, except tabs, and line breaks within quotes.
"""

from __future__ import annotations

import codecs
import difflib
import re
from dataclasses import dataclass
from typing import Final

from llmsite.types.errors import InvalidModelFile
from llmsite.types.limits import MIB, Limits

INSTRUCTIONS: Final = (
    *("from", "license", "template", "system", "adapter", "draft", "renderer", "parser", "parameter", "message", "requires"),
)
ROLES: Final = ("system", "user", "assistant")

_ALL_INSTRUCTIONS: Final = ", ".join(f'"{each}"' for each in INSTRUCTIONS[:-1]) + f', or "{INSTRUCTIONS[-1]}"'
_BAD_INSTRUCTION: Final = f"command must be one of {_ALL_INSTRUCTIONS}"
_BAD_ROLE: Final = 'message role must be one of "system", "user", or "assistant"'
_OPEN_END: Final = "unexpected EOF"

_BLANKS: Final = " \t"
_BREAKS: Final = "\r\n"
_LINE: Final = re.compile(r"[^\r\n]*")
_LETTERS: Final = re.compile(r"[A-Za-z]*")
_WORD: Final = {"parameter": re.compile(r"[A-Za-z0-9_]*"), "message": _LETTERS}
_MARKS: Final[dict[bytes, str]] = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


class ModelfileError(InvalidModelFile):
    """What is wrong and where: `line` and `column` count from 1. `hint` names what was perhaps meant, else empty.

    The text is Ollama's, whose own line number counts a carriage return and the line break that ends a word.
    """

    def __init__(self, text: str, line: int, column: int, hint: str = "") -> None:
        super().__init__(text)
        self.line = line
        self.column = column
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Command:
    """One instruction. `key` is the name of a PARAMETER or the role of a MESSAGE."""

    name: str
    args: str
    line: int = 0
    column: int = 0
    key: str = ""


@dataclass(frozen=True, slots=True)
class Modelfile:
    """The instructions in order; at least one is `from`."""

    commands: tuple[Command, ...]


def parse(source: str | bytes, limits: Limits | None = None) -> Modelfile:
    """Read a Modelfile; bytes are UTF-8 unless a byte order mark says otherwise. Raises `ModelfileError`."""
    bound = (limits or Limits()).modelfile_bytes
    if len(source) > bound:
        raise ModelfileError(f"the Modelfile is larger than {bound / MIB:g} MiB", 1, 1)
    reader = _Reader(source if isinstance(source, str) else decode(source))
    commands = []
    while not reader.is_at_end():
        commands.append(reader.read_instruction())
    if not any(each.name == "from" for each in commands):
        raise ModelfileError("no FROM line", *reader.position(reader.at))
    return Modelfile(tuple(commands))


def decode(data: bytes) -> str:
    """Text of a file by its byte order mark; what is no text becomes U+FFFD."""
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    return data.decode("utf-8", "replace")


def read_value(text: str) -> str | None:
    """The value that `text` is when it ends a file, None if it is not one value: an open quote, or a line too many."""
    reader = _Reader(text)
    try:
        value = reader.read_value()
    except ModelfileError:
        return None
    return value if reader.at >= len(text) else None


def near(word: str, known: tuple[str, ...]) -> str:
    """The known word that was perhaps meant, or nothing."""
    found = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    return found[0] if found else ""


class _Reader:
    """Walks over the text; `at` is where the next rule begins."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0

    def is_at_end(self) -> bool:
        """Skip blanks, line breaks and comments; tell whether nothing follows."""
        while self.at < len(self._text):
            character = self._text[self.at]
            if character == "#":
                self._take(_LINE)
            elif character in _BLANKS or character in _BREAKS:
                self.at += 1
            else:
                return False
        return True

    def read_instruction(self) -> Command:
        """instruction = word blank value"""
        start = self.at
        line, column = self.position(start)
        name = self._read_instruction_name()
        key = self._read_key(name) if name in _WORD else ""
        return Command(name, self.read_value(), line, column, key)

    def read_value(self) -> str:
        """value = the rest of the line, or text in quotes over several lines"""
        start = self.at
        first = _kept(self._take(_LINE)).strip(_BLANKS)
        mark = '"""' if first.startswith('"""') else '"' if first.startswith('"') else ""
        if not mark:
            return first
        pieces, last = [first], first
        while not (last.endswith(mark) and (len(pieces) > 1 or len(first) >= 2 * len(mark))):
            if self.at >= len(self._text):
                raise self._error(_OPEN_END, start)
            pieces.append(self._text[self.at])
            self.at += 1
            line = _kept(self._take(_LINE))
            pieces.append(line)
            last = line.rstrip(_BLANKS)
        return "".join(pieces).rstrip(_BLANKS)[len(mark) : -len(mark)]

    def _read_instruction_name(self) -> str:
        """word = letters, followed by a blank"""
        start = self.at
        self.at += 1
        self._take(_LETTERS)
        word = _kept(self._text[start : self.at]).lower()
        if self.at >= len(self._text):
            raise self._error(_OPEN_END, start, word)
        follower = self._text[self.at]
        if follower not in _BLANKS or word not in INSTRUCTIONS:
            raise self._line_error(_BAD_INSTRUCTION, start, word, INSTRUCTIONS)
        self.at += 1
        return word

    def _read_key(self, name: str) -> str:
        """name = letters, digits and "_"; role = system, user or assistant; a blank follows"""
        while self._text[self.at : self.at + 1] in (" ", "\t"):
            self.at += 1
        start = self.at
        key = self._take(_WORD[name])
        if self.at >= len(self._text):
            raise self._error(_OPEN_END, start)
        if self._text[self.at] not in _BLANKS:
            raise self._error(f"{_OPEN_END}: {key}", start)
        if name == "message" and key not in ROLES:
            raise self._line_error(_BAD_ROLE, start, key, ROLES)
        self.at += 1
        return key

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self.at)
        assert match is not None, "the patterns match the empty text"
        self.at = match.end()
        return match[0]

    def position(self, at: int) -> tuple[int, int]:
        """Line and column of a place, both from 1."""
        before = self._text[:at].replace("\r\n", "\n").replace("\r", "\n")
        return before.count("\n") + 1, len(before) - before.rfind("\n")

    def _line_error(self, text: str, start: int, word: str, known: tuple[str, ...]) -> ModelfileError:
        before = self._text[: self.at + 1]
        counted = before.count("\n") + before.count("\r") + 1
        return self._error(f"(line {counted}): {text}", start, word, known)

    def _error(self, text: str, start: int, word: str = "", known: tuple[str, ...] = INSTRUCTIONS) -> ModelfileError:
        meant = near(word, known)
        return ModelfileError(text, *self.position(start), hint="" if meant == word else meant)


def _kept(text: str) -> str:
    """Without the characters that do not print."""
    return text if text.isprintable() else "".join(each for each in text if each.isprintable() or each == "\t")
