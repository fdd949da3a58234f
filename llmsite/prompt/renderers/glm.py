"""Prompts of GLM 4.7, and of GLM-OCR, which sees: calls with an element for each argument's name and value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from llmsite.prompt.renderers.goprint import SPACE, compact_json, spaced, tool_json
from llmsite.prompt.renderers.images import mark_images
from llmsite.prompt.renderers.steps import steps
from llmsite.types.message import Message, Tool, ToolCall
from llmsite.types.request import Think

_START: Final = "[gMASK]<sop>"
_OFFER: Final = """<|system|>
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{tools}</tools>

For each function call, output the function name and arguments within the following XML format:
<tool_call>{{function-name}}<arg_key>{{arg-key-1}}</arg_key><arg_value>{{arg-value-1}}</arg_value>\
<arg_key>{{arg-key-2}}</arg_key><arg_value>{{arg-value-2}}</arg_value>...</tool_call>"""
_NO_THOUGHT: Final = "/nothink"
_SEEING: Final = ("user", "tool")


def render_47(messages: Sequence[Message], tools: Sequence[Tool], think: Think) -> str:
    """Of GLM 4.7. Answers that were begun are not continued."""
    text = _START + _offer(tools)
    for _, step in steps(messages):
        message = step[0]
        match message.role:
            case "user" | "system":
                text += f"<|{message.role}|>{message.content}"
            case "assistant":
                thought = f"<think>{message.thinking}</think>" if message.thinking else "</think>"
                text += f"<|assistant|>{thought}{message.content}{''.join(map(_call, message.tool_calls))}"
            case "tool":
                text += "<|observation|>" + "".join(f"<tool_response>{each.content}</tool_response>" for each in step)
    return text + "<|assistant|>" + ("<think>" if think is None or think else "</think>")


def render_ocr(messages: Sequence[Message], tools: Sequence[Tool], think: Think) -> str:
    """Of GLM-OCR. That it shall not think is told after each question; answers that were begun are not continued."""
    is_hasty = think is not None and not think
    text = _START + _offer(tools)
    for _, step in steps(mark_images(messages, _SEEING)):
        message = step[0]
        match message.role:
            case "user":
                hint = _NO_THOUGHT if is_hasty and not message.content.endswith(_NO_THOUGHT) else ""
                text += f"<|user|>\n{message.content}{hint}"
            case "assistant":
                said = f"\n{message.content.strip(SPACE)}" if message.content else ""
                calls = "".join(f"\n{_call(call)}" for call in message.tool_calls)
                text += f"<|assistant|>\n<think>{message.thinking.strip(SPACE)}</think>{said}{calls}\n"
            case "tool":
                text += "<|observation|>" + "".join(f"\n<tool_response>\n{each.content}\n</tool_response>\n" for each in step)
            case "system":
                text += f"<|system|>\n{message.content}\n"
    return text + "<|assistant|>\n" + ("<think></think>\n" if is_hasty else "")


def _offer(tools: Sequence[Tool]) -> str:
    return _OFFER.format(tools="".join(f"{spaced(tool_json(tool))}\n" for tool in tools)) if tools else ""


def _call(call: ToolCall) -> str:
    arguments = "".join(
        f"<arg_key>{name}</arg_key><arg_value>{_value(value)}</arg_value>" for name, value in call.arguments.items()
    )
    return f"<tool_call>{call.name}{arguments}</tool_call>"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else compact_json(value)
