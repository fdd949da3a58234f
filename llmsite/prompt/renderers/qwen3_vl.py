"""Prompts of Qwen3 VL, which sees; tools and calls are JSON."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from llmsite.prompt.renderers.chatml import END, opened, results_turn, turn
from llmsite.prompt.renderers.goprint import arguments_json, spaced, tool_json
from llmsite.prompt.renderers.images import mark_images
from llmsite.prompt.renderers.qwen import last_question, split_system
from llmsite.prompt.renderers.steps import steps
from llmsite.types.message import Message, Tool, ToolCall
from llmsite.types.request import Think

_OFFER: Final = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>{tools}
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""


def _render(messages: Sequence[Message], tools: Sequence[Tool], think: Think, *, thinks: bool) -> str:
    """`thinks` is what the model does when nothing is said."""
    thinks = thinks if think is None else bool(think)
    system, _ = split_system(messages)
    text = _first_turn(system, tools)
    _, rest = split_system(mark_images(messages))
    question = last_question(rest)
    for index, step in steps(rest):
        message = step[0]
        if message.role == "tool":
            text += results_turn(step)
        elif message.role == "assistant":
            is_recent = thinks and index > question
            is_last = index == len(rest) - 1
            text += _answer(message, has_thought=is_recent and (is_last or bool(message.thinking)))
        elif message.role in ("user", "system"):
            text += turn(message.role, message.content)
    if rest and rest[-1].role == "assistant":
        return text.removesuffix(END)
    return text + opened("assistant", "<think>\n" if thinks else "")


render_instruct = partial(_render, thinks=False)
render_thinking = partial(_render, thinks=True)


def _first_turn(system: str | None, tools: Sequence[Tool]) -> str:
    if not tools:
        return "" if system is None else turn("system", system)
    offer = _OFFER.format(tools="".join(f"\n{spaced(tool_json(tool))}" for tool in tools))
    return turn("system", offer if system is None else f"{system}\n\n{offer}")


def _answer(message: Message, *, has_thought: bool) -> str:
    text = message.content
    if has_thought:
        said = text.lstrip("\n")
        text = "<think>\n" + message.thinking.strip("\n") + (f"\n</think>\n\n{said}" if text else "")
    calls = "\n".join(map(_call, message.tool_calls))
    separator = "\n" if calls and message.content else ""
    return turn("assistant", text + separator + calls)


def _call(call: ToolCall) -> str:
    arguments = spaced(arguments_json(call.arguments))
    return f'<tool_call>\n{{"name": "{call.name}", "arguments": {arguments}}}\n</tool_call>'
