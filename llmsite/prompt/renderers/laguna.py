"""Prompts of Laguna, and of its later form that Poolside's v1 has: turns in tags, thoughts only when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from llmsite.prompt.renderers.goprint import SPACE, compact_json, spaced, tool_json
from llmsite.types.message import Message, Tool, ToolCall
from llmsite.types.request import Think

_BOS: Final = "〈|EOS|〉"
_OPENING, _CLOSING = "<think>", "</think>"
_SYSTEM: Final = (
    "You are a helpful, conversationally-fluent assistant made by Poolside. "
    "You are here to be helpful to users through natural language conversations."
)
_OFFER: Final = """### Tools

You may call functions to assist with the user query.
All available function signatures are listed below:
<available_tools>
{tools}</available_tools>"""
_CALL_FORMAT: Final = """return an unescaped XML-like object with function name and arguments \
within '<tool_call>' and '</tool_call>' tags, like here:
{thought}<tool_call>function-name
<arg_key>argument-key</arg_key>
<arg_value>value-of-argument-key</arg_value>
</tool_call>"""
_TAGS: Final = {"user": "user", "tool": "tool_response", "system": "system"}


def render(messages: Sequence[Message], tools: Sequence[Tool], think: Think) -> str:
    """Of Laguna."""
    system, rest = _split(messages)
    text = _BOS
    if system or tools:
        offer = f"\n\n{_offer(tools)}\n\n{_call_format(think)}" if tools else ""
        text += "<system>\n" + (f"\n{system}" if system else "") + offer + "\n</system>\n"
    for message in rest:
        if message.role == "assistant":
            text += f"<assistant>\n{_answer(message)}</assistant>\n"
        elif tag := _TAGS.get(message.role):
            text += f"<{tag}>\n{message.content}\n</{tag}>\n"
    last = messages[-1] if messages else Message("")
    if last.role != "assistant":
        return text + "<assistant>\n" + (_OPENING if think else _CLOSING)
    is_begun = any(_thought_and_text(last)) or last.tool_calls
    return text.removesuffix("</assistant>\n") if is_begun else text


def render_v1(messages: Sequence[Message], tools: Sequence[Tool], think: Think) -> str:
    """Of Poolside's v1. Answers that were begun are not continued."""
    system, rest = _split(messages)
    text = _BOS
    if system or tools or think:
        text += "<system>" + "\n\n".join(part for part in (system, _offer(tools)) if part) + "</system>\n"
    for message in rest:
        if message.role == "assistant":
            thought = f"{_OPENING}{message.thinking}{_CLOSING}" if think else _CLOSING
            calls = "".join(_call(call, line_end="") for call in message.tool_calls)
            text += f"<assistant>{thought}{message.content}{calls}</assistant>\n"
        elif tag := _TAGS.get(message.role):
            text += f"<{tag}>{message.content}</{tag}>\n"
    return text + "<assistant>" + (_OPENING if think else _CLOSING)


def _split(messages: Sequence[Message]) -> tuple[str, Sequence[Message]]:
    """The system text, given in front or the usual one, and the other messages."""
    if messages and messages[0].role == "system":
        return messages[0].content.rstrip(SPACE), messages[1:]
    return _SYSTEM, messages


def _offer(tools: Sequence[Tool]) -> str:
    return _OFFER.format(tools="".join(f"{spaced(tool_json(tool))}\n" for tool in tools)) if tools else ""


def _call_format(think: Think) -> str:
    if not think:
        return "For each function call, " + _CALL_FORMAT.format(thought="")
    start = "Wrap your thinking in '<think>', '</think>' tags, followed by a function call. For each function call, "
    return start + _CALL_FORMAT.format(thought="<think> your thoughts here </think>\n")


def _answer(message: Message) -> str:
    thought, said = _thought_and_text(message)
    text = f"{_OPENING}\n{thought}\n{_CLOSING}\n" if thought else f"{_CLOSING}\n"
    calls = "".join(_call(call, line_end="\n") for call in message.tool_calls)
    return text + (f"{said}\n" if said else "") + calls


def _thought_and_text(message: Message) -> tuple[str, str]:
    """Both without blanks around; the thought may stand in the text."""
    before, closing, _ = message.content.partition(_CLOSING)
    thought, said = message.thinking, message.content
    if closing:
        thought, said = thought or before.rpartition(_OPENING)[2], said.rpartition(_CLOSING)[2]
    return thought.strip(SPACE), said.strip(SPACE)


def _call(call: ToolCall, *, line_end: str) -> str:
    arguments = "".join(
        f"<arg_key>{name}</arg_key>{line_end}<arg_value>{_value(value)}</arg_value>{line_end}"
        for name, value in call.arguments.items()
    )
    return f"<tool_call>{call.name}{line_end}{arguments}</tool_call>{line_end}"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else spaced(compact_json(value))
