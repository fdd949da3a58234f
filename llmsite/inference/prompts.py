"""The prompt of a request: its messages, rendered by the inspector, cut at the front until they fit (catalogue 2.5, 2.6, 5.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from llmsite.inference.resolver import Model
from llmsite.inspector.pool import InspectorPool
from llmsite.prompt import chat
from llmsite.prompt.harmony import rename_tools
from llmsite.prompt.job import CHATML, PLAIN, RenderJob, TemplateKind
from llmsite.prompt.media import MarkPlace, count_media
from llmsite.prompt.renderers.table import RENDERERS
from llmsite.types.errors import EngineError, RequestTooLarge, TemplateError, TemplateLimit
from llmsite.types.gotext import go_quote
from llmsite.types.limits import Limits
from llmsite.types.message import Message
from llmsite.types.request import ChatRequest, GenerateRequest, Think, TokenizeRequest

_SPARE_TOKENS: Final = 8
"""What a tokenizer may add to one token a byte: BOS, a leading space."""
_IMAGE_TOKENS: Final = 768
"""What an image counts while history is cut, if a projector reads it (catalogue 5.5)."""


class Counter(Protocol):
    """What fitting needs of a lease."""

    num_ctx: int
    adds_bos: bool
    bos_text: str

    async def count_tokens(self, texts: tuple[str, ...]) -> list[int]: ...


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt's text, and how many images it names."""

    text: str
    num_images: int = 0


class PromptMaker:
    """Makes prompts within `limits`."""

    def __init__(self, inspector: InspectorPool, limits: Limits) -> None:
        self._inspector = inspector
        self._limits = limits

    def check_raw(self, prompt: str) -> Prompt:
        """A prompt that no template makes. Raises `RequestTooLarge`."""
        if len(prompt) > self._limits.prompt_bytes:
            raise self._too_large()
        return Prompt(prompt)

    async def make(
        self, job: RenderJob, lease: Counter, *, cuts_history: bool, is_foreign: bool = False, has_projector: bool = False
    ) -> Prompt:
        """The prompt. `cuts_history`: oldest messages go until it fits the context; the last one stays in any case.

        Raises `TemplateError`, `RequestTooLarge`.
        """
        self._check_size(job)
        room = _Room(lease, _IMAGE_TOKENS if has_projector else 0)
        prompt = await self._render(job, is_foreign=is_foreign)
        if cuts_history and not await room.fits(prompt):
            prompt = await self._cut(job, room, prompt)
        return replace(prompt, text=_without_bos(prompt.text, lease))

    async def count(self, job: RenderJob, lease: Counter) -> int:
        """Tokens of the whole conversation, BOS included."""
        self._check_size(job)
        text = _without_bos(await self._inspector.render(job), lease)
        return await _count(text, lease)

    async def _render(self, job: RenderJob, *, is_foreign: bool = False) -> Prompt:
        return Prompt(await self._inspector.render(job, is_foreign=is_foreign), count_media(job.messages))

    async def _cut(self, job: RenderJob, room: _Room, too_long: Prompt) -> Prompt:
        """The longest history that fits. Tokens grow with messages, so halving finds what dropping one at a time would.

        A start that the template refuses (some want a question first) counts as the next one.
        """
        starts = chat.cuts(job.messages)
        low, high = 0, len(starts) - 1
        fitting: Prompt | None = None
        while high - low > 1:
            middle = (low + high) // 2
            prompt = await self._render_from(job, starts[middle])
            if prompt is None and middle + 1 < high:
                middle += 1
                prompt = await self._render_from(job, starts[middle])
            if prompt is not None and await room.fits(prompt):
                high, fitting = middle, prompt
            else:
                low = middle
        if fitting is None and high > 0:
            return await self._render(replace(job, messages=chat.cut(job.messages, starts[high])))
        return fitting or too_long

    async def _render_from(self, job: RenderJob, start: int) -> Prompt | None:
        try:
            return await self._render(replace(job, messages=chat.cut(job.messages, start)))
        except TemplateLimit:
            raise
        except TemplateError:
            return None

    def _check_size(self, job: RenderJob) -> None:
        size = len(job.prompt) + len(job.suffix) + sum(len(each.content) + len(each.thinking) for each in job.messages)
        if size > self._limits.prompt_bytes:
            raise self._too_large()

    def _too_large(self) -> RequestTooLarge:
        return RequestTooLarge(f"the prompt is longer than {self._limits.prompt_bytes} bytes")


@dataclass(frozen=True, slots=True)
class _Room:
    """The context that a prompt must fit, where each of its images takes `image_tokens`."""

    lease: Counter
    image_tokens: int

    async def fits(self, prompt: Prompt) -> bool:
        room = self.lease.num_ctx - prompt.num_images * self.image_tokens
        if len(prompt.text.encode()) + _SPARE_TOKENS <= room:
            return True  # no token is shorter than a byte, so there is nothing to count
        return await _count(prompt.text, self.lease) <= room


async def _count(text: str, lease: Counter) -> int:
    (num_tokens,) = await lease.count_tokens((text,))
    return num_tokens


def _without_bos(text: str, lease: Counter) -> str:
    """The tokenizer adds BOS itself, so the one a template wrote goes (catalogue 5.7)."""
    if not lease.adds_bos:
        return text
    written = next((each for each in (lease.bos_text, "<bos>") if each and text.startswith(each)), "")
    return text.removeprefix(written)


def generate_job(request: GenerateRequest, model: Model, think: Think) -> RenderJob:
    """What to render for a completion: one turn of chat, or the two texts around the gap. Raises `EngineError`."""
    kind, source = _template(model, PLAIN, "go")
    if request.template:
        kind, source = "go", request.template
    elif request.suffix and model.stored.template is not None:
        kind, source = "go", model.stored.template  # only Go templates fill gaps
    job = _job(kind, source, model, think)
    if request.suffix:
        return replace(job, prompt=request.prompt, suffix=request.suffix)
    marks: MarkPlace = "none" if request.template or kind == "renderer" else "before"
    system = request.system or model.stored.system
    messages = (Message("system", system),) if system else ()
    history = () if request.context else model.stored.messages
    question = Message("user", request.prompt, images=request.images)
    return replace(job, messages=_without_bytes((*messages, *history, question)), marks=marks)


def chat_job(request: ChatRequest | TokenizeRequest, model: Model, think: Think) -> RenderJob:
    """What to render for a conversation: the model's own system message and history come first. Raises `EngineError`."""
    kind, source = _template(model, CHATML, "jinja")
    messages = (*model.stored.messages, *request.messages)
    if model.stored.system and (not request.messages or request.messages[0].role != "system"):
        messages = (Message("system", model.stored.system), *messages)
    if model.family == "qwen3" or model.stored.name.model == "deepseek-r1":
        messages = chat.without_thoughts(messages)
    tools = request.tools if isinstance(request, ChatRequest) else ()
    if model.is_harmony:
        tools = rename_tools(tools)
    return replace(_job(kind, source, model, think), messages=_without_bytes(messages), tools=tools, marks=_CHAT_MARKS[kind])


_CHAT_MARKS: Final[dict[TemplateKind, MarkPlace]] = {"go": "before", "jinja": "behind", "renderer": "none"}
"""Where a conversation names its images."""


def _template(model: Model, fallback: str, fallback_kind: TemplateKind) -> tuple[TemplateKind, str]:
    source = model.template_source
    if model.template is None or source is None:
        return fallback_kind, fallback
    if model.template.kind == "renderer" and source not in RENDERERS:
        raise EngineError(f"unknown renderer {go_quote(source)}")
    return model.template.kind, source


def _job(kind: TemplateKind, source: str, model: Model, think: Think) -> RenderJob:
    facts = model.facts
    return RenderJob(kind, source, think=think, think_tags=model.think_tags, bos_text=facts.bos_text, eos_text=facts.eos_text)


def _without_bytes(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Messages whose images are empty: who makes prompts only counts them."""
    return tuple(replace(message, images=(b"",) * len(message.images)) if message.images else message for message in messages)
