"""Which layers a model gets, decided without a store (catalogue 2.18, 10.2 to 10.4)."""

from __future__ import annotations

from typing import Any

import pytest

from llmsite.modelfile.builtin_templates import builtin_templates
from llmsite.modelfile.plan import Base, encode_parameters, inherited_layers, plan_model, with_habits, with_template
from llmsite.store import manifest as media
from llmsite.store.gguf import GgufFacts
from llmsite.store.manifest import Layer
from llmsite.types.message import Message, ToolCall, decode_message
from llmsite.types.request import CreateRequest

WEIGHTS = Layer(media.MODEL, "sha256:" + "a" * 64, 10)
EYE = Layer(media.PROJECTOR, "sha256:" + "b" * 64, 5, "eye.gguf")
BARE = Base().add(WEIGHTS, GgufFacts(architecture="llama", file_type="F16", parameter_count=7_000_000_000))
(CHATML,) = [each for each in builtin_templates() if each.name == "chatml"]


def plan(base: Base, **changes: Any) -> list[tuple[str, bytes | None]]:
    """The kind of each layer, and the content of new ones."""
    layers = plan_model(base, CreateRequest(model="m", **changes)).layers
    return [(each.layer.media_type.rpartition(".")[2], each.data) for each in layers]


def text(kind: str, content: str) -> Layer:
    return Layer(f"application/vnd.ollama.image.{kind}", "sha256:" + (kind[0] * 64)[:64], len(content))


def test_10_4_new_texts_stand_in_ollamas_order() -> None:
    assert plan(
        BARE, messages=(Message("user", "u"),), parameters={"seed": 1}, licenses=("L1", "", "L2"), system="S", template="T"
    ) == [
        ("model", None),
        ("template", b"T"),
        ("system", b"S"),
        ("license", b"L1"),
        ("license", b"L2"),
        ("params", b'{"seed":1}\n'),
        ("messages", b'[{"role":"user","content":"u"}]\n'),
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["model", "system", "license", "messages", "params"]),
        ({"system": "T"}, ["model", "license", "messages", "system", "params"]),
        ({"licenses": ("M",)}, ["model", "system", "license", "messages", "license", "params"]),
        ({"messages": (Message("user", "v"),)}, ["model", "system", "license", "params", "messages"]),
        ({"template": "T"}, ["model", "system", "license", "messages", "template", "params"]),
    ],
    ids=lambda value: f"10.4 {next(iter(value), 'nothing')}" if isinstance(value, dict) else "",
)
def test_10_4_a_replaced_layer_leaves_and_the_new_one_goes_to_the_end(changes: dict[str, Any], expected: list[str]) -> None:
    layers = (WEIGHTS, text("system", "S"), text("params", "{}"), text("license", "L"), text("messages", "[]"))
    base = Base(inherited_layers(layers, "base:latest"), BARE.facts, parameters={"seed": 1})
    assert [kind for kind, _ in plan(base, **changes)] == expected
    sources = {each.layer.source for each in plan_model(base, CreateRequest("m", **changes)).layers if each.data is None}
    assert sources == {"base:latest"}


def test_2_18_parameters_are_merged_key_by_key() -> None:
    base = Base(inherited_layers((WEIGHTS, text("params", "{}")), "b:latest"), BARE.facts, parameters={"a": 1, "b": [1], "c": 2})
    assert plan(base, parameters={"b": [2], "c": None, "d": "x"}) == [
        ("model", None),
        ("params", b'{"a":1,"b":[2],"c":null,"d":"x"}\n'),
    ]


@pytest.mark.parametrize(
    ("parameters", "content"),
    [
        ({"n": 2**53}, b'{"n":9007199254740992}\n'),
        ({"n": 2**60 + 1}, b'{"n":1152921504606847000}\n'),
        ({"n": [10**21]}, b'{"n":[1e+21]}\n'),
        ({"z": {"b": 1, "a": -(2**63)}, "A": True}, b'{"A":true,"z":{"a":-9223372036854776000,"b":1}}\n'),
    ],
)
def test_10_4_numbers_are_gos_floats_and_keys_are_sorted(parameters: dict[str, Any], content: bytes) -> None:
    assert encode_parameters(parameters) == content


def test_10_4_messages_keep_everything_that_they_hold() -> None:
    messages = (
        Message("user", "look", images=(b"\x00\x01",)),
        Message("assistant", "", thinking="hm", tool_calls=(ToolCall("f", {"b": 1, "a": "<"}, 0, "id1"), ToolCall("g", {}, 1))),
        Message("tool", "42", tool_name="f", tool_call_id="id1"),
    )
    (_, (kind, data)) = plan(BARE, messages=messages)
    calls = (
        b'[{"id":"id1","function":{"index":0,"name":"f","arguments":{"b":1,"a":"\\u003c"}}},'
        b'{"function":{"index":1,"name":"g","arguments":{}}}]'
    )
    assert kind == "messages"
    assert data == (
        b'[{"role":"user","content":"look","images":["AAE="]},'
        b'{"role":"assistant","content":"","thinking":"hm","tool_calls":' + calls + b"},"
        b'{"role":"tool","content":"42","tool_name":"f","tool_call_id":"id1"}]\n'
    )


@pytest.mark.parametrize(
    "stored",
    [{}, {"role": 1, "content": None, "images": "x", "tool_calls": [1, {"function": 2}], "thinking": []}, {"images": ["%", 1]}],
)
def test_stored_messages_of_another_form_are_read_as_far_as_they_go(stored: dict[str, Any]) -> None:
    message = decode_message(stored)
    assert (message.role, message.content, message.thinking, message.images) == ("", "", "", ())


def test_2_18_a_built_in_template_stands_behind_the_weights_with_its_stops() -> None:
    base = with_template(BARE.add(EYE, GgufFacts(kind="projector")), CHATML)
    assert plan(base, parameters={"seed": 1}) == [
        ("model", None),
        ("template", CHATML.source.encode()),
        ("projector", None),
        ("params", b'{"seed":1,"stop":["\\u003c|im_start|\\u003e","\\u003c|im_end|\\u003e"]}\n'),
    ]
    assert [each.template_name for each in plan_model(base, CreateRequest("m")).layers] == ["", "chatml", "", ""]


@pytest.mark.parametrize(
    ("architecture", "handler", "stop"),
    [
        ("gemma4", "gemma4", ["<turn|>"]),
        ("laguna", "laguna", None),
        ("nemotron_h", "nemotron-3-nano", None),
        ("nemotron_h_moe", "nemotron-3-nano", None),
        ("llama", "", None),
        ("gemma3", "", None),
    ],
)
def test_2_18_what_ollama_knows_of_an_architecture(architecture: str, handler: str, stop: list[str] | None) -> None:
    base = with_habits(Base().add(WEIGHTS, GgufFacts(architecture=architecture)))
    assert (base.config.renderer, base.config.parser) == (handler, handler)
    assert base.parameters == ({"stop": stop} if stop else {})
