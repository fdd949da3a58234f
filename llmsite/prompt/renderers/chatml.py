"""Turns between `<|im_start|>` and `<|im_end|>`, as many families write them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from llmsite.types.message import Message

END: Final = "<|im_end|>\n"


def opened(role: str, text: str = "") -> str:
    """A turn that goes on."""
    return f"<|im_start|>{role}\n{text}"


def turn(role: str, text: str) -> str:
    """A whole turn."""
    return opened(role, text) + END


def results_turn(results: Iterable[Message]) -> str:
    """What tools answered in a row: one turn of the user's."""
    answers = "".join(f"\n<tool_response>\n{each.content}\n</tool_response>" for each in results)
    return f"<|im_start|>user{answers}{END}"
