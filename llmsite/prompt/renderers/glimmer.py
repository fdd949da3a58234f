"""Prompts of Glimmer: messages with a recipient, tools in the system message, calls in `atem` elements."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

from llmsite.prompt.renderers.goprint import loose_fields_json, loose_json, plain_text, spaced, tool_fields
from llmsite.prompt.renderers.images import mark_images
from llmsite.types.message import Message, Tool, ToolCall
from llmsite.types.request import Think

_END_MESSAGE, _END_TURN = "<|eom|>", "<|eot|>"
_SYSTEM: Final = "You are a helpful AI assistant.\nKnowledge cutoff: 2026-01-04.\nCurrent date: {today}."
_STRENGTHS: Final = {None: "high", True: "high", False: "none"}
_SPELLINGS: Final = (
    ("Reasoning effort", "Reasoning strength"),
    ("Reasoning Effort", "Reasoning Strength"),
    ("reasoning effort", "reasoning strength"),
    ("REASONING EFFORT", "REASONING STRENGTH"),
)
_OFFER: Final = """In this environment you have access to a set of tools you can use to answer the user's question.

You can invoke a function by writing a "<atem:function_calls>" block like the following:
<atem:function_calls>
<atem:invoke name="$FUNCTION_NAME">
<atem:parameter name="$PARAMETER_NAME">$PARAMETER_VALUE</atem:parameter>
...
</atem:invoke>
</atem:function_calls>

String and scalar parameters should be specified as is, while lists and objects should use JSON format. \
Note that spaces for string values are not stripped. The output is not expected to be valid XML and is parsed \
with regular expressions.
Here are the functions available in JSONSchema format:
// Tool metadata
{namespaces}// Function schemas{schemas}

Here's an example of how to call a function in the tool set:
(If the tool namespace is not specified, invoke the function directly as `example_function_name` \
rather than `example_tool_name.example_function_name`)

to=example_tool_name.example_function_name

<atem:function_calls>
<atem:invoke name="example_tool_name.example_function_name">
<atem:parameter name="example_parameter_1">value_1</atem:parameter>
<atem:parameter name="example_parameter_2">This is the value for the second parameter
that can span
"multiple" lines
</atem:parameter>
</atem:invoke>
</atem:function_calls>"""


def render(messages: Sequence[Message], tools: Sequence[Tool], think: Think) -> str:
    """Every system message gets the tools; without one there is one of the model's own. Begun answers are not continued."""
    strength = f"\n\nReasoning strength: {think if isinstance(think, str) else _STRENGTHS[think]}."
    messages = mark_images(messages)
    names = {call.id: call.name for message in messages for call in message.tool_calls if call.id}
    text = "<|begin_of_text|>"
    if not any(message.role == "system" for message in messages):
        text += _system(_SYSTEM.format(today=dt.date.today().isoformat()) + strength, tools)
    for index, message in enumerate(messages):
        match message.role:
            case "system":
                given = _with_strength(message.content)
                text += _system(given if "reasoning strength" in given.lower() else given + strength, tools)
            case "user":
                text += _message("user", message.content)
            case "tool":
                name = message.tool_name or names.get(message.tool_call_id, message.tool_call_id)
                text += _message(f"tool {name}", f'<tool_output name="{name}">\n{message.content}\n</tool_output>')
            case "assistant":
                goes_on = index + 1 < len(messages) and messages[index + 1].role == "assistant"
                text += _answer(message, _END_MESSAGE if goes_on else _END_TURN)
    return text + "<|start|>assistant"


def _message(header: str, text: str, end: str = _END_TURN) -> str:
    return f"<|start|>{header}<|message|>{text}{end}"


def _system(text: str, tools: Sequence[Tool]) -> str:
    offer = f"\n\n{_offer(tools)}" if tools else ""
    recipients = ["self", *(f"{name}.*" for name in _namespaces(tools)), "user"]
    listed = ", ".join(f'"{name}"' for name in recipients)
    return _message("system", f"{text}{offer}\n\n# Valid recipients: {listed}.")


def _with_strength(text: str) -> str:
    """The text with the word that the model knows."""
    for spelling, better in _SPELLINGS:
        text = text.replace(spelling, better)
    return text


def _answer(message: Message, end: str) -> str:
    text = _message("assistant to=self", message.thinking, _END_MESSAGE) if message.thinking else ""
    if not message.tool_calls:
        return text + _message("assistant to=user", message.content) if message.content or not text else text
    ends = [_END_MESSAGE] * (len(message.tool_calls) - 1) + [end]
    return text + "".join(
        _message(f"assistant to={call.name}", _call(call), each) for call, each in zip(message.tool_calls, ends, strict=True)
    )


def _call(call: ToolCall) -> str:
    arguments = "".join(
        f'<atem:parameter name="{name}">{_value(value)}</atem:parameter>\n' for name, value in call.arguments.items()
    )
    return f'<atem:function_calls>\n<atem:invoke name="{call.name}">\n{arguments}</atem:invoke>\n</atem:function_calls>'


def _value(value: Any) -> str:
    return spaced(loose_json(value)) if isinstance(value, dict | list) else plain_text(value)


def _namespaces(tools: Sequence[Tool]) -> list[str]:
    names = (tool_fields(tool)["function"]["name"] for tool in tools)
    return list(dict.fromkeys(name.partition(".")[0] for name in names))


def _offer(tools: Sequence[Tool]) -> str:
    namespaces = "".join(f'{{"name": {loose_json(name)}, "description": ""}}\n' for name in _namespaces(tools))
    schemas = "".join(f"\n{_describe(tool)}" for tool in tools)
    return _OFFER.format(namespaces=namespaces, schemas=schemas)


def _describe(tool: Tool) -> str:
    function = tool_fields(tool)["function"]
    shown = {"name": function["name"], "description": function.get("description", ""), "parameters": function["parameters"]}
    return spaced(loose_fields_json(shown))
