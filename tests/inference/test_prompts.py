"""History cut to the context, BOS (catalogue 5.5, 5.7): real templates, tokens counted by words."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from llmsite.inference.prompts import PromptMaker
from llmsite.inspector.pool import InspectorPool
from llmsite.prompt import chat
from llmsite.prompt.job import CHATML, RenderJob
from llmsite.prompt.template import Renderer
from llmsite.types.errors import TemplateError
from llmsite.types.limits import Limits
from llmsite.types.message import Message

ROUNDS = (
    "{{- if .System }}{{ .System }} {{ end }}{{- if .Prompt }}{{ .Prompt }} {{ end }}{{- if .Response }}{{ .Response }} {{ end }}"
)
ALTERNATING = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}"
    "{% endif %}{{ m.content }} {% endfor %}"
)


class InProcess:
    """The pool's `render` without a process; counts its calls."""

    def __init__(self) -> None:
        self.renderer = Renderer(Limits())
        self.num_calls = 0

    async def render(self, job: RenderJob, *, is_foreign: bool = False) -> str:
        self.num_calls += 1
        return self.renderer.render(job)


@dataclass
class WordCounter:
    """A lease whose tokens are words."""

    num_ctx: int
    adds_bos: bool = False
    bos_text: str = ""
    counted: list[str] = field(default_factory=list)

    async def count_tokens(self, texts: tuple[str, ...]) -> list[int]:
        self.counted += texts
        return [len(text.split()) for text in texts]


def message(role: str, content: str) -> Message:
    return Message(role, content)


U1 = message("user", "You're a test, Harry!")
A1 = message("assistant", "I-I'm a what?")
U2 = message("user", "A test. And a thumping good one at that, I'd wager.")
S = message("system", "You are the Test Who Lived.")
TALKS = {
    "5.5 all fits": (
        [U1, A1, U2],
        64,
        "You're a test, Harry! I-I'm a what? A test. And a thumping good one at that, I'd wager. ",
    ),
    "5.5 limit 1: only the last": ([U1, A1, U2], 1, "A test. And a thumping good one at that, I'd wager. "),
    "5.5 system kept": (
        [S, U1, A1, U2],
        20,
        "You are the Test Who Lived. I-I'm a what? A test. And a thumping good one at that, I'd wager. ",
    ),
    "5.5 system and last": (
        [S, U1, A1, U2],
        1,
        "You are the Test Who Lived. A test. And a thumping good one at that, I'd wager. ",
    ),
    "5.5 system out of order": (
        [U1, A1, S, U2],
        64,
        "You're a test, Harry! I-I'm a what? You are the Test Who Lived. A test. And a thumping good one at that, I'd wager. ",
    ),
    "5.5 system out of order, cut": (
        [U1, A1, S, U2],
        18,
        "You are the Test Who Lived. A test. And a thumping good one at that, I'd wager. ",
    ),
}


@pytest.mark.parametrize(("talk", "limit", "expected"), TALKS.values(), ids=TALKS)
async def test_old_messages_go_until_it_fits(talk: list[Message], limit: int, expected: str) -> None:
    assert await make(RenderJob("go", ROUNDS, tuple(talk)), WordCounter(limit)) == expected


async def make(job: RenderJob, lease: WordCounter, *, inspector: InProcess | None = None, cuts_history: bool = True) -> str:
    maker = PromptMaker(cast("InspectorPool", inspector or InProcess()), Limits())
    return (await maker.make(job, lease, cuts_history=cuts_history)).text


PICTURES = tuple(Message("user", f"w{number}", images=(b"",)) for number in range(4))


@pytest.mark.parametrize(
    ("num_ctx", "has_projector", "expected"),
    [
        (4 * 768 + 4, True, "[img-0]w0 [img-1]w1 [img-2]w2 [img-3]w3"),
        (4 * 768 + 3, True, "[img-0]w1 [img-1]w2 [img-2]w3"),
        (2 * 768 + 2, True, "[img-0]w2 [img-1]w3"),
        (767, True, "[img-0]w3"),
        (4, False, "[img-0]w0 [img-1]w1 [img-2]w2 [img-3]w3"),
        (2, False, "[img-0]w2 [img-1]w3"),
    ],
    ids=["all fit", "one token short", "5.6 numbered over kept messages", "the last stays", "no projector", "no projector, cut"],
)
async def test_5_5_an_image_takes_768_tokens_if_a_projector_reads_it(num_ctx: int, has_projector: bool, expected: str) -> None:
    maker = PromptMaker(cast("InspectorPool", InProcess()), Limits())
    job = RenderJob("jinja", "{% for m in messages %}{{ m.content }} {% endfor %}", PICTURES, marks="before")
    prompt = await maker.make(job, WordCounter(num_ctx), cuts_history=True, has_projector=has_projector)
    assert (prompt.text.rstrip(), prompt.num_images) == (expected, expected.count("img"))


SEEN, SHOWN, BARE = (replace(each, images=(b"",)) for each in (U1, U2, message("user", "")))
TAGGED = replace(SEEN, content="You're a test, Harry! [img]")
ALBUMS = {
    "5.5 an image alone is too long": ([U1, A1, SHOWN], 64, "[img-0]A test. And a thumping good one at that, I'd wager. "),
    "5.5 two images": ([SEEN, A1, SHOWN], 64, "[img-0]A test. And a thumping good one at that, I'd wager. "),
    "5.6 all fit": (
        [SEEN, A1, SHOWN],
        2048,
        "[img-0]You're a test, Harry! I-I'm a what? [img-1]A test. And a thumping good one at that, I'd wager. ",
    ),
    "5.6 replaced": (
        [TAGGED, A1, SHOWN],
        2048,
        "You're a test, Harry! [img-0] I-I'm a what? [img-1]A test. And a thumping good one at that, I'd wager. ",
    ),
    "5.6 three of the user": (
        [U1, BARE, BARE, A1, U2],
        2048,
        "You're a test, Harry!\n\n[img-0]\n\n[img-1] I-I'm a what? A test. And a thumping good one at that, I'd wager. ",
    ),
    "5.6 three of the user, cut": (
        [U1, BARE, BARE, A1, U2],
        1024,
        "[img-0] I-I'm a what? A test. And a thumping good one at that, I'd wager. ",
    ),
}


@pytest.mark.parametrize(("talk", "limit", "expected"), ALBUMS.values(), ids=ALBUMS)
async def test_images_go_with_their_messages(talk: list[Message], limit: int, expected: str) -> None:
    maker = PromptMaker(cast("InspectorPool", InProcess()), Limits())
    job = RenderJob("go", ROUNDS, tuple(talk), marks="before")
    prompt = await maker.make(job, WordCounter(limit), cuts_history=True, has_projector=True)
    assert (prompt.text, prompt.num_images) == (expected, expected.count("[img-"))


LONG = tuple(message("user" if n % 2 == 0 else "assistant", f"w{n} " * (1 + n % 7)) for n in range(41))


@pytest.mark.parametrize("limit", range(1, 175, 3))
async def test_halving_finds_what_dropping_one_at_a_time_finds(limit: int) -> None:
    job = RenderJob("jinja", CHATML, (S, *LONG))
    inspector = InProcess()
    text = await make(job, WordCounter(limit), inspector=inspector)
    texts = [
        await InProcess().render(RenderJob("jinja", CHATML, chat.cut(job.messages, start))) for start in chat.cuts(job.messages)
    ]
    assert text == next((each for each in texts if len(each.split()) <= limit), texts[-1])
    assert inspector.num_calls <= 8


@pytest.mark.parametrize("limit", range(1, 120, 7))
async def test_a_start_that_the_template_refuses_is_left_out(limit: int) -> None:
    text = await make(RenderJob("jinja", ALTERNATING, LONG), WordCounter(limit))
    starts = [" ".join(each.content for each in LONG[start:]).split() for start in range(0, len(LONG), 2)]
    assert text.split() == next((words for words in starts if len(words) <= limit), starts[-1])


async def test_what_the_template_refuses_whole_is_an_error() -> None:
    with pytest.raises(TemplateError, match="roles must alternate"):
        await make(RenderJob("jinja", ALTERNATING, (A1, U1)), WordCounter(1))


async def test_a_short_prompt_costs_one_rendering_and_no_count() -> None:
    inspector, lease = InProcess(), WordCounter(4096)
    await make(RenderJob("jinja", CHATML, (U1,)), lease, inspector=inspector)
    assert (inspector.num_calls, lease.counted) == (1, [])


async def test_a_prompt_that_might_fit_costs_one_rendering_and_one_count() -> None:
    inspector, lease = InProcess(), WordCounter(60)
    await make(RenderJob("jinja", CHATML, (U1, A1)), lease, inspector=inspector)
    assert (inspector.num_calls, len(lease.counted)) == (1, 1)


async def test_nothing_is_cut_without_leave() -> None:
    text = await make(RenderJob("go", ROUNDS, (U1, A1, U2)), WordCounter(1), cuts_history=False)
    assert text.startswith("You're a test")


@pytest.mark.parametrize(
    ("adds_bos", "bos_text", "source", "expected"),
    [
        (True, "<s>", "<s>{{ messages[0].content }}", "x"),
        (True, "<s>", "<bos>{{ messages[0].content }}", "x"),
        (True, "<s>", "{{ messages[0].content }}<s>", "x<s>"),
        (False, "<s>", "<s>{{ messages[0].content }}", "<s>x"),
        (True, "", "{{ messages[0].content }}", "x"),
    ],
    ids=["5.7 the tokenizer's", "5.7 <bos>", "not at the start", "the tokenizer adds none", "no text"],
)
async def test_bos_is_not_doubled(adds_bos: bool, bos_text: str, source: str, expected: str) -> None:
    lease = WordCounter(64, adds_bos, bos_text)
    assert await make(RenderJob("jinja", source, (message("user", "x"),)), lease) == expected
