"""Renders jobs: picks the language and the mode, or the renderer; keeps templates compiled. Runs in the inspector's children."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeVar

from llmsite.prompt import chat
from llmsite.prompt.gotemplate import GoTemplate
from llmsite.prompt.jinja import JinjaTemplate, load_everything
from llmsite.prompt.job import RenderJob
from llmsite.prompt.media import mark_media
from llmsite.prompt.renderers.table import RENDERERS
from llmsite.types.errors import TemplateLimit
from llmsite.types.limits import Limits
from llmsite.types.message import Message

T = TypeVar("T")

_CACHED: Final = 32


class Renderer:
    """Renders jobs; keeps the most recently used templates compiled."""

    def __init__(self, limits: Limits) -> None:
        load_everything()
        self._limits = limits
        self._go: OrderedDict[str, GoTemplate] = OrderedDict()
        self._jinja: OrderedDict[str, JinjaTemplate] = OrderedDict()

    def render(self, job: RenderJob) -> str:
        """The prompt. Raises `TemplateError`, or `TemplateLimit` beyond the bounds."""
        try:
            text = self._text(job)
        except RecursionError as error:  # arguments or schemas of tools that are nested without end
            raise TemplateLimit("template exceeded its limit") from error
        if len(text) > self._limits.template_output_bytes:
            raise TemplateLimit("template exceeded its limit")
        return text

    def _text(self, job: RenderJob) -> str:
        job = replace(job, messages=mark_media(job.messages, job.marks))
        match job.kind:
            case "go":
                return self._render_go(job)
            case "jinja":
                return self._render_jinja(job)
            case "renderer":
                return RENDERERS[job.source](job.messages, job.tools, job.think)

    def go_template(self, source: str) -> GoTemplate:
        """The compiled template. Raises `TemplateError`."""
        return _cached(self._go, source, lambda: GoTemplate(source, self._limits))

    def _render_go(self, job: RenderJob) -> str:
        template = self.go_template(job.source)
        if job.suffix and job.prompt:
            return template.render_suffix(job.prompt, job.suffix, job.think)
        messages = chat.collate(job.messages)
        if template.has_messages:
            return template.render_messages(messages, job.tools, job.think)
        return template.render_rounds(chat.rounds(messages), job.think)

    def _render_jinja(self, job: RenderJob) -> str:
        template = _cached(self._jinja, job.source, lambda: JinjaTemplate(job.source, self._limits))
        prefill = chat.find_prefill(job.messages)
        messages = job.messages[:-1] if prefill else job.messages
        text = template.render(messages, job.tools, job.think, bos_text=job.bos_text, eos_text=job.eos_text)
        return _continue(text, prefill, job.think_tags) if prefill else text


def _continue(text: str, prefill: Message, tags: tuple[str, str] | None) -> str:
    """The prompt followed by the start of the answer, its thought closed as the model would write it."""
    if tags is None:
        return text + prefill.content
    opening, closing = tags
    is_open = text.rstrip().endswith(opening)
    if not is_open and not prefill.thinking:
        return text + prefill.content
    start = text if is_open else f"{text}{opening}\n"
    return f"{start}{prefill.thinking}\n{closing}\n\n{prefill.content}"


def _cached(cache: OrderedDict[str, T], source: str, make: Callable[[], T]) -> T:
    found = cache.get(source)
    if found is None:
        found = cache[source] = make()
        if len(cache) > _CACHED:
            cache.popitem(last=False)
    cache.move_to_end(source)
    return found
