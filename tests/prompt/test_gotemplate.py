"""Go templates: the vectors of catalogue 5.2 to 5.4, Go's error texts, and bounds (T18)."""

from typing import Any

import pytest

from llmsite.prompt import chat
from llmsite.prompt.chat import Round
from llmsite.prompt.gotemplate import GoTemplate
from llmsite.types.errors import TemplateError, TemplateLimit
from llmsite.types.limits import Limits
from llmsite.types.message import Message, Tool, ToolCall

LIMITS = Limits()

WEATHER = Tool(
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Get the weather in a city",
            "parameters": {
                "type": "object",
                "title": "dropped",
                "required": ["city"],
                "properties": {
                    "unit": {"type": ["string", "null"], "enum": ["C", "F"]},
                    "city": {"type": ["string"], "description": "the city"},
                },
            },
        },
    }
)
WEATHER_JSON = (
    '{"type":"function","function":{"name":"get_weather","description":"Get the weather in a city","parameters":{"type":"object",'
    '"required":["city"],"properties":{"city":{"type":"string","description":"the city"},'
    '"unit":{"type":["string","null"],"enum":["C","F"]}}}}}'
)


def render(source: str, *messages: Message, tools: tuple[Tool, ...] = (), think: Any = None) -> str:
    """As `Renderer` does it."""
    template = GoTemplate(source, LIMITS)
    collated = chat.collate(messages)
    if template.has_messages:
        return template.render_messages(collated, tools, think)
    return template.render_rounds(chat.rounds(collated), think)


# `.L` is [a b] and `.E` empty, made of what a template can reach
SYNTAX = {
    "a {{- 1 -}} b": "a1b",
    "x\n{{- if true }}\ny\n{{- end }}\nz": "x\ny\nz",
    "{{ range $i, $v := .L }}{{ if $i }},{{ end }}{{ $v }}{{ else }}none{{ end }}": "a,b",
    "{{ range $i, $v := .E }}{{ if $i }},{{ end }}{{ $v }}{{ else }}none{{ end }}": "none",
    "{{ .Missing }}": "<no value>",
    "{{ if .Missing }}1{{ else }}0{{ end }}": "0",
    '{{ or "" "b" }}': "b",
    "{{ and 1 0 }}": "0",
    '{{ len "abc" }}': "3",
    '{{ slice "abcd" 1 3 }}': "bc",
    "{{ index .L 1 }}": "b",
    '{{ printf "%d-%s-%v" 3 "x" true }}': "3-x-true",
    "{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}": "2",
    "{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ end }}{{ $x }}": "1",
    '{{ "a" | printf "%s-%s" "b" }}': "b-a",
    "{{ .L }}": "[a b]",
    "{{ range 3 }}{{ . }}{{ end }}": "012",
    '{{ range .L }}{{ if eq . "b" }}{{ break }}{{ end }}{{ . }}{{ end }}': "a",
    '{{ range .L }}{{ if eq . "a" }}{{ continue }}{{ end }}{{ . }}{{ end }}': "b",
    "{{ with .E }}1{{ else with .L }}{{ len . }}{{ end }}": "2",
    "a{{/* nothing */}}b {{- /* trims */ -}} c": "abc",
    "{{ eq 1 2 1 }}": "true",
    "{{ not (gt 2 1) }}": "false",
    '{{ "a\\n" }}{{ `b\\n` }}': "a\nb\\n",
    '{{ json "<a>" }}': '"\\u003ca\\u003e"',
    "{{ json .L }}{{ json .Missing }}": '["a","b"]null',
    '{{ define "t" }}[{{ . }}]{{ end }}{{ template "t" 1 }}': "[1]",
    '{{ block "b" 2 }}({{ . }}){{ end }}': "(2)",
    "{{ true }} {{ 1.5 }}": "true 1.5",
    "é{{ .L }}ü": "é[a b]ü",
}


@pytest.mark.parametrize(("source", "expected"), SYNTAX.items(), ids=[f"5.2 {source}" for source in SYNTAX])
def test_syntax(source: str, expected: str) -> None:
    template = GoTemplate("{{ if false }}{{ .Response }}{{ end }}" + source, LIMITS)
    assert template._run(template._whole, {"L": ["a", "b"], "E": []}) == expected


TURNS = (Message("user", "Hello friend!"), Message("assistant", "Hello human!"), Message("user", "What is your name?"))
PREFILL = Message("assistant", "My name is Ollama and I")
INST = "[INST] {{ if .System }}{{ .System }}\n\n{{ end }}{{ .Prompt }}[/INST] "
CHATML_ROUNDS = (
    "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}"
    "{{ if .Prompt }}<|im_start|>user\n{{ .Prompt }}<|im_end|>\n{{ end }}<|im_start|>assistant\n{{ .Response }}<|im_end|>\n"
)
CHATML_MESSAGES = "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"
ALPACA = (
    "{{ if .System }}{{ .System }}\n\n{{ end }}{{ if .Prompt }}### Instruction:\n{{ .Prompt }}\n\n{{ end }}### Response:\n"
    "{{ .Response }}\n\n"
)
LLAMA3 = (
    "{{- range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>\n\n{{ .Content }}<|eot_id|>{{ end }}"
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
)
FOUR = (Message("system", "S"), Message("user", "U1"), Message("assistant", "A1"), Message("user", "U2"))
FOUR_CHATML = (
    "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU1<|im_end|>\n<|im_start|>assistant\nA1<|im_end|>\n"
    "<|im_start|>user\nU2<|im_end|>\n<|im_start|>assistant\n"
)


@pytest.mark.parametrize(
    ("source", "messages", "expected"),
    [
        (INST, TURNS, "[INST] Hello friend![/INST] Hello human![INST] What is your name?[/INST] "),
        (
            CHATML_ROUNDS,
            TURNS,
            (
                "<|im_start|>user\nHello friend!<|im_end|>\n<|im_start|>assistant\nHello human!<|im_end|>\n"
                "<|im_start|>user\nWhat is your name?<|im_end|>\n<|im_start|>assistant\n"
            ),
        ),
        (INST, (*TURNS, PREFILL), "[INST] Hello friend![/INST] Hello human![INST] What is your name?[/INST] " + PREFILL.content),
        (CHATML_ROUNDS, FOUR, FOUR_CHATML),
        (CHATML_MESSAGES, FOUR, FOUR_CHATML),
        (ALPACA, FOUR, "S\n\n### Instruction:\nU1\n\n### Response:\nA1\n\n### Instruction:\nU2\n\n### Response:\n"),
        (
            LLAMA3,
            FOUR,
            (
                "<|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nU1<|eot_id|>"
                "<|start_header_id|>assistant<|end_header_id|>\n\nA1<|eot_id|>"
                "<|start_header_id|>user<|end_header_id|>\n\nU2<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
            ),
        ),
    ],
    ids=[
        "5.4 mistral-like, response appended",
        "5.4 chatml rounds",
        "5.4 prefill",
        "5.4 chatml rounds, system",
        "5.4 chatml messages",
        "5.4 alpaca",
        "5.4 llama3-instruct",
    ],
)
def test_conversations(source: str, messages: tuple[Message, ...], expected: str) -> None:
    assert render(source, *messages) == expected


# where the answer begins, everything after it is gone: also in branches, and where the answer is not printed at all
RESPONSES = {
    "{{ .Prompt }}>{{ .Response }}<end>": "P>",
    "{{ .Prompt }}>{{- .Response -}}\n <end>": "P>",
    "{{ if .Prompt }}{{ .Prompt }}>{{ .Response }}<end>{{ end }}after": "P>",
    "{{ .Prompt }}>{{ if .Response }}{{ .Response }}<end>{{ end }}after": "P>",
    "{{ if .System }}s{{ .Response }}x{{ else }}{{ .Prompt }}>{{ .Response }}y{{ end }}z": "P>",
    "é{{ .Prompt }}>{{ .Response }}ü": "éP>",
    "{{ .Prompt }}": "P",
}


@pytest.mark.parametrize("source", RESPONSES)
def test_the_last_round_ends_where_the_answer_begins(source: str) -> None:
    template = GoTemplate(source, LIMITS)
    assert template.render_rounds([Round(prompt="P")], None) == RESPONSES[source]
    assert template.render_rounds([Round(prompt="P", response="R")], None) == RESPONSES[source] + "R"


def test_a_gap_is_filled_between_two_texts() -> None:
    template = GoTemplate("<PRE>{{ .Prompt }}<SUF>{{ .Suffix }}<MID>", LIMITS)
    assert template.render_suffix("a", "b", None) == "<PRE>a<SUF>b<MID>"
    assert template.facts().has_insert


@pytest.mark.parametrize(
    ("think", "expected"),
    [(None, "false||false"), (True, "true|medium|true"), (False, "false||true"), ("high", "true|high|true")],
    ids=["2.7 unset", "2.7 true", "2.7 false", "2.7 level"],
)
def test_thinking_variables(think: Any, expected: str) -> None:
    assert (
        render("{{ .Think }}|{{ .ThinkLevel }}|{{ .IsThinkSet }}{{ .Response }}", Message("user", "x"), think=think) == expected
    )


CALL = Message("assistant", tool_calls=(ToolCall("f", {"b": 1, "a": "<"}, id="call_1"),))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ .Tools }}", f"[{WEATHER_JSON}]"),
        ("{{ range .Tools }}{{ . }}{{ end }}", WEATHER_JSON),
        ("{{ range $t := .Tools }}{{ json $t }}{{ end }}", WEATHER_JSON),
        ("{{ range .Tools }}{{ .Function.Name }}:{{ .Function.Description }}{{ end }}", "get_weather:Get the weather in a city"),
        (
            "{{ range .Tools }}{{ json .Function.Parameters.Properties.city }}{{ end }}",
            '{"type":"string","description":"the city"}',
        ),
        (
            "{{ range .Tools }}{{ range $n, $p := .Function.Parameters.Properties }}{{ $n }}={{ $p.Type }};{{ end }}{{ end }}",
            "city=string;unit=[string null];",
        ),
        (
            "{{ range .Tools }}{{ range $n, $p := .Function.Parameters.Properties }}{{ toTypeScriptType $p }};{{ end }}{{ end }}",
            "string;string | null;",
        ),
        ("{{ range .Messages }}{{ range .ToolCalls }}{{ .Function.Arguments }}{{ end }}{{ end }}", '{"a":"\\u003c","b":1}'),
        (
            '{{ range .Messages }}{{ range .ToolCalls }}{{ printf "%s" .Function.Arguments }}{{ end }}{{ end }}',
            '{"a":"\\u003c","b":1}',
        ),
        ("{{ range .Messages }}{{ range .ToolCalls }}{{ json .Function.Arguments }}{{ end }}{{ end }}", '{"a":"\\u003c","b":1}'),
        (
            "{{ range .Messages }}{{ range .ToolCalls }}{{ range $k, $v := .Function.Arguments }}{{ $k }}={{ $v }};"
            + 3 * "{{ end }}",
            "a=<;b=1;",
        ),
        (
            "{{ range .Messages }}{{ range .ToolCalls }}{{ .Function }}{{ end }}{{ end }}",
            '{"index":0,"name":"f","arguments":{"a":"\\u003c","b":1}}',
        ),
    ],
)
def test_tools_print_as_json(source: str, expected: str) -> None:
    assert render(source + "{{ if false }}{{ .Messages }}{{ end }}", CALL, tools=(WEATHER,)) == expected


ERRORS = {
    "{{ if }}": "template: :1: missing value for if",
    "{{ range }}x{{ end }}": "template: :1: missing value for range",
    "a\n{{ x }}": 'template: :2: function "x" not defined',
    "{{ .System": "template: :1: unclosed action",
    "{{ end }}": "template: :1: unexpected {{end}}",
    "{{ if true }}": "template: :1: unexpected EOF",
    "{{ $x }}": 'template: :1: undefined variable "$x"',
}


@pytest.mark.parametrize("source", ERRORS)
def test_what_does_not_parse_is_told_in_gos_words(source: str) -> None:
    with pytest.raises(TemplateError) as caught:
        GoTemplate(source, LIMITS)
    assert str(caught.value) == ERRORS[source]


def test_an_unknown_field_of_a_message_is_an_error() -> None:
    with pytest.raises(
        TemplateError, match=r'^template: :2:3: executing "" at <\.Foo>: can\'t evaluate field Foo in type api\.Message$'
    ):
        render("{{ range .Messages }}\n{{ .Foo }}{{ end }}", Message("user", "x"))


def test_comparing_what_cannot_be_compared_is_an_error() -> None:
    with pytest.raises(TemplateError, match="incompatible types for comparison"):
        render('{{ if eq 1 "a" }}{{ end }}{{ .Response }}', Message("user", "x"))


STEPS = "template exceeded 200000 steps"
LIMIT = "template exceeded its limit"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ range 100000000000 }}{{ end }}", STEPS),
        ("{{ range 100000000000 }}x{{ end }}", STEPS),
        ("{{ range 100000 }}{{ range 100000 }}{{ end }}{{ end }}", STEPS),
        ('{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}', LIMIT),
        ("{{ range 100000 }}" + "x" * 100 + "{{ end }}", LIMIT),
        ("{{ .Prompt.upper }}", "can't evaluate field upper"),
        ("{{ .Prompt.__class__ }}", "template uses a forbidden feature"),
        ("x" * (LIMITS.template_bytes + 1), LIMIT),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", LIMIT),
        ("{{ if true }}" * 3000 + "{{ end }}" * 3000, LIMIT),
    ],
    ids=[
        "T18 integer range, empty body",
        "T18 integer range",
        "T18 nested ranges",
        "T18 self-invoking template",
        "T18 output",
        "T18 a method",
        "T16 attribute tricks",
        "T18 a long source",
        "T18 deep parentheses",
        "T18 deep nesting",
    ],
)
def test_bounds(source: str, text: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(source + "{{ .Response }}", Message("user", "x"))
    assert text in str(caught.value)
    assert isinstance(caught.value, TemplateLimit) == (not str(caught.value).startswith("template: "))


THINKING = {
    "{{ range .Messages }}{{ if .Thinking }}<think>\n{{ .Thinking }}\n</think>\n{{ end }}{{ .Content }}{{ end }}": (
        "<think>",
        "</think>",
    ),
    "{{ range $i, $_ := .Messages }}{{ if .Thinking }}<a>{{ .Thinking }}</a>{{ end }}{{ end }}": ("<a>", "</a>"),
    "{{ range $m := .Messages }}{{ if $m.Thinking }}<b>{{ $m.Thinking }}</b>{{ end }}{{ end }}": ("<b>", "</b>"),
    "{{ range .Tools }}<think>{{ .Thinking }}</think>{{ end }}{{ .Messages }}": None,
    "{{ range .Messages }}{{ range .ToolCalls }}<think>{{ .Thinking }}</think>{{ end }}{{ end }}": None,
    "{{ range .Messages }}{{ .Thinking }}{{ end }}": None,
    "<think>{{ .Thinking }}</think>{{ .Prompt }}": None,
}


@pytest.mark.parametrize("source", THINKING)
def test_thinking_tags_are_found_around_the_thoughts(source: str) -> None:
    assert GoTemplate(source, LIMITS).facts().think_tags == THINKING[source]
