"""What models can do, and which of their templates makes prompts (catalogue 2.15, 5.1)."""

from typing import Any

import pytest

from llmsite.prompt.capabilities import (
    TemplateFacts,
    choose_template,
    inspect_jinja,
    is_harmony,
    list_capabilities,
    parser_think_tags,
    prefers_jinja,
)

TAGS = ("<think>", "</think>")
PLAIN_GO = TemplateFacts("go")
TOOLS_GO = TemplateFacts("go", has_tools=True)
TRIP_GO = TemplateFacts("go", has_tools=True, has_tool_round_trip=True)
PLAIN_JINJA = TemplateFacts("jinja")
TOOLS_JINJA = TemplateFacts("jinja", has_tools=True)
TRIP_JINJA = TemplateFacts("jinja", has_tools=True, has_tool_round_trip=True)
BOTH_JINJA = TemplateFacts("jinja", has_tools=True, think_tags=TAGS)


@pytest.mark.parametrize(
    ("source", "capabilities", "trip"),
    [
        ("{{ messages }}", (), False),
        ("{% if tools %}", ("tools",), False),
        ("{{ m.tool_call }}", ("tools",), False),
        ("<think> </think>", ("thinking",), False),
        ("c.split('</think>')[-1]", ("thinking",), False),
        ('c.split("</think>")', ("thinking",), False),
        ("c.split('</think>') reasoning_content", (), False),
        ("c.split('</think>') <SPECIAL_12>", (), False),
        ("tools m.tool_calls <tool_response>", ("tools",), True),
        ("tools m.tool_calls m.role == 'tool'", ("tools",), True),
        ("tools m.tool_calls m['role'] == 'tool'", ("tools",), True),
        ("tools m.tool_calls ipython", ("tools",), True),
        ("tools ipython", ("tools",), False),
    ],
)
def test_jinja_is_judged_by_its_text(source: str, capabilities: tuple[str, ...], trip: bool) -> None:
    facts = inspect_jinja(source)
    assert (facts.capabilities, facts.has_tool_round_trip) == (capabilities, trip)


@pytest.mark.parametrize(
    ("go", "jinja", "expected"),
    [
        (PLAIN_GO, TOOLS_JINJA, True),
        (TOOLS_GO, BOTH_JINJA, True),
        (TRIP_GO, BOTH_JINJA, False),
        (TOOLS_GO, PLAIN_JINJA, False),
        (TOOLS_GO, TOOLS_JINJA, False),
        (TOOLS_GO, TRIP_JINJA, True),
        (TRIP_GO, TRIP_JINJA, False),
        (PLAIN_GO, PLAIN_JINJA, False),
        (TemplateFacts("go", has_insert=True), TOOLS_JINJA, False),
    ],
    ids=[
        "5.1 more",
        "5.1 more",
        "5.1 more, but only Go round-trips",
        "less",
        "equal",
        "5.1 equal with round trip",
        "both",
        "none",
        "other",
    ],
)
def test_ollamas_preference(go: TemplateFacts, jinja: TemplateFacts, expected: bool) -> None:
    assert prefers_jinja(go, jinja) == expected


@pytest.mark.parametrize(
    ("go", "jinja", "variable", "is_pulled", "expected"),
    [
        (PLAIN_GO, TOOLS_JINJA, None, False, "go"),
        (PLAIN_GO, TOOLS_JINJA, None, True, "jinja"),
        (PLAIN_GO, TOOLS_JINJA, True, True, "go"),
        (PLAIN_GO, TOOLS_JINJA, False, False, "jinja"),
        (None, TOOLS_JINJA, True, False, "jinja"),
        (PLAIN_GO, None, False, False, "go"),
        (None, None, None, False, None),
    ],
    ids=["written wins", "pulled: compared", "OLLAMA_GO_TEMPLATE=1", "OLLAMA_GO_TEMPLATE=0", "Jinja alone", "Go alone", "none"],
)
def test_5_1_choice(
    go: TemplateFacts | None, jinja: TemplateFacts | None, variable: bool | None, is_pulled: bool, expected: str | None
) -> None:
    chosen = choose_template(go, jinja, go_template=variable, is_pulled=is_pulled)
    assert (chosen.kind if chosen else None) == expected


@pytest.mark.parametrize("variable", [None, True, False])
def test_5_1_rule_1(variable: bool | None) -> None:
    for go, jinja in ((PLAIN_GO, TOOLS_JINJA), (None, TOOLS_JINJA), (PLAIN_GO, None), (None, None)):
        chosen = choose_template(go, jinja, go_template=variable, is_pulled=True, renderer="qwen3.5", parser="qwen3.5")
        assert chosen == TemplateFacts("renderer")
    assert choose_template(PLAIN_GO, TOOLS_JINJA, go_template=variable, is_pulled=True, parser="qwen3") == PLAIN_GO
    assert choose_template(None, TOOLS_JINJA, go_template=variable, is_pulled=True, parser="qwen3") == TOOLS_JINJA


@pytest.mark.parametrize(
    ("parser", "tags"),
    [("qwen3.5", TAGS), ("gemma4", ("<|channel>thought", "<channel|>")), ("harmony", None), ("qwen3-coder", None), ("", None)],
)
def test_6_4_texts_around_thoughts(parser: str, tags: tuple[str, str] | None) -> None:
    assert parser_think_tags(parser) == tags


@pytest.mark.parametrize(
    ("family", "source", "expected"),
    [
        ("gptoss", "<|start|>{{ .Prompt }}<|end|>", "go"),
        ("gpt-oss", "<|start|>{{ .Prompt }}<|end|>", "go"),
        ("gptoss", "{{ .Prompt }}<|end|>", "jinja"),
        ("llama", "<|start|>{{ .Prompt }}<|end|>", "jinja"),
    ],
)
def test_5_1_a_go_template_in_gpt_oss_format_wins(family: str, source: str, expected: str) -> None:
    harmony = is_harmony(family, source)
    for variable in (None, False):
        chosen = choose_template(PLAIN_GO, TOOLS_JINJA, go_template=variable, is_pulled=True, is_harmony=harmony)
        assert chosen is not None
        assert chosen.kind == expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, ("completion",)),
        ({"has_pooling": True}, ("embedding",)),
        ({"jinja": BOTH_JINJA, "chosen": BOTH_JINJA}, ("tools", "thinking", "completion")),
        ({"jinja": BOTH_JINJA, "chosen": BOTH_JINJA, "has_vision": True}, ("tools", "thinking", "completion", "vision")),
        ({"go": TRIP_GO, "jinja": BOTH_JINJA, "chosen": TRIP_GO}, ("completion", "tools")),
        ({"go": TemplateFacts("go", has_insert=True)}, ("completion", "insert")),
        ({"config": ("completion", "vision"), "has_audio": True}, ("completion", "vision", "audio")),
        ({"parser": "qwen3-coder"}, ("completion", "tools")),
        ({"parser": "olmo3-think", "go": TOOLS_GO}, ("completion", "tools", "thinking")),
        ({"parser": "harmony", "family": "gptoss"}, ("completion", "tools", "thinking")),
        ({"parser": "passthrough"}, ("completion",)),
        ({"parser": "ministral"}, ("completion", "tools")),
        ({"parser": "glimmer"}, ("completion", "tools", "thinking")),
        ({"parser": "qwen3.5", "jinja": BOTH_JINJA, "chosen": TemplateFacts("renderer")}, ("completion", "tools", "thinking")),
        ({"jinja": BOTH_JINJA, "chosen": TemplateFacts("renderer")}, ("completion",)),
        ({"family": "gpt-oss"}, ("completion", "thinking")),
    ],
    ids=[
        *("2.15 none", "2.15 pooling", "show.verbose_False", "go.show.starter-see", "go.show.starter-go", "insert", "config"),
        *("2.15 parser", "2.15 parser and template", "2.15 harmony", "6.4 passthrough"),
        *("6.4 ministral", "6.4 glimmer", "2.15 renderer and parser", "2.15 renderer alone", "2.15 gpt-oss"),
    ],
)
def test_the_list(facts: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert list_capabilities(**facts) == expected
