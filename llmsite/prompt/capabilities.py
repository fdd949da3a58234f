"""What a model can do, read from its templates, its file and its config (catalogue 2.15, 5.1). Pure and cheap.

A Go template must be parsed for it, which only `gotemplate.py` does, in the inspector.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from llmsite.prompt.job import TemplateKind

THINK_TAGS: Final = ("<think>", "</think>")
"""Of all Jinja templates that think."""

_TOOLS: Final = ("tools",)
_THINKING: Final = ("thinking",)
_PARSERS: Final = {
    **dict.fromkeys(("qwen3", "qwen3-vl-instruct", "qwen3-coder", "gemma4-no-thinking", "functiongemma", "glm-ocr"), _TOOLS),
    **dict.fromkeys(("lfm2", "olmo3", "ministral"), _TOOLS),
    **dict.fromkeys(("qwen3-thinking", "qwen3-vl-thinking", "qwen3.5", "ornith", "harmony", "glimmer"), _TOOLS + _THINKING),
    **dict.fromkeys(("nemotron-3-nano", "nemotron-3.5-nano", "deepseek3", "cogito", "gemma4"), _TOOLS + _THINKING),
    **dict.fromkeys(("glm-4.7", "laguna", "poolside-v1", "lfm2-thinking", "cohere"), _TOOLS + _THINKING),
    "olmo3-think": _THINKING,
}
"""What a model with this PARSER can do (catalogue 6.4)."""

_PARSER_TAGS: Final = {"gemma4": ("<|channel>thought", "<channel|>"), "cohere": ("<|START_THINKING|>", "<|END_THINKING|>")}
_WITHOUT_TAGS: Final = ("harmony", "glimmer")
"""Parsers of formats in which thoughts are messages of their own."""

_HARMONY_FAMILIES: Final = ("gptoss", "gpt-oss")
_SPLITS_THOUGHT: Final = re.compile(r"split\(\s*(['\"])</think>\1\s*\)")
_JINJA_TOOL_CALLS: Final = ("tool_calls", "assistant_tool_call")
_JINJA_TOOL_RESULT: Final = re.compile(
    r"""tool_response|tool_results|role['"]\]\s*==\s*['"]tool['"]|\.role\s*==\s*['"]tool['"]|ipython"""
)


@dataclass(frozen=True, slots=True)
class TemplateFacts:
    """What one template can do. `think_tags` are the texts around the model's thoughts, if it has such."""

    kind: TemplateKind
    has_tools: bool = False
    has_insert: bool = False
    think_tags: tuple[str, str] | None = None
    has_tool_round_trip: bool = False

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Of tools, insert and thinking, those it has, in Ollama's order."""
        has = {"tools": self.has_tools, "insert": self.has_insert, "thinking": self.think_tags is not None}
        return tuple(name for name, is_there in has.items() if is_there)


def inspect_jinja(source: str) -> TemplateFacts:
    """Facts of a Jinja template, by Ollama's reading of its text: safe anywhere."""
    has_tools = "tools" in source or "tool_call" in source
    has_both_tags = all(tag in source for tag in THINK_TAGS)
    splits = bool(_SPLITS_THOUGHT.search(source)) and "reasoning_content" not in source and "<SPECIAL_12>" not in source
    return TemplateFacts(
        kind="jinja",
        has_tools=has_tools,
        think_tags=THINK_TAGS if has_both_tags or splits else None,
        has_tool_round_trip=has_tools
        and any(mark in source for mark in _JINJA_TOOL_CALLS)
        and bool(_JINJA_TOOL_RESULT.search(source)),
    )


def prefers_jinja(go: TemplateFacts, jinja: TemplateFacts) -> bool:
    """Whether the file's own template beats the Go template that came with a pulled model (catalogue 5.1)."""
    ours, theirs = set(go.capabilities), set(jinja.capabilities)
    only_go_round_trips = go.has_tool_round_trip and not jinja.has_tool_round_trip
    if theirs > ours:
        return not only_go_round_trips
    return theirs == ours and "tools" in ours and jinja.has_tool_round_trip and not go.has_tool_round_trip


def is_harmony(family: str, go_source: str | None) -> bool:
    """Whether a Go template writes gpt-oss's own format, which no Jinja template replaces (catalogue 5.1, rule 2)."""
    return family in _HARMONY_FAMILIES and go_source is not None and "<|start|>" in go_source and "<|end|>" in go_source


def parser_think_tags(parser: str) -> tuple[str, str] | None:
    """The texts around thoughts that a built-in PARSER looks for, if it looks for any."""
    if "thinking" not in _PARSERS.get(parser, ()) or parser in _WITHOUT_TAGS:
        return None
    return _PARSER_TAGS.get(parser, THINK_TAGS)


def choose_template(
    go: TemplateFacts | None,
    jinja: TemplateFacts | None,
    *,
    go_template: bool | None,
    is_pulled: bool,
    is_harmony: bool = False,
    renderer: str = "",
    parser: str = "",
) -> TemplateFacts | None:
    """Which of a model's templates makes its prompts; None when it has none. A `renderer` in its config beats them all.

    A template that somebody wrote wins, one in gpt-oss's own format, and one that comes with a `parser` for what the model
    writes. `go_template` is OLLAMA_GO_TEMPLATE: True always prefers Go, False never, None compares the two for pulled models.
    """
    if renderer:
        return TemplateFacts("renderer")
    if go is None or jinja is None or is_harmony or parser:
        return go or jinja
    if go_template is not None:
        return go if go_template else jinja
    return jinja if is_pulled and prefers_jinja(go, jinja) else go


def list_capabilities(
    *,
    config: Iterable[str] = (),
    has_pooling: bool = False,
    has_vision: bool = False,
    has_audio: bool = False,
    go: TemplateFacts | None = None,
    jinja: TemplateFacts | None = None,
    chosen: TemplateFacts | None = None,
    parser: str = "",
    family: str = "",
) -> tuple[str, ...]:
    """Capabilities in Ollama's order of discovery, without repetition (catalogue 2.15).

    `has_vision` and `has_audio` speak of the weights or a projector. `chosen` is the template that makes the prompts, `parser`
    the config's PARSER.
    """
    found = list(config)
    if jinja is not None and chosen is jinja:
        found += jinja.capabilities
    found.append("embedding" if has_pooling else "completion")
    found += ["vision"] * has_vision + ["audio"] * has_audio
    if go is not None:
        found += go.capabilities
    found += _PARSERS.get(parser, ())
    found += _THINKING * (family in _HARMONY_FAMILIES)
    return tuple(dict.fromkeys(found))
