"""The renderers by the names that RENDERER may have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from llmsite.prompt.renderers import (
    cogito,
    cohere,
    deepseek3,
    functiongemma,
    gemma4,
    glimmer,
    glm,
    laguna,
    lfm2,
    nemotron,
    olmo3,
    olmo3_think,
    qwen3_coder,
    qwen3_vl,
    qwen35,
    qwen38,
)
from llmsite.types.message import Message, Tool
from llmsite.types.request import Think

Render = Callable[[Sequence[Message], Sequence[Tool], Think], str]
"""Messages, tools and the resolved wish to think, to the prompt. Raises `TemplateError`."""

RENDERERS: Final[dict[str, Render]] = {
    "qwen3-coder": qwen3_coder.render,
    "qwen3-vl-instruct": qwen3_vl.render_instruct,
    "qwen3-vl-thinking": qwen3_vl.render_thinking,
    "qwen3.5": qwen35.render_35,
    "qwen3.8": qwen38.render,
    "ornith": qwen35.render_ornith,
    "cogito": cogito.render,
    "deepseek3.1": deepseek3.render,
    "olmo3": olmo3.render_3,
    "olmo3.1": olmo3.render_31,
    "olmo3-think": olmo3_think.render_31,
    "olmo3-32b-think": olmo3_think.render_32b,
    "nemotron-3-nano": nemotron.render_3,
    "nemotron-3.5-nano": nemotron.render_35,
    "gemma4": gemma4.render_small,
    "gemma4-small": gemma4.render_small,
    "gemma4-large": gemma4.render_large,
    "functiongemma": functiongemma.render,
    "glm-4.7": glm.render_47,
    "glm-ocr": glm.render_ocr,
    "lfm2": lfm2.render,
    "lfm2-thinking": lfm2.render_thinking,
    "laguna": laguna.render,
    "poolside-v1": laguna.render_v1,
    "cohere": cohere.render,
    "glimmer": glimmer.render,
}
