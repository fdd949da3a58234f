"""What the pipeline refuses and in which order, loading and unloading, thoughts, cancelling (catalogue 2.2 to 2.8)."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from llmsite.inference.resolver import Model
from llmsite.types.chunk import Chunk, Phase
from llmsite.types.errors import (
    InvalidModelName,
    InvalidOption,
    InvalidRequest,
    LlmsiteError,
    MissingCapability,
    ModelNotFound,
    PromptTooLong,
    RequestTooLarge,
    TemplateError,
    TemplateLimit,
)
from llmsite.types.message import Message, Tool
from llmsite.types.name import ModelName
from llmsite.types.request import ChatRequest, GenerateRequest, TokenizeRequest
from tests.inference.conftest import Machine
from tests.inference.test_transcripts import ask

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="session")]

FULL = "registry.ollama.ai/library/starter:latest"
GREEDY: dict[str, Any] = {"temperature": 0, "seed": 1, "num_predict": 60}
QUESTION = (Message("user", "What is 17 + 25?"),)
LONG = (Message("user", "word " * 1200),)
TOOL = Tool({"type": "function", "function": {"name": "f"}})
PICTURE = Message("user", "what?", images=(b"png",))
TOO_LONG = (
    "the prompt is longer than the context length currently available to the model; shorten the prompt, adjust the context "
    "length in settings, or use a model with a longer context length"
)


def chat(**fields: Any) -> ChatRequest:
    return ChatRequest(**{"model": "starter", "messages": QUESTION, "options": GREEDY, **fields})


def generate(**fields: Any) -> GenerateRequest:
    return GenerateRequest(**{"model": "starter", "prompt": "What is 17 + 25?", "options": GREEDY, **fields})


REFUSALS: dict[str, tuple[ChatRequest | GenerateRequest, type[LlmsiteError], str]] = {
    "2.2 generate without name": (generate(model=""), ModelNotFound, "model '' not found"),
    "2.2 chat without name": (chat(model=""), InvalidRequest, "model is required"),
    "2.2 generate bad name": (generate(model="a//b"), InvalidModelName, "invalid model name"),
    "2.2 chat bad name": (chat(model="-x"), InvalidModelName, "invalid model name"),
    "2.2 generate not installed": (generate(model="Nope"), ModelNotFound, "model 'Nope' not found"),
    "2.2 chat not installed": (chat(model="nope:local"), ModelNotFound, "model 'nope:local' not found"),
    "2.3 top_logprobs": (generate(top_logprobs=21), InvalidRequest, "top_logprobs must be between 0 and 20"),
    "16.8 top_logprobs before the model": (
        chat(model="", top_logprobs=-1),
        InvalidRequest,
        "top_logprobs must be between 0 and 20",
    ),
    "2.3 tools": (chat(tools=(TOOL,)), MissingCapability, f"{FULL} does not support tools"),
    "2.3 insert": (generate(suffix="b"), MissingCapability, f"{FULL} does not support insert"),
    "2.3 images in chat": (chat(messages=(PICTURE,)), MissingCapability, f"{FULL} does not support vision"),
    "2.3 images in generate": (generate(images=(b"png",)), MissingCapability, f"{FULL} does not support vision"),
    "2.3 several": (generate(suffix="b", images=(b"png",)), MissingCapability, f"{FULL} does not support insert\nvision"),
    "format json": (chat(format="json"), MissingCapability, f"{FULL} does not support structured output"),
    "format schema": (generate(format={"type": "object"}), MissingCapability, f"{FULL} does not support structured output"),
    "2.3 think": (chat(model="starter-legacy", think=True), MissingCapability, '"starter-legacy" does not support thinking'),
    "2.3 think level": (
        generate(model="Starter-Legacy", think="low"),
        MissingCapability,
        '"Starter-Legacy" does not support thinking',
    ),
    "2.3 think before tools": (
        chat(model="starter-legacy", think=True, tools=(TOOL,)),
        MissingCapability,
        '"starter-legacy" does not support thinking',
    ),
    "2.3 think word": (
        chat(think="huge"),
        InvalidRequest,
        'invalid think value: "huge" (must be "high", "medium", "low", "max", true, or false)',
    ),
    "2.3 raw": (generate(raw=True, system="x"), InvalidRequest, "raw mode does not support template, system, or context"),
    "2.3 option type": (chat(options={"num_ctx": "big"}), InvalidOption, 'option "num_ctx" must be of type integer'),
    "2.18 parameter type": (chat(model="starter-hot", options={}), InvalidOption, 'option "temperature" must be of type float32'),
    "2.3 template": (generate(template="{{ if }}"), TemplateError, "template: :1: missing value for if"),
    "T18 template": (
        generate(template="{{ range 100000000000 }}{{ end }}"),
        TemplateLimit,
        "template exceeded 200000 steps",
    ),
    "2.3 too long, shift off": (chat(messages=LONG, shift=False, options={"num_ctx": 512}), PromptTooLong, TOO_LONG),
    "2.3 too long, truncate off": (chat(messages=LONG, truncate=False, options={"num_ctx": 512}), PromptTooLong, TOO_LONG),
    "2.3 too long, generate": (generate(prompt="word " * 1200, shift=False, options={"num_ctx": 512}), PromptTooLong, TOO_LONG),
    "prompt bytes": (
        chat(messages=(Message("user", "x" * (9 << 20)),)),
        RequestTooLarge,
        "the prompt is longer than 8388608 bytes",
    ),
    "raw prompt bytes": (generate(prompt="x" * (9 << 20), raw=True), RequestTooLarge, "the prompt is longer than 8388608 bytes"),
    "messages": (chat(messages=QUESTION * 10_001), InvalidRequest, "a conversation has at most 10000 messages"),
}


@pytest.mark.parametrize(("request_", "kind", "text"), REFUSALS.values(), ids=REFUSALS)
async def test_refusals(machine: Machine, request_: ChatRequest | GenerateRequest, kind: type[LlmsiteError], text: str) -> None:
    with pytest.raises(kind) as caught:
        await ask(machine, request_)
    assert str(caught.value) == text


@pytest.mark.parametrize("request_", [chat(format=""), chat(think=False, model="starter-legacy"), chat(model="starter:LOCAL")])
async def test_what_looks_wrong_but_is_not(machine: Machine, request_: ChatRequest) -> None:
    assert (await ask(machine, request_)).content.endswith("17 + 25 = 42")


@pytest.mark.parametrize("empty", [chat(messages=()), generate(prompt="")], ids=["chat", "generate"])
async def test_load_and_unload(machine: Machine, empty: Any) -> None:
    loaded = await ask(machine, empty)
    assert (loaded.last.done_reason, loaded.last.is_whole, loaded.last.metrics) == ("load", True, None)
    assert [each.name for each in (await machine.client.ps()).models]
    unload = chat(messages=(), keep_alive=0) if isinstance(empty, ChatRequest) else generate(prompt="", keep_alive=0)
    for _ in range(2):  # the second time nothing is loaded
        assert (await ask(machine, unload)).last == Chunk(done=True, done_reason="unload")
    assert (await machine.client.ps()).models == ()


SEEN = (Message("user", "what?", images=(b"png", b"png")),)
PROMPTS: dict[str, tuple[ChatRequest | GenerateRequest, str, int]] = {
    "5.6 chat": (chat(model="starter-see", messages=SEEN, think=False), "<|im_start|>user\nwhat?[img-0][img-1]<|im_end|>\n", 2),
    "5.6 generate": (
        generate(model="starter-see", prompt="what?", images=(b"png",)),
        "<|im_start|>user\n[img-0]what?<|im_end|>\n",
        1,
    ),
    "5.6 generate replaces": (
        generate(model="starter-see", prompt="what [img]?", images=(b"png",)),
        "<|im_start|>user\nwhat [img-0]?<|im_end|>\n",
        1,
    ),
    "5.6 raw": (generate(model="starter-see", prompt="what [img-0]?", images=(b"png",), raw=True), "what [img-0]?", 1),
    "5.6 template of the request": (
        generate(model="starter-see", prompt="what?", images=(b"png",), template="{{ .Prompt }}!"),
        "what?!",
        1,
    ),
    "format": (chat(format="json", think=False), "<|im_start|>user\nWhat is 17 + 25?<|im_end|>\n", 0),
}


@pytest.mark.parametrize(("request_", "start", "num_images"), PROMPTS.values(), ids=PROMPTS)
async def test_prompts_are_made_of_what_no_answer_heeds_yet(
    machine: Machine, request_: ChatRequest | GenerateRequest, start: str, num_images: int
) -> None:
    last = (await ask(machine, replace(request_, debug_render_only=True))).last
    assert last.rendered is not None
    assert last.rendered.startswith(start)
    assert last.num_images == num_images


NOT_EVEN_PROMPTS: dict[str, tuple[ChatRequest | GenerateRequest, str]] = {
    "2.3 tools": (
        chat(model="starter-legacy", tools=(TOOL,)),
        "registry.ollama.ai/library/starter-legacy:latest does not support tools",
    ),
    "2.3 vision": (chat(messages=(PICTURE,)), f"{FULL} does not support vision"),
    "2.3 audio": (generate(images=(b"ID3\x04",)), f"{FULL} does not support audio"),
    "2.3 several": (
        chat(model="starter-legacy", tools=(TOOL,), messages=(replace(PICTURE, images=(b"ID3", b"png")),)),
        "registry.ollama.ai/library/starter-legacy:latest does not support tools\nvision\naudio",
    ),
}


@pytest.mark.parametrize(("request_", "text"), NOT_EVEN_PROMPTS.values(), ids=NOT_EVEN_PROMPTS)
async def test_prompts_are_refused_where_the_model_is_unable(
    machine: Machine, request_: ChatRequest | GenerateRequest, text: str
) -> None:
    with pytest.raises(MissingCapability) as caught:
        await ask(machine, replace(request_, debug_render_only=True))
    assert str(caught.value) == text


async def test_2_5_a_model_is_loaded_whatever_it_is_shown(machine: Machine) -> None:
    assert (await ask(machine, generate(prompt="", images=(b"png",)))).last.done_reason == "load"


async def test_phases_come_before_the_first_word_and_tell_the_digest(machine: Machine) -> None:
    await ask(machine, chat(messages=(), keep_alive=0))
    replies = [reply async for reply in machine.client.chat(chat())]
    names = [reply.name if isinstance(reply, Phase) else "word" for reply in replies]
    phases = [reply for reply in replies if isinstance(reply, Phase)]
    assert {phase.digest for phase in phases if phase.name == "reading"} - {""} == {machine.store.find("starter").digest}
    assert "loading" in names
    assert names.index("loading") < names.index("reading") < names.index("word")
    assert names[names.index("word") :] == ["word"] * names.count("word")


@pytest.mark.parametrize("request_", [chat(think=True), generate(think=True), chat(), generate(), chat(think="high")])
async def test_the_starter_thinks_as_its_readme_says(machine: Machine, request_: Any) -> None:
    answer = await ask(machine, request_)
    assert (answer.thinking, answer.content) == ("7 + 5 = 12, 1 + 2 + 1 = 4, 17 + 25 = 42\n", "17 + 25 = 42")


async def described(machine: Machine, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Let the starter be a model with other gifts."""
    found(machine, monkeypatch, replace(await machine.pipeline.resolver.resolve("starter"), **changes))


def found(machine: Machine, monkeypatch: pytest.MonkeyPatch, model: Model) -> None:
    async def resolve(name: str) -> Model:
        return model

    monkeypatch.setattr(machine.pipeline.resolver, "resolve", resolve)


@pytest.mark.parametrize(("request_", "word"), [(chat(), "chat"), (generate(), "generate"), (chat(messages=()), "chat")])
async def test_an_embedding_model_does_not_talk(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, request_: Any, word: str
) -> None:
    await described(machine, monkeypatch, capabilities=("embedding",))
    with pytest.raises(MissingCapability, match=f'^"starter" does not support {word}$'):
        await ask(machine, request_)


async def test_a_model_without_templates_is_asked_in_chatml_or_plainly(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    await described(machine, monkeypatch, template=None, think_tags=None, capabilities=("completion",))
    asked = (Message("system", "S"), Message("user", "U"), Message("assistant", "A"))
    chatml = "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\nA"
    assert (await ask(machine, chat(messages=asked, debug_render_only=True))).last.rendered == chatml
    assert (await ask(machine, generate(prompt="once", system="S", debug_render_only=True))).last.rendered == "once"


async def test_5_1_rule_1_a_renderer_makes_the_prompt_and_its_parser_tells_the_thought(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = machine.store.find(ModelName.parse("starter-go"))
    config = replace(stored.config, renderer="qwen3.5", parser="qwen3.5")
    model = await machine.pipeline.resolver.describe(replace(stored, config=config), "starter-go")
    assert (model.capabilities, model.think_tags) == (("completion", "tools", "thinking"), ("<think>", "</think>"))
    found(machine, monkeypatch, model)
    for request in (chat(), generate()):
        rendered = (await ask(machine, replace(request, debug_render_only=True))).last.rendered
        assert rendered == "<|im_start|>user\nWhat is 17 + 25?<|im_end|>\n<|im_start|>assistant\n<think>\n"
        answer = await ask(machine, request)
        assert (answer.thinking, answer.content) == ("7 + 5 = 12, 1 + 2 + 1 = 4, 17 + 25 = 42\n", "17 + 25 = 42")


async def test_a_written_template_wins_and_thoughts_are_told_all_the_same(machine: Machine) -> None:
    template = "<|im_start|>user\n{{ .Prompt }}<|im_end|>\n<|im_start|>assistant\n{{ .Response }}<|im_end|>"
    answer = await ask(machine, generate(template=template))
    assert (answer.thinking, answer.content) == ("7 + 5 = 12, 1 + 2 + 1 = 4, 17 + 25 = 42\n", "17 + 25 = 42")


async def test_the_models_history_and_system_come_first(machine: Machine) -> None:
    told = await ask(machine, chat(model="starter-told", debug_render_only=True, think=True))
    rendered = told.last.rendered or ""
    assert rendered.startswith("<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n")
    asked = (Message("system", "T"), *QUESTION)
    own = (await ask(machine, chat(model="starter-told", messages=asked, debug_render_only=True))).last.rendered or ""
    assert "system\nS" not in own
    again = (await ask(machine, generate(model="starter-told", context=(16,), debug_render_only=True))).last.rendered or ""
    assert again.startswith("1<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nWhat is")


async def test_the_context_of_an_answer_continues_it(machine: Machine) -> None:
    first = await ask(machine, generate(prompt="My name is Alice.", think=False))
    second = await ask(machine, generate(prompt="What is my name?", think=False, context=first.last.context))
    assert second.content == "Your name is Alice."


async def test_a_request_option_beats_the_models(machine: Machine) -> None:
    answer = await ask(machine, chat(model="starter-sys", options={"num_predict": 1}, think=False))
    assert (answer.last.done_reason, answer.content) == ("length", "P")


async def test_tokens_are_counted_as_the_model_reads_them(machine: Machine) -> None:
    answer = await ask(machine, chat(options={"num_predict": 1}))
    assert answer.last.metrics is not None
    counted = await machine.client.count_tokens(TokenizeRequest("starter", QUESTION))
    assert (counted.num_tokens, counted.num_ctx) == (answer.last.metrics.prompt_eval_count, 1024)
    assert (await machine.client.count_tokens(TokenizeRequest("starter"))).num_tokens == 0


async def test_metrics_add_up(machine: Machine) -> None:
    metrics = (await ask(machine, chat())).last.metrics
    assert metrics is not None
    assert metrics.total_duration >= metrics.load_duration + metrics.prompt_eval_duration + metrics.eval_duration > 0


async def test_closing_an_answer_frees_its_slot(machine: Machine) -> None:
    """More answers are left half way than there are slots; the next one would wait for ever."""
    for _ in range(6):
        async with aclosing(
            machine.client.generate(generate(prompt="Count from 1 to 100", options={"num_predict": 400}))
        ) as replies:
            async for reply in replies:
                if isinstance(reply, Chunk):
                    break
    async with asyncio.timeout(60):
        assert (await ask(machine, chat())).content == "17 + 25 = 42"
    assert all(each.num_busy_slots == 0 for each in (await machine.client.ps()).models)


async def test_many_at_once_answer_as_each_alone(machine: Machine) -> None:
    answers = await asyncio.gather(*(ask(machine, chat(think=bool(number % 2))) for number in range(6)))
    assert {answer.content for answer in answers[1::2]} == {"17 + 25 = 42"}
    assert {answer.content for answer in answers[::2]} == {"7 + 5 = 12, 1 + 2 + 1 = 4, 17 + 25 = 42"}
