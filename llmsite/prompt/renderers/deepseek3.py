"""Prompts of DeepSeek V3.1: all system messages in front, thoughts only when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from llmsite.prompt.renderers.goprint import arguments_json, fields_json, tool_fields
from llmsite.types.message import Message, Tool
from llmsite.types.request import Think

_END: Final = "<｜end▁of▁sentence｜>"
_ANSWER: Final = "<｜Assistant｜>"
_OPENING, _CLOSING = "<think>", "</think>"
_CALL_FORMAT: Final = """
IMPORTANT: ALWAYS adhere to this exact format for tool use:
<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>tool_call_name<｜tool▁sep｜>tool_call_arguments<｜tool▁call▁end｜>{{additional_tool_calls}}<｜tool▁calls▁end｜>

Where:

- `tool_call_name` must be an exact match to one of the available tools
- `tool_call_arguments` must be valid JSON that strictly follows the tool's Parameters Schema
- For multiple tool calls, chain them directly without separators or spaces
"""


def render(messages: Sequence[Message], tools: Sequence[Tool], think: Think) -> str:
    """Thoughts themselves are never written; that an answer had one shows only since the last question."""
    system = "\n\n".join(message.content for message in messages if message.role == "system")
    text = "<｜begin▁of▁sentence｜>" + system + _offer(tools)
    question = max((index for index, message in enumerate(messages) if message.role == "user"), default=-1)
    before = ""
    for index, message in enumerate(messages):
        match message.role:
            case "user":
                text += f"<｜User｜>{message.content}"
            case "assistant":
                shows_thought = bool(think) and bool(message.thinking) and index > question
                text += _answer(message, before, shows_thought=shows_thought)
            case "tool":
                text += f"<｜tool▁output▁begin｜>{message.content}<｜tool▁output▁end｜>"
            case _:
                continue
        before = message.role
    return text + _ANSWER + (_OPENING if think else _CLOSING) if before == "user" else text


def _answer(message: Message, before: str, *, shows_thought: bool) -> str:
    """An answer after a message of the role `before`."""
    if message.tool_calls:
        start = _ANSWER + _CLOSING if before == "user" else ""
        return start + message.content + _calls(message) + _END
    start = _ANSWER + (_OPENING if shows_thought else _CLOSING) if before == "user" else ""
    _, closing, said = message.content.partition(_CLOSING)
    return start + (said if closing and before != "tool" else message.content) + _END


def _calls(message: Message) -> str:
    written = "".join(
        f"<｜tool▁call▁begin｜>{call.name}<｜tool▁sep｜>{arguments_json(call.arguments)}<｜tool▁call▁end｜>"
        for call in message.tool_calls
    )
    return f"<｜tool▁calls▁begin｜>{written}<｜tool▁calls▁end｜>"


def _offer(tools: Sequence[Tool]) -> str:
    described = "".join(_describe(tool) for tool in tools)
    return f"\n\n## Tools\nYou have access to the following tools:\n{described}{_CALL_FORMAT}" if tools else ""


def _describe(tool: Tool) -> str:
    function = tool_fields(tool)["function"]
    parameters = fields_json(function["parameters"])
    return f"\n### {function['name']}\nDescription: {function.get('description', '')}\n\nParameters: {parameters}\n"
