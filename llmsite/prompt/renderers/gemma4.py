"""Prompts of Gemma 4: calls and their results stand in the turn of the model. Tools are described in `gemma4_schema.py`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from llmsite.prompt.renderers.gemma import DEVELOPERS
from llmsite.prompt.renderers.gemma4_schema import NOTATION, declaration
from llmsite.prompt.renderers.goprint import SPACE
from llmsite.prompt.renderers.images import mark_images
from llmsite.types.message import Message, Tool, ToolCall
from llmsite.types.request import Think

_MODEL: Final = "model"
_END: Final = "<turn|>\n"
_RESULT: Final = "<|tool_response>"
_THOUGHT, _THOUGHT_END = "<|channel>thought\n", "<channel|>"
_THOUGHTS_IN_TEXT: Final = re.compile(r"<\|channel>.*?(?:<channel\|>|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Turn:
    """A message and what the tools it called answered right after it."""

    message: Message
    results: Sequence[Message]

    @property
    def role(self) -> str:
        return _MODEL if self.message.role == "assistant" else self.message.role

    @property
    def has_content(self) -> bool:
        return bool(self.message.content or self.message.images)

    @property
    def waits(self) -> bool:
        """Whether calls have no result yet."""
        return bool(self.message.tool_calls) and not self.results


def _render(messages: Sequence[Message], tools: Sequence[Tool], think: Think, *, closes_thought: bool) -> str:
    """Answers in a row are one turn. Thoughts are kept only since the last question."""
    has_system = bool(messages) and messages[0].role in DEVELOPERS
    rest = messages[1:] if has_system else messages
    text = "<bos>"
    if has_system or tools or think:
        system = messages[0].content.strip(SPACE) if has_system else ""
        wish = "<|think|>\n" if think else ""
        text += _opened("system") + wish + system + "".join(map(declaration, tools)) + _END
    turns = _turns(_without_old_thoughts(rest))
    roles = ["", *(turn.message.role for turn in turns), ""]
    text += "".join(_turn(turn, roles[index], roles[index + 2]) for index, turn in enumerate(turns))
    last = turns[-1] if turns else _Turn(Message(""), ())
    if not last.message.tool_calls:
        return text + _opened(_MODEL) + (_THOUGHT + _THOUGHT_END if closes_thought and not think else "")
    return text + _THOUGHT if think and not last.waits else text


render_small = partial(_render, closes_thought=False)
render_large = partial(_render, closes_thought=True)


def _without_old_thoughts(messages: Sequence[Message]) -> list[Message]:
    """The messages, with thoughts only in answers after the last question."""
    question = max((index for index, message in enumerate(messages) if message.role == "user"), default=-1)
    return [
        message if message.role == "assistant" and index > question else replace(message, thinking="")
        for index, message in enumerate(messages)
    ]


def _turns(messages: Sequence[Message]) -> list[_Turn]:
    """The turns, with images marked in the order in which they are written. Results that nobody asked for are left out."""
    grouped: list[tuple[Message, list[Message]]] = []
    for message in messages:
        if message.role != "tool":
            grouped.append((replace(message, content=_said(message)), []))
        elif grouped and grouped[-1][0].tool_calls:
            grouped[-1][1].append(message)
    marked = iter(mark_images([each for message, results in grouped for each in (*results, message)]))
    turns = []
    for _, results in grouped:
        marked_results = [next(marked) for _ in results]
        turns.append(_Turn(next(marked), marked_results))
    return turns


def _said(message: Message) -> str:
    is_models = message.role in ("assistant", _MODEL)
    return (_THOUGHTS_IN_TEXT.sub("", message.content) if is_models else message.content).strip(SPACE)


def _turn(turn: _Turn, before: str, after: str) -> str:
    """A turn between messages of the roles `before` and `after`; empty where there is none."""
    message = turn.message
    text = "" if turn.role == _MODEL and before == "assistant" else _opened(turn.role)
    text += f"{_THOUGHT}{message.thinking}\n{_THOUGHT_END}" if message.thinking else ""
    text += "".join(map(_call, message.tool_calls))
    names = {call.id: call.name for call in reversed(message.tool_calls) if call.id}
    text += "".join(_result(result, names) for result in turn.results)
    text += message.content
    if turn.waits:
        return text + _RESULT
    goes_on = turn.role == _MODEL and after == "assistant"
    is_answered_next = bool(turn.results) and not turn.has_content and not after
    return text if goes_on or is_answered_next else text + _END


def _opened(role: str) -> str:
    return f"<|turn>{role}\n"


def _call(call: ToolCall) -> str:
    return f"<|tool_call>call:{call.name}{NOTATION.value(call.arguments)}<tool_call|>"


def _result(result: Message, names: Mapping[str, str]) -> str:
    """A result under the name of the call it answers, else under the name it has itself. `names`: of calls by their ids."""
    name = names.get(result.tool_call_id, result.tool_name or "unknown")
    return f"{_RESULT}response:{name}{{value:{NOTATION.text(result.content)}}}<tool_response|>"
