"""Prompts of Liquid's LFM2: tools in the first turn, calls written like those of a program."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from llmsite.prompt.renderers.chatml import END, opened, turn
from llmsite.prompt.renderers.goprint import SPACE, loose_fields_json, loose_json, spaced, tool_fields
from llmsite.prompt.renderers.images import mark_images
from llmsite.types.message import Message, Tool, ToolCall
from llmsite.types.request import Think

_OPENING, _CLOSING = "<think>", "</think>"
_CALLS: Final = "<|tool_call_start|>"
_RESULT: Final = "<|tool_response_start|>"


def _render(messages: Sequence[Message], tools: Sequence[Tool], think: Think, *, thinks: bool) -> str:
    """Of earlier answers the thoughts are left out, unless thinking is asked for; the last one keeps its own."""
    has_system = bool(messages) and messages[0].role == "system"
    first = "\n".join(part for part in (messages[0].content if has_system else "", _offer(tools)) if part)
    rest = mark_images(messages)[1 if has_system else 0 :]
    text = "<|startoftext|>" + (turn("system", first) if first else "")
    last_answer = max((index for index, message in enumerate(rest) if message.role == "assistant"), default=-1)
    for index, message in enumerate(rest):
        is_kept = (thinks and bool(think)) or index == last_answer
        text += turn(message.role, _content(message, thinks=thinks, keeps_thought=is_kept))
    if messages and messages[-1].role == "assistant":
        return text.removesuffix(END)
    return text + opened("assistant")


render = partial(_render, thinks=False)
render_thinking = partial(_render, thinks=True)


def _content(message: Message, *, thinks: bool, keeps_thought: bool) -> str:
    text = message.content
    if message.role == "tool":
        return text if _RESULT in text else f"{_RESULT}{text}<|tool_response_end|>"
    if message.role != "assistant":
        return text
    if message.tool_calls and _CALLS not in text:
        separator = "\n" if text.strip(SPACE) else ""
        text = _calls(message.tool_calls) + separator + text
    if thinks and message.thinking and _CLOSING not in text:
        text = f"{_OPENING}{message.thinking}{_CLOSING}{text}"
    if keeps_thought or _CLOSING not in text:
        return text
    return text.rpartition(_CLOSING)[2].strip(SPACE)


def _calls(calls: Sequence[ToolCall]) -> str:
    return f"{_CALLS}[{','.join(map(_call, calls))}]<|tool_call_end|>"


def _call(call: ToolCall) -> str:
    arguments = ",".join(f"{name}={spaced(loose_json(call.arguments[name]))}" for name in sorted(call.arguments))
    return f"{call.name}({arguments})"


def _offer(tools: Sequence[Tool]) -> str:
    return f"List of tools: <|tool_list_start|>[{', '.join(map(_describe, tools))}]<|tool_list_end|>" if tools else ""


def _describe(tool: Tool) -> str:
    fields = tool_fields(tool)
    function = fields["function"]
    return spaced(loose_fields_json(function if function["name"] else fields))
