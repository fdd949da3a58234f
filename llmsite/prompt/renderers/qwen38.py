"""Prompts of Qwen3.8: as Qwen3.5, with one system turn that also says how hard to think."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from llmsite.prompt.renderers.chatml import turn
from llmsite.prompt.renderers.goprint import SPACE
from llmsite.prompt.renderers.qwen import has_question, split_system
from llmsite.prompt.renderers.qwen35 import Style, joined, marked, offer, write_turns
from llmsite.types.errors import TemplateError
from llmsite.types.message import Message, Tool
from llmsite.types.request import Think

_STYLE: Final = Style(keeps_thoughts=True, reads_tags=False, writes_all_roles=True)
_INSTRUCTING: Final = ("system", "developer")
_HARD: Final = (
    "Reasoning effort is set to xhigh. Please think carefully through the task, validate key assumptions, "
    "consider plausible alternatives, and prioritize correctness, consistency, and clarity in the final answer."
)
_LITTLE: Final = (
    "Reasoning effort is set to low. Keep your thinking brief and focused, "
    "moving directly to the conclusion without unnecessary elaboration."
)


def render(messages: Sequence[Message], tools: Sequence[Tool], think: Think) -> str:
    """Raises `TemplateError` without a question, and for an image in an instruction."""
    messages = marked(_with_one_system(messages))
    _check(messages)
    system, rest = split_system(messages)
    first = joined((_effort(think), offer(tools), system or ""))
    return (turn("system", first) if first else "") + write_turns(rest, think is None or bool(think), _STYLE)


def _effort(think: Think) -> str:
    if think in (None, "high", "max"):
        return _HARD
    return _LITTLE if think == "low" else ""


def _with_one_system(messages: Sequence[Message]) -> Sequence[Message]:
    """The messages with all instructions gathered in front, in their order."""
    instructions = [message for message in messages if message.role in _INSTRUCTING]
    for each in instructions:
        if each.images:
            raise TemplateError(f"{each.role} message cannot contain images")
    if not instructions or (len(instructions) == 1 and messages[0].role == "system"):
        return messages
    gathered = joined([each.content.strip(SPACE) for each in instructions])
    return [Message("system", gathered), *(message for message in messages if message.role not in _INSTRUCTING)]


def _check(messages: Sequence[Message]) -> None:
    if not messages:
        raise TemplateError("no messages provided")
    if not has_question(messages):
        raise TemplateError("no user query found in messages")
