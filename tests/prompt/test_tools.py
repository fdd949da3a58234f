"""Tools as Go templates see them, against what Ollama's own templates printed (catalogue 2.6, 5.3); and what Jinja gets of them.

`tests/data/ollama/tools.json` has tools, templates and the prompts that Ollama's template package made of both.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from llmsite.prompt.job import RenderJob
from llmsite.prompt.template import Renderer
from llmsite.types.limits import Limits
from llmsite.types.message import Message, Tool, ToolCall

RECORDED: Final[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "data/ollama/tools.json").read_text())
CASES: Final = [(tools, template) for tools, prompts in RECORDED["prompts"].items() for template in prompts]
USER: Final = Message("user", "x")


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(Limits())


@pytest.mark.parametrize(("tools", "template"), CASES, ids=[f"5.3 {tools}, {template}" for tools, template in CASES])
def test_go_templates_print_tools_as_ollamas(renderer: Renderer, tools: str, template: str) -> None:
    job = RenderJob("go", RECORDED["templates"][template], (USER,), tuple(map(Tool, RECORDED["tools"][tools])))
    assert renderer.render(job) == RECORDED["prompts"][tools][template]


@pytest.mark.parametrize("tools", RECORDED["tools"])
def test_5_1_jinja_gets_the_function_alone_in_the_same_order_of_keys(renderer: Renderer, tools: str) -> None:
    offered = tuple(map(Tool, RECORDED["tools"][tools]))
    shown = json.loads(renderer.render(RenderJob("jinja", "{{ tools | tojson }}", (USER,), offered)))
    printed = json.loads(RECORDED["prompts"][tools]["tools"])
    assert shown == [{"type": "function", "function": tool["function"]} for tool in printed]
    assert [list(tool["function"]["parameters"]) for tool in shown] == [list(tool["function"]["parameters"]) for tool in printed]


def test_5_1_jinja_gets_properties_in_the_order_of_the_request(renderer: Renderer) -> None:
    source = "{% for t in tools %}{% for name in t.function.parameters.properties %}{{ name }}{% endfor %}{% endfor %}"
    (tool,) = map(Tool, RECORDED["tools"]["plain"])
    assert renderer.render(RenderJob("jinja", source, (USER,), (tool,))) == "ba"


def test_5_3_a_template_with_rounds_has_no_tools(renderer: Renderer) -> None:
    job = RenderJob("go", "{{ if .Tools }}tools{{ end }}{{ .Prompt }}", (USER,), (Tool(RECORDED["tools"]["plain"][0]),))
    assert renderer.render(job) == "x"


def test_5_3_a_function_alone_is_json(renderer: Renderer) -> None:
    called = Message("assistant", tool_calls=(ToolCall("f", {"b": 1, "a": 2}),))
    source = (
        "{{ range .Tools }}{{ .Function }}{{ end }}{{ range .Messages }}{{ range .ToolCalls }}{{ .Function }}{{ end }}{{ end }}"
    )
    job = RenderJob("go", source, (called,), (Tool({"type": "function", "function": {"name": "f"}}),))
    assert renderer.render(job) == (
        '{"name":"f","description":"","parameters":{"type":"","properties":null}}{"index":0,"name":"f","arguments":{"a":2,"b":1}}'
    )


def test_a_message_as_json_has_the_keys_of_the_api(renderer: Renderer) -> None:
    seen = Message("assistant", "C", thinking="T", images=(b"",), tool_calls=(ToolCall("f", {"a": 1}, id="i"),), tool_call_id="c")
    assert renderer.render(RenderJob("go", "{{ range .Messages }}{{ json . }}{{ end }}", (seen,))) == (
        '{"role":"assistant","content":"C","thinking":"T",'
        '"tool_calls":[{"id":"i","function":{"index":0,"name":"f","arguments":{"a":1}}}],"tool_call_id":"c"}'
    )
