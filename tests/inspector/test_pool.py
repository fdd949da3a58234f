"""The inspector's children: what they answer, what bounds them, and that a hostile one is neither believed nor kept."""

import asyncio
import json
import math
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from llmsite.inspector.frames import Prompt, Ready, Refused, answer_limit_bytes, encode
from llmsite.inspector.pool import InspectorPool
from llmsite.prompt.capabilities import inspect_jinja
from llmsite.prompt.job import CHATML, RenderJob
from llmsite.types.errors import EngineError, InvalidModelFile, ProtocolError, TemplateError, TemplateLimit
from llmsite.types.limits import Limits
from llmsite.types.message import Message, Tool, ToolCall

pytestmark = pytest.mark.asyncio(loop_scope="module")

STARTER = Path(__file__).parents[2] / "llmsite/starter/starter.gguf"
LIMITS = Limits(template_seconds=0.4, inspector_processes=2)
HELLO = RenderJob("jinja", CHATML, (Message("user", "Hello"),))
HELLO_TEXT = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[InspectorPool]:
    pool = InspectorPool(LIMITS, {"LLMSITE_TEST": "given"})
    await pool.start()
    yield pool
    await pool.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lone() -> AsyncIterator[InspectorPool]:
    """A pool of one child, so that it is known which one is asked."""
    pool = InspectorPool(Limits(inspector_processes=1))
    await pool.start()
    yield pool
    await pool.stop()


async def test_it_reads_the_facts_of_a_model_file(pool: InspectorPool) -> None:
    facts = await pool.read_gguf(STARTER)
    assert (facts.architecture, facts.num_ctx_train, facts.num_layers) == ("llama", 1024, 4)
    assert facts.chat_template is not None
    assert inspect_jinja(facts.chat_template).think_tags == ("<think>", "</think>")


async def test_a_file_that_is_no_model_is_refused(pool: InspectorPool, tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(InvalidModelFile, match="not a valid gguf file"):
        await pool.read_gguf(path)
    with pytest.raises(FileNotFoundError):
        await pool.read_gguf(tmp_path / "missing")


async def test_it_lists_all_that_stands_in_a_model_file(pool: InspectorPool, tmp_path: Path) -> None:
    short, whole = await pool.list_gguf(STARTER, hidden=("general.name",)), await pool.list_gguf(STARTER, with_arrays=True)
    metadata = json.loads(bytes(short.metadata))
    assert (metadata["general.parameter_count"], metadata["tokenizer.ggml.tokens"]) == (4_737_280, None)
    assert "general.name" not in metadata
    assert len(json.loads(bytes(whole.metadata))["tokenizer.ggml.tokens"]) == 3104
    assert json.loads(bytes(short.tensors))[0] == {"name": "token_embd.weight", "type": "F16", "shape": [256, 3104]}
    path = tmp_path / "x.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(InvalidModelFile, match="not a valid gguf file"):
        await pool.list_gguf(path)


async def test_arrays_beyond_the_limit_of_an_answer_are_refused_by_name() -> None:
    pool = InspectorPool(Limits(template_output_bytes=10_000, gguf_string_bytes=20_000, inspector_processes=1))
    await pool.start()
    with pytest.raises(InvalidModelFile, match=r"larger than the limit; ask without verbose"):
        await pool.list_gguf(STARTER, with_arrays=True)
    assert json.loads(bytes((await pool.list_gguf(STARTER)).metadata))["llama.block_count"] == 4
    await pool.stop()


async def test_it_renders_what_a_request_holds(pool: InspectorPool) -> None:
    call = Message("assistant", tool_calls=(ToolCall("f", {"b": 1, "a": "é"}),))
    tool = Tool({"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}})
    source = "{{ range .Messages }}{{ .ToolCalls }}{{ end }}{{ .Tools }}{{ .ThinkLevel }}"
    text = await pool.render(RenderJob("go", source, (call,), (tool,), think="low"))
    assert text == (
        '[{"function":{"index":0,"name":"f","arguments":{"a":"é","b":1}}}]'
        '[{"type":"function","function":{"name":"f","description":"","parameters":{"type":"object","properties":{}}}}]low'
    )
    assert await pool.render(HELLO) == HELLO_TEXT


async def test_it_tells_what_a_template_can_do(pool: InspectorPool) -> None:
    facts = await pool.inspect_template("{{ range .Messages }}{{ end }}{{ .Tools }}{{ .Suffix }}")
    assert facts.capabilities == ("tools", "insert")
    assert (await pool.inspect_template("{{ tools }}", "jinja")).capabilities == ("tools",)
    with pytest.raises(TemplateError, match=r"^template: :1: missing value for if$"):
        await pool.inspect_template("{{ if }}")


LIMIT = "template exceeded its limit"
DOUBLINGS = [f'{{{{ define "t{n}" }}}}{{{{ template "t{n + 1}" }}}}{{{{ template "t{n + 1}" }}}}{{{{ end }}}}' for n in range(40)]
"""Each template runs the next one twice: no loop to count."""

BOMBS = {
    "jinja": (
        "{{ 'a' * 1000000000 }}",
        "{{ 'a' * 300000000 }}",
        "{{ ['a' * 100000000] * 100000000 }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ ['a', 'b'] | join('x' * 200000000) }}",
        "{{ 'a' | center(2000000000) }}",
        "{{ range(100000) | list * 100000 }}",
        "{{ range(1000000) }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{{ 'x' * 1000 }}{% endfor %}",
        "{{ 9 ** (9 ** 9) }}",
        "{% set ns = namespace(s='a') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ " + "(" * 100000 + ")" * 100000 + " }}",
        "{{ 'a' | replace('', 'x' * 100000000) | replace('', 'x' * 100) }}",
    ),
    "go": (
        '{{ printf "%1000000000d" 1 }}',
        '{{ printf "%.1000000000f" 1.0 }}',
        "".join(DOUBLINGS) + '{{ define "t40" }}{{ end }}{{ template "t0" }}',
        "{{ range 100000 }}{{ range 100000 }}{{ end }}{{ end }}",
        "{{ range 100000000000 }}{{ end }}",
    ),
}


@pytest.mark.parametrize(
    ("kind", "source"),
    [(kind, source) for kind, sources in BOMBS.items() for source in sources],
    ids=lambda text: f"T17 {text[:60]}" if len(text) > 5 else text,
)
async def test_a_bomb_costs_one_answer_and_no_more(pool: InspectorPool, kind: Any, source: str) -> None:
    with pytest.raises(TemplateLimit, match=r"^template exceeded (its limit|200000 steps)$"):
        await pool.render(RenderJob(kind, source, (Message("user", "x"),)))
    assert await asyncio.gather(*(pool.render(HELLO) for _ in range(4))) == [HELLO_TEXT] * 4


async def test_a_bomb_is_told_the_same_when_it_is_inspected(pool: InspectorPool) -> None:
    with pytest.raises(TemplateLimit, match=LIMIT):
        await pool.inspect_template("x" * (LIMITS.template_bytes + 1))


ENDLESS = RenderJob("jinja", BOMBS["jinja"][8], (Message("user", "x"),))


async def test_what_callers_bring_along_leaves_a_child_for_everybody_else() -> None:
    pool = InspectorPool(Limits(template_seconds=60, inspector_processes=2))
    await pool.start()
    bombs = [asyncio.ensure_future(pool.render(ENDLESS, is_foreign=True)) for _ in range(3)]
    await asyncio.sleep(0)
    assert await pool.render(HELLO) == HELLO_TEXT
    assert not any(bomb.done() for bomb in bombs)
    for bomb in bombs:
        bomb.cancel()
    await asyncio.wait(bombs)
    await pool.stop()


SOMETIMES = "{% if messages[0].content == 'big' %}{{ 'a' * 1000000000 }}{% endif %}" + ENDLESS.source


async def test_T17_a_model_s_template_that_went_too_far_leaves_a_child_for_everybody_else() -> None:
    pool = InspectorPool(Limits(template_seconds=60, inspector_processes=2))
    await pool.start()
    with pytest.raises(TemplateLimit):
        await pool.render(RenderJob("jinja", SOMETIMES, (Message("user", "big"),)))
    bombs = [asyncio.ensure_future(pool.render(RenderJob("jinja", SOMETIMES, (Message("user", "x"),)))) for _ in range(3)]
    await asyncio.sleep(0)
    assert await pool.render(HELLO) == HELLO_TEXT
    assert not any(bomb.done() for bomb in bombs)
    for bomb in bombs:
        bomb.cancel()
    await asyncio.wait(bombs)
    await pool.stop()


async def test_a_question_given_up_does_not_spoil_the_next(lone: InspectorPool) -> None:
    question = asyncio.ensure_future(lone.render(ENDLESS))
    await asyncio.sleep(0)
    assert lone._seats.empty()
    question.cancel()
    with pytest.raises(asyncio.CancelledError):
        await question
    assert await lone.render(HELLO) == HELLO_TEXT


async def test_a_child_that_died_at_rest_is_replaced(pool: InspectorPool) -> None:
    for child in list(pool._children):
        child._process.kill()
        child._process.wait()
    assert await pool.render(HELLO) == HELLO_TEXT


async def test_children_hold_no_secrets_and_are_bounded(pool: InspectorPool) -> None:
    assert await pool.render(HELLO) == HELLO_TEXT
    child = next(each for each in pool._children if each.is_alive)
    await asyncio.to_thread(check_bounds, Path(f"/proc/{child._process.pid}"))


def check_bounds(folder: Path) -> None:
    if not folder.exists():
        pytest.skip("needs /proc")
    names = {entry.partition(b"=")[0].decode() for entry in (folder / "environ").read_bytes().split(b"\0") if entry}
    assert names == {"LLMSITE_TEST", "PYTHONPATH"}
    bounds = {line[:26].strip(): line[26:].split() for line in (folder / "limits").read_text().splitlines()}
    assert bounds["Max address space"][1] == str(LIMITS.inspector_memory_bytes)
    assert bounds["Max file size"][1] == "0"
    assert int(bounds["Max open files"][1]) <= 16
    opened = sorted(os.readlink(each) for each in (folder / "fd").iterdir())
    assert opened[:3] == ["/dev/null"] * 3
    assert [each.partition(":")[0] for each in opened[3:]] == ["socket"]


async def test_whoever_asks_while_it_stops_gets_an_answer() -> None:
    pool = InspectorPool(Limits(template_seconds=60, inspector_processes=2))
    await pool.start()
    asked = [asyncio.ensure_future(pool.render(ENDLESS)) for _ in range(5)]
    await asyncio.sleep(0)
    await pool.stop()
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert [(type(each), str(each)) for each in results] == [(EngineError, "the server is shutting down")] * 5
    assert not pool._children


async def test_limits_may_be_unlimited() -> None:
    pool = InspectorPool(
        Limits(template_seconds=math.inf, inspector_seconds=math.inf, template_output_bytes=2**62, inspector_processes=1)
    )
    await pool.start()
    assert await pool.render(HELLO) == HELLO_TEXT
    assert (await pool.read_gguf(STARTER)).num_layers == 4
    await pool.stop()


async def test_a_child_ends_with_its_pool() -> None:
    pool = InspectorPool(Limits(inspector_processes=1))
    await pool.start()
    (child,) = pool._children
    child._channel.close()
    assert await asyncio.to_thread(child._process.wait, 20) == 0
    await pool.stop()


@asynccontextmanager
async def answering(pool: InspectorPool, reply: bytes) -> AsyncIterator[None]:
    """The next child to be asked answers with `reply`, whatever the question."""
    child = await pool._seats.get()
    assert child is not None
    child._channel.close()
    child._channel, theirs = socket.socketpair()
    child._channel.setblocking(False)
    pool._seats.put_nowait(child)
    with theirs:
        theirs.send(reply)
        yield


HOSTILE = {
    "a frame beyond the limit": struct.pack(">I", answer_limit_bytes(LIMITS) + 1),
    "no JSON": struct.pack(">I", 3) + b"abc",
    "no answer": struct.pack(">I", 2) + b"{}",
    "a wrong type": struct.pack(">I", 28) + b'{"type":"prompt","text":123}',
    "another kind of answer": encode(Ready()),
    "two answers": encode(Prompt("a")) + encode(Prompt("b")),
}


@pytest.mark.parametrize("reply", HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_child_is_neither_believed_nor_kept(lone: InspectorPool, reply: bytes) -> None:
    async with answering(lone, reply):
        with pytest.raises(ProtocolError):
            await lone.render(HELLO)
    assert await lone.render(HELLO) == HELLO_TEXT


async def test_an_error_the_child_makes_up_is_one_of_ours(lone: InspectorPool) -> None:
    async with answering(lone, encode(Refused("SystemExit", "boo", is_last=True))):
        with pytest.raises(EngineError, match=r"^boo$"):
            await lone.render(HELLO)
