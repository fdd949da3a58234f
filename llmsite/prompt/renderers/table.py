"""The renderers by the names that RENDERER may have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from llmsite.prompt.renderers import olmo3_think
from llmsite.types.message import Message, Tool
from llmsite.types.request import Think

Render = Callable[[Sequence[Message], Sequence[Tool], Think], str]
"""Messages, tools and the resolved wish to think, to the prompt. Raises `TemplateError`."""

RENDERERS: Final[dict[str, Render]] = {
    "olmo3-think": olmo3_think.render_31,
    "olmo3-32b-think": olmo3_think.render_32b,
}
