"""What a session has been told so far: its model, the conversation, and what `/set` changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llmsite.cli.answer import RunSettings
from llmsite.types.message import Message
from llmsite.types.request import ChatRequest


@dataclass(slots=True)
class SessionState:
    """`shown` is what /api/show says of the model; `system` and `options` are those of the session, not the model's own."""

    settings: RunSettings
    shown: Mapping[str, Any]
    messages: list[Message] = field(default_factory=list)
    system: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> str:
        return self.settings.model

    @property
    def can_think(self) -> bool:
        return "thinking" in (self.shown.get("capabilities") or ())

    def ask(self, messages: tuple[Message, ...]) -> ChatRequest:
        """A request with the settings of the session; without messages it loads the model."""
        return ChatRequest(
            self.model,
            messages,
            think=self.settings.think,
            format=self.settings.format,
            options=self.options,
            keep_alive=self.settings.keep_alive,
        )

    def set_system(self, text: str) -> None:
        """A system message from here on; one right after another takes its place."""
        self.system = text
        if self.messages and self.messages[-1].role == "system":
            self.messages.pop()
        self.messages.append(Message("system", text))

    def clear(self) -> None:
        """Forget the conversation, but not the system message of the session."""
        self.messages = [Message("system", self.system)] if self.system else []

    def creation(self, name: str) -> dict[str, Any]:
        """The request that saves the session as a model, made from the parent of the present one if it has one."""
        body: dict[str, Any] = {"model": name, "from": (self.shown.get("details") or {}).get("parent_model") or self.model}
        if self.system:
            body["system"] = self.system
        if self.options:
            body["parameters"] = self.options
        if self.messages:
            body["messages"] = [{"role": each.role, "content": each.content} for each in self.messages]
        return body
