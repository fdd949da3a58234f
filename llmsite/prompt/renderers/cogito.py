"""Prompts of Cogito: a system text that is always there, thoughts only when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from llmsite.prompt.renderers.goprint import arguments_json, tool_json
from llmsite.prompt.renderers.steps import steps
from llmsite.types.message import Message, Tool, ToolCall
from llmsite.types.request import Think

_SYSTEM: Final = "You are Cogito, an AI assistant created by Deep Cogito, which is an AI research lab based in San Francisco."
_ROLES: Final = ("user", "assistant", "tool")


def render(messages: Sequence[Message], tools: Sequence[Tool], think: Think) -> str:
    """Only a system message in front is written, others are not."""
    given = messages[0].content if messages and messages[0].role == "system" else ""
    text = "<｜begin▁of▁sentence｜>" + _system(given, bool(think)) + _offer(tools)
    text += "".join(_step(step) for _, step in steps(messages))
    spoken = [message.role for message in messages if message.role in _ROLES]
    if spoken[-1:] != ["user"]:
        text += "<｜Assistant｜>"
    return f"{text}<think>\n" if think else text


def _system(given: str, thinks: bool) -> str:
    if not thinks:
        return f"{_SYSTEM}\n\n{given}" if given else _SYSTEM
    text = f"Enable deep thinking subroutine.\n\n{_SYSTEM}"
    return f"{text}\n\n{given}\n\n" if given else text


def _offer(tools: Sequence[Tool]) -> str:
    listed = "".join(f"```json\n{msgspec.json.format(tool_json(tool), indent=4)}\n```\n" for tool in tools)
    return f"\nYou have the following functions available:\n{listed}" if tools else ""


def _step(step: Sequence[Message]) -> str:
    message = step[0]
    match message.role:
        case "user":
            return f"<｜User｜>{message.content}<｜Assistant｜>"
        case "assistant":
            return f"{message.content}{_calls(message.tool_calls)}<｜end▁of▁sentence｜>"
        case "tool":
            return _results(step)
        case _:
            return ""


def _calls(calls: Sequence[ToolCall]) -> str:
    written = "\n".join(
        f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{call.name}\n```json\n{arguments_json(call.arguments)}\n```<｜tool▁call▁end｜>"
        for call in calls
    )
    return f"<｜tool▁calls▁begin｜>{written}<｜tool▁calls▁end｜>" if calls else ""


def _results(results: Sequence[Message]) -> str:
    written = "\n".join(f"<｜tool▁output▁begin｜>{each.content}<｜tool▁output▁end｜>" for each in results)
    return f"<｜tool▁outputs▁begin｜>{written}<｜tool▁outputs▁end｜>"
