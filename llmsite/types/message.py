"""Messages of a conversation, the tools offered with them and the calls a model makes."""

from __future__ import annotations

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
    """A function offered to the model, as the request sent it (JSON object, key order kept)."""

    definition: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.definition.get("function", {}).get("name", ""))


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
