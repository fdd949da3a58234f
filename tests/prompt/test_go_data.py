"""Go templates, rest of the tables: constructs, functions and errors of catalogue 5.2, the data of 5.3, the modes of 5.4."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from llmsite.prompt.gotemplate import GoTemplate
from llmsite.prompt.job import RenderJob
from llmsite.prompt.template import Renderer
from llmsite.types.errors import TemplateError
from llmsite.types.limits import Limits
from llmsite.types.message import Message, Tool, ToolCall

LIMITS = Limits()
TODAY = dt.date.today()

SYNTAX = {
    # delimiters and trims: the dash stands apart
    "a \t\r\n{{- 1 -}} \r\n\t b": "a1b",
    "{{/* a */}}x{{- /* b */ -}} y": "xy",
    # if, range, with
    "{{ if .E }}a{{ else if .L }}b{{ else }}c{{ end }}": "b",
    "{{ if .E }}a{{ else if .E }}b{{ else }}c{{ end }}": "c",
    "{{ range .L }}{{ . }};{{ end }}": "a;b;",
    "{{ range $v := .L }}{{ $v }};{{ end }}": "a;b;",
    "{{ range $i, $v := .L }}{{ $i }}{{ $v }};{{ end }}": "0a;1b;",
    "{{ range $k, $v := .M }}{{ $k }}{{ $v }};{{ end }}": "x1;y2;",
    "{{ range .M }}{{ . }};{{ end }}": "1;2;",
    "{{ range $i := 3 }}{{ $i }}{{ end }}": "012",
    "{{ range .E }}a{{ else }}none{{ end }}": "none",
    "{{ range .L }}{{ break }}x{{ end }}": "",
    "{{ with .M }}{{ .x }}{{ end }}": "1",
    "{{ with .E }}a{{ else }}b{{ end }}": "b",
    # variables
    "{{ range .L }}{{ $.M.x }}{{ end }}": "11",
    "{{ $m := .M }}{{ $m.y }}": "2",
    "{{ (index .R 0).x }}": "7",
    "{{ $x := 1 }}{{ range .L }}{{ $x = 3 }}{{ end }}{{ $x }}": "3",
    # literals
    "{{ 'a' }}": "97",
    "{{ 1.50 }} {{ -2 }} {{ 1e3 }}": "1.5 -2 1000",
    "{{ true }}{{ false }}": "truefalse",
    "{{ eq .Missing nil }}": "true",
    # builtins
    '{{ or "" 0 "c" "d" }}': "c",
    '{{ and "a" "b" }}': "b",
    "{{ not 0 }}{{ not 1 }}": "truefalse",
    '{{ eq "a" "b" "a" }}{{ ne 1 2 }}{{ lt 1 2 }}{{ le 2 2 }}{{ gt 1 2 }}{{ ge 2 2 }}': "truetruetruetruefalsetrue",
    '{{ len .L }}{{ len .M }}{{ len "abc" }}': "223",
    '{{ index .M "y" }}{{ index .N 1 0 }}': "24",
    '{{ slice .L 1 }}{{ slice "abcd" 1 }}{{ slice "abcd" 1 3 }}': "[b]bcdbc",
    '{{ print "a" 1 2 "b" }}|{{ printf "%s=%d" "a" 3 }}|{{ println "x" }}': "a1 2b|a=3|x\n",
    '{{ html "<a>" }} {{ js "it\'s" }} {{ urlquery "a b&c" }}': "&lt;a&gt; it\\'s a+b%26c",
    '{{ printf "%q %v %5d|%-3s|" "a" .L 42 "b" }}': '"a" [a b]    42|b  |',
    # Ollama's functions
    '{{ json .M }} {{ json "a<b>&" }}': '{"x":1,"y":2} "a\\u003cb\\u003e\\u0026"',
    "{{ currentDate }}|{{ currentDate `2006` }}": f"{TODAY}|{TODAY}",
    "{{ yesterdayDate }}": str(TODAY - dt.timedelta(days=1)),
    # truth and printing
    '{{ if 0 }}a{{ end }}{{ if "" }}b{{ end }}{{ if .E }}c{{ end }}{{ if false }}d{{ end }}{{ if .Missing }}e{{ end }}': "",
    "{{ .Missing }}{{ .M.z }}": "<no value><no value>",
    "{{ .N }}": "[[3] [4]]",
}


@pytest.mark.parametrize(("source", "expected"), SYNTAX.items(), ids=[f"5.2 {source}" for source in SYNTAX])
def test_syntax(source: str, expected: str) -> None:
    template = GoTemplate("{{ if false }}{{ .Response }}{{ end }}" + source, LIMITS)
    data = {"L": ["a", "b"], "E": [], "M": {"y": 2, "x": 1}, "N": [[3], [4]], "R": [{"x": 7}]}
    assert template._run(template._whole, data) == expected


TYPES = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "array": "any[]",
    "object": "Record<string, any>",
    "null": "null",
    "odd": "any",
}
TYPED = "{{ range .Tools }}{{ range .Function.Parameters.Properties }}{{ toTypeScriptType . }}{{ end }}{{ end }}{{ .Messages }}"


@pytest.mark.parametrize(
    ("kind", "expected"), [*TYPES.items(), (["string", "integer"], "string | number"), (None, "any")], ids=str
)
def test_5_2_types_of_a_property(kind: Any, expected: str) -> None:
    schema = {"type": "object", "properties": {"p": {"description": "d"} | ({"type": kind} if kind else {})}}
    tool = Tool({"type": "function", "function": {"name": "f", "parameters": schema}})
    assert render(TYPED, Message("system", ""), tools=(tool,)).startswith(expected + "[")


def render(source: str, *messages: Message, **fields: Any) -> str:
    return Renderer(LIMITS).render(RenderJob("go", source, messages=messages, **fields))


TALK = (
    Message("system", "S1"),
    Message("user", "U1"),
    Message("assistant", "A1"),
    Message("system", "S2"),
    Message("user", "U2"),
)
CALL = ToolCall("f", {"b": [1], "a": {"z": 1, "y": "é"}}, index=2, id="call_1")
TOLD = Message("assistant", "C", thinking="T", tool_calls=(CALL,), tool_name="N", tool_call_id="I")
DATA = {
    "messages .System": ("{{ .System }}{{ if false }}{{ .Messages }}{{ end }}", TALK, "S1\n\nS2"),
    "messages keep system": ("{{ range .Messages }}{{ .Role }};{{ end }}", TALK, "system;user;assistant;system;user;"),
    "messages .Response": ("[{{ .Response }}]{{ if false }}{{ .Messages }}{{ end }}", TALK, "[]"),
    "messages without .Tools": ("{{ if .Tools }}a{{ else }}b{{ end }}{{ if false }}{{ .Messages }}{{ end }}", TALK, "b"),
    "rounds": ("{{ .System }}/{{ .Prompt }}/{{ .Response }};", TALK, "S1/U1/A1;S2/U2/"),
    "message fields": (
        (
            "{{ range .Messages }}{{ .Role }} {{ .Content }} {{ .Thinking }} {{ len .Images }} {{ .ToolName }} {{ .ToolCallID }}"
            "{{ end }}"
        ),
        (TOLD,),
        "assistant C T 0 N I",
    ),
    "tool call fields": (
        (
            "{{ range .Messages }}{{ range .ToolCalls }}{{ .ID }} {{ .Function.Index }} {{ .Function.Name }}"
            " {{ .Function.Arguments }}{{ end }}{{ end }}"
        ),
        (TOLD,),
        'call_1 2 f {"a":{"y":"é","z":1},"b":[1]}',
    ),
    "idiom $last": (
        (
            "{{- range $i, $_ := .Messages }}{{- $last := eq (len (slice $.Messages $i)) 1 }}{{ .Content }}"
            "{{ if $last }}!{{ else }},{{ end }}{{ end }}"
        ),
        TALK,
        "S1,U1,A1,S2,U2!",
    ),
    "idiom printf": (
        (
            '{{- $system := "X" }}{{- range .Messages }}{{- if eq .Role "user" }}'
            '{{ printf "%s\\n\\n%s" $system .Content }};{{ end }}{{ end }}'
        ),
        TALK,
        "X\n\nU1;X\n\nU2;",
    ),
    "idiom assistant with calls": (
        '{{ range .Messages }}{{- if and (eq .Role "assistant") .ToolCalls }}calls{{ else }}none{{ end }};{{ end }}',
        (Message("assistant", "a"), Message("user", "x"), TOLD),
        "none;none;calls;",
    ),
}


@pytest.mark.parametrize("row", DATA, ids=[f"5.3 {row}" for row in DATA])
def test_data(row: str) -> None:
    source, messages, expected = DATA[row]
    assert render(source, *messages) == expected


NOTHING = "<no value>"
CELLS = {
    ".System": ("S1\n\nS2", "S1;S2;", NOTHING),
    "len .Messages": ("5", None, None),
    ".Messages": (None, None, NOTHING),
    ".Tools": (
        '[{"type":"function","function":{"name":"f","description":"","parameters":{"type":"","properties":null}}}]',
        f"{NOTHING};{NOTHING};",
        NOTHING,
    ),
    ".Prompt": (NOTHING, "U1;U2;", "P"),
    ".Suffix": (NOTHING, f"{NOTHING};{NOTHING};", "S"),
    ".Response": ("", "A1;", ""),  # the last round ends where the answer begins
    ".Think": ("true", "true;true;", "true"),
    ".ThinkLevel": ("low", "low;low;", "low"),
    ".IsThinkSet": ("true", "true;true;", "true"),
}
"""What a name is with messages, with rounds and with a suffix; None where there is no such template."""
MODES = {
    "messages": ("{{{{ {} }}}}{{{{ if false }}}}{{{{ .Messages }}}}{{{{ end }}}}", {"messages": TALK}),
    "rounds": ("{{{{ {} }}}};{{{{ if false }}}}{{{{ .Response }}}}{{{{ end }}}}", {"messages": TALK}),
    "suffix": ("{{{{ {} }}}}{{{{ if false }}}}{{{{ .Suffix }}}}{{{{ .Response }}}}{{{{ end }}}}", {"prompt": "P", "suffix": "S"}),
}


@pytest.mark.parametrize(
    ("name", "mode", "expected"),
    [
        pytest.param(name, mode, cell, id=f"5.3 {name}, {mode}")
        for name, cells in CELLS.items()
        for mode, cell in zip(MODES, cells, strict=True)
        if cell is not None
    ],
)
def test_what_is_there_in_each_mode(name: str, mode: str, expected: str) -> None:
    source, job = MODES[mode]
    tools = (Tool({"type": "function", "function": {"name": "f"}}),)
    assert Renderer(LIMITS).render(RenderJob("go", source.format(name), tools=tools, think="low", **job)) == expected


def test_5_3_neighbours_of_a_role_are_one_message() -> None:
    texts = [Message("user", "a"), Message("user", "b"), Message("tool", "c"), Message("tool", "d")]
    assert render("{{ range .Messages }}[{{ .Content }}]{{ end }}", *texts) == "[a\n\nb][c][d]"


TOOL = Tool(
    {
        "type": "function",
        "function": {
            "name": "f",
            "parameters": {
                "properties": {"b": {"type": "array", "items": {"type": "string"}}, "a": {"anyOf": [{"type": "null"}]}},
                "$defs": {"d": 1},
                "required": ["a"],
                "type": "object",
                "additionalProperties": False,
            },
        },
    }
)


def test_5_3_a_tool_prints_its_keys_in_order() -> None:
    expected = (
        '{"type":"function","function":{"name":"f","description":"","parameters":{"type":"object","$defs":{"d":1},'
        '"required":["a"],"properties":{"a":{"anyOf":[{"type":"null"}]},"b":{"type":"array","items":{"type":"string"}}}}}}'
    )
    source = "{{ range .Tools }}{{ . }}{{ end }}{{ if false }}{{ .Messages }}{{ end }}"
    assert render(source, tools=(TOOL,)) == expected


@pytest.mark.parametrize(
    ("source", "job", "expected"),
    [
        ("<{{ .Prompt }}|{{ .Suffix }}>", {"prompt": "P", "suffix": "S"}, "<P|S>"),
        ("<{{ .System }}{{ .Prompt }}{{ .Response }}|{{ .Suffix }}>", {"prompt": "P", "suffix": "S"}, "<<no value>P|S>"),
        ("<{{ .Prompt }}|{{ .Suffix }}>", {"messages": (Message("user", "U"),)}, "<U|<no value>>"),
        ("{{ .MESSAGES }}", {"messages": (Message("user", "U"),)}, "<no value>"),
        ("{{ .Prompt }}!", {"messages": (Message("user", "U"),)}, "U!"),
    ],
    ids=["5.4 suffix mode", "5.4 suffix mode has no system", "5.4 no suffix", "5.4 names in any case", "5.4 response appended"],
)
def test_modes(source: str, job: dict[str, Any], expected: str) -> None:
    assert Renderer(LIMITS).render(RenderJob("go", source, **job)) == expected


def test_5_4_a_round_of_system_alone_is_kept_for_the_next() -> None:
    source = "({{ .System }}|{{ .Prompt }}|{{ .Response }})"
    turns = (Message("system", "S"), Message("user", "U"), Message("system", "T"), Message("assistant", "A"))
    assert render(source, *turns) == "(S|U|)(T||A"


ERRORS = {
    "{{ .Messages }}{{ x }}": 'template: :1: function "x" not defined',
    "{{ range .Messages }}{{ .Foo }}{{ end }}": 'executing "" at <.Foo>: can\'t evaluate field Foo in type api.Message',
    '{{ .Messages }}{{ if eq "a" 1 }}{{ end }}': "incompatible types for comparison",
    "{{ .Messages }}{{ index .Messages 9 }}": "index out of range",
    '{{ .Messages }}{{ slice "abc" 4 }}': "slice",
    "{{ .Messages }}{{ -1- }}": "template: :1: ",
}


@pytest.mark.parametrize(("source", "text"), ERRORS.items(), ids=[f"5.2 {source}" for source in ERRORS])
def test_errors_are_gos(source: str, text: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(source, Message("user", "x"))
    assert str(caught.value).startswith("template: :1:")
    assert text in str(caught.value)
