"""OutputParser: what turns output into content, thoughts and tool calls, piece by piece. Each family has a file of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from llmsite.types.message import ToolCall


@dataclass(frozen=True, slots=True)
class Delta:
    """What one piece of output added. Empty when it was swallowed or is held back."""

    content: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.content or self.thinking or self.tool_calls)


class OutputParser(Protocol):
    """One answer. Text that may be the start of a tag is held back until it is decided."""

    @property
    def is_holding(self) -> bool:
        """Whether text is held back."""
        ...

    def add(self, text: str) -> Delta:
        """The next piece of output."""
        ...

    def finish(self) -> Delta:
        """What was held back; call once, at the end."""
        ...


class PlainParser:
    """All output is content."""

    is_holding = False

    def add(self, text: str) -> Delta:
        return Delta(content=text)

    def finish(self) -> Delta:
        return Delta()
