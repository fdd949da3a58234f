"""Frames: key order, omitted keys, numbers and times (catalogue 2.5, 2.6, 2.9, 2.13, 2.14)."""

import json
import math
import re

import pytest

from api.responses import ChatWriter, GenerateWriter, details, join, local_timestamp, running_model, timestamp
from llmsite.types.chunk import Chunk, Logprob, Metrics, ModelDetails, RunningModel, TokenLogprob
from llmsite.types.message import ToolCall

METRICS = Metrics(9, 8, 7, 6, 5, 4)
DETAILS = ModelDetails("starter:latest", "gguf", "llama", ("llama",), "4.74M", "F16", 1024, 256)


def frame(writer, chunk):
    return re.sub(r'"created_at":"[^"]+"', '"created_at":"T"', writer("m").frame(chunk).decode())


@pytest.mark.parametrize(
    ("chunk", "generate", "chat"),
    [
        pytest.param(
            Chunk("é<&>\u2028"),
            '{"model":"m","created_at":"T","response":"é\\u003c\\u0026\\u003e\\u2028","done":false}',
            '{"model":"m","created_at":"T","message":{"role":"assistant","content":"é\\u003c\\u0026\\u003e\\u2028"},"done":false}',
            id="piece",
        ),
        pytest.param(
            Chunk(thinking="hm"),
            '{"model":"m","created_at":"T","response":"","thinking":"hm","done":false}',
            '{"model":"m","created_at":"T","message":{"role":"assistant","content":"","thinking":"hm"},"done":false}',
            id="thought",
        ),
        pytest.param(
            Chunk(done=True, done_reason="stop", context=(1, 2), metrics=METRICS),
            '{"model":"m","created_at":"T","response":"","done":true,"done_reason":"stop","context":[1,2],"total_duration":9,'
            '"load_duration":8,"prompt_eval_count":7,"prompt_eval_duration":6,"eval_count":5,"eval_duration":4}',
            '{"model":"m","created_at":"T","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop",'
            '"total_duration":9,"load_duration":8,"prompt_eval_count":7,"prompt_eval_duration":6,"eval_count":5,"eval_duration":4}',
            id="end",
        ),
        pytest.param(
            Chunk(done=True, done_reason="load"),
            '{"model":"m","created_at":"T","response":"","done":true,"done_reason":"load"}',
            '{"model":"m","created_at":"T","message":{"role":"assistant","content":""},"done":true,"done_reason":"load"}',
            id="load",
        ),
        pytest.param(
            Chunk(rendered="<p>", num_images=1),
            '{"model":"m","created_at":"T","response":"","done":false,'
            '"_debug_info":{"rendered_template":"\\u003cp\\u003e","image_count":1}}',
            '{"model":"m","created_at":"T","message":{"role":"","content":""},"done":false,'
            '"_debug_info":{"rendered_template":"\\u003cp\\u003e","image_count":1}}',
            id="debug",
        ),
        pytest.param(
            Chunk("a", logprobs=(Logprob(TokenLogprob("a", -0.5, (97,)), (TokenLogprob("b", -1.0),)),)),
            '{"model":"m","created_at":"T","response":"a","done":false,"logprobs":[{"token":"a","logprob":-0.5,"bytes":[97],'
            '"top_logprobs":[{"token":"b","logprob":-1}]}]}',
            '{"model":"m","created_at":"T","message":{"role":"assistant","content":"a"},"done":false,"logprobs":[{"token":"a",'
            '"logprob":-0.5,"bytes":[97],"top_logprobs":[{"token":"b","logprob":-1}]}]}',
            id="logprobs",
        ),
        pytest.param(
            Chunk(tool_calls=(ToolCall("f", {"b": 1, "a": 2}, 0, "call_1"),)),
            '{"model":"m","created_at":"T","response":"","done":false,"tool_calls":[{"id":"call_1","function":{"index":0,"name":"f",'
            '"arguments":{"b":1,"a":2}}}]}',
            '{"model":"m","created_at":"T","message":{"role":"assistant","content":"","tool_calls":[{"id":"call_1","function":'
            '{"index":0,"name":"f","arguments":{"b":1,"a":2}}}]},"done":false}',
            id="call",
        ),
    ],
)
def test_a_frame_has_ollama_s_keys_in_its_order(chunk, generate, chat):
    assert frame(GenerateWriter, chunk) == generate
    assert frame(ChatWriter, chunk) == chat


def test_the_quick_frame_of_a_token_is_what_the_slow_one_says():
    for writer in (GenerateWriter('m"<'), ChatWriter('m"<')):
        quick, slow = json.loads(writer.frame(Chunk('"\\\n<'))), writer._whole(Chunk('"\\\n<'))
        assert quick | {"created_at": ""} == slow | {"created_at": ""}
        assert list(quick) == list(slow)


def test_chunks_join_to_one_answer():
    parts = [Chunk(thinking="a"), Chunk(thinking="b"), Chunk("c"), Chunk("d", done=True, done_reason="length", metrics=METRICS)]
    assert join(parts) == Chunk("cd", "ab", done=True, done_reason="length", metrics=METRICS)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (1_767_312_245_678_000_000, "2026-01-02T00:04:05.678Z"),
        (1_767_312_245_000_000_000, "2026-01-02T00:04:05Z"),
        (1_767_312_245_000_000_010, "2026-01-02T00:04:05.00000001Z"),
    ],
)
def test_a_time_has_up_to_nine_digits_without_trailing_zeros(ns, text):
    assert timestamp(ns) == text


def test_a_local_time_has_an_offset(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert local_timestamp(1_767_312_245_500_000_000) == "2026-01-02T05:34:05.5+05:30"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_running_model_without_an_end_expires_in_292_years():
    model = RunningModel("starter:latest", "ab", DETAILS, 100, 0, 1024, math.inf)
    shown = running_model(model, now=0.0)
    assert list(shown) == ["name", "model", "size", "digest", "details", "expires_at", "size_vram", "context_length"]
    assert shown["expires_at"].startswith("2262-04-11T")
    assert list(shown["details"]) == ["parent_model", "format", "family", "families", "parameter_size", "quantization_level"]
    assert shown["details"]["parent_model"] == ""


def test_lengths_stand_in_the_details_of_tags_only():
    assert list(details(DETAILS, with_sizes=True))[-2:] == ["context_length", "embedding_length"]
    assert details(DETAILS, with_sizes=True)["parent_model"] == "starter:latest"
