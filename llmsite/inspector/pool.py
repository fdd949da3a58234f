"""The door to the inspector: warm children, one question each at a time, killed when they take too long, and replaced.

`InspectorPool` is for the event loop, `BlockingInspector` for code without one (start-up, commands).
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import socket
import subprocess  # a fixed command of ours
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

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
    body_bytes,
    decode_answer,
    encode,
)
from llmsite.prompt.capabilities import TemplateFacts, inspect_jinja
from llmsite.prompt.job import RenderJob, TemplateKind
from llmsite.store.gguf import GgufFacts
from llmsite.store.gguf_listing import GgufListing
from llmsite.types.errors import EngineError, InvalidModelFile, LlmsiteError, ProtocolError, TemplateLimit, from_wire
from llmsite.types.limits import Limits

A = TypeVar("A")

_log = logging.getLogger(__name__)
_PACKAGE_ROOT: Final = Path(__file__).resolve().parents[2]
_START_SECONDS: Final = 30.0
_READ_BYTES: Final = 1 << 16
_REMEMBERED: Final = 1_024


class InspectorPool:
    """`limits.inspector_processes` children. Call `start` on the loop that asks, `stop` before it ends.

    `environ` is the children's whole environment. Questions about what a caller brought along (`is_foreign`) never take the
    last child, so that they cannot hold up everybody's prompts.
    """

    def __init__(self, limits: Limits, environ: Mapping[str, str] | None = None) -> None:
        self._limits = limits
        self._environ = dict(environ or {})
        self._size = max(1, limits.inspector_processes)
        self._seats: asyncio.LifoQueue[_Child | None] = asyncio.LifoQueue()
        self._foreign = asyncio.Semaphore(max(1, self._size - 1))
        self._excessive: dict[int, None] = {}
        self._children: set[_Child] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopped = False
        self._are_gone = asyncio.Event()

    async def start(self) -> None:
        """Start the children and wait until they are warm."""
        await asyncio.gather(*(self._fill_seat() for _ in range(self._size)))

    async def stop(self) -> None:
        """End all children; whoever still asks is told that the server is shutting down."""
        self._is_stopped = True
        for child in self._children:
            child.kill()
        while not self._seats.empty():
            if (idle := self._seats.get_nowait()) is not None:
                await self._discard(idle)
        self._seats.put_nowait(None)  # wakes those who wait for a seat, one after another
        if self._children:
            await self._are_gone.wait()  # whoever asks one of them discards it

    async def read_gguf(self, path: Path | str) -> GgufFacts:
        """What a GGUF file is. Raises `InvalidModelFile`, `FileNotFoundError`."""
        with open(path, "rb") as file:  # noqa: ASYNC230  opening is quick; the child reads
            question = ReadGguf(os.fstat(file.fileno()).st_size)
            answer = await self._ask(question, Facts, self._limits.inspector_seconds, file.fileno(), is_foreign=True)
        return answer.facts

    async def list_gguf(self, path: Path | str, *, with_arrays: bool = False, hidden: Iterable[str] = ()) -> GgufListing:
        """Everything that stands in a GGUF file's header, as JSON. Raises `InvalidModelFile`, `FileNotFoundError`."""
        with open(path, "rb") as file:  # noqa: ASYNC230  opening is quick; the child reads
            question = ListGguf(os.fstat(file.fileno()).st_size, with_arrays, tuple(hidden))
            answer = await self._ask(question, Listed, self._limits.inspector_seconds, file.fileno(), is_foreign=True)
        return answer.listing

    async def render(self, job: RenderJob, *, is_foreign: bool = False) -> str:
        """The prompt. Raises `TemplateError`, or `TemplateLimit` beyond the bounds.

        A template that went beyond them once is from then on treated as foreign, whatever model it came with.
        """
        source = hash(job.source)
        is_foreign = is_foreign or source in self._excessive
        try:
            answer = await self._ask(Render(job), Prompt, self._limits.template_seconds, is_foreign=is_foreign)
        except TemplateLimit:
            self._excessive[source] = None
            if len(self._excessive) > _REMEMBERED:
                self._excessive.pop(next(iter(self._excessive)))
            raise
        return answer.text

    async def inspect_template(self, source: str, kind: TemplateKind = "go", *, is_foreign: bool = False) -> TemplateFacts:
        """What a template can do. Raises `TemplateError`, `TemplateLimit`; a Jinja template is only searched, not parsed."""
        if kind == "jinja":
            return inspect_jinja(source)
        answer = await self._ask(InspectGo(source), Inspected, self._limits.template_seconds, is_foreign=is_foreign)
        return answer.facts

    async def _ask(
        self, question: Question, kind: type[A], seconds: float, descriptor: int | None = None, *, is_foreign: bool = False
    ) -> A:
        if not is_foreign:
            return await self._ask_child(question, kind, seconds, descriptor)
        async with self._foreign:
            return await self._ask_child(question, kind, seconds, descriptor)

    async def _ask_child(self, question: Question, kind: type[A], seconds: float, descriptor: int | None) -> A:
        frame = encode(question)
        child = await self._take()
        is_sound = False
        try:
            async with asyncio.timeout(_seconds(seconds)):
                answer = await child.ask(frame, self._limits, descriptor)
            is_sound = not answer.is_last if isinstance(answer, Refused) else isinstance(answer, kind)
        except (TimeoutError, ConnectionError, EOFError) as error:
            raise (_stopped() if self._is_stopped else _exceeded(question)) from error
        finally:
            if is_sound and not self._is_stopped:
                self._seats.put_nowait(child)
            else:
                self._replace(child)
        return _expect(answer, kind)

    async def _take(self) -> _Child:
        """An idle child; a dead one is replaced first."""
        child = await self._seats.get()
        if self._is_stopped:
            self._seats.put_nowait(child)
            raise _stopped()
        if child is not None and child.is_alive:
            return child
        try:
            if child is not None:
                await self._discard(child)
            return await self._start_child()
        except BaseException:
            self._seats.put_nowait(None)
            raise

    def _replace(self, child: _Child) -> None:
        """Kill a child and warm up another in its seat, without making anybody wait."""
        child.kill()
        task = asyncio.get_running_loop().create_task(self._refill(child))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _refill(self, child: _Child) -> None:
        await self._discard(child)
        if not self._is_stopped:
            await self._fill_seat()

    async def _fill_seat(self) -> None:
        """Put a warm child into the queue, or an empty seat that the next question fills."""
        child = None
        try:
            child = await self._start_child()
        except (OSError, LlmsiteError) as error:
            if not self._is_stopped:
                _log.error("an inspector child did not start: %s", error)
        finally:
            self._seats.put_nowait(child)

    async def _start_child(self) -> _Child:
        child = _Child(self._environ)
        self._children.add(child)
        try:
            async with asyncio.timeout(_START_SECONDS):
                _expect(await child.ask(encode(Configure(self._limits.finite())), self._limits), Ready)
        except BaseException as error:
            await self._discard(child)
            if isinstance(error, TimeoutError | ConnectionError | EOFError):
                raise EngineError("the inspector did not start; please retry") from error
            raise
        return child

    async def _discard(self, child: _Child) -> None:
        child.kill()
        await asyncio.to_thread(child.reap)
        child.close()
        self._children.discard(child)
        if not self._children and self._is_stopped:
            self._are_gone.set()


class BlockingInspector:
    """One child for code without an event loop. Use as a context manager; a child that failed is not replaced."""

    def __init__(self, limits: Limits, environ: Mapping[str, str] | None = None) -> None:
        self._limits = limits
        self._environ = dict(environ or {})

    def __enter__(self) -> Self:
        self._child = _Child(self._environ, is_blocking=True)
        self._exchange(Configure(self._limits.finite()), Ready, _START_SECONDS)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._child.kill()
        self._child.reap()
        self._child.close()

    def read_gguf(self, path: Path | str) -> GgufFacts:
        """What a GGUF file is. Blocks. Raises `InvalidModelFile`, `FileNotFoundError`."""
        with open(path, "rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            return self._exchange(ReadGguf(size_bytes), Facts, self._limits.inspector_seconds, file.fileno()).facts

    def render(self, job: RenderJob) -> str:
        """The prompt. Blocks. Raises `TemplateError`, `TemplateLimit`."""
        return self._exchange(Render(job), Prompt, self._limits.template_seconds).text

    def inspect_template(self, source: str, kind: TemplateKind = "go") -> TemplateFacts:
        """What a template can do. Blocks. Raises `TemplateError`, `TemplateLimit`."""
        if kind == "jinja":
            return inspect_jinja(source)
        return self._exchange(InspectGo(source), Inspected, self._limits.template_seconds).facts

    def _exchange(self, question: Question, kind: type[A], seconds: float, descriptor: int | None = None) -> A:
        try:
            answer = self._child.ask_blocking(encode(question), self._limits, _seconds(seconds), descriptor)
        except (TimeoutError, ConnectionError, EOFError) as error:
            raise _exceeded(question) from error
        return _expect(answer, kind)


def read_gguf_sync(path: Path | str, limits: Limits | None = None, environ: Mapping[str, str] | None = None) -> GgufFacts:
    """What a GGUF file is, by a child of its own: about 0.3 s. Blocks. Raises `InvalidModelFile`, `FileNotFoundError`."""
    with BlockingInspector(limits or Limits(), environ) as inspector:
        return inspector.read_gguf(path)


class _Child:
    """One process and the socket to it."""

    def __init__(self, environ: Mapping[str, str], *, is_blocking: bool = False) -> None:
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  our own module, no shell
                [sys.executable, "-P", "-s", "-m", "llmsite.inspector.child", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**environ, "PYTHONPATH": str(_PACKAGE_ROOT)},
                cwd="/",
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self._channel.setblocking(is_blocking)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """Kill it. Returns at once; `reap` waits for the end."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)

    def reap(self) -> None:
        """Blocks until the killed process is gone."""
        self._process.wait()

    def close(self) -> None:
        """Close the socket; on the loop, and when nobody waits for it any more: its number may be another's at once."""
        self._channel.close()

    async def ask(self, frame: bytes, limits: Limits, descriptor: int | None = None) -> Answer:
        """Send a question, wait for its answer. Raises `ConnectionError` or `EOFError` when the child dies, `ProtocolError`."""
        loop = asyncio.get_running_loop()
        if descriptor is None:
            await loop.sock_sendall(self._channel, frame)
        else:
            self._send_with(descriptor, frame)
        data = bytearray()
        missing = HEADER_BYTES
        while missing > 0:
            received = await loop.sock_recv(self._channel, max(missing, _READ_BYTES))
            missing = _collect(data, received, limits)
        return decode_answer(memoryview(data)[HEADER_BYTES:])

    def ask_blocking(self, frame: bytes, limits: Limits, seconds: float | None, descriptor: int | None = None) -> Answer:
        """As `ask`, without a loop; each wait takes at most `seconds`. Raises `TimeoutError` too."""
        self._channel.settimeout(seconds)
        if descriptor is None:
            self._channel.sendall(frame)
        else:
            self._send_with(descriptor, frame)
        data = bytearray()
        missing = HEADER_BYTES
        while missing > 0:
            missing = _collect(data, self._channel.recv(max(missing, _READ_BYTES)), limits)
        return decode_answer(memoryview(data)[HEADER_BYTES:])

    def _send_with(self, descriptor: int, frame: bytes) -> None:
        """Header with the file's descriptor, then the body: small enough for any socket buffer."""
        socket.send_fds(self._channel, [frame[:HEADER_BYTES]], [descriptor])
        self._channel.send(frame[HEADER_BYTES:])


def _collect(data: bytearray, received: bytes, limits: Limits) -> int:
    """Add what came to `data`; returns how many bytes are still missing. Raises `EOFError`, `ProtocolError`."""
    if not received:
        raise EOFError
    data += received
    if len(data) < HEADER_BYTES:
        return HEADER_BYTES - len(data)
    missing = HEADER_BYTES + body_bytes(bytes(data[:HEADER_BYTES]), answer_limit_bytes(limits)) - len(data)
    if missing < 0:
        raise ProtocolError("the inspector sent more than one answer")
    return missing


def _expect(answer: Answer, kind: type[A]) -> A:
    """The answer if it is of this kind. Raises the error it carries, or `ProtocolError`."""
    if isinstance(answer, Refused):
        raise from_wire(answer.error, answer.message)
    if not isinstance(answer, kind):
        raise ProtocolError("the inspector gave an unexpected answer")
    return answer


def _exceeded(question: Question) -> LlmsiteError:
    """The error of a question that its child did not survive."""
    if isinstance(question, ReadGguf | ListGguf):
        return InvalidModelFile("not a valid gguf file: its header takes longer to read than the limit")
    return TemplateLimit("template exceeded its limit")


def _stopped() -> LlmsiteError:
    return EngineError("the server is shutting down")


def _seconds(limit: float) -> float | None:
    return None if math.isinf(limit) else limit
