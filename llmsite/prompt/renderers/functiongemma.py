"""Prompts of FunctionGemma: tools are declared in the developer's turn, results follow their calls in the same turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from llmsite.prompt.renderers.gemma import DEVELOPERS, Notation, fields
from llmsite.prompt.renderers.goprint import SPACE, tool_fields
from llmsite.types.message import Message, Tool, ToolCall
from llmsite.types.request import Think

_NOTATION: Final = Notation(quote="<escape>", null="<nil>")
_SYSTEM: Final = "You can do function calling with the following functions:"
_END: Final = "<end_of_turn>\n"
_RESULT: Final = "<start_function_response>"
_SPEAKERS: Final = {"assistant": "model", "user": "user"}


def render(messages: Sequence[Message], tools: Sequence[Tool], think: Think) -> str:
    """What is said after a result goes on in its turn. Begun answers are not continued."""
    has_system = bool(messages) and messages[0].role in DEVELOPERS
    text = "<bos>" + _system(messages[0].content if has_system else "", tools)
    rest = messages[1:] if has_system else messages
    called: Iterator[str] = iter(())
    is_after_result = False
    for index, message in enumerate(rest):
        calls = message.tool_calls if message.role == "assistant" else ()
        if message.role == "tool":
            is_opened = index > 0 and rest[index - 1].role == "assistant" and bool(rest[index - 1].tool_calls)
            text += ("" if is_opened else _RESULT) + _result(next(called, ""), message)
            is_after_result = True
        elif message.role not in _SPEAKERS:
            text += _opened(message.role) + message.content.strip(SPACE) + _END
        else:
            opening = "" if is_after_result else _opened(_SPEAKERS[message.role])
            text += opening + message.content.strip(SPACE) + "".join(map(_call, calls))
            is_answered = bool(calls) and index + 1 < len(rest) and rest[index + 1].role == "tool"
            text += _RESULT if is_answered else _END
            is_after_result = False
        called = iter([call.name for call in calls]) if calls else called
    return text if is_after_result else text + _opened("model")


def _opened(role: str) -> str:
    return f"<start_of_turn>{role}\n"


def _system(given: str, tools: Sequence[Tool]) -> str:
    if not given and not tools:
        return ""
    text = given.strip(SPACE)
    if tools:
        usual = "" if text == _SYSTEM else _SYSTEM
        text += ("\n" if given else "") + usual + "".join(map(_declaration, tools))
    return _opened("developer") + text + _END


def _declaration(tool: Tool) -> str:
    function = tool_fields(tool)["function"]
    properties = function["parameters"]["properties"] or {}
    described = fields({name: _property(properties[name]) for name in sorted(properties)})
    return f"<start_function_declaration>{_NOTATION.declaration(function, described)}<end_function_declaration>"


def _property(schema: Mapping[str, Any]) -> str:
    """What a value means, and the first of its types."""
    described = {"description": _NOTATION.text(schema.get("description", ""))}
    if "type" in schema:
        types = schema["type"]
        first = types if isinstance(types, str) else types[0]
        described["type"] = _NOTATION.text(first.upper())
    return fields(described)


def _call(call: ToolCall) -> str:
    return f"<start_function_call>call:{call.name}{_NOTATION.value(call.arguments)}<end_function_call>"


def _result(name: str, message: Message) -> str:
    return f"response:{name}{{{_NOTATION.text(message.content)}}}<end_function_response>"
