"""Prompts of Nemotron 3 Nano and of 3.5: tools described in XML, thoughts unless told otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from llmsite.prompt.renderers.chatml import opened, turn
from llmsite.prompt.renderers.goprint import SPACE
from llmsite.prompt.renderers.images import mark_images
from llmsite.prompt.renderers.nemotron_tools import call_text, offer
from llmsite.prompt.renderers.steps import steps
from llmsite.types.message import Message, Tool
from llmsite.types.request import Think

_OPENING, _CLOSING = "<think>", "</think>"
_NO_THOUGHT: Final = _OPENING + _CLOSING
_THINK, _NO_THINK = "/think", "/no_think"
_ASKING: Final = ("user", "system")
_SEEING: Final = (*_ASKING, "tool")
_LESS_EFFORT: Final = "\n\n{reasoning effort: efficient}"


def _render(messages: Sequence[Message], tools: Sequence[Tool], think: Think, *, is_35: bool) -> str:
    """Thoughts are kept only since the last question. Before 3.5, wishes in the texts themselves count and are taken out."""
    has_system = bool(messages) and messages[0].role == "system"
    given = messages[0].content if has_system else ""
    system = given if is_35 else _without_wishes(given)
    rest = mark_images(messages[1:] if has_system else messages, _SEEING)
    question = max((index for index, message in enumerate(rest) if message.role == "user"), default=-1)
    text = turn("system", "\n\n".join(part for part in (system, offer(tools)) if part))
    for index, step in steps(rest):
        message = step[0]
        if message.role == "assistant":
            text += turn("assistant", _answer(message, is_35=is_35, keeps_thought=index >= question))
        elif message.role == "tool":
            text += (opened("user") if index else "") + _results(step)
        elif message.role not in _ASKING:
            text += turn(message.role, message.content)
        elif not is_35:
            text += turn(message.role, _without_wishes(message.content).strip(SPACE))
        else:
            text += turn(message.role, message.content + (_LESS_EFFORT if think == "medium" and index == question else ""))
    thinks = think is None or bool(think)
    wished = thinks if is_35 else _wish(messages, thinks)
    return text + opened("assistant", f"{_OPENING}\n" if wished else _NO_THOUGHT)


render_3 = partial(_render, is_35=False)
render_35 = partial(_render, is_35=True)


def _wish(messages: Sequence[Message], thinks: bool) -> bool:
    """Whether to think: what the last text says that says something of it, else `thinks`."""
    for message in messages:
        if message.role not in _ASKING:
            continue
        if _THINK in message.content.replace(_CLOSING, ""):
            thinks = True
        elif _NO_THINK in message.content:
            thinks = False
    return thinks


def _without_wishes(text: str) -> str:
    return _CLOSING.join(part.replace(_THINK, "").replace(_NO_THINK, "") for part in text.split(_CLOSING))


def _answer(message: Message, *, is_35: bool, keeps_thought: bool) -> str:
    text = _with_thought(message, is_35=is_35)
    if not message.tool_calls:
        is_cut = not keeps_thought and _OPENING in text and _CLOSING in text
        return (_NO_THOUGHT + text.rpartition(_CLOSING)[2] if is_cut else text).strip(SPACE)
    calls = "".join(map(call_text, message.tool_calls))
    if keeps_thought:
        return f"{text.strip(SPACE)}\n{calls}"
    said = text.rpartition(_CLOSING)[2] if _CLOSING in text else text.partition(_OPENING)[0]
    return f"{_NO_THOUGHT}{said.strip(SPACE)}\n{calls}"


def _with_thought(message: Message, *, is_35: bool) -> str:
    """An answer after its thought, of which a mark is left where there was none; the text may hold one itself."""
    said = message.content
    if message.thinking:
        end = _CLOSING if is_35 else f"\n{_CLOSING}\n"
        return f"{_OPENING}\n{message.thinking}{end}{said}"
    return said if _OPENING in said or _CLOSING in said else _NO_THOUGHT + said


def _results(results: Sequence[Message]) -> str:
    return "".join(f"<tool_response>\n{each.content}\n</tool_response>\n" for each in results) + "<|im_end|>\n"
