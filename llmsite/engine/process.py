"""RunnerProcess: the parent's handle on one runner: start, load, ask, stop, kill. Expects a runner that crashes, hangs or lies.

The runner is a fresh exec with a scrubbed environment and one inherited socket; everything it sends is checked. It is killed when
it breaks the protocol or gives no sign of life while it has work. Its log goes line by line to the server's.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Final

from msgspec import structs

from llmsite.engine import endings, wire
from llmsite.engine.frames import EventStream
from llmsite.engine.mailbox import Mailbox
from llmsite.env import scrubbed
from llmsite.types.errors import Busy, Canceled, LlmsiteError, ProtocolError, from_wire
from llmsite.types.limits import Limits

logger = logging.getLogger(__name__)

COMMAND: Final = (sys.executable, "-P", "-m", "llmsite.engine.runner")
END_SECONDS: Final = 3.0
"""How long a runner may take to leave after the end of its stream, and again after SIGTERM, before it is killed."""

_LOG_LINE_BYTES: Final = 2048
_NUM_TICKS: Final = 5
_REASONS: Final = frozenset({"stop", "length", "canceled"})


class RunnerProcess:
    """One runner. `on_ending` is called when its stream closes, `on_ended` when it is gone, before its requests are told."""

    def __init__(self, limits: Limits, name: str, on_ending: Callable[[], None], on_ended: Callable[[], None]) -> None:
        self._limits = limits
        self._name = name
        self._on_ending = on_ending
        self._on_ended = on_ended
        self._stream = EventStream(limits, self._on_event, self._on_closed)
        self._numbers = 0
        self._boxes: dict[int, Mailbox] = {}
        self._asks: dict[int, asyncio.Future[wire.Tokens | wire.Text]] = {}
        self._freed: dict[int, Callable[[], None]] = {}
        self._closed = asyncio.get_running_loop().create_future()
        self._ready: asyncio.Future[wire.Ready] = asyncio.get_running_loop().create_future()
        self._on_progress: Callable[[float], None] = lambda _: None
        self._fraction = -1.0
        self._last_line = ""
        self._cause = ""
        self.is_started = False
        self._is_stopping = False
        self._error: LlmsiteError | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._num_silent = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def was_killed(self) -> bool:
        """Whether somebody else killed it, as the system does when memory runs out."""
        return self.is_started and self._process.returncode == -signal.SIGKILL and not self._cause

    # life

    async def start(self, command: tuple[str, ...] = COMMAND, environ: Mapping[str, str] | None = None) -> None:
        """Start the process. Raises `Busy` when the machine is out of descriptors, processes or memory."""
        loop = asyncio.get_running_loop()
        with ExitStack() as stack:  # whatever goes wrong, the child sees the end of its stream and leaves
            try:
                ours, theirs = map(stack.enter_context, socket.socketpair())
                with theirs:
                    self._process = await _spawn(command, theirs.fileno(), _THREADS | scrubbed(environ))
                ours.setblocking(False)
                await loop.create_unix_connection(lambda: self._stream, sock=ours)
            except OSError as error:
                raise Busy(f"server busy, please try again.  a model could not be started: {error.strerror}") from error
            stack.pop_all()
        self._life = loop.create_task(self._live(), context=contextvars.Context())
        self.is_started = True

    async def load(self, frame: wire.Load, stall_seconds: float, on_progress: Callable[[float], None]) -> wire.Ready:
        """Load the model. `stall_seconds` without progress is `LoadTimeout`, 0 waits for ever. After an error the runner is gone.

        Raises what the runner says, `LoadFailed` when it dies and `NotEnoughMemory` when it is killed from outside.
        """
        loop = asyncio.get_running_loop()
        self._stream.send(self._stream.encode(frame))
        try:
            async with asyncio.timeout(stall_seconds or None) as limit:
                self._on_progress = lambda fraction: self._progress(fraction, on_progress, limit, loop.time() + stall_seconds)
                ready = await asyncio.shield(self._ready)
        except TimeoutError as error:
            await self.kill(f"loading made no progress for {stall_seconds:g} s")
            raise endings.stalled_in_load(self._last_line) from error
        except LlmsiteError:
            await self.stop()
            raise
        if not 1 <= ready.num_slots <= frame.num_slots or ready.num_ctx < 1 or min(ready.memory_bytes, ready.vram_bytes) < 0:
            await self.kill("it reported impossible figures")
            raise endings.died_in_load("it reported impossible figures")
        if self._closed.done():
            await asyncio.shield(self._life)
            raise endings.died_in_load(self._why(self._process.returncode or 0))
        return ready

    def _progress(self, fraction: float, on_progress: Callable[[float], None], limit: asyncio.Timeout, until: float) -> None:
        """Only a larger fraction is progress."""
        if fraction <= self._fraction:
            return
        self._fraction = fraction
        if limit.when() is not None and not limit.expired():
            limit.reschedule(until)
        on_progress(min(1.0, fraction))

    async def stop(self) -> None:
        """End the process: close its stream, then SIGTERM, then SIGKILL, each after `END_SECONDS`. Returns when it is gone.

        One that is still loading is busy in llama.cpp and has nothing to lose: SIGKILL at once.
        """
        self._is_stopping = True
        if not self._ready.done():
            self._kill("it was no longer wanted")
        self._stream.close()
        await asyncio.shield(self._life)

    async def kill(self, cause: str) -> None:
        """SIGKILL, for a runner that does not deserve a warning. Returns when it is gone; `cause` is for the error texts."""
        self._kill(cause)
        await asyncio.shield(self._life)

    def _kill(self, cause: str) -> None:
        self._cause = self._cause or cause
        if self._process.returncode is None:
            self._process.kill()
        self._stream.close()

    async def _live(self) -> None:
        """From the first byte to the last: reads the log, sees the end, tells everybody."""
        log = asyncio.get_running_loop().create_task(self._read_log())
        await self._closed
        for end in (self._process.terminate, self._process.kill):
            try:
                async with asyncio.timeout(END_SECONDS):
                    await self._process.wait()
                break
            except TimeoutError:
                end()
        code = await self._process.wait()
        try:
            async with asyncio.timeout(END_SECONDS):
                await log
        except TimeoutError:
            log.cancel()
        self._finish(code)

    def _finish(self, code: int) -> None:
        """The scheduler first, so that it seats nobody here any more, then all who wait for this runner."""
        if self._ticker is not None:
            self._ticker.cancel()
        self._error = Canceled("the model was unloaded") if self._is_stopping else endings.died(self._why(code))
        logger.log(logging.INFO if self._is_stopping else logging.ERROR, "runner %s of %s ended: %s", self.pid, self._name, code)
        if not self._ready.done():
            self._ready.set_exception(endings.killed_in_load() if self.was_killed else endings.died_in_load(self._why(code)))
        self._ready.exception()  # read by nobody when the load was given up
        self._on_ended()
        for number in list(self._boxes):
            self._end(number, self._error)
        for ask in self._asks.values():
            if not ask.done():
                ask.set_exception(self._error)
        self._asks.clear()

    def _why(self, code: int) -> str:
        """Why the process ended: our own reason to kill it, or how it looked from outside."""
        return self._cause or endings.describe(code, self._last_line)

    async def _read_log(self) -> None:
        """The runner's standard error, line by line, each cut to `_LOG_LINE_BYTES`."""
        stream, rest = self._process.stderr, b""
        while stream is not None and (data := await stream.read(_LOG_LINE_BYTES)):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._log(line)
            rest = rest[:_LOG_LINE_BYTES]
        self._log(rest)

    def _log(self, line: bytes) -> None:
        text = endings.printable(line[:_LOG_LINE_BYTES])
        if text:
            self._last_line = text
            logger.info("runner %s: %s", self.pid, text)

    # requests

    async def generate(self, frame: wire.Generate, most_tokens: int, on_freed: Callable[[], None]) -> Mailbox:
        """Begin an answer. `frame.id` is replaced. `on_freed` is called once the runner has no more to do with it.

        Raises `RunnerDied` when it is gone, `RequestTooLarge`.
        """
        await self._stream.writable()
        number, data = self._encode(lambda number: structs.replace(frame, id=number))
        box = Mailbox(number, most_tokens)
        self._boxes[number] = box
        self._freed[number] = on_freed
        self._stream.send(data)
        self._watch()
        return box

    def cancel(self, box: Mailbox) -> None:
        """Nobody wants this answer any longer. Nothing happens when it has ended."""
        if not box.is_ended:
            box.abandon()
            self._stream.send(self._stream.encode(wire.Cancel(box.number)))

    async def tokenize(self, texts: tuple[str, ...], *, counts_only: bool) -> wire.Tokens:
        """Tokens of texts. Raises what the runner says, or `RunnerDied`."""
        reply = await self._ask(lambda number: wire.Tokenize(number, texts, counts_only))
        if not isinstance(reply, wire.Tokens) or len(reply.counts if counts_only else reply.tokens) != len(texts):
            raise ProtocolError("the runner gave an answer to another question")
        return reply

    async def detokenize(self, tokens: tuple[int, ...]) -> str:
        """Text of tokens."""
        reply = await self._ask(lambda number: wire.Detokenize(number, tokens))
        if not isinstance(reply, wire.Text):
            raise ProtocolError("the runner gave an answer to another question")
        return reply.text

    async def _ask(self, frame_of: Callable[[int], wire.Command]) -> wire.Tokens | wire.Text:
        await self._stream.writable()
        number, data = self._encode(frame_of)
        ask: asyncio.Future[wire.Tokens | wire.Text] = asyncio.get_running_loop().create_future()
        self._asks[number] = ask
        self._stream.send(data)
        self._watch()
        return await ask

    def _encode(self, frame_of: Callable[[int], wire.Command]) -> tuple[int, bytes]:
        """The next number and its frame."""
        if self._error is not None:
            raise self._error
        self._numbers += 1
        return self._numbers, self._stream.encode(frame_of(self._numbers))

    # events

    def _on_event(self, event: wire.Event) -> None:
        """Hand an event to whom it concerns. Raises `ProtocolError` for one that concerns nobody."""
        self._num_silent = 0
        match event:
            case wire.Step():
                for piece in event.pieces:
                    self._box(piece.id).put(piece)
            case wire.Started() | wire.Reading():
                self._box(event.id).put(event)
            case wire.Done():
                self._on_done(event)
            case wire.Tokens() | wire.Text():
                self._answer(event.id, event)
            case wire.Failed():
                self._on_failed(event)
            case wire.Loading():
                self._on_progress(event.fraction)
            case wire.Ready():
                if self._ready.done():
                    raise ProtocolError("the runner said twice that it is ready")
                self._ready.set_result(event)

    def _on_done(self, event: wire.Done) -> None:
        box = self._box(event.id)
        figures = (event.num_prompt, event.num_cached, event.num_generated, event.prompt_ns, event.generate_ns)
        if event.reason not in _REASONS or min(figures) < 0:
            raise ProtocolError("the runner ended an answer with impossible figures")
        self._end(box.number, event if event.reason != "canceled" else Canceled("the request was canceled"))

    def _on_failed(self, event: wire.Failed) -> None:
        error = from_wire(event.error, event.message)
        if event.id == 0 and not self._ready.done():
            self._ready.set_exception(endings.refused_load(error, self._name))
        elif event.id in self._asks:
            self._answer(event.id, error)
        else:
            self._end(self._box(event.id).number, error)

    def _box(self, number: int) -> Mailbox:
        box = self._boxes.get(number)
        if box is None:
            raise ProtocolError(f"the runner spoke of request {number}, which does not run")
        return box

    def _end(self, number: int, last: wire.Done | LlmsiteError) -> None:
        self._boxes.pop(number).end(last)
        self._freed.pop(number)()

    def _answer(self, number: int, answer: wire.Tokens | wire.Text | LlmsiteError) -> None:
        ask = self._asks.pop(number, None)
        if ask is None:
            raise ProtocolError(f"the runner answered question {number}, which nobody asked")
        if ask.done():
            return
        if isinstance(answer, LlmsiteError):
            ask.set_exception(answer)
        else:
            ask.set_result(answer)

    def _on_closed(self, error: ProtocolError | None) -> None:
        if error is not None:
            logger.error("runner %s of %s broke the protocol: %s", self.pid, self._name, error)
            self._kill(f"it broke the protocol: {error}")
        self._closed.set_result(None)
        self._on_ending()

    # signs of life

    def _watch(self) -> None:
        """While there is work, count ticks without an event. Ticks, not seconds: a machine that slept is no reason to kill."""
        if self._ticker is None:
            self._num_silent = 0
            self._set_ticker()

    def _set_ticker(self) -> None:
        loop = asyncio.get_running_loop()
        self._ticker = loop.call_later(self._limits.stall_seconds / _NUM_TICKS, self._tick, context=contextvars.Context())

    def _tick(self) -> None:
        self._ticker = None
        if not self._boxes and not self._asks:
            return
        self._num_silent += 1
        if self._num_silent >= _NUM_TICKS:
            self._kill(f"it gave no sign of life for {self._limits.stall_seconds:g} s")
        else:
            self._set_ticker()


_THREADS: Final = {"GOMP_SPINCOUNT": "10000"}
"""llama.cpp's threads meet hundreds of times a token. GNU OpenMP lets them spin for milliseconds there, which is ruin as soon as
anything else wants a core: beside a busy machine the starter's 150 tokens took 31 s by default, 5 s with this. Fewer spins
(1,000) took 2 s there but cost a quiet machine four tenths of the starter's speed."""


async def _spawn(command: tuple[str, ...], fd: int, environ: Mapping[str, str]) -> asyncio.subprocess.Process:
    """A fresh exec in a session of its own that inherits nothing but `fd`. Raises OSError."""
    return await asyncio.create_subprocess_exec(
        *command,
        "--fd",
        str(fd),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=(fd,),
        env=environ,
        cwd="/",
        start_new_session=True,
    )
