"""Images and sounds of messages: where their marks stand in the text, and which is which. Nothing here decodes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final, Literal

from llmsite.types.message import Message

MarkPlace = Literal["none", "before", "behind"]
"""Where `[img-N]` goes: nowhere, instead of an `[img]` or else before the text, or behind the text (catalogue 5.6)."""

_PLACE: Final = "[img]"


def mark_media(messages: Sequence[Message], place: MarkPlace) -> tuple[Message, ...]:
    """The messages with a mark for each image; N counts over all of them."""
    match place:
        case "none":
            return tuple(messages)
        case "before":
            return tuple(_marked(messages, _mark_before))
        case "behind":
            return tuple(_marked(messages, _mark_behind))


def count_media(messages: Sequence[Message]) -> int:
    return sum(len(message.images) for message in messages)


def is_audio(data: bytes) -> bool:
    """Whether the bytes are a sound: RIFF with WAVE, ID3, or MPEG's frame sync; anything else is taken for an image."""
    is_wave = data[:4] == b"RIFF" and data[8:12] == b"WAVE"
    is_mpeg = len(data) >= 2 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0
    return is_wave or is_mpeg or data[:3] == b"ID3"


def _marked(messages: Sequence[Message], mark: Callable[[str, list[str]], str]) -> Iterator[Message]:
    number = 0
    for message in messages:
        marks = [f"[img-{each}]" for each in range(number, number + len(message.images))]
        number += len(marks)
        yield replace(message, content=mark(message.content, marks)) if marks else message


def _mark_before(text: str, marks: list[str]) -> str:
    prefix = ""
    for mark in marks:
        if _PLACE in text:
            text = text.replace(_PLACE, mark, 1)
        else:
            prefix += mark
    return prefix + text


def _mark_behind(text: str, marks: list[str]) -> str:
    return text + "".join(marks)
