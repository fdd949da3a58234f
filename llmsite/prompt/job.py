"""RenderJob: what the pipeline asks the inspector to render. Imports no template engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from llmsite.prompt.media import MarkPlace
from llmsite.types.message import Message, Tool
from llmsite.types.request import Think

TemplateKind = Literal["go", "jinja", "renderer"]
"""The language of a template, or that the program itself writes the prompts (`renderers/`)."""

CHATML: Final = (
    "{%- for message in messages -%}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
"""For a chat model that brings no template (catalogue 5.1, rule 4)."""

PLAIN: Final = "{{ .Prompt }}"
"""For a completion of such a model."""


@dataclass(frozen=True, slots=True)
class RenderJob:
    """One prompt to make. With `suffix` only `prompt` and `suffix` count, otherwise only `messages`.

    `source` is the template's text, or the renderer's name. Images of messages are counted, whatever they hold; `marks` says
    where the text names them (renderers have places of their own).
    `think` is resolved: None where the model does not think. `think_tags` are the model's; they close a prefilled thought.
    """

    kind: TemplateKind
    source: str
    messages: tuple[Message, ...] = ()
    tools: tuple[Tool, ...] = ()
    prompt: str = ""
    suffix: str = ""
    think: Think = None
    think_tags: tuple[str, str] | None = None
    bos_text: str = ""
    eos_text: str = ""
    marks: MarkPlace = "none"
