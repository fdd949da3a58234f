"""How an answer reaches the screen: words wrapped, thoughts set apart, figures at the end (catalogue 9.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from llmsite.cli.tables import character_width, display_width
from llmsite.types.chunk import Chunk, Metrics
from llmsite.types.duration import format_duration

_MARGIN: Final = 5
_GREY: Final = "\x1b[90m"
_PLAIN: Final = "\x1b[0m"
_BLANKS: Final = " \t"


class WordWrap:
    """Breaks lines between words on a terminal of so many columns.

    Pieces are shown as they come, so a word that does not fit is taken back from the line and begun anew on the next.
    """

    def __init__(self, columns: int) -> None:
        self._columns = max(columns - _MARGIN, 1)
        self._column = 0
        self._word = ""

    def feed(self, text: str) -> str:
        """What to write for the next piece of text."""
        return "".join(self._feed_one(character) for character in text)

    def _feed_one(self, character: str) -> str:
        if character in "\r\n":
            self._column, self._word = 0, ""
            return character
        width = character_width(character)
        before = self._break_line() if self._column + width > self._columns else ""
        if before and character in _BLANKS and not self._word:
            return before
        self._column += width
        # a wide character is a word of its own: Chinese lines break anywhere
        self._word = "" if character in _BLANKS or width == 2 else self._word + character
        return before + character

    def _break_line(self) -> str:
        word_width = display_width(self._word)
        if word_width >= self._columns:
            self._column, self._word = 0, ""
            return "\n"
        self._column = word_width
        back = f"\x1b[{word_width}D" if word_width else ""
        return f"{back}\x1b[K\n{self._word}"


class AnswerPrinter:
    """Writes the chunks of one answer. `columns` None: no wrapping; `has_colors`: thoughts in grey."""

    def __init__(self, write: Callable[[str], object], *, columns: int | None, has_colors: bool, hides_thinking: bool) -> None:
        self._write = write
        self._wrap = WordWrap(columns) if columns else None
        self._has_colors = has_colors
        self._hides_thinking = hides_thinking
        self._is_thinking = False
        self._last_thought = ""

    def add(self, chunk: Chunk) -> None:
        """Show one chunk."""
        if chunk.thinking and not self._hides_thinking:
            self._show_thought(chunk.thinking)
        if chunk.content or chunk.tool_calls:
            self._end_thoughts()
            self._show(chunk.content)
        for call in chunk.tool_calls:
            self._show(f"  Model called a non-existent function '{call.name}()' with arguments: {call.arguments}")

    def finish(self) -> None:
        """Leave the colours, also after an interruption."""
        if self._is_thinking and self._has_colors:
            self._write(_PLAIN)

    def _show_thought(self, text: str) -> None:
        if not self._is_thinking:
            self._is_thinking = True
            self._write(f"{_GREY if self._has_colors else ''}Thinking...\n")
        self._last_thought = text
        self._show(text)

    def _end_thoughts(self) -> None:
        if not self._is_thinking:
            return
        self._is_thinking = False
        self._show("...done thinking.\n\n" if self._last_thought.endswith("\n") else "\n...done thinking.\n\n")
        if self._has_colors:
            self._write(_PLAIN)

    def _show(self, text: str) -> None:
        self._write(self._wrap.feed(text) if self._wrap else text)


def format_metrics(metrics: Metrics) -> str:
    """The figures of `--verbose`, those that are not zero, one a line."""
    rows = [
        ("total duration", _duration(metrics.total_duration)),
        ("load duration", _duration(metrics.load_duration)),
        ("prompt eval count", _count(metrics.prompt_eval_count)),
        ("prompt eval duration", _duration(metrics.prompt_eval_duration)),
        ("prompt eval rate", _rate(metrics.prompt_eval_count, metrics.prompt_eval_duration)),
        ("eval count", _count(metrics.eval_count)),
        ("eval duration", _duration(metrics.eval_duration)),
        ("eval rate", _rate(metrics.eval_count, metrics.eval_duration)),
    ]
    return "".join(f"{name + ':':<22}{value}\n" for name, value in rows if value)


def _duration(ns: int) -> str:
    return format_duration(ns / 1e9) if ns > 0 else ""


def _count(tokens: int) -> str:
    return f"{tokens} token(s)" if tokens > 0 else ""


def _rate(tokens: int, ns: int) -> str:
    return f"{tokens / (ns / 1e9):.2f} tokens/s" if ns > 0 else ""
