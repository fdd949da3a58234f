"""Which parser reads an answer."""

from __future__ import annotations

from llmsite.parsers.base import OutputParser, PlainParser
from llmsite.parsers.thinking import ThinkingParser
from llmsite.types.request import Think


def select_parser(*, think: Think, tags: tuple[str, str] | None, prompt: str, has_prefill: bool = False) -> OutputParser:
    """The parser of one answer to `prompt`.

    With thinking off nothing is parsed (catalogue 2.7). `has_prefill`: the answer continues content that was given, so it
    cannot begin with a thought.
    """
    if not think or tags is None or has_prefill:
        return PlainParser()
    opening, closing = tags
    return ThinkingParser(opening, closing, is_inside=prompt.rstrip().endswith(opening))
