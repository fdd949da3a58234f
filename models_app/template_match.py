"""Which built-in template writes the same prompts as a GGUF file's own Jinja template (catalogue 2.18, 5.4).

Ollama compares the text of the template with those of known models. Here both are rendered and the prompts compared, so what is
attached changes no prompt, and a template that only looks alike is left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

from django.conf import settings

from llmsite.modelfile.builtin_templates import BuiltinTemplate, builtin_templates
from llmsite.prompt.capabilities import inspect_jinja
from llmsite.prompt.job import RenderJob
from llmsite.prompt.template import Renderer
from llmsite.store.gguf import GgufFacts
from llmsite.types.errors import TemplateError
from llmsite.types.message import Message

Talk = tuple[Message, ...]
Render = Callable[[RenderJob], str]
"""Renders a stranger's template, in the inspector."""

_SYSTEM, _FIRST, _ANSWER, _SECOND = (
    Message(role, text) for role, text in (("system", "S"), ("user", "U1"), ("assistant", "A1"), ("user", "U2"))
)
_TALKS: Final[tuple[Talk, ...]] = ((_FIRST,), (_FIRST, _ANSWER, _SECOND))
_TOLD: Final[tuple[Talk, ...]] = tuple((_SYSTEM, *talk) for talk in _TALKS)
_FOLDED: Final[Talk] = (Message("user", "S\n\nU1"),)
"""What becomes of a system message where the template refuses one (`prompt/jinja.py`)."""


def find_template(facts: GgufFacts, render: Render) -> BuiltinTemplate | None:
    """The built-in template that stands for the file's own; None where none does, or where it could do less."""
    source = facts.chat_template
    if not source or inspect_jinja(source).capabilities:
        return None  # tools and thoughts are beyond the built-in ones
    try:
        prompts = tuple(_render(facts, source, talk, render) for talk in _TALKS)
    except TemplateError:
        return None
    told = _render_told(facts, source, render)
    same = [each for each in builtin_templates() if _prompts(each.source, _TALKS) == prompts]
    if told is not None:
        same = [each for each in same if _prompts(each.source, _TOLD) == told]
    return next((each for each in same if each.name.startswith(facts.architecture)), same[0] if same else None)


def _render_told(facts: GgufFacts, source: str, render: Render) -> tuple[str, ...] | None:
    """The prompts with a system message; None when the template has no place for one, so that the built-in one decides."""
    try:
        told = tuple(_render(facts, source, talk, render) for talk in _TOLD)
        return None if told[0] == _render(facts, source, _FOLDED, render) else told
    except TemplateError:
        return None


def _render(facts: GgufFacts, source: str, talk: Talk, render: Render) -> str:
    """The prompt without the BOS token, which the tokenizer adds."""
    text = render(RenderJob("jinja", source, messages=talk, bos_text=facts.bos_text, eos_text=facts.eos_text))
    return text.removeprefix(facts.bos_text)


@cache
def _prompts(source: str, talks: tuple[Talk, ...]) -> tuple[str, ...]:
    """What one of our own templates makes of these talks."""
    renderer = Renderer(settings.LLMSITE_LIMITS)
    return tuple(renderer.render(RenderJob("go", source, messages=talk)) for talk in talks)
