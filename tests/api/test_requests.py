"""Bodies to requests: tables of catalogue 2.3, 2.5, 2.6, 2.7 and 2.8, and the JSON facts."""

import base64
import json

import pytest

from api.requests import parse_chat, parse_generate
from llmsite.types.errors import InvalidOption, InvalidRequest
from llmsite.types.limits import Limits
from llmsite.types.message import Message, ToolCall

LIMITS = Limits()


def body(**fields):
    return json.dumps(fields).encode()


def test_every_field_of_generate_is_read():
    request, stream = parse_generate(
        body(
            model="m", prompt="p", suffix="s", system="y", template="t", context=[1, 2], stream=False, raw=True,
            format={"type": "object"}, keep_alive="5m", images=["aGk="], options={"seed": 1}, think="high", truncate=False,
            shift=False, logprobs=True, top_logprobs=3, _debug_render_only=True,
        ),
        LIMITS,
        "user:1",
    )  # fmt: skip
    assert stream is False
    assert (request.model, request.prompt, request.suffix, request.system, request.template) == ("m", "p", "s", "y", "t")
    assert (request.context, request.images, request.options) == ((1, 2), (b"hi",), {"seed": 1})
    assert (request.format, request.keep_alive, request.think) == ({"type": "object"}, 300.0, "high")
    assert (request.raw, request.truncate, request.shift) == (True, False, False)
    assert (request.logprobs, request.top_logprobs, request.debug_render_only) == (True, 3, True)
    assert request.user == "user:1"


def test_absent_and_null_fields_are_unset():
    nothing = parse_generate(b"{}", LIMITS)
    nulls = parse_generate(
        body(model=None, prompt=None, stream=None, think=None, options=None, keep_alive=None, format=None, context=None), LIMITS
    )
    assert nothing == nulls
    assert nothing[1] is True
    assert nothing[0].think is None


def test_keys_match_in_any_case_and_unknown_ones_are_ignored():
    asked, _ = parse_generate(b'{"MODEL":"m","Prompt":"p","nope":{"a":[1]}}', LIMITS)
    assert (asked.model, asked.prompt) == ("m", "p")


def test_messages_are_read_with_lower_case_roles_and_calls():
    call = {"id": "call_1", "function": {"index": 1, "name": "f", "arguments": {"b": 1, "a": 2}}}
    asked, _ = parse_chat(
        body(
            model="m",
            messages=[
                {"role": "User", "content": "x", "images": [base64.b64encode(b"png").decode()]},
                {"role": "assistant", "content": None, "thinking": "hm", "tool_calls": [call]},
                {"role": "tool", "content": "r", "tool_name": "f", "tool_call_id": "call_1"},
            ],
            tools=[{"type": "function", "function": {"name": "f"}}],
        ),
        LIMITS,
    )
    assert asked.messages == (
        Message("user", "x", images=(b"png",)),
        Message("assistant", thinking="hm", tool_calls=(ToolCall("f", {"b": 1, "a": 2}, 1, "call_1"),)),
        Message("tool", "r", tool_name="f", tool_call_id="call_1"),
    )
    assert asked.tools[0].name == "f"


WRONG_TYPES = [
    (
        b'{"model":"starter","stream":"yes"}',
        "json: cannot unmarshal string into Go struct field GenerateRequest.stream of type bool",
    ),
    (b"[]", "json: cannot unmarshal array into Go value of type api.GenerateRequest"),
    (b'"x"', "json: cannot unmarshal string into Go value of type api.GenerateRequest"),
    (b'{"model":1}', "json: cannot unmarshal number into Go struct field GenerateRequest.model of type string"),
    (b'{"prompt":{}}', "json: cannot unmarshal object into Go struct field GenerateRequest.prompt of type string"),
    (
        b'{"raw":null,"top_logprobs":1.5}',
        "json: cannot unmarshal number 1.5 into Go struct field GenerateRequest.top_logprobs of type int",
    ),
    (b'{"top_logprobs":true}', "json: cannot unmarshal bool into Go struct field GenerateRequest.top_logprobs of type int"),
    (b'{"context":"x"}', "json: cannot unmarshal string into Go struct field GenerateRequest.context of type []int"),
    (b'{"context":["x"]}', "json: cannot unmarshal string into Go struct field GenerateRequest.context of type int"),
    (
        b'{"options":[]}',
        "json: cannot unmarshal array into Go struct field GenerateRequest.options of type map[string]interface {}",
    ),
    (b'{"images":"x"}', "json: cannot unmarshal string into Go struct field GenerateRequest.images of type []api.ImageData"),
    (b'{"images":["***"]}', "illegal base64 data at input byte 0"),
    (b'{"images":["aGk*"]}', "illegal base64 data at input byte 3"),
    (b'{"images":["aGk"]}', "illegal base64 data at input byte 0"),
    (b'{"think":"maybe"}', 'invalid think value: "maybe" (must be "high", "medium", "low", "max", true, or false)'),
    (b'{"think":1}', 'think must be a boolean or string ("high", "medium", "low", "max", true, or false)'),
    (b'{"keep_alive":"300"}', 'time: missing unit in duration "300"'),
    (b'{"keep_alive":"1d"}', 'time: unknown unit "d" in duration "1d"'),
    (b'{"keep_alive":true}', "Unsupported type: 'bool'"),
    (b'{"top_logprobs":21}', "top_logprobs must be between 0 and 20"),
    (b'{"top_logprobs":-1}', "top_logprobs must be between 0 and 20"),
]


@pytest.mark.parametrize(("raw", "text"), WRONG_TYPES)
def test_a_wrong_field_of_generate_is_named(raw, text):
    with pytest.raises(InvalidRequest) as caught:
        parse_generate(raw, LIMITS)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ("x", "json: cannot unmarshal string into Go struct field ChatRequest.messages of type []api.Message"),
        ([1], "json: cannot unmarshal number into Go struct field ChatRequest.messages of type api.Message"),
        ([{"content": [{}]}], "json: cannot unmarshal array into Go struct field ChatRequest.messages.content of type string"),
        (
            [{"tool_calls": [{"function": {"arguments": "{}"}}]}],
            (
                "json: cannot unmarshal string into Go struct field ChatRequest.messages.tool_calls.function.arguments"
                " of type api.ToolCallFunctionArguments"
            ),
        ),
        ([{}] * 10_001, "a conversation has at most 10000 messages"),
    ],
)
def test_a_wrong_message_is_named(messages, text):
    with pytest.raises(InvalidRequest) as caught:
        parse_chat(body(model="m", messages=messages), LIMITS)
    assert str(caught.value) == text


IN_PARAMETERS = "ChatRequest.tools.function.parameters"


def offered(**parameters):
    return [{"function": {"name": "f", "parameters": parameters}}]


@pytest.mark.parametrize(
    ("tools", "kind", "target"),
    [
        ({}, "object", "ChatRequest.tools of type api.Tools"),
        ([1], "number", "ChatRequest.tools of type api.Tool"),
        ([{"type": 1}], "number", "ChatRequest.tools.type of type string"),
        ([{"function": []}], "array", "ChatRequest.tools.function of type api.ToolFunction"),
        ([{"function": {"name": 1}}], "number", "ChatRequest.tools.function.name of type string"),
        ([{"function": {"description": {}}}], "object", "ChatRequest.tools.function.description of type string"),
        ([{"function": {"parameters": "{}"}}], "string", f"{IN_PARAMETERS} of type api.ToolFunctionParameters"),
        (offered(type=["object"]), "array", f"{IN_PARAMETERS}.type of type string"),
        (offered(required="a"), "string", f"{IN_PARAMETERS}.required of type []string"),
        (offered(required=[1]), "number", f"{IN_PARAMETERS}.required of type string"),
        (offered(properties=[]), "array", f"{IN_PARAMETERS}.properties of type api.ToolPropertiesMap"),
        (offered(properties={"a": 1}), "number", f"{IN_PARAMETERS}.properties of type api.ToolProperty"),
        (offered(properties={"a": {"type": 1}}), "number", f"{IN_PARAMETERS}.properties.type of type []string"),
        (offered(properties={"a": {"type": [1]}}), "number", f"{IN_PARAMETERS}.properties.type of type string"),
        (offered(properties={"a": {"enum": "x"}}), "string", f"{IN_PARAMETERS}.properties.enum of type []interface {{}}"),
        (offered(properties={"a": {"anyOf": {}}}), "object", f"{IN_PARAMETERS}.properties.anyOf of type []api.ToolProperty"),
    ],
)
def test_a_wrong_tool_is_named(tools, kind, target):
    with pytest.raises(InvalidRequest) as caught:
        parse_chat(body(model="m", tools=tools), LIMITS)
    assert str(caught.value) == f"json: cannot unmarshal {kind} into Go struct field {target}"


def test_2_6_keywords_that_ollama_does_not_know_are_dropped_and_keys_match_in_any_case():
    schema = {
        "TYPE": "object",
        "$defs": {"d": {"deep": 1}},
        "additionalProperties": False,
        "properties": {"b": {"default": 1, "type": ["integer"], "enum": [1, 2]}, "a": {"anyOf": [{"minimum": 0}]}, "c": None},
        "required": ["b"],
    }
    tool = {"type": "function", "strict": True, "Function": {"name": "f", "description": None, "parameters": schema}}
    request, _ = parse_chat(body(model="m", tools=[tool, None]), LIMITS)
    kept = {
        "type": "object",
        "$defs": {"d": {"deep": 1}},
        "properties": {"b": {"type": ["integer"], "enum": [1, 2]}, "a": {"anyOf": [{}]}, "c": {}},
        "required": ["b"],
    }
    assert [each.definition for each in request.tools] == [
        {"type": "function", "function": {"name": "f", "parameters": kept}},
        {},
    ]
    assert list(request.tools[0].definition["function"]["parameters"]["properties"]) == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("value", "quoted"),
    [("xml", '"\\"xml\\""'), (3, '"3"'), ([1], '"[1]"'), (True, '"true"')],
)
def test_a_format_that_is_none_is_refused(value, quoted):
    with pytest.raises(InvalidOption) as caught:
        parse_generate(body(model="m", format=value), LIMITS)
    assert str(caught.value) == f'invalid format: {quoted}; expected "json" or a valid JSON Schema object'


@pytest.mark.parametrize(("value", "expected"), [("json", "json"), ("", None), (None, None), ({}, {})])
def test_a_format_is_json_or_a_schema(value, expected):
    assert parse_chat(body(model="m", format=value), LIMITS)[0].format == expected
