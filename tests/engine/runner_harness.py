"""A real runner process over a real socket pair, driven synchronously: no supervisor needed."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from llmsite.engine import wire
from tests.engine.known import STARTER

ROOT = Path(__file__).parents[2]
LIMIT_BYTES = 64 << 20


def load(**changes: Any) -> wire.Load:
    """The starter on one thread: other processes on the machine then cost time, not a hundred times as much."""
    values = {"model_path": str(ROOT / STARTER), "num_ctx": 1024, "num_slots": 4, "num_threads": 1, "is_confined": True}
    return wire.Load(**(values | changes))


def generate(request_id: int, prompt: str, **changes: Any) -> wire.Generate:
    """A greedy request."""
    values = {"num_ctx": 0, "sampling": wire.Sampling(temperature=0), "num_predict": 100}
    return wire.Generate(request_id, prompt, **(values | changes))


class RunnerProcess:
    """`python -m llmsite.engine.runner --fd N` and what it said. Leaving the context closes the socket and waits for its end."""

    def __init__(self, command: wire.Command | bytes | None = None, *words: str) -> None:
        ours, theirs = socket.socketpair()
        self.connection = ours
        self.connection.settimeout(60)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "llmsite.engine.runner", "--fd", str(theirs.fileno()), *words],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
        )
        theirs.close()
        self._reader = ours.makefile("rb")
        self.events: dict[int, list[wire.Event]] = defaultdict(list)
        self.order: list[wire.Event] = []
        self.ready: wire.Ready | None = None
        if command is not None:
            self.send(command)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            self.process.wait()
            assert self.process.stderr is not None
            self.process.stderr.close()

    def close(self) -> None:
        self._reader.close()
        self.connection.close()

    def send(self, *commands: wire.Command | bytes) -> None:
        self.connection.sendall(b"".join(each if isinstance(each, bytes) else wire.encode(each) for each in commands))

    def read(self) -> wire.Event | None:
        """The next event, noted under the ids it concerns; None at the end of the stream."""
        header = self._reader.read(4)
        if len(header) < 4:
            return None
        (length,) = struct.unpack(">I", header)
        event = wire.decode_event(self._reader.read(length))
        self.order.append(event)
        if isinstance(event, wire.Step):
            for piece in event.pieces:
                self.events[piece.id].append(wire.Step((piece,)))
        else:
            self.events[getattr(event, "id", 0)].append(event)
        return event

    def wait_for(self, kind: type, request_id: int | None = None) -> Any:
        """Reads until such an event (of this request) comes. A `Step` counts when it has a piece of the request."""
        while (event := self.read()) is not None:
            if not isinstance(event, kind):
                continue
            if isinstance(event, wire.Step) and request_id is not None:
                if all(piece.id != request_id for piece in event.pieces):
                    continue
            elif request_id is not None and event.id != request_id:
                continue
            return event
        raise AssertionError(f"the runner ended: {self.stderr()}")

    def start(self) -> wire.Ready:
        self.ready = self.wait_for(wire.Ready)
        return self.ready

    def stderr(self) -> str:
        self.process.wait(30)
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def finish(self, *request_ids: int) -> None:
        """Reads until all these requests are done or failed."""
        open_ids = {each for each in request_ids if not self._is_over(each)}
        while open_ids:
            event = self.read()
            assert event is not None, self.stderr()
            if isinstance(event, wire.Done | wire.Failed):
                open_ids.discard(event.id)

    def _is_over(self, request_id: int) -> bool:
        return any(isinstance(each, wire.Done | wire.Failed) for each in self.events[request_id])

    def ask(self, command: wire.Generate) -> tuple[str, wire.Done]:
        """One request from beginning to end: its text and its last event."""
        self.send(command)
        self.finish(command.id)
        return self.text(command.id), self.done(command.id)

    def pieces(self, request_id: int) -> list[wire.Piece]:
        return [piece for event in self.events[request_id] if isinstance(event, wire.Step) for piece in event.pieces]

    def text(self, request_id: int) -> str:
        return "".join(piece.text for piece in self.pieces(request_id))

    def done(self, request_id: int) -> wire.Done:
        last = self.events[request_id][-1]
        assert isinstance(last, wire.Done), last
        return last

    def started(self, request_id: int) -> wire.Started:
        return next(each for each in self.events[request_id] if isinstance(each, wire.Started))

    def failed(self, request_id: int) -> wire.Failed:
        last = self.events[request_id][-1]
        assert isinstance(last, wire.Failed), last
        return last
