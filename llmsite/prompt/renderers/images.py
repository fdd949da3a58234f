"""Marks of images in the texts of messages: where the engine puts what it sees."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace
from typing import Final

from llmsite.prompt.renderers.goprint import SPACE
from llmsite.types.message import Message

_PLACE: Final = "[img]"
_NUMBERED: Final = "[img-"


def mark_images(messages: Sequence[Message], roles: Container[str] | None = None) -> list[Message]:
    """The messages with `[img-N]` for each image, N counted over all of them: instead of an `[img]`, or before the text.

    A text that holds numbered marks already is left alone. Where `roles` are given, images of others are not counted.
    """
    marked, number = [], 0
    for message in messages:
        if roles is not None and message.role not in roles:
            marked.append(message)
            continue
        marked.append(replace(message, content=_marked(message.content, number, len(message.images))))
        number += len(message.images)
    return marked


def _marked(text: str, first: int, num_images: int) -> str:
    if not num_images or _NUMBERED in text:
        return text
    before = ""
    for number in range(first, first + num_images):
        mark = f"{_NUMBERED}{number}]"
        if _PLACE in text:
            text = text.replace(_PLACE, mark, 1)
        else:
            before += mark
    needs_space = before and text and text[0] not in SPACE
    return f"{before} {text}" if needs_space else before + text
