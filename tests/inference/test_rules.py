"""Which template makes a prompt and what it is given: the rules of catalogue 5.1, 2.5 and 2.6, without processes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmsite.inference.checks import resolve_think
from llmsite.inference.prompts import chat_job, generate_job
from llmsite.inference.resolver import Model
from llmsite.prompt.capabilities import TemplateFacts
from llmsite.prompt.job import CHATML, PLAIN
from llmsite.prompt.renderers.table import RENDERERS
from llmsite.store.gguf import GgufFacts
from llmsite.store.manifest import CONFIG, Layer, Manifest
from llmsite.store.stored_model import ModelConfig, StoredModel
from llmsite.types.errors import EngineError
from llmsite.types.message import Message, Tool
from llmsite.types.name import ModelName
from llmsite.types.request import ChatRequest, GenerateRequest

JINJA, GO = "{{ messages }}", "{{ .Messages }}"
USER = Message("user", "U")
BASE = StoredModel(
    name=ModelName.parse("m"),
    digest="0" * 64,
    manifest=Manifest(Layer(CONFIG, "sha256:" + "0" * 64, 1), ()),
    is_pulled=False,
    config=ModelConfig(model_format="gguf", model_family="llama"),
    modified_ns=0,
    model_path=Path("/nowhere"),
    model_digest="",
)


def model(kind: str = "", *, jinja: str | None = JINJA, config: dict[str, Any] | None = None, **stored: Any) -> Model:
    """A model whose prompts a template of this kind makes; none for an empty kind."""
    facts = GgufFacts(architecture="llama", chat_template=jinja)
    found = replace(BASE, config=replace(BASE.config, **(config or {})), **stored)
    chosen = TemplateFacts(kind) if kind else None  # type: ignore[arg-type]
    return Model("m", found, facts, chosen, None, ("completion",))


def chat(asked: Model, *messages: Message, **fields: Any) -> Any:
    return chat_job(ChatRequest("m", messages=messages or (USER,), **fields), asked, None)


def generate(asked: Model, **fields: Any) -> Any:
    return generate_job(GenerateRequest("m", **({"prompt": "P"} | fields)), asked, None)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (model("go", template=GO), ("go", GO)),
        (model("jinja", template=GO), ("jinja", JINJA)),
        (model("jinja"), ("jinja", JINJA)),
        (model(jinja=None), ("jinja", CHATML)),
    ],
    ids=["5.1 rule 3", "5.1 rule 3, Jinja preferred", "5.1 rule 4", "5.1 rule 4, no template: chatml"],
)
def test_5_1_chat(asked: Model, expected: tuple[str, str]) -> None:
    job = chat(asked)
    assert (job.kind, job.source) == expected


@pytest.mark.parametrize(
    ("asked", "fields", "expected"),
    [
        (model("go", template=GO), {}, ("go", GO)),
        (model("jinja"), {}, ("jinja", JINJA)),
        (model(jinja=None), {}, ("go", PLAIN)),
        (model("jinja"), {"template": "{{ .Prompt }}!"}, ("go", "{{ .Prompt }}!")),
        (model("jinja", template="{{ .Suffix }}"), {"suffix": "S"}, ("go", "{{ .Suffix }}")),
    ],
    ids=["5.1 rule 3", "5.1 rule 4", "5.1 rule 4, no template: the prompt alone", "2.5 template", "2.5 suffix"],
)
def test_5_1_generate(asked: Model, fields: dict[str, Any], expected: tuple[str, str]) -> None:
    job = generate(asked, **fields)
    assert (job.kind, job.source) == expected
    assert job.suffix == fields.get("suffix", "")


def test_5_1_an_unknown_renderer_is_an_error() -> None:
    for ask in (chat, generate):
        with pytest.raises(EngineError, match=r'^unknown renderer "nope"$'):
            ask(model("renderer", config={"renderer": "nope"}))


@pytest.mark.parametrize("name", sorted(RENDERERS))
def test_5_1_rule_1_a_known_renderer_makes_the_prompts(name: str) -> None:
    asked = model("renderer", config={"renderer": name}, template=GO)
    for job in (chat(asked), generate(asked)):
        assert job.kind == "renderer"
        assert job.source in ({name} if name != "gemma4" else {"gemma4-small"})


@pytest.mark.parametrize(
    ("name", "size", "renderer"),
    [
        ("gemma4:e2b", "", "gemma4-small"),
        ("gemma4:26b-q4_K_M", "4.0B", "gemma4-large"),
        ("mine:E4B", "26B", "gemma4-small"),
        ("mine", "12.0B", "gemma4-large"),
        ("mine", "11.9B", "gemma4-small"),
        ("mine", "999.9M", "gemma4-small"),
        ("mine", "1.2.3B", "gemma4-small"),
    ],
)
def test_5_1_gemma4_is_small_or_large(name: str, size: str, renderer: str) -> None:
    asked = model("renderer", name=ModelName.parse(name), config={"renderer": "gemma4", "model_type": size})
    assert asked.template_source == renderer


RENDERED = model("renderer", config={"renderer": "qwen3.5"})
PLACES = {
    "chat by Go": (model("go", template=GO), "before", "before"),
    "chat by Jinja": (model("jinja"), "behind", "before"),
    "chat without a template": (model(jinja=None), "behind", "before"),
    "chat by a renderer": (RENDERED, "none", "none"),
}


@pytest.mark.parametrize(("asked", "in_chat", "in_generate"), PLACES.values(), ids=[f"5.6 {row}" for row in PLACES])
def test_images_are_counted_and_marked_where_ollama_does(asked: Model, in_chat: str, in_generate: str) -> None:
    chatted = chat(asked, Message("user", "U", images=(b"png", b"jpeg")))
    assert (chatted.messages, chatted.marks) == ((Message("user", "U", images=(b"", b"")),), in_chat)
    generated = generate(asked, images=(b"png",))
    assert (generated.messages, generated.marks) == ((Message("user", "P", images=(b"",)),), in_generate)


def test_2_5_a_template_of_the_request_marks_its_own_images() -> None:
    assert generate(model("go", template=GO), template="{{ .Prompt }}", images=(b"png",)).marks == "none"


HARMONY = "<|start|>{{ .Messages }}{{ .Tools }}<|end|>"


@pytest.mark.parametrize(
    ("config", "template", "expected"),
    [
        ({"model_family": "gptoss"}, HARMONY, "get_weather"),
        ({"model_family": "gpt-oss"}, HARMONY, "get_weather"),
        ({"parser": "harmony"}, GO, "get_weather"),
        ({"model_family": "gptoss"}, GO, "get-weather"),
        ({"model_family": "gptoss", "parser": "qwen3"}, HARMONY, "get-weather"),
        ({}, HARMONY, "get-weather"),
    ],
    ids=["gptoss", "gpt-oss", "the parser", "another template", "another parser", "another family"],
)
def test_6_4_gpt_oss_reads_tools_under_names_of_its_own(config: dict[str, Any], template: str, expected: str) -> None:
    tool = Tool({"type": "function", "function": {"name": "get-weather"}})
    assert [each.name for each in chat(model("go", template=template, config=config), tools=(tool,)).tools] == [expected]


@pytest.mark.parametrize(("template", "expected"), [(HARMONY, "high"), (GO, "max")], ids=["2.7 gpt-oss", "2.7 others"])
def test_gpt_oss_thinks_no_harder_than_high(template: str, expected: str) -> None:
    asked = replace(model("go", template=template, config={"model_family": "gptoss"}), capabilities=("completion", "thinking"))
    assert resolve_think(ChatRequest("m", think="max"), asked) == expected


TOLD = model("jinja", system="S", messages=(Message("user", "u"), Message("assistant", "a")))


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ((USER,), "S u a U"),
        ((Message("system", "T"), USER), "u a T U"),
        ((USER, Message("system", "T")), "S u a U T"),
        ((), "S u a"),
    ],
    ids=["2.6 SYSTEM and MESSAGE first", "2.6 a system message replaces SYSTEM", "2.6 only a first one does", "2.6 none"],
)
def test_2_6_what_stands_before_the_messages(messages: tuple[Message, ...], expected: str) -> None:
    job = chat_job(ChatRequest("m", messages=messages), TOLD, None)
    assert " ".join(each.content for each in job.messages) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({}, "S u a P"), ({"system": "T"}, "T u a P"), ({"context": (1,)}, "S P")],
    ids=["2.5 MESSAGE history", "2.5 system", "2.5 context leaves the history out"],
)
def test_2_5_what_stands_before_the_prompt(fields: dict[str, Any], expected: str) -> None:
    assert " ".join(each.content for each in generate(TOLD, **fields).messages) == expected


@pytest.mark.parametrize(
    ("asked", "is_stripped"),
    [
        (model("jinja", config={"model_family": "qwen3"}), True),
        (model("jinja", name=ModelName.parse("deepseek-r1:7b")), True),
        (model("jinja"), False),
    ],
    ids=["2.6 family qwen3", "2.6 deepseek-r1", "2.6 others"],
)
def test_2_6_thoughts_of_earlier_answers(asked: Model, is_stripped: bool) -> None:
    thought = Message("assistant", "<think>\nhm\n</think>\n\nA")
    job = chat(asked, USER, thought, USER)
    assert job.messages[1].content == ("A" if is_stripped else thought.content)
