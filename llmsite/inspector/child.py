"""The limited process: takes one question at a time from its socket and answers it. Started by `pool.py`, ends with its socket.

It holds no secrets, can open no files but Python's own (others are handed to it) and write none; memory and processor time are
bounded by the kernel. Whatever goes wrong beyond that ends the process, and the pool starts another.
"""

from __future__ import annotations

import os
import resource
import socket
import sys
from contextlib import suppress
from typing import Final

from llmsite.inspector.frames import (
    HEADER_BYTES,
    Answer,
    Configure,
    Facts,
    Inspected,
    InspectGo,
    Listed,
    ListGguf,
    Prompt,
    Question,
    ReadGguf,
    Ready,
    Refused,
    Render,
    answer_limit_bytes,
    decode_question,
    encode,
)
from llmsite.prompt.template import Renderer
from llmsite.sandbox import allow_only, code_folders
from llmsite.store.gguf import gather_facts, read_header
from llmsite.store.gguf_listing import list_header
from llmsite.types.errors import InvalidModelFile, LlmsiteError, TemplateLimit, to_wire
from llmsite.types.limits import Limits

_FILES: Final = 16


class Inspector:
    """Answers questions within `limits`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._renderer = Renderer(limits)

    def answer(self, question: Question, descriptors: list[int]) -> Answer:
        """The answer to one question. Raises from `types/errors.py`."""
        match question:
            case Render(job):
                return Prompt(self._renderer.render(job))
            case InspectGo(source):
                return Inspected(self._renderer.go_template(source).facts())
            case ReadGguf(size_bytes):
                (descriptor,) = descriptors
                with os.fdopen(descriptor, "rb") as file:
                    return Facts(gather_facts(read_header(file, size_bytes, self._limits), self._limits))
            case ListGguf(size_bytes, with_arrays, hidden):
                (descriptor,) = descriptors
                with os.fdopen(descriptor, "rb") as file:
                    header = read_header(file, size_bytes, self._limits)
                return Listed(list_header(header, with_arrays=with_arrays, hidden=hidden))
            case Configure():
                return Ready()

    def encoded(self, question: Question, descriptors: list[int]) -> bytes:
        """The frame to send back, whatever happened that was foreseen. Raises `MemoryError`."""
        _allow_seconds(
            self._limits.inspector_seconds if isinstance(question, ReadGguf | ListGguf) else self._limits.template_seconds
        )
        try:
            frame = encode(self.answer(question, descriptors))
        except UnicodeEncodeError:
            return encode(Refused("TemplateError", "the prompt holds half of a surrogate pair"))
        except LlmsiteError as error:
            return encode(Refused(*to_wire(error)))
        if len(frame) > answer_limit_bytes(self._limits):
            return encode(Refused(*to_wire(_too_much(question))))
        return frame


def _too_much(question: Question) -> LlmsiteError:
    if isinstance(question, ListGguf) and question.with_arrays:
        return InvalidModelFile("the arrays in the model's file are larger than the limit; ask without verbose")
    if isinstance(question, ReadGguf | ListGguf):
        return InvalidModelFile("not a valid gguf file: its header needs more memory than the limit")
    return TemplateLimit("template exceeded its limit")


def _confine(limits: Limits) -> None:
    """Bounds that the kernel holds. Some systems know no limit on memory; there the pool's clock remains."""
    bounds = (
        (resource.RLIMIT_AS, limits.inspector_memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _FILES),
        (resource.RLIMIT_CORE, 0),
    )
    for kind, value in bounds:
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))


def _allow_seconds(seconds: float) -> None:
    """End this process when the next question takes more processor time than that; whole seconds, rounded up."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + min(seconds, 1e6)) + 2, hard))


def _receive(channel: socket.socket) -> tuple[Question, list[int]] | None:
    """The next question and the descriptors with it; None when the pool is gone."""
    data, descriptors, _, _ = socket.recv_fds(channel, HEADER_BYTES, 1)
    if not data:
        return None
    while len(data) < HEADER_BYTES:
        data += channel.recv(HEADER_BYTES - len(data), socket.MSG_WAITALL)
    length = int.from_bytes(data)
    body = bytearray(length)
    view, num_read = memoryview(body), 0
    while num_read < length:
        received = channel.recv_into(view[num_read:])
        if not received:
            return None
        num_read += received
    return decode_question(bytes(body)), descriptors


def _serve(channel: socket.socket) -> None:
    received = _receive(channel)
    if received is None or not isinstance(received[0], Configure):
        return
    limits = received[0].limits
    inspector = Inspector(limits)
    _confine(limits)
    allow_only(readable=code_folders())
    channel.sendall(encode(Ready()))
    while (received := _receive(channel)) is not None:
        try:
            frame = inspector.encoded(*received)
        except MemoryError:
            channel.sendall(encode(Refused(*to_wire(_too_much(received[0])), is_last=True)))
            return
        except Exception as error:  # noqa: BLE001  the outermost turn: an error nobody foresaw must not look like a limit
            problem = f"the inspector failed: {type(error).__name__}: {error}"
            channel.sendall(encode(Refused("EngineError", problem, is_last=True)))
            return
        channel.sendall(frame)


def main() -> None:
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        _serve(channel)


if __name__ == "__main__":
    main()
