"""Prompts of Olmo 3 models that think. They know no tools: neither definitions nor results are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from llmsite.types.message import Message, Tool
from llmsite.types.request import Think

_SYSTEM_32B: Final = "You are a helpful AI assistant."
_SYSTEM_31: Final = (
    "You are Olmo, a helpful AI assistant built by Ai2. Your date cutoff is December 2024, "
    "and your model weights are available at https://huggingface.co/allenai."
)
_NO_FUNCTIONS: Final = " You do not currently have access to any functions. <functions></functions>"


def render_32b(messages: Sequence[Message], tools: Sequence[Tool], think: Think) -> str:
    """Of Olmo 3 32B."""
    return _render(messages, _SYSTEM_32B)


def render_31(messages: Sequence[Message], tools: Sequence[Tool], think: Think) -> str:
    """Of Olmo 3 7B and Olmo 3.1 32B."""
    return _render(messages, _SYSTEM_31)


def _render(messages: Sequence[Message], default: str) -> str:
    given = [message.content for message in messages if message.role == "system"]
    turns = [_turn("system", given[0] + _NO_FUNCTIONS if given else default)]
    turns += [_turn(message.role, message.content) for message in messages if message.role in ("user", "assistant")]
    return "".join(turns) + "<|im_start|>assistant\n<think>"


def _turn(role: str, text: str) -> str:
    return f"<|im_start|>{role}\n{text}<|im_end|>\n"
