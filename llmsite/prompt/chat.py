"""Conversations as templates want them: collated, in rounds, cut at the front, tools in Ollama's key order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from llmsite.prompt.renderers.goprint import tool_fields
from llmsite.types.message import Message, Tool

_THOUGHT: Final = re.compile(r"<think>.*?</think>\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of a template that knows no messages (catalogue 5.4)."""

    system: str = ""
    prompt: str = ""
    response: str = ""


def collate(messages: Sequence[Message]) -> list[Message]:
    """Neighbours of one role become one message, their texts joined by an empty line; tool results stay apart (catalogue 5.3)."""
    collated: list[Message] = []
    for message in messages:
        if not collated or collated[-1].role != message.role or message.role == "tool":
            collated.append(message)
            continue
        last = collated[-1]
        collated[-1] = replace(
            last,
            content=f"{last.content}\n\n{message.content}",
            thinking="\n\n".join(each for each in (last.thinking, message.thinking) if each),
            tool_calls=last.tool_calls + message.tool_calls,
        )
    return collated


def system_text(messages: Sequence[Message]) -> str:
    """All system messages, joined by empty lines."""
    return "\n\n".join(message.content for message in messages if message.role == "system")


def rounds(messages: Sequence[Message]) -> list[Round]:
    """Collated messages in rounds; the last one is the one to complete (catalogue 5.4)."""
    done: list[Round] = []
    current = Round()
    for message in messages:
        match message.role:
            case "system":
                if current.prompt or current.response:
                    done.append(current)
                    current = Round()
                current = replace(current, system=message.content)
            case "user":
                if current.response:
                    done.append(current)
                    current = Round()
                current = replace(current, prompt=message.content)
            case "assistant":
                current = replace(current, response=message.content)
            case _:
                pass  # such a template has no place for it
    return [*done, current]


def cuts(messages: Sequence[Message]) -> list[int]:
    """Where a conversation may start, longest first. The last message is always kept; dropping a system message is no cut."""
    return [0] + [start for start in range(1, len(messages)) if messages[start - 1].role != "system"]


def cut(messages: Sequence[Message], start: int) -> tuple[Message, ...]:
    """The messages from `start` on, after the system messages that stood before it (catalogue 5.5)."""
    return (*(message for message in messages[:start] if message.role == "system"), *messages[start:])


def find_prefill(messages: Sequence[Message]) -> Message | None:
    """The trailing assistant message that the model is to continue, if there is one."""
    if not messages or messages[-1].role != "assistant" or messages[-1].tool_calls:
        return None
    return messages[-1] if messages[-1].content or messages[-1].thinking else None


def without_thoughts(messages: Sequence[Message]) -> tuple[Message, ...]:
    """`<think>…</think>` taken out of assistant messages before the last user message (catalogue 2.6: qwen3, deepseek-r1)."""
    last_user = max((index for index, message in enumerate(messages) if message.role == "user"), default=0)
    return tuple(
        replace(message, content=_THOUGHT.sub("", message.content))
        if index < last_user and message.role == "assistant"
        else message
        for index, message in enumerate(messages)
    )


def tool_object(tool: Tool) -> dict[str, Any]:
    """A tool as templates see it: known keys only, in Ollama's order, a description in any case (catalogue 2.6, 5.3)."""
    fields = tool_fields(tool)
    function = fields["function"]
    shown = {"name": function["name"], "description": function.get("description", ""), "parameters": function["parameters"]}
    return fields | {"function": shown}
