"""The answer of show: the order of its keys, what is left out, and a vocabulary that goes out in pieces (catalogue 2.15)."""

import json
from dataclasses import replace

import msgspec
from django.http import HttpResponse, StreamingHttpResponse

from api.show_response import show_response
from llmsite.store.gguf_listing import GgufListing
from llmsite.types.chunk import ModelDetails
from llmsite.types.message import Message
from models_app.services import ShownModel

INFO = GgufListing(msgspec.Raw(b'{"a":1}'), msgspec.Raw(b'[{"name":"t"}]'))
FULL = ShownModel(
    modelfile="FROM <x>\n",
    parameters='stop                           "a"',
    template="{{ .Prompt }}",
    system="S",
    licenses=("L1", "L2"),
    messages=(Message("user", "u", thinking="t", images=(b"x",)),),
    details=ModelDetails("p:latest", "gguf", "llama", ("llama",), "7B", "F16", 512, 64),
    listing=INFO,
    projector=GgufListing(msgspec.Raw(b'{"b":2}'), msgspec.Raw(b"[]")),
    capabilities=("completion",),
    modified_ns=0,
    requires="0.14.0",
)
BARE = ShownModel("", "", "", "", (), (), ModelDetails(), INFO, None, (), 0.0, "")


def test_2_15_the_order_of_the_keys():
    reply = show_response(FULL, "m", "")
    assert isinstance(reply, HttpResponse)
    shown = json.loads(reply.content)
    assert list(shown) == [
        *("license", "modelfile", "parameters", "template", "system", "details", "messages", "model_info", "projector_info"),
        *("tensors", "capabilities", "modified_at", "requires"),
    ]
    assert list(shown["details"]) == [
        *("parent_model", "format", "family", "families", "parameter_size", "quantization_level"),
    ]
    assert (shown["license"], shown["messages"]) == ("L1\nL2", [{"role": "user", "content": "u"}])
    assert (shown["model_info"], shown["projector_info"], shown["tensors"]) == ({"a": 1}, {"b": 2}, [{"name": "t"}])
    assert b'"modelfile":"FROM \\u003cx\\u003e\\n"' in reply.content


def test_2_15_what_is_empty_is_left_out():
    shown = json.loads(show_response(BARE, "m", "").content)
    assert list(shown) == ["details", "model_info", "tensors", "modified_at"]


def test_2_15_copilot_reads_the_name_in_the_place_of_the_basename():
    listing = replace(INFO, metadata=msgspec.Raw(b'{"a":0.00001,"general.basename":"x","z":null}'))
    reply = show_response(replace(BARE, listing=listing), "m<", "GitHubCopilotChat/9")
    assert b'"model_info":{"a":0.00001,"general.basename":"m\\u003c","z":null}' in reply.content
    assert b'"general.basename":"x"' in show_response(replace(BARE, listing=listing), "m", "curl").content


async def test_a_large_answer_goes_out_in_pieces():
    vocabulary = msgspec.json.encode({"tokens": [f"token{number}" for number in range(100_000)]})
    reply = show_response(replace(FULL, listing=replace(INFO, metadata=msgspec.Raw(vocabulary))), "m", "")
    assert isinstance(reply, StreamingHttpResponse)
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    pieces = [piece async for piece in reply]
    assert max(map(len, pieces)) <= 256 * 1024
    assert json.loads(b"".join(pieces))["model_info"] == json.loads(vocabulary)
