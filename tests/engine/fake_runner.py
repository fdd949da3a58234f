"""A real process that speaks `wire.py` and has no model: it crashes, hangs, lies or ignores signals as it is told.

What to do stands in the names it gets, as `word=value` parts. In the model's path, joined by commas:
    seconds=0.2   time to load, with progress
    end=kill|segv|exit|silent|hang|memory|refuse|figures|garbage   instead of being ready
    times=2       only the first two loads of this path end so (counted by lines in the file `log`)
    log=/path     append one line per load: its slots, context, layers
    deaf=1        stay after the end of the stream and after SIGTERM
In a prompt, joined by blanks:
    n=20          pieces `0 1 2 …`                   wait=0.01   seconds between steps
    end=kill|exit|hang|close|huge|garbage|foreign|late|reason|flood|fail   after the last piece instead of `Done`
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from llmsite.engine import wire

FRAME_BYTES = 4 << 20


@dataclass
class _Answer:
    """One request that is being written."""

    words: dict[str, str]
    num_total: int
    num_sent: int = 0
    due: float = 0.0


class FakeRunner:
    """One thread: reads when there is something, writes when it is time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._answers: dict[int, _Answer] = {}
        self._num_slots = 1

    def run(self) -> None:
        command = self._read()
        assert isinstance(command, wire.Load)
        words = _parse(Path(command.model_path).name.split(","))
        if "deaf" in words:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._load(command, words)
        while True:
            due = min((answer.due for answer in self._answers.values()), default=None)
            timeout = None if due is None else max(0.0, due - time.monotonic())
            if select.select([self._connection], [], [], timeout)[0]:
                command = self._read()
                if command is None:
                    if "deaf" in words:
                        time.sleep(3600)
                    return
                self._obey(command)
            self._step()

    def _read(self) -> wire.Command | None:
        """The next command, not a byte further, so that `select` sees the rest."""
        header = self._connection.recv(wire.HEADER_BYTES, socket.MSG_WAITALL)
        if not header:
            return None
        return wire.decode_command(self._connection.recv(wire.body_bytes(header, 1 << 30), socket.MSG_WAITALL))

    def _send(self, *events: wire.Event) -> None:
        self._connection.sendall(b"".join(map(wire.encode, events)))

    def _load(self, load: wire.Load, words: dict[str, str]) -> None:
        sys.stderr.write(f"loading {load.model_path}\n")
        num_loads = 1
        if "log" in words:
            log = Path(words["log"].replace("+", "/"))
            with log.open("a") as file:
                file.write(f"{load.num_slots} {load.num_ctx} {load.num_gpu_layers} {os.getpid()}\n")
            num_loads = len(log.read_text().splitlines())
        seconds = float(words.get("seconds", "0"))
        for tenth in range(10):
            self._send(wire.Loading(tenth / 10))
            time.sleep(seconds / 10)
        if "end" in words and num_loads <= int(words.get("times", "99")):
            self._fail_to_load(words["end"])
        self._num_slots = load.num_slots
        self._send(wire.Ready(load.num_ctx, load.num_slots, 1000, True, "<s>", 123_456, 1000 * load.num_gpu_layers))

    def _fail_to_load(self, how: str) -> None:
        if how == "memory":
            self._send(wire.Failed(0, "NotEnoughMemory", "no memory for this"))
            sys.exit(1)
        if how == "refuse":
            self._send(wire.Failed(0, "LoadFailed", "unknown architecture"))
            sys.exit(1)
        if how == "figures":
            self._send(wire.Ready(0, 99, 1, True, "", -1))
        _misbehave(how, self._connection)

    def _obey(self, command: wire.Command) -> None:
        match command:
            case wire.Generate():
                if len(self._answers) >= self._num_slots:
                    self._send(wire.Failed(command.id, "EngineError", "more requests than slots"))
                    return
                words = _parse(command.prompt.split())
                self._answers[command.id] = _Answer(words, int(words.get("n", "5")), due=time.monotonic())
                self._send(wire.Started(command.id, len(words), 0))
            case wire.Cancel():
                if self._answers.pop(command.id, None) is not None:
                    self._send(wire.Done(command.id, "canceled", 1, 0, 0, 1, 1))
            case wire.Tokenize():
                counts = tuple(len(text.split()) for text in command.texts)
                tokens = () if command.counts_only else tuple(tuple(range(count)) for count in counts)
                self._send(wire.Tokens(command.id, counts, tokens))
            case wire.Detokenize():
                self._send(wire.Text(command.id, " ".join(map(str, command.tokens))))

    def _step(self) -> None:
        now = time.monotonic()
        writing = {number: answer for number, answer in self._answers.items() if answer.due <= now}
        pieces = [wire.Piece(number, f"{each.num_sent} ") for number, each in writing.items() if each.num_sent < each.num_total]
        if pieces:
            self._send(wire.Step(tuple(pieces)))
        for number, answer in writing.items():
            answer.num_sent += 1
            answer.due = now + float(answer.words.get("wait", "0"))
            if answer.num_sent >= answer.num_total:
                self._finish(number, answer)

    def _finish(self, number: int, answer: _Answer) -> None:
        del self._answers[number]
        how = answer.words.get("end", "")
        done = wire.Done(number, "stop", 1, 0, answer.num_total, 1, 1)
        if how == "fail":
            self._send(wire.Failed(number, "PromptTooLong", "too long"))
        elif how == "late":
            self._send(done, wire.Step((wire.Piece(number, "after the end"),)))
        elif how == "foreign":
            self._send(wire.Step((wire.Piece(number + 1000, "whose is this?"),)))
        elif how == "reason":
            self._send(wire.Done(number, "because", 1, 0, 1, 1, 1))
        elif how == "flood":
            while True:
                self._send(wire.Step((wire.Piece(number, "x"),)))
        elif how:
            _misbehave(how, self._connection)
        else:
            self._send(done)


def _misbehave(how: str, connection: socket.socket) -> None:
    match how:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segv":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            sys.stderr.write("something is wrong with me\n")
            sys.exit(3)
        case "silent":
            sys.exit(0)
        case "huge":
            connection.sendall((FRAME_BYTES + 1).to_bytes(4, "big"))
        case "garbage":
            connection.sendall((5).to_bytes(4, "big") + b"\xff\xfe{]x")
        case "close":
            connection.shutdown(socket.SHUT_RDWR)
    time.sleep(3600)  # hang


def _parse(parts: list[str]) -> dict[str, str]:
    return dict(part.split("=", 1) for part in parts if "=" in part)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    with socket.socket(fileno=parser.parse_args().fd) as connection:
        try:
            FakeRunner(connection).run()
        except OSError:
            sys.exit(0)  # the parent is gone


if __name__ == "__main__":
    main()
