"""Prompts of models that name a renderer, byte for byte as Ollama writes them (catalogue 5.1, rule 1).

`tests/data/renderers/<name>.json` is a list of conversations as the API takes them, each with the prompt or the error; `<today>`
in a prompt is today's date.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsite.prompt.job import RenderJob
from llmsite.prompt.renderers.goprint import plain_text
from llmsite.prompt.renderers.table import RENDERERS
from llmsite.prompt.template import Renderer
from llmsite.types.errors import TemplateError, TemplateLimit
from llmsite.types.limits import Limits
from llmsite.types.message import Message, Tool, ToolCall, decode_message

FOLDER = Path(__file__).parents[1] / "data/renderers"


def conversation(case: dict[str, Any]) -> tuple[list[Message], list[Tool], Any]:
    return [decode_message(each) for each in case["messages"]], [Tool(each) for each in case.get("tools", ())], case.get("think")


def rendered(name: str, case: dict[str, Any]) -> dict[str, str]:
    try:
        return {"prompt": RENDERERS[name](*conversation(case))}
    except TemplateError as error:
        return {"error": str(error)}


def test_5_1_every_renderer_of_the_catalogue_is_there() -> None:
    named = """
        qwen3-coder qwen3-vl-instruct qwen3-vl-thinking qwen3.5 qwen3.8 ornith cogito deepseek3.1 olmo3 olmo3.1 olmo3-think
        olmo3-32b-think nemotron-3-nano nemotron-3.5-nano gemma4 gemma4-small gemma4-large functiongemma glm-4.7 glm-ocr
        lfm2 lfm2-thinking laguna poolside-v1 cohere glimmer
    """
    assert RENDERERS.keys() == set(named.split())


@pytest.mark.parametrize("name", RENDERERS)
def test_5_1_prompts_of_a_renderer_are_the_golden_ones(name: str) -> None:
    cases = json.loads((FOLDER / f"{name}.json").read_text())
    today, wrong = dt.date.today().isoformat(), {}
    for case in cases:
        expected = {key: case[key].replace("<today>", today) for key in ("prompt", "error") if key in case}
        if rendered(name, case) != expected:
            wrong[case["case"]] = (rendered(name, case), expected)
    assert wrong == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1_000_000, "1e+06"),
        (999_999, "999999"),
        (123_456_789, "1.23456789e+08"),
        (12345678901234567890, "1.2345678901234567e+19"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (2.0, "2"),
        (-0.0, "-0"),
        (True, "true"),
        (None, "null"),
        ({"b": 1, "a": "<"}, '{"a":"\\u003c","b":1}'),
    ],
)
def test_arguments_print_as_go_prints_them(value: Any, text: str) -> None:
    assert plain_text(value) == text


TEXTS = st.text(max_size=8) | st.sampled_from(["<think>", "</think>", "[img]", "<tool_response>", "</tool_response>", "\n a \n"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
CALLS = st.builds(ToolCall, name=TEXTS, arguments=st.dictionaries(TEXTS, VALUES, max_size=3))
MESSAGES = st.builds(
    Message,
    role=st.sampled_from(["system", "user", "assistant", "tool", "developer", "x"]),
    content=TEXTS,
    thinking=TEXTS,
    images=st.lists(st.just(b""), max_size=2).map(tuple),
    tool_calls=st.lists(CALLS, max_size=2).map(tuple),
    tool_name=TEXTS,
    tool_call_id=TEXTS,
)
SCHEMAS = st.dictionaries(
    st.sampled_from(["type", "items", "enum", "anyOf", "properties", "required", "description", "$defs"]), VALUES, max_size=4
)
TOOLS = st.builds(
    lambda name, properties, schema: Tool(
        {"type": "function", "function": {"name": name, "parameters": schema | {"properties": properties}}}
    ),
    TEXTS,
    st.dictionaries(TEXTS, SCHEMAS, max_size=2),
    SCHEMAS,
)


@pytest.mark.parametrize("name", RENDERERS)
@given(
    messages=st.lists(MESSAGES, max_size=5),
    tools=st.lists(TOOLS, max_size=2),
    think=st.sampled_from([None, True, False, "low", "medium", "high", "max"]),
)
@settings(max_examples=20)
def test_every_conversation_has_a_prompt_or_an_error_of_ours(
    name: str, messages: list[Message], tools: list[Tool], think: Any
) -> None:
    try:
        text = RENDERERS[name](messages, tools, think)
    except TemplateError:
        return
    assert isinstance(text, str)


class _Watched(str):
    """An id that counts how often it is compared."""

    num_compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        _Watched.num_compared += 1
        return str.__eq__(self, other)


@pytest.mark.parametrize("name", RENDERERS)
@pytest.mark.parametrize("per_turn", [1, 300], ids=["call by call", "all calls at once"])
def test_results_find_their_calls_without_a_search_through_all(name: str, per_turn: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Watched, "num_compared", 0)
    ids = [_Watched(number) for number in range(300)]
    messages = [Message("user", "Go")]
    for start in range(0, len(ids), per_turn):
        turn = ids[start : start + per_turn]
        messages.append(Message("assistant", tool_calls=tuple(ToolCall("f", {}, id=each) for each in turn)))
        messages += [Message("tool", "done", tool_call_id=str(each)) for each in turn]
    RENDERERS[name](messages, [], None)
    assert _Watched.num_compared < 10 * len(ids)


@pytest.mark.parametrize("kind", ["renderer", "go", "jinja"])
def test_arguments_nested_without_end_are_beyond_the_limit(kind: Any) -> None:
    source = {
        "renderer": "qwen3.5",
        "go": "{{ range .Messages }}{{ .Content }}{{ range .ToolCalls }}{{ .Function.Arguments }}{{ end }}{{ end }}",
        "jinja": "{% for m in messages if m.tool_calls %}{{ m.tool_calls | tojson }}{% endfor %}",
    }[kind]
    nested: Any = 1
    for _ in range(600):
        nested = [{"a": nested}]
    call = Message("assistant", tool_calls=(ToolCall("f", {"a": nested}),))
    with pytest.raises(TemplateLimit, match=r"^template exceeded its limit$"):
        Renderer(Limits()).render(RenderJob(kind, source, messages=(Message("user", "Go"), call, Message("user", "So?"))))
