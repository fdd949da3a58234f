"""What the pool asks a child and what comes back: length-prefixed JSON frames over a socket pair. Both ends import this.

A frame is four bytes of length, big-endian, and one JSON object. The file of `ReadGguf` and `ListGguf` travels beside its
frame, as a descriptor. A child is assumed to be taken over one day, so its frames are bounded and checked before they are
believed.
"""

from __future__ import annotations

import struct
from typing import Final, TypeVar

import msgspec

from llmsite.prompt.capabilities import TemplateFacts
from llmsite.prompt.job import RenderJob
from llmsite.store.gguf import GgufFacts
from llmsite.store.gguf_listing import GgufListing
from llmsite.types.errors import ProtocolError
from llmsite.types.limits import Limits

F = TypeVar("F")

HEADER_BYTES: Final = 4


class Configure(msgspec.Struct, tag_field="type", tag="configure", frozen=True):
    """First frame: the bounds of everything that follows. Answered by `Ready`."""

    limits: Limits


class ReadGguf(msgspec.Struct, tag_field="type", tag="gguf", frozen=True):
    """Read the header of the file whose descriptor comes along. Answered by `Facts`."""

    size_bytes: int


class ListGguf(msgspec.Struct, tag_field="type", tag="list", frozen=True):
    """Tell everything that stands in the header of the file whose descriptor comes along. Answered by `Listed`."""

    size_bytes: int
    with_arrays: bool
    hidden: tuple[str, ...]


class Render(msgspec.Struct, tag_field="type", tag="render", frozen=True):
    """Answered by `Prompt`."""

    job: RenderJob


class InspectGo(msgspec.Struct, tag_field="type", tag="inspect", frozen=True):
    """Parse a Go template. Answered by `Inspected`."""

    source: str


Question = Configure | ReadGguf | ListGguf | Render | InspectGo


class Ready(msgspec.Struct, tag_field="type", tag="ready", frozen=True): ...


class Facts(msgspec.Struct, tag_field="type", tag="facts", frozen=True):
    facts: GgufFacts


class Listed(msgspec.Struct, tag_field="type", tag="listed", frozen=True):
    """JSON that is checked and handed on, not walked: it may be megabytes."""

    listing: GgufListing


class Prompt(msgspec.Struct, tag_field="type", tag="prompt", frozen=True):
    text: str


class Inspected(msgspec.Struct, tag_field="type", tag="inspected", frozen=True):
    facts: TemplateFacts


class Refused(msgspec.Struct, tag_field="type", tag="refused", frozen=True):
    """An error by class name (`types/errors.py`) and sentence. After `is_last` the child ends."""

    error: str
    message: str
    is_last: bool = False


Answer = Ready | Facts | Listed | Prompt | Inspected | Refused

_encoder = msgspec.json.Encoder()
_questions: msgspec.json.Decoder[Question] = msgspec.json.Decoder(Question)
_answers: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


def encode(frame: Question | Answer) -> bytes:
    """Header and body. Raises `UnicodeEncodeError` for text with half a surrogate pair."""
    body = _encoder.encode(frame)
    return struct.pack(">I", len(body)) + body


def body_bytes(header: bytes, limit_bytes: int) -> int:
    """Length of the body behind this header. Raises `ProtocolError` beyond the limit."""
    (length,) = struct.unpack(">I", header)
    if length > limit_bytes:
        raise ProtocolError(f"a frame of {length} bytes exceeds the limit of {limit_bytes}")
    return int(length)


def answer_limit_bytes(limits: Limits) -> int:
    """The largest answer believed: a prompt whose every second character needs an escape, or a chat template."""
    return 2 * max(limits.template_output_bytes, limits.gguf_string_bytes)


def decode_question(body: bytes) -> Question:
    return _decode(_questions, body)


def decode_answer(body: bytes | memoryview) -> Answer:
    """Raises `ProtocolError` for anything that is no answer."""
    return _decode(_answers, body)


def _decode(decoder: msgspec.json.Decoder[F], body: bytes | memoryview) -> F:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(f"a frame cannot be read: {error}") from error
