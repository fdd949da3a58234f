"""Thoughts between two tags at the start of an answer (catalogue 6.2)."""

from __future__ import annotations

from typing import Literal

from llmsite.parsers.base import Delta

_State = Literal["start", "thought begins", "thought", "content begins", "content"]


class ThinkingParser:
    """Splits off the first block between the tags.

    Whitespace after both tags is swallowed, that before the closing one stays. Without the opening tag first, everything is
    content with its whitespace. `is_inside`: the prompt ended with the opening tag, so the answer begins with the thought.
    """

    def __init__(self, opening: str, closing: str, *, is_inside: bool = False) -> None:
        self._opening = opening
        self._closing = closing
        self._state: _State = "thought begins" if is_inside else "start"
        self._held = ""

    @property
    def is_holding(self) -> bool:
        return bool(self._held)

    def add(self, text: str) -> Delta:
        self._held += text
        thinking = content = ""
        while self._held:
            state = self._state
            match state:
                case "start":
                    self._look_for_opening()
                case "thought begins" | "content begins":
                    self._swallow_whitespace()
                case "thought":
                    thinking += self._take_thought()
                case "content":
                    content += self._held
                    self._held = ""
            if self._state == state:
                break
        return Delta(content=content, thinking=thinking)

    def finish(self) -> Delta:
        held, self._held = self._held, ""
        return Delta(thinking=held) if self._state == "thought" else Delta(content=held)

    def _look_for_opening(self) -> None:
        begun = self._held.lstrip()
        if begun.startswith(self._opening):
            self._held = begun[len(self._opening) :]
            self._state = "thought begins"
        elif not self._opening.startswith(begun):
            self._state = "content"

    def _swallow_whitespace(self) -> None:
        self._held = self._held.lstrip()
        if self._held:
            self._state = "thought" if self._state == "thought begins" else "content"

    def _take_thought(self) -> str:
        thought, tag, rest = self._held.partition(self._closing)
        if tag:
            self._held = rest
            self._state = "content begins"
            return thought
        num_held = _overlap(self._held, self._closing)
        taken = self._held[: len(self._held) - num_held]
        self._held = self._held[len(taken) :]
        return taken


def _overlap(text: str, tag: str) -> int:
    """Length of the longest end of `text` that is a start of `tag`."""
    return next((size for size in range(min(len(text), len(tag) - 1), 0, -1) if tag.startswith(text[-size:])), 0)
