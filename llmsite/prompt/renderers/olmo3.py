"""Prompts of Olmo 3: calls are written like those of a program. Models that think are in `olmo3_think.py`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from llmsite.prompt.renderers.chatml import END, opened, turn
from llmsite.prompt.renderers.goprint import compact_json, spaced, tool_json
from llmsite.types.message import Message, Tool, ToolCall
from llmsite.types.request import Think

_SYSTEM: Final = "You are a helpful function-calling AI assistant. "
_SYSTEM_31: Final = (
    "You are Olmo, a helpful AI assistant built by Ai2. Your date cutoff is December 2024, "
    "and your model weights are available at https://huggingface.co/allenai. "
)
_NO_FUNCTIONS: Final = "You do not currently have access to any functions. <functions></functions>"
_FUNCTIONS: Final = (
    "You are provided with function signatures within <functions></functions> XML tags. "
    "You may call one or more functions to assist with the user query. "
    "Output any function calls within <function_calls></function_calls> XML tags. "
    "Do not make assumptions about what values to plug into functions."
)


def _render(messages: Sequence[Message], tools: Sequence[Tool], think: Think, *, default: str) -> str:
    """The first system message counts, others are not written."""
    text = turn("system", _system(messages, tools, default))
    turns = [message for message in messages if message.role != "system"]
    text += "".join(map(_turn, turns))
    last = turns[-1] if turns else None
    if last is None or last.role != "assistant" or last.tool_calls:
        return text + opened("assistant")
    text = text.removesuffix(END)
    return text if last.content else text + opened("assistant")


render_3 = partial(_render, default=_SYSTEM)
render_31 = partial(_render, default=_SYSTEM_31)


def _system(messages: Sequence[Message], tools: Sequence[Tool], default: str) -> str:
    given = next((message.content for message in messages if message.role == "system"), None)
    listed = ",".join(map(tool_json, tools))
    functions = f"<functions>{spaced(f'[{listed}]')}</functions>" if tools else ""
    if given is not None:
        return given + functions
    return default + (_FUNCTIONS + functions if tools else _NO_FUNCTIONS)


def _turn(message: Message) -> str:
    match message.role:
        case "user":
            return turn("user", message.content)
        case "assistant":
            calls = "\n".join(map(_call, message.tool_calls))
            return turn("assistant", message.content + (f"<function_calls>{calls}</function_calls>" if calls else ""))
        case "tool":
            return turn("environment", message.content)
        case _:
            return ""


def _call(call: ToolCall) -> str:
    arguments = ", ".join(f"{name}={compact_json(call.arguments[name])}" for name in sorted(call.arguments))
    return f"{call.name}({arguments})"
