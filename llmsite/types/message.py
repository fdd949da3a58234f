"""Messages of a conversation, the tools offered with them and the calls a model makes; and how a model keeps its messages."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call a model asks for. `arguments` keeps the order in which the model wrote them."""

    name: str
    arguments: dict[str, Any]
    index: int = 0
    id: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function offered to the model: what Ollama knows of the JSON object in the request, the order of its keys kept."""

    definition: dict[str, Any]

    @property
    def name(self) -> str:
        function = self.definition.get("function")
        return _text(function, "name") if isinstance(function, dict) else ""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `role` is lower case: system, user, assistant, tool or whatever the caller sent. `images` are raw bytes."""

    role: str
    content: str = ""
    thinking: str = ""
    images: tuple[bytes, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_name: str = ""
    tool_call_id: str = ""


def encode_message(message: Message) -> dict[str, Any]:
    """A message as Ollama stores it with a model: its keys in order, empty ones left out, pictures as base64 (catalogue 10.4)."""
    encoded: dict[str, Any] = {"role": message.role, "content": message.content}
    optional = {
        "thinking": message.thinking,
        "images": [b64encode(image).decode() for image in message.images],
        "tool_calls": [_encode_call(call) for call in message.tool_calls],
        "tool_name": message.tool_name,
        "tool_call_id": message.tool_call_id,
    }
    return encoded | {key: value for key, value in optional.items() if value}


def _encode_call(call: ToolCall) -> dict[str, Any]:
    function = {"index": call.index, "name": call.name, "arguments": call.arguments}
    return {"id": call.id, "function": function} if call.id else {"function": function}


def decode_message(stored: dict[str, Any]) -> Message:
    """The message again. What has another type than it should counts as not there."""
    images = [each for each in _list(stored, "images") if isinstance(each, str)]
    return Message(
        role=_text(stored, "role"),
        content=_text(stored, "content"),
        thinking=_text(stored, "thinking"),
        images=tuple(b64decode(each) for each in images if _is_base64(each)),
        tool_calls=tuple(_decode_call(each) for each in _list(stored, "tool_calls") if isinstance(each, dict)),
        tool_name=_text(stored, "tool_name"),
        tool_call_id=_text(stored, "tool_call_id"),
    )


def _decode_call(stored: dict[str, Any]) -> ToolCall:
    function = stored.get("function")
    function = function if isinstance(function, dict) else {}
    arguments, index = function.get("arguments"), function.get("index")
    return ToolCall(
        name=_text(function, "name"),
        arguments=arguments if isinstance(arguments, dict) else {},
        index=index if isinstance(index, int) else 0,
        id=_text(stored, "id"),
    )


def _text(stored: dict[str, Any], key: str) -> str:
    value = stored.get(key)
    return value if isinstance(value, str) else ""


def _list(stored: dict[str, Any], key: str) -> list[Any]:
    value = stored.get(key)
    return value if isinstance(value, list) else []


def _is_base64(text: str) -> bool:
    try:
        b64decode(text, validate=True)
    except ValueError:
        return False
    return True
