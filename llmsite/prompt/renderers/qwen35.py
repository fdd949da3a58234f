"""Prompts of Qwen3.5 and of models made from it: tools are JSON, calls XML. `qwen38.py` writes its own first turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from llmsite.prompt.renderers.chatml import END, opened, results_turn, turn
from llmsite.prompt.renderers.goprint import SPACE, spaced, tool_json
from llmsite.prompt.renderers.images import mark_images
from llmsite.prompt.renderers.qwen import CALL_FORMAT, last_question, split_system, xml_call
from llmsite.prompt.renderers.steps import steps
from llmsite.types.message import Message, Tool
from llmsite.types.request import Think

_OPENING, _CLOSING = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class Style:
    """`keeps_thoughts`: all answers show theirs, not only those since the last question. `reads_tags`: also from the text."""

    keeps_thoughts: bool = False
    reads_tags: bool = True
    writes_all_roles: bool = False


def _render(messages: Sequence[Message], tools: Sequence[Tool], think: Think, *, style: Style) -> str:
    system, rest = split_system(marked(messages))
    first = turn("system", joined((offer(tools), system or ""))) if tools or system is not None else ""
    return first + write_turns(rest, think is None or bool(think), style)


render_35 = partial(_render, style=Style())
render_ornith = partial(_render, style=Style(keeps_thoughts=True))


def marked(messages: Sequence[Message]) -> list[Message]:
    """The messages with marks of their images, no blanks around."""
    return [replace(message, content=message.content.strip(SPACE)) for message in mark_images(messages)]


def joined(parts: Sequence[str]) -> str:
    return "\n\n".join(part for part in parts if part)


def offer(tools: Sequence[Tool]) -> str:
    """What the model is told of the tools; nothing without any."""
    if not tools:
        return ""
    listed = "".join(f"\n{spaced(tool_json(tool))}" for tool in tools)
    return f"# Tools\n\nYou have access to the following functions:\n\n<tools>{listed}\n</tools>{CALL_FORMAT}"


def write_turns(messages: Sequence[Message], thinks: bool, style: Style) -> str:
    """The turns after the first system message's, and the start of the answer."""
    question = last_question(messages)
    text = ""
    for index, step in steps(messages):
        message = step[0]
        if message.role == "tool":
            text += results_turn(step)
        elif message.role == "assistant":
            text += _answer(message, style, shows_thought=style.keeps_thoughts or (thinks and index > question))
        elif message.role in ("user", "system") or style.writes_all_roles:
            text += turn(message.role, message.content)
    if messages and messages[-1].role == "assistant":
        return text.removesuffix(END)
    return text + opened("assistant", "<think>\n" if thinks else "<think>\n\n</think>\n\n")


def _answer(message: Message, style: Style, *, shows_thought: bool) -> str:
    thought, said = _split(message, style, shows_thought=shows_thought)
    text = f"{_OPENING}\n{thought}\n{_CLOSING}\n\n{said}" if shows_thought else said
    calls = "\n".join(map(xml_call, message.tool_calls))
    separator = "\n\n" if calls and said.strip(SPACE) else ""
    return turn("assistant", text + separator + calls)


def _split(message: Message, style: Style, *, shows_thought: bool) -> tuple[str, str]:
    """Thought and text of an answer; a thought in the text is taken out whether it is shown or not."""
    if shows_thought and message.thinking:
        return message.thinking.strip(SPACE), message.content
    thought, closing, said = message.content.partition(_CLOSING)
    if not style.reads_tags or not closing:
        return "", message.content
    return thought.rpartition(_OPENING)[2].strip(SPACE), said.lstrip("\n")
