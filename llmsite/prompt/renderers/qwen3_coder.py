"""Prompts of Qwen3 Coder: tools described in XML, no thoughts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from llmsite.prompt.renderers.chatml import END, opened, results_turn, turn
from llmsite.prompt.renderers.goprint import compact_json, plain_text, tool_fields
from llmsite.prompt.renderers.qwen import CALL_FORMAT, xml_call
from llmsite.prompt.renderers.steps import steps
from llmsite.types.message import Message, Tool
from llmsite.types.request import Think

_SYSTEM: Final = "You are Qwen, a helpful AI assistant that can interact with a computer to solve tasks."


def render(messages: Sequence[Message], tools: Sequence[Tool], think: Think) -> str:
    """The first system message that says something counts, the others do not."""
    system = next((message.content for message in messages if message.role == "system" and message.content), "")
    turns = [message for message in messages if message.role != "system"]
    text = turn("system", (system or _SYSTEM) + _offer(tools)) if system or tools else ""
    text += "".join(_turn(step[0]) if step[0].role != "tool" else results_turn(step) for _, step in steps(turns))
    if not turns:
        return text
    if turns[-1].role != "assistant":
        return text + opened("assistant")
    return text if turns[-1].tool_calls else text.removesuffix(END)


def _turn(message: Message) -> str:
    if message.role != "assistant" or not message.tool_calls:
        return turn(message.role, message.content)
    said = f"{message.content}\n" if message.content else ""
    return turn("assistant", said + "".join(f"\n{xml_call(call)}" for call in message.tool_calls))


def _offer(tools: Sequence[Tool]) -> str:
    if not tools:
        return ""
    described = "".join(_describe(tool_fields(tool)["function"]) for tool in tools)
    return f"\n\n# Tools\n\nYou have access to the following functions:\n\n<tools>{described}\n</tools>{CALL_FORMAT}"


def _describe(function: Mapping[str, Any]) -> str:
    parameters = function["parameters"]
    lines = ["<function>", f"<name>{function['name']}</name>"]
    lines += _elements(function, "description")
    lines.append("<parameters>")
    for name, schema in (parameters["properties"] or {}).items():
        lines += ["<parameter>", f"<name>{name}</name>"]
        lines += _elements(schema, "type", "description", "anyOf", "items", "enum", "properties", "required")
        lines.append("</parameter>")
    lines += _elements(parameters, "$defs", "items", "required")
    lines += ["</parameters>", "</function>"]
    return "".join(f"\n{line}" for line in lines)


def _elements(fields: Mapping[str, Any], *names: str) -> Iterator[str]:
    """An element for each of the fields that is there. Ollama writes those after the description in an order of chance."""
    for name in names:
        if name in fields:
            value = fields[name]
            yield f"<{name}>{compact_json(value) if isinstance(value, dict | list) else plain_text(value)}</{name}>"
