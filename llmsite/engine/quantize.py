"""Quantizing and merging, from the outside: which types there are, and a limited child that does the work. No llama.cpp in here.

The source is a file that nobody vouches for, and llama.cpp reads it with native code. So that happens in a process of its own
(`quantize_child.py`) with a scrubbed environment and bounds that the kernel holds; a second, fresh one compares the copy's header
with the source's before it is believed. A child ends with its parent, and takes the unfinished file with it.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess  # a fixed command of ours
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self

import msgspec

from llmsite.engine import endings
from llmsite.env import scrubbed
from llmsite.store.blobs import BlobStore
from llmsite.types.errors import Canceled, EngineError, LlmsiteError, NotEnoughMemory, ProtocolError, from_wire
from llmsite.types.limits import Limits

QUANTIZED_TYPES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "F32": 0,
        "F16": 1,
        "Q4_0": 2,
        "Q4_1": 3,
        "Q8_0": 7,
        "Q5_0": 8,
        "Q5_1": 9,
        "Q2_K": 10,
        "Q3_K_S": 11,
        "Q3_K_M": 12,
        "Q3_K_L": 13,
        "Q4_K_S": 14,
        "Q4_K_M": 15,
        "Q5_K_S": 16,
        "Q5_K_M": 17,
        "Q6_K": 18,
        "IQ4_NL": 25,
        "IQ3_S": 26,
        "IQ3_M": 27,
        "IQ4_XS": 30,
        "BF16": 32,
    }
)
"""File types that need no importance matrix, and their numbers in llama.h (llama_ftype)."""

_ALIASES: Final = {"Q4_K": "Q4_K_M"}
_COMMAND: Final = (sys.executable, "-P", "-m", "llmsite.engine.quantize_child")
# no GPU: nothing is computed there, and its drivers reserve more address space than the child may have; one malloc arena, as well
_ENVIRON: Final = {
    "CUDA_VISIBLE_DEVICES": "",
    "HIP_VISIBLE_DEVICES": "",
    "GGML_VK_VISIBLE_DEVICES": "",
    "MALLOC_ARENA_MAX": "1",
}
_LOOK_SECONDS: Final = 0.2
_END_SECONDS: Final = 3.0
_READ_BYTES: Final = 1 << 16
_LINE_BYTES: Final = 1 << 16
_LOG_LINE_BYTES: Final = 2048


class Quantize(msgspec.Struct, tag_field="type", tag="quantize", frozen=True):
    """Write `source` to `target` in the type of that number."""

    source: str
    target: str
    file_type: int
    limits: Limits


class Check(msgspec.Struct, tag_field="type", tag="check", frozen=True):
    """Is `target` the quantized form of `source`?"""

    source: str
    target: str
    limits: Limits


class Merge(msgspec.Struct, tag_field="type", tag="merge", frozen=True):
    """Put the parts of a split file together."""

    parts: tuple[str, ...]
    target: str
    limits: Limits


Task = Quantize | Check | Merge


class Planned(msgspec.Struct, tag_field="type", tag="planned", frozen=True):
    """What will be written."""

    size_bytes: int


class Advanced(msgspec.Struct, tag_field="type", tag="advanced", frozen=True):
    """Bytes of the source."""

    completed: int
    total: int


class Finished(msgspec.Struct, tag_field="type", tag="finished", frozen=True): ...


class Refused(msgspec.Struct, tag_field="type", tag="refused", frozen=True):
    """An error by class name (`types/errors.py`) and sentence."""

    error: str
    message: str


Reply = Planned | Advanced | Finished | Refused

_replies: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


def find_type(name: str) -> tuple[str, int]:
    """The file type a person named: how it is written, and its number. Raises `EngineError` (catalogue 2.18: a 500)."""
    upper = _ALIASES.get(name.upper(), name.upper())
    if upper not in QUANTIZED_TYPES:
        raise EngineError(f"unsupported quantization type {name.upper()} - supported types are F32, F16, Q4_K_S, Q4_K_M, Q8_0")
    return upper, QUANTIZED_TYPES[upper]


def quantize(
    source: Path,
    target: Path,
    file_type: str,
    *,
    on_progress: Callable[[int, int], None],
    is_canceled: Callable[[], bool],
    limits: Limits,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Write `source` in another type to `target`, which may exist. Blocks, for hours if the model is large.

    `on_progress` gets bytes done and in all, `is_canceled` is asked a few times a second, both in this thread. `environ` is added
    to the child's scrubbed environment. Raises `EngineError` for types that cannot be made or read, `InvalidModelFile`,
    `NotEnoughMemory`, `StorageFull`, `Canceled`, and whatever a callback raises; then there is no `target`.
    """
    _, number = find_type(file_type)
    with _unless_done(target):
        _carry_out(Quantize(str(source), str(target), number, limits.finite()), environ, on_progress, is_canceled)
        _carry_out(Check(str(source), str(target), limits.finite()), environ, on_progress, is_canceled)


def merge(
    parts: Sequence[Path],
    target: Path,
    *,
    on_progress: Callable[[int, int], None],
    is_canceled: Callable[[], bool],
    limits: Limits,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Put the parts of a split GGUF together, in whatever order they are given. As `quantize` in all else; no llama.cpp in it."""
    with _unless_done(target):
        task = Merge(tuple(map(str, parts)), str(target), limits.finite())
        _carry_out(task, environ, on_progress, is_canceled)


@contextmanager
def _unless_done(target: Path) -> Iterator[None]:
    """No file when the block fails."""
    try:
        yield
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _carry_out(
    task: Task, environ: Mapping[str, str] | None, on_progress: Callable[[int, int], None], is_canceled: Callable[[], bool]
) -> None:
    with _Child(task, environ) as child:
        for reply in child.replies(is_canceled):
            match reply:
                case Finished():
                    return
                case Refused(error, message):
                    raise from_wire(error, message)
                case Planned(size_bytes):
                    BlobStore(Path(task.target).parent, task.limits).require_space(size_bytes)
                case Advanced(completed, total):
                    on_progress(max(0, min(completed, total)), max(0, total))
        raise child.ending()


class _Child:
    """One process with one task. Its standard input stays open as long as we live; leaving the context kills it."""

    def __init__(self, task: Task, environ: Mapping[str, str] | None) -> None:
        self._process = subprocess.Popen(  # noqa: S603  our own module, no shell
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=scrubbed(environ) | _ENVIRON,
            cwd="/",
            start_new_session=True,
        )
        self._last_line = b""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it died at once; `ending` tells how
            self._process.stdin.write(msgspec.json.encode(task) + b"\n")
            self._process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()

    def replies(self, is_canceled: Callable[[], bool]) -> Iterator[Reply]:
        """What it says until it falls silent. Raises `Canceled`, `ProtocolError`."""
        lines = bytearray()
        with selectors.DefaultSelector() as selector:
            for stream in (self._process.stdout, self._process.stderr):
                assert stream is not None
                selector.register(stream, selectors.EVENT_READ)
            while selector.get_map():
                if is_canceled():
                    raise Canceled("the job was canceled")
                for key, _ in selector.select(_LOOK_SECONDS):
                    data = os.read(key.fd, _READ_BYTES)
                    if not data:
                        selector.unregister(key.fileobj)
                    elif key.fileobj is self._process.stderr:
                        self._note(data)
                    else:
                        lines += data
                        yield from _take_replies(lines)

    def ending(self) -> LlmsiteError:
        """Why it ended without a word."""
        try:
            code = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            return EngineError("the model could not be quantized: the process fell silent")
        if code == -signal.SIGKILL:
            return NotEnoughMemory("the model could not be quantized: its process was killed, most likely because memory ran out")
        return EngineError(f"the model could not be quantized: {endings.describe(code, endings.printable(self._last_line))}")

    def _note(self, data: bytes) -> None:
        """Keep the last line of its log, for `ending`."""
        lines = [line for line in (self._last_line + data).split(b"\n") if line.strip()]
        self._last_line = lines[-1][:_LOG_LINE_BYTES] if lines else b""


def _take_replies(lines: bytearray) -> Iterator[Reply]:
    """Take whole lines away from `lines`."""
    while (end := lines.find(b"\n")) >= 0:
        line = bytes(lines[:end])
        del lines[: end + 1]
        try:
            yield _replies.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ProtocolError(f"the quantizing process sent what it must not: {error}") from error
    if len(lines) > _LINE_BYTES:
        raise ProtocolError(f"the quantizing process sent a line of more than {_LINE_BYTES} bytes")
