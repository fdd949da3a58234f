"""One model's process: `python -m llmsite.engine.runner --fd N` for the supervisor, `--model X.gguf --prompt "…"` by hand.

A reader thread takes frames from the parent and tokenizes at once, for the vocabulary is read-only; the main thread owns the
context. The parent's end is ours: end-of-file on the socket ends the process on the spot, in the middle of whatever it does.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import queue
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

from llmsite.engine import llama, wire
from llmsite.engine.channel import Channel
from llmsite.engine.loop import Loop
from llmsite.sandbox import allow_only, code_folders
from llmsite.types.errors import LlmsiteError, ProtocolError, to_wire
from llmsite.types.limits import Limits

Job = tuple[wire.Generate, list[int]] | wire.Cancel

STEPS_SECONDS = 0.004
"""Steps of a small model that come quicker than this are told together: every telling wakes parent and reader, on cores that the
model computes with."""
PROGRESS_SECONDS = 0.05
"""Between two reports of a load."""


class Runner:
    """Joins the channel to the parent with the loop."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._loaded = threading.Event()
        self._loop: Loop | None = None

    def run(self) -> int:
        """Until the parent goes, which ends the process. Returns an exit code when loading fails."""
        load = self._channel.read()
        if load is None:
            return 0
        if not isinstance(load, wire.Load):
            raise ProtocolError("the first frame must be a load")
        if load.is_confined:
            confine(load)  # before there are other threads, which would keep what this one gives up
        threading.Thread(target=self._read_until_end, daemon=True).start()
        try:
            self._loop = loop = Loop(load, report_progress(self._channel.send))
        except LlmsiteError as error:
            self._channel.send(wire.Failed(0, *to_wire(error)))
            return 1
        self._channel.send(loop.describe())
        self._loaded.set()
        events: list[wire.Event] = []
        told = 0.0
        while True:
            self._take_jobs(loop)
            events += loop.turn()
            now = time.monotonic()
            if events and (now - told >= STEPS_SECONDS or not loop.has_work or not isinstance(events[-1], wire.Step)):
                self._channel.send(*events)
                events, told = [], now

    def _take_jobs(self, loop: Loop) -> None:
        """Everything that came since; waits for something only when there is nothing to do."""
        while not loop.has_work or not self._jobs.empty():
            match self._jobs.get():
                case wire.Cancel(id=request_id):
                    loop.cancel(request_id)
                case (command, tokens):
                    loop.submit(command, tokens)

    # the reader thread

    def _read_until_end(self) -> None:
        """Ends the process, whatever happens here: without a reader nobody can be served."""
        code = 1
        try:
            self._read_frames()
            code = 0
        except (ProtocolError, OSError) as error:
            _complain(error)
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _read_frames(self) -> None:
        while (command := self._channel.read()) is not None:
            self._loaded.wait()
            assert self._loop is not None
            self._take(command, self._loop.vocab)

    def _take(self, command: wire.Command, vocab: llama.Vocab) -> None:
        match command:
            case wire.Load():
                raise ProtocolError("a runner loads once")
            case wire.Cancel():
                self._jobs.put(command)
            case wire.Generate():
                self._jobs.put((command, vocab.tokenize(command.prompt)))
            case wire.Tokenize():
                self._channel.send(_tokens(command, vocab))
            case wire.Detokenize():
                self._channel.send(_text(command, vocab))


def _tokens(command: wire.Tokenize, vocab: llama.Vocab) -> wire.Tokens:
    tokens = [tuple(vocab.tokenize(text)) for text in command.texts]
    return wire.Tokens(command.id, tuple(map(len, tokens)), () if command.counts_only else tuple(tokens))


def _text(command: wire.Detokenize, vocab: llama.Vocab) -> wire.Text | wire.Failed:
    try:
        return wire.Text(command.id, vocab.text(command.tokens))
    except LlmsiteError as error:
        return wire.Failed(command.id, *to_wire(error))


def report_progress(send: Callable[[wire.Loading], None]) -> Callable[[float], None]:
    """A callback for loading that reports a few times a second, and the end."""
    last = 0.0

    def report(fraction: float) -> None:
        nonlocal last
        now = time.monotonic()
        if fraction >= 1 or now - last >= PROGRESS_SECONDS:
            last = now
            send(wire.Loading(min(1.0, max(0.0, fraction))))

    return report


def end_with_parent() -> None:
    """No core dumps, which would hold what people wrote; on Linux the kernel ends us with the parent, should the socket not."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def serve(fd: int, limit_in: int, limit_out: int) -> int:
    """Run for the parent at the other end of a socket."""
    end_with_parent()
    channel = Channel(socket.socket(fileno=fd), limit_in, limit_out)
    try:
        return Runner(channel).run()
    except (ProtocolError, OSError) as error:
        _complain(error)
        return 1


def confine(load: wire.Load) -> bool:
    """Give up all files but the code and the model's, TCP, and signals to others. False where the kernel cannot do that.

    A file that is missing is no matter here: loading will say so.
    """
    paths = (load.model_path, load.projector_path, *(path for path, _ in load.adapters))
    return allow_only(readable=(*code_folders(), *(path for path in paths if os.path.exists(path))))


def _complain(error: ProtocolError | OSError) -> None:
    what = "sent a bad frame" if isinstance(error, ProtocolError) else "cannot be reached"
    sys.stderr.write(f"the parent {what}: {error}\n")


def complete(arguments: argparse.Namespace) -> int:
    """Answer one prompt on standard output."""
    load = wire.Load(arguments.model, arguments.num_ctx, 1, num_threads=arguments.num_threads, num_gpu_layers=arguments.num_gpu)
    sampling = wire.Sampling(temperature=arguments.temperature, seed=arguments.seed)
    try:
        loop = Loop(load, lambda _: None)
    except LlmsiteError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    command = wire.Generate(1, arguments.prompt, arguments.num_ctx, sampling, num_predict=arguments.num_predict)
    loop.submit(command, loop.vocab.tokenize(command.prompt))
    while loop.has_work:
        for event in loop.turn():
            match event:
                case wire.Step(pieces):
                    sys.stdout.write("".join(piece.text for piece in pieces))
                    sys.stdout.flush()
                case wire.Failed(message=message):
                    sys.stderr.write(f"{message}\n")
                    return 1
    sys.stdout.write("\n")
    return 0


def parse_arguments(words: list[str] | None = None) -> argparse.Namespace:
    limits = Limits()
    parser = argparse.ArgumentParser(prog="python -m llmsite.engine.runner", description="Holds one model and answers with it.")
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--fd", type=int, help="serve the parent at the other end of this socket")
    way.add_argument("--model", help="a GGUF file to answer --prompt with")
    parser.add_argument("--frame-down-bytes", type=int, default=limits.frame_down_bytes, help="largest frame from the parent")
    parser.add_argument("--frame-up-bytes", type=int, default=limits.frame_up_bytes, help="largest frame to the parent")
    parser.add_argument("--prompt", default="", help="text to continue; control tokens are parsed")
    parser.add_argument("--num-ctx", type=int, default=4096)
    parser.add_argument("--num-predict", type=int, default=-1)
    parser.add_argument("--num-threads", type=int, default=0)
    parser.add_argument("--num-gpu", type=int, default=0, help="layers on the GPU, -1 for all")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=-1)
    return parser.parse_args(words)


def main() -> int:
    arguments = parse_arguments()
    llama.initialize()
    if arguments.fd is not None:
        return serve(arguments.fd, arguments.frame_down_bytes, arguments.frame_up_bytes)
    return complete(arguments)


if __name__ == "__main__":
    exit_code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)  # llama.cpp's own threads and our reader need no farewell
