"""Prompts of Cohere's models of 2026: a section on tools that is always there, calls and results by number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from llmsite.prompt.renderers.goprint import arguments_json, compact_json, fields_json, spaced, tool_fields
from llmsite.prompt.renderers.steps import steps
from llmsite.types.message import Message, Tool
from llmsite.types.request import Think

_END: Final = "<|END_OF_TURN_TOKEN|>"
_ROLES: Final = {"system": "<|SYSTEM_TOKEN|>", "user": "<|USER_TOKEN|>", "assistant": "<|CHATBOT_TOKEN|>"}
_ANSWERING: Final = ("assistant", "chatbot")
_RESULT: Final = """
    {{
        "tool_call_id": "{id}",
        "results": {{

            \n            "0": {content}

        }},
        "is_error": null
    }}"""


def render(messages: Sequence[Message], tools: Sequence[Tool], think: Think) -> str:
    """A system message in front stands before the tools, later ones where they are."""
    has_system = bool(messages) and messages[0].role == "system"
    given = messages[0].content if has_system else ""
    rest = messages[1:] if has_system else messages
    text = _turn("system", _text((f"{given}\n\n\n\n" if given else "") + _offer(tools)))
    calls = _Calls()
    for _, step in steps(rest):
        message = step[0]
        if message.role == "tool":
            text += _turn("system", f"<|START_TOOL_RESULT|>[{','.join(map(calls.result, step))}\n\n]<|END_TOOL_RESULT|>")
        elif message.role in _ANSWERING:
            answer = calls.request(message) if message.tool_calls else _thought(message) + _text(message.content)
            text += _turn("assistant", answer)
        elif message.role in _ROLES:
            text += _turn(message.role, _text(message.content))
    if rest and rest[-1].role in _ANSWERING and not rest[-1].tool_calls:
        return text.removesuffix(f"<|END_TEXT|>{_END}")
    opening = "<|START_THINKING|>" if think is None or think else "<|START_THINKING|><|END_THINKING|>"
    return f"{text}{_opened('assistant')}{opening}"


class _Calls:
    """Numbers the calls of a conversation; results refer to them by the numbers."""

    def __init__(self) -> None:
        self._num_calls = 0
        self._numbers: dict[str, str] = {}

    def request(self, message: Message) -> str:
        """An answer that calls tools."""
        written = []
        for call in message.tool_calls:
            number = str(self._num_calls)
            self._num_calls += 1
            if call.id:
                self._numbers.setdefault(call.id, number)
            arguments = spaced(arguments_json(call.arguments))
            written.append(f'\n\n    {{"tool_call_id": "{number}", "tool_name": "{call.name}", "parameters": {arguments}}}')
        indent = f"\n{' ' * 12}\n{' ' * 16}"
        return f"{indent}{_thought(message)}<|START_ACTION|>[{','.join(written)}\n\n]<|END_ACTION|>"

    def result(self, message: Message) -> str:
        """What a tool answered; under its own id where no call has that."""
        number = self._numbers.get(message.tool_call_id, message.tool_call_id)
        return _RESULT.format(id=number, content=spaced(compact_json({"content": message.content})))


def _opened(role: str) -> str:
    return f"<|START_OF_TURN_TOKEN|>{_ROLES[role]}"


def _turn(role: str, text: str) -> str:
    return f"{_opened(role)}{text}{_END}"


def _text(text: str) -> str:
    return f"<|START_TEXT|>{text}<|END_TEXT|>"


def _thought(message: Message) -> str:
    return f"<|START_THINKING|>{message.thinking}<|END_THINKING|>" if message.thinking else ""


def _offer(tools: Sequence[Tool]) -> str:
    listed = ",\n\n".join(f"\n    {_describe(tool)}" for tool in tools)
    return f"# Available Tools\n```json\n[\n{listed}\n\n\n]\n```"


def _describe(tool: Tool) -> str:
    function = tool_fields(tool)["function"]
    shown = {"name": function["name"], "description": function.get("description", "")}
    return spaced(fields_json({**shown, "parameters": function["parameters"], "responses": None}))
