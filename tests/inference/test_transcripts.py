"""Prompts and answers of the transcripts, through the whole machine: real store, inspector, runner and weights."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from api.requests import parse_chat, parse_generate
from llmsite.parsers.thinking import ThinkingParser
from llmsite.types.chunk import Chunk, Phase
from llmsite.types.limits import Limits
from llmsite.types.request import ChatRequest, GenerateRequest
from tests.inference.conftest import Machine
from tests.inference.stock import read_rows

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="session")]

MODELS = {"starter", "starter-sys", "starter-go", "starter-legacy", "starter-insert", "starter-see"}
ROWS = {
    row["name"]: row
    for row in read_rows()
    if row["path"] in ("/api/chat", "/api/generate") and isinstance(row["body"], dict) and row["body"].get("model") in MODELS
}
PROMPTS = {name: row for name, row in ROWS.items() if row["body"].get("_debug_render_only")}
ANSWERS = {
    name: row
    for name, row in ROWS.items()
    if row["status"] == 200
    and name not in PROMPTS
    and row["body"].get("stream") is False
    and "eval_count" in row["answer"]
    and not row["body"].get("format")
    and not row["body"].get("tools")
    and row["body"]["model"] != "starter-see"
}
MEDIA_NAME = re.compile(r"<__ollama_media_[0-9a-f]{32}__>")
"""What Ollama writes where an image is, another one in each run (catalogue 5.6, accident)."""


@dataclass
class Answer:
    """The chunks of one reply, put together."""

    content: str = ""
    thinking: str = ""
    last: Chunk = field(default_factory=Chunk)
    chunks: list[Chunk] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)


def request_of(row: dict[str, Any]) -> ChatRequest | GenerateRequest:
    body = json.dumps(row["body"]).encode()
    request, _ = parse_chat(body, Limits()) if row["path"] == "/api/chat" else parse_generate(body, Limits())
    return request


async def ask(machine: Machine, request: ChatRequest | GenerateRequest) -> Answer:
    answer = Answer()
    replies = machine.client.chat(request) if isinstance(request, ChatRequest) else machine.client.generate(request)
    async for reply in replies:
        if isinstance(reply, Phase):
            answer.phases.append(reply)
            continue
        answer.content += reply.content
        answer.thinking += reply.thinking
        answer.chunks.append(reply)
        answer.last = reply
    return answer


@pytest.mark.parametrize("row", PROMPTS.values(), ids=PROMPTS)
async def test_prompts_are_those_of_ollama(machine: Machine, row: dict[str, Any]) -> None:
    answer = await ask(machine, request_of(row))
    info = row["answer"]["_debug_info"]
    assert answer.last.rendered == MEDIA_NAME.sub("[img-0]", info["rendered_template"])
    assert answer.last.num_images == info.get("image_count", 0)
    assert answer.last.is_whole


CALLED = {
    name: row
    for name, row in ROWS.items()
    if row["body"].get("tools") and row["status"] == 200 and "prompt_eval_count" in row["answer"]
}
"""Requests that are refused until models may call tools; how long their prompts are was recorded."""


@pytest.mark.parametrize("row", CALLED.values(), ids=CALLED)
async def test_prompts_with_tools_are_as_long_as_ollamas(machine: Machine, row: dict[str, Any]) -> None:
    request = request_of(row)
    rendered = (await ask(machine, replace(request, debug_render_only=True))).last.rendered
    read = await ask(machine, GenerateRequest(request.model, rendered or "", raw=True, options={"num_predict": 1}))
    assert read.last.metrics is not None
    assert read.last.metrics.prompt_eval_count == row["answer"]["prompt_eval_count"]


async def test_every_rendered_prompt_is_replayed() -> None:
    rendered = {row["name"] for row in read_rows() if isinstance(row["body"], dict) and row["body"].get("_debug_render_only")}
    assert rendered == PROMPTS.keys()


def expected_texts(row: dict[str, Any]) -> tuple[str, str]:
    """Thinking and content; thoughts that Ollama left in the text are split off, as ours always are (catalogue 6.1)."""
    answer = row["answer"]
    shown = answer["message"] if row["path"] == "/api/chat" else {"content": answer["response"], **answer}
    if row["body"].get("raw") or shown.get("thinking"):
        return shown.get("thinking", ""), shown["content"]
    parser = ThinkingParser("<think>", "</think>")
    deltas = (parser.add(shown["content"]), parser.finish())
    return "".join(each.thinking for each in deltas), "".join(each.content for each in deltas)


SWALLOWED = {"generate.logprobs": ("<think>", "\n")}
"""Tokens whose frames Ollama sends empty in generate; ours go with the tags, as in chat (catalogue 2.5, 2.9)."""

REPEATED_PREFILL = {"chat.prefill": ""}
"""Ollama repeats the prefilled text on the Jinja path (catalogue 6.1, accident; ours: the continuation only)."""


@pytest.mark.parametrize("row", ANSWERS.values(), ids=ANSWERS)
async def test_answers_are_those_of_ollama(machine: Machine, row: dict[str, Any]) -> None:
    answer = await ask(machine, request_of(row))
    expected, last = row["answer"], answer.last
    thinking, content = expected_texts(row)
    assert (answer.thinking, answer.content) == (thinking, REPEATED_PREFILL.get(row["name"], content))
    assert last.metrics is not None
    counts = (last.metrics.prompt_eval_count, last.metrics.eval_count)
    assert (last.done_reason, *counts) == tuple(expected[key] for key in ("done_reason", "prompt_eval_count", "eval_count"))
    context = expected.get("context", [])
    assert list(last.context) == context or len(last.context) == context["<numbers>"]
    tokens = [each.chosen.token for chunk in answer.chunks for each in chunk.logprobs]
    visible = [each["token"] for each in expected.get("logprobs", ()) if each["token"] not in SWALLOWED.get(row["name"], ())]
    assert tokens == visible
    assert all(chunk.content or chunk.thinking or chunk.done for chunk in answer.chunks), "an empty frame"
