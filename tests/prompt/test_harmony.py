"""Names of functions for gpt-oss (catalogue 6.4, "Harmony names")."""

from __future__ import annotations

import pytest

from llmsite.prompt.harmony import rename_tools
from llmsite.types.message import Tool

NAMES = {
    "space": (["get weather"], ["get_weather"]),
    "dash": (["get-weather"], ["get_weather"]),
    "dot": (["get.weather"], ["get_weather"]),
    "others are dropped": (["get weather!"], ["get_weather"]),
    "no letter": (["a🫠bc"], ["abc"]),
    "nothing left": (["🫠"], ["unnamed"]),
    "leading digit": (["123"], ["_123"]),
    "dollar": (["$"], ["$"]),
    "letters beyond ASCII": (["𝓸𝓵𝓵𝓪𝓶𝓪"], ["𝓸𝓵𝓵𝓪𝓶𝓪"]),
    "signs that look like letters": (["ⓞⓛ1"], ["_1"]),
    "duplicates": (["get weather", "get_weather", "get-weather", "b"], ["get_weather", "get_weather_2", "get_weather_3", "b"]),
    "several duplicates": (["a", "a", "b", "a", "b"], ["a", "a_2", "b", "a_3", "b_2"]),
    "built in": (["browser.open", "python", "browser.other"], ["browser.open", "python", "browser_other"]),
    "no name": ([""], [""]),
}


@pytest.mark.parametrize(("names", "expected"), NAMES.values(), ids=[f"6.4 {row}" for row in NAMES])
def test_names(names: list[str], expected: list[str]) -> None:
    tools = [Tool({"type": "function", "function": {"description": "d", "name": name}}) for name in names]
    renamed = rename_tools(tools)
    assert [tool.name for tool in renamed] == expected
    assert {tool.definition["function"]["description"] for tool in renamed} == {"d"}


@pytest.mark.parametrize("definition", [{}, {"function": None}, {"function": {"name": None}}, {"function": "f"}])
def test_a_tool_without_a_name_stays_as_it_is(definition: dict[str, object]) -> None:
    assert rename_tools([Tool(definition)]) == (Tool(definition),)
